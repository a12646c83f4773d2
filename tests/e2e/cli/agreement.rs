//! Users agree to ranges. A server that changes them later learns nothing about features that lie
//! in them.

use super::toy::{COEF, COLOURS, PREDICT, check, classes, models, models_with, serve, write_rows};
use blindscore_tests::{Ended, Gate, Passage, Program, Recorder, Server};
use std::fs;
use tempfile::TempDir;

/// Writes equal rows, enough to fill two requests.
fn write_like(program: &Program, value: f64) {
    let text = String::from("a,who,b,c\n") + &format!("{value},x,1,1\n").repeat(40);
    fs::write(program.home().join("rows.csv"), text).expect("written");
}

/// Creates the toy model for features up to 5 only.
fn narrowed() -> TempDir {
    models_with(
        &[("link", "softmax"), ("labels", COLOURS), ("input_max", "5")],
        &COEF,
    )
}

/// Starts a server with other models and the keys of the first one.
fn replaced(server: &Server, models: &TempDir) -> Server {
    server.replica(&["--models-dir", &models.path().to_string_lossy()])
}

/// Returns the first lines of the requests, and their total length in bytes.
fn requests(wire: &Recorder) -> (Vec<String>, usize) {
    let sent = wire.sent();
    let text = String::from_utf8_lossy(&sent);
    let lines = text.lines().filter_map(|line| line.strip_suffix(" HTTP/1.1"));
    let path = |line: &str| {
        // The end of a query precedes the next request on the same line.
        let method = ["GET ", "PUT ", "POST ", "DELETE "]
            .iter()
            .filter_map(|method| line.rfind(method))
            .max();
        line[method.unwrap_or_default()..].to_owned()
    };
    // Key ids differ from run to run.
    let kinds = lines.map(path).map(|line| match line.split_once("/v1/keys/") {
        Some((method, _)) => format!("{method}/v1/keys/..."),
        None => line,
    });
    (kinds.collect(), sent.len())
}

#[test]
fn a_server_that_narrows_a_range_on_the_way_sees_the_same_whatever_is_in_the_rows() {
    let seen = [2.0, 7.0].map(|value| {
        let (agreed, narrow) = (classes(), narrowed());
        let first = serve(&agreed, &[]);
        let second = replaced(&first, &narrow);
        let moved = second.url().to_owned();
        let gate = Gate::before(first.url(), move |number| match number {
            1 => Passage::Move(moved.clone()),
            _ => Passage::Forward,
        });
        let wire = Recorder::before(gate.url());
        let program = Program::new(wire.url());
        program.run(&["keygen", "--model", "toy"]).expect_success();
        program.run(&["upload-keys", "--model", "toy"]).expect_success();
        write_like(&program, value);
        let ended = program.run(&PREDICT);
        assert_eq!(ended.code, Some(1));
        for words in [
            "model_changed",
            "range of features: 0 to 9 before, 0 to 5 now",
            "nothing more was sent",
        ] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
        assert!(!program.home().join("scores.csv").exists());
        requests(&wire).0
    });
    assert_eq!(seen[0], seen[1]);
    let last = [
        "POST /v1/models/toy/score",
        "POST /v1/models/toy/score",
        "POST /v1/models/toy/score",
        "GET /v1/models/toy",
    ];
    assert!(seen[0].ends_with(&last.map(str::to_owned)), "{:?}", seen[0]);
}

#[test]
fn a_server_that_chose_a_range_before_the_run_sees_the_same_too() {
    let seen = [2.0, 7.0].map(|value| {
        let narrow = narrowed();
        let server = serve(&narrow, &[]);
        let wire = Recorder::before(server.url());
        let program = Program::new(wire.url());
        program.run(&["keygen", "--model", "toy"]).expect_success();
        write_like(&program, value);
        let ended = program.run(&PREDICT);
        (ended.code, requests(&wire))
    });
    let codes = seen.each_ref().map(|(code, _)| *code);
    assert_eq!(codes, [Some(0), Some(3)], "which only the user sees");
    assert_eq!(seen[0].1, seen[1].1);
}

#[test]
fn a_model_that_is_replaced_by_one_with_the_same_ranges_scores_all_rows_again() {
    // The weights of two features swapped where that leaves sums unchanged.
    let swapped = [1.0, 0.5, -0.3, 0.2, -1.0, 0.4, -0.7, 0.1, 0.6];
    let (old, new) = (classes(), models("softmax", &swapped, COLOURS));
    let before = serve(&old, &[]);
    let after = replaced(&before, &new);
    let run = |more: &[&str]| -> (Program, Ended) {
        let moved = after.url().to_owned();
        let gate = Gate::before(before.url(), move |number| match number {
            1 => Passage::Move(moved.clone()),
            _ => Passage::Forward,
        });
        let program = Program::new(gate.url());
        write_rows(&program.home().join("rows.csv"));
        program.run(&["keygen", "--model", "toy"]).expect_success();
        let ended = program.run(&[&PREDICT, more].concat());
        (program, ended)
    };
    let (program, ended) = run(&[]);
    let ended = ended.expect_success();
    assert!(
        ended.stderr.contains("all rows are scored again"),
        "{}",
        ended.stderr
    );
    check(&program.home().join("scores.csv"), &new);

    // Not if only one model is accepted.
    let id = pin(&program_of(&before));
    let (program, ended) = run(&["--model-id", &id]);
    assert_eq!(ended.code, Some(1));
    let ids = [&id[..32], &pin(&program_of(&after))[..32]];
    assert!(ids.iter().all(|id| ended.stderr.contains(id)), "{}", ended.stderr);
    assert!(!program.home().join("scores.csv").exists());
}

fn program_of(server: &Server) -> Program {
    Program::new(server.url())
}

/// Returns the model's id as `keygen` prints it.
fn pin(program: &Program) -> String {
    let made = program.run(&["keygen", "--model", "toy"]).expect_success();
    let id = made
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("model id: "));
    id.expect("an id").to_owned()
}

#[test]
fn a_pinned_model_is_the_only_one() {
    let (models, other) = (classes(), narrowed());
    let server = serve(&models, &[]);
    let program = Program::new(server.url());
    let id = pin(&program);
    let other_id = pin(&program_of(&serve(&other, &[])));
    write_rows(&program.home().join("rows.csv"));
    for known in [&id[..], &id[..32]] {
        program
            .run(&[&PREDICT, &["--model-id", known][..]].concat())
            .expect_success();
    }
    check(&program.home().join("scores.csv"), &models);
    // The right id with the fingerprint of other ranges.
    let liar = format!("{}{}", &id[..32], &other_id[32..]);
    let wire = Recorder::before(server.url());
    let recorded = Program::new(wire.url());
    write_rows(&recorded.home().join("rows.csv"));
    for (wrong, words) in [(&other_id, &id[..32]), (&liar, "other ranges")] {
        let variables = [("BLINDSCORE_MODEL_ID", &wrong[..])];
        for arguments in [
            &PREDICT[..],
            &["keygen", "--model", "toy"],
            &["upload-keys", "--model", "toy"],
            &["forget", "--model", "toy"],
        ] {
            let ended = recorded
                .run_with(&variables, arguments)
                .expect_failure("model_changed");
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
    }
    let (sent, _) = requests(&wire);
    assert!(sent.iter().all(|line| line == "GET /v1/models/toy"), "{sent:?}");
    let ended = program.run(&[&PREDICT, &["--model-id", "churn"][..]].concat());
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("32 lowercase hexadecimal digits"),
        "{}",
        ended.stderr
    );
}
