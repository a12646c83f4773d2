//! The program `blindscore` with the real server: a whole file, bad files, and interruptions.

mod agreement;
mod cache;
mod combined;
mod hostile;
mod rows;
mod toy;

use blindscore_engine::model::Model;
use blindscore_protocol::ids::KeyId;
use blindscore_tests::{Gate, Passage, Program, Recorder, Server, digit};
use std::{fs, path::Path};
use toy::{PREDICT, check, classes, features, models, read, serve, write_rows};

#[test]
fn the_whole_walk() {
    let models = classes();
    let server = serve(&models, &[]);
    let wire = Recorder::before(server.url());
    let program = Program::new(wire.url());
    write_rows(&program.home().join("rows.csv"));

    program
        .run(&PREDICT)
        .expect_failure("`blindscore keygen` makes one");
    assert!(server.stored_files().is_empty());
    let made = program.run(&["keygen", "--model", "toy"]).expect_success();
    program
        .run(&["keygen", "--model", "toy"])
        .expect_failure("already exists");
    let path = made
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("secret key: "))
        .expect("a path");
    assert!(Path::new(path).starts_with(program.home().join("data/blindscore")));
    assert!(server.stored_files().is_empty());

    let uploaded = program.run(&["upload-keys", "--model", "toy"]).expect_success();
    let stored = server.stored_files();
    assert_eq!(stored.len(), 1);
    assert!(uploaded.stdout.contains(&stored[0]), "{}", uploaded.stdout);
    assert!(
        uploaded.stdout.contains("keeps it until 20"),
        "{}",
        uploaded.stdout
    );
    program.run(&["upload-keys", "--model", "toy"]).expect_success();
    assert_eq!(server.stored_files(), stored);

    let predicted = program.run(&PREDICT).expect_success();
    assert!(
        predicted.stderr.contains("40 rows scored"),
        "{}",
        predicted.stderr
    );
    check(&program.home().join("scores.csv"), &models);
    assert!(!program.home().join("scores.csv.partial").exists());

    let secret = fs::read(path).expect("the key file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).expect("the key file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // The last bytes of the file are key material only.
    let tail = &secret[secret.len() - 64..];
    assert!(!wire.sent().windows(64).any(|window| window == tail));

    let gone = program.run(&["forget", "--model", "toy"]).expect_success();
    assert!(gone.stdout.contains(&stored[0]), "{}", gone.stdout);
    assert!(server.stored_files().is_empty());
    assert!(!Path::new(path).exists());
    program
        .run(&["forget", "--model", "toy"])
        .expect_failure("there is no key");
}

#[test]
fn a_bad_file_is_refused_before_anything_is_sent() {
    let models = classes();
    let server = serve(&models, &[]);
    let wire = Recorder::before(server.url());
    let program = Program::new(wire.url());
    let run = |more: &[&str]| {
        let first = [
            "predict", "--model", "toy", "--key", "my.key", "--csv", "rows.csv", "--out", "out.csv",
        ];
        program.run(&[&first, more].concat())
    };
    program
        .run(&["keygen", "--model", "toy", "--key", "my.key"])
        .expect_success();
    let csv = program.home().join("rows.csv");

    fs::write(&csv, "a,b,c\n1,2,3\n4,x,9.5\n,1,2\n").expect("written");
    let refused = run(&["--strict"]).expect_failure("nothing was sent");
    for line in [
        "row 2, column \"b\": \"x\" is not a number",
        "row 2, column \"c\": 9.5 is outside 0 to 9",
        "row 3, column \"a\": is empty",
    ] {
        assert!(refused.stderr.contains(line), "{}", refused.stderr);
    }
    fs::write(&csv, "a,b,c\n1,2,x\n4,,9.5\n").expect("written");
    run(&[]).expect_failure("no row has a number for each feature, so nothing was sent");
    fs::write(&csv, "1,2,3\n").expect("written");
    run(&[]).expect_failure("--no-header");
    run(&["--no-header"]).expect_success();
    assert!(program.home().join("out.csv").exists());
    let mut onto_itself = PREDICT;
    onto_itself[6] = "./rows.csv";
    onto_itself[7..].copy_from_slice(&["--key", "my.key"]);
    program.run(&onto_itself).expect_failure("is the input");
    fs::write(&csv, "a,b,c,d\n1,2,3,4\n").expect("written");
    run(&[]).expect_failure("the model takes 3 features");
    run(&["--ignore", "d"]).expect_success();
    run(&["--ignore", "e"]).expect_failure("no other column named \"e\"");

    let sent = String::from_utf8_lossy(&wire.sent()).into_owned();
    assert_eq!(sent.matches("POST /v1/models/toy/score").count(), 2);
    program
        .run(&[
            "predict", "--model", "none", "--csv", "rows.csv", "--out", "out.csv",
        ])
        .expect_failure(
            "the server has mnist-linear, loan-trees, mnist-net, mnist-net-label, mnist-net-small, toy",
        );
    program
        .run(&[
            "predict",
            "--model",
            "mnist-net",
            "--key",
            "my.key",
            "--csv",
            "rows.csv",
            "--out",
            "o.csv",
        ])
        .expect_failure("the model takes 784 features");
    program
        .run(&["upload-keys", "--model", "mnist-net", "--key", "my.key"])
        .expect_failure("parameter set");
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

#[test]
fn a_busy_server_a_lost_key_and_a_broken_connection_cost_no_row() {
    let models = classes();
    let server = serve(&models, &[]);
    let (api, url) = (server.api(), server.url().to_owned());
    let keys = server.keys_dir();
    let gate = Gate::before(server.url(), move |number| match number {
        0 => Passage::Answer(BUSY),
        2 => {
            for key in fs::read_dir(&keys).expect("the keys").flatten() {
                if let Ok(id) = key.file_name().to_string_lossy().parse::<KeyId>() {
                    api.delete(&format!("/v1/keys/{id}")).expect_status(204);
                }
            }
            Passage::Forward
        }
        4 => Passage::Move(url.clone()),
        _ => Passage::Forward,
    });
    let program = Program::new(gate.url());
    write_rows(&program.home().join("rows.csv"));
    program.run(&["keygen", "--model", "toy"]).expect_success();
    let done = program.run(&PREDICT).expect_success();
    check(&program.home().join("scores.csv"), &models);
    let said = [
        "status 503; trying again in",
        "making a new one",
        "no answer from",
    ];
    let places: Vec<_> = said.iter().map(|words| done.stderr.find(words)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{}",
        done.stderr
    );
    // The new key's id was saved, so the next upload sends nothing.
    let stored = server.stored_files();
    program.run(&["upload-keys", "--model", "toy"]).expect_success();
    assert_eq!(server.stored_files(), stored);
}

#[test]
fn a_run_that_fails_says_what_there_is() {
    let models = classes();
    let server = serve(&models, &[]);
    let gate = Gate::before(server.url(), |number| match number {
        2 => Passage::Answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
        _ => Passage::Forward,
    });
    let program = Program::new(gate.url());
    write_rows(&program.home().join("rows.csv"));
    program.run(&["keygen", "--model", "toy"]).expect_success();
    program.run(&PREDICT).expect_failure(
        "the first 32 rows were scored: scores.csv.partial: the server answered with status 403",
    );
    let (_, lines) = read(&program.home().join("scores.csv.partial"));
    assert_eq!(lines.len(), 32);
    assert!(!program.home().join("scores.csv").exists());
}

#[test]
fn regression_gives_values_and_the_token_is_sent_but_never_shown() {
    let models = models("identity", &[2.0, -1.0, 0.5], r#"["price"]"#);
    let server = serve(&models, &[]);
    let wire = Recorder::before(server.url());
    let program = Program::new(wire.url());
    write_rows(&program.home().join("rows.csv"));
    let token = [("BLINDSCORE_TOKEN", "top-secret")];
    let mut predict = PREDICT;
    predict[PREDICT.len() - 2] = "--ignore";
    for arguments in [
        &["keygen", "--model", "toy"][..],
        &predict,
        &["predict", "--help"],
    ] {
        let ended = program.run_with(&token, arguments).expect_success();
        assert!(!(ended.stdout + &ended.stderr).contains("top-secret"));
    }
    let sent = String::from_utf8_lossy(&wire.sent()).into_owned();
    let requests = sent.matches(" HTTP/1.1\r\n").count();
    assert_eq!(
        sent.matches("authorization: Bearer top-secret\r\n").count(),
        requests
    );

    let model = Model::load(&models.path().join("toy.safetensors")).expect("a model");
    let (header, lines) = read(&program.home().join("scores.csv"));
    assert_eq!(header, ["row", "predicted_price"]);
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(line[0], (row + 1).to_string());
        let error = line[1].parse::<f64>().expect("a number") - model.plain_scores(&features(row))[0];
        assert!(error.abs() <= 7.0 * model.descriptor().score_error, "row {row}");
    }
}

#[test]
fn a_network_scores_a_file_too() {
    let server = Server::start();
    let program = Program::new(server.url());
    let lines: Vec<String> = [0, 2]
        .into_iter()
        .map(|shape| {
            digit(shape)
                .iter()
                .map(f64::to_string)
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect();
    fs::write(program.home().join("rows.csv"), lines.join("\n")).expect("written");
    let model = ["--model", "mnist-net-small"];
    program.run(&[&["keygen"], &model[..]].concat()).expect_success();
    let predict = [
        "predict",
        "--csv",
        "rows.csv",
        "--out",
        "scores.csv",
        "--no-header",
    ];
    program.run(&[&predict, &model[..]].concat()).expect_success();
    let (header, lines) = read(&program.home().join("scores.csv"));
    assert_eq!(header.len(), 2 + 10 + 10);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0][1], "1", "a bar is a one");
}
