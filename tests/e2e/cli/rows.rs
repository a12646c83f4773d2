//! Rows that can't be scored, tables of every kind, and output of scores.

use super::toy::{COEF, COLOURS, PREDICT, classes, features, models_with, read, serve};
use blindscore_engine::model::Model;
use blindscore_tests::{Program, Recorder};
use std::fs;

/// Returns arguments that score a table without row names into `out`.
fn predict<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let first = ["predict", "--model", "toy", "--csv", "rows.csv", "--out", out];
    [&first, more].concat()
}

#[test]
fn a_row_that_cannot_be_scored_gets_the_reason_and_spares_the_others() {
    let models = classes();
    let server = serve(&models, &[]);
    let wire = Recorder::before(server.url());
    let program = Program::new(wire.url());
    program.run(&["keygen", "--model", "toy"]).expect_success();
    let reasons = [
        (3, "x,who 3,1,1", "column \"a\": \"x\" is not a number"),
        (
            5,
            "9.5,who 5,,1",
            "column \"a\": 9.5 is outside 0 to 9; column \"b\": is empty",
        ),
        (30, "1,who 30,1", "has 3 cells, where the first line has 4"),
    ];
    let mut text = String::from("a,who,b,c\n");
    for row in 0..40 {
        let [a, b, c] = features(row);
        match reasons.iter().find(|(bad, ..)| *bad == row) {
            Some((_, line, _)) => text += &format!("{line}\n"),
            None => text += &format!("{a},who {row},{b},{c}\n"),
        }
    }
    fs::write(program.home().join("rows.csv"), text).expect("written");

    let strict = program.run(&[&PREDICT, &["--strict"][..]].concat());
    assert_eq!(strict.code, Some(1));
    let strict = strict.expect_failure("nothing was sent");
    assert!(
        strict
            .stderr
            .contains("row 6, column \"a\": 9.5 is outside 0 to 9"),
        "{}",
        strict.stderr
    );
    let sent = String::from_utf8_lossy(&wire.sent()).into_owned();
    assert!(!sent.contains("PUT ") && !sent.contains("POST "));

    let ended = program.run(&PREDICT);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    for words in ["3 of 40 rows can't be scored", "37 rows scored, 3 refused"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let model = Model::load(&models.path().join("toy.safetensors")).expect("a model");
    let (header, lines) = read(&program.home().join("scores.csv"));
    assert_eq!(
        header.join(" "),
        "who label score_red score_green score_blue proba_red proba_green proba_blue error"
    );
    assert_eq!(lines.len(), 40);
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(line[0], format!("who {row}"));
        if let Some((.., reason)) = reasons.iter().find(|(bad, ..)| *bad == row) {
            assert!(line[1..8].iter().all(String::is_empty), "{line:?}");
            assert_eq!(line[8], *reason);
            continue;
        }
        assert_eq!(line[8], "");
        for (cell, score) in line[2..5].iter().zip(model.plain_scores(&features(row))) {
            let error = cell.parse::<f64>().expect("a number") - score;
            assert!(error.abs() <= 7.0 * model.descriptor().score_error, "row {row}");
        }
    }
    let named = predict("o.csv", &["--id", "label", "--ignore", "x"]);
    fs::write(program.home().join("rows.csv"), "a,label,b,c,x\n1,2,3,4,5\n").expect("written");
    program
        .run(&named)
        .expect_failure("the output has a column of this name");
}

#[test]
fn scores_go_down_a_pipe_or_into_a_device_and_replace_neither() {
    let models = classes();
    let server = serve(&models, &[]);
    let program = Program::new(server.url());
    program.run(&["keygen", "--model", "toy"]).expect_success();
    fs::write(program.home().join("rows.csv"), "a,b,c\n1,2,3\n4,5,6\n").expect("written");
    for out in ["-", "/dev/stdout"] {
        let ended = program.run(&predict(out, &[])).expect_success();
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{}", ended.stdout);
        assert!(lines[0].starts_with("row,label,score_red") && lines[2].starts_with("2,"));
        assert!(
            ended.stderr.contains("2 rows scored: standard output"),
            "{}",
            ended.stderr
        );
    }
    program.run(&predict("/dev/null", &[])).expect_success();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = fs::metadata("/dev/null").expect("a device").file_type();
        assert!(kind.is_char_device());
    }
    program.run(&predict(".", &[])).expect_failure("is a folder");
    let names: Vec<_> = fs::read_dir(program.home())
        .expect("the home")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(
        names.len(),
        3,
        "the table, and the folders of keys and of descriptors: {names:?}"
    );
}

#[test]
fn tables_as_programs_write_them() {
    let names = r#"["mean_radius", "_2020", "b"]"#;
    let entries = [("link", "softmax"), ("labels", COLOURS), ("features", names)];
    let models = models_with(&entries, &COEF);
    let server = serve(&models, &[]);
    let program = Program::new(server.url());
    program.run(&["keygen", "--model", "toy"]).expect_success();
    let csv = program.home().join("rows.csv");
    let model = Model::load(&models.path().join("toy.safetensors")).expect("a model");
    let scores = model.plain_scores(&[1.0, 2.0, 3.0]);
    for (content, more) in [
        ("\u{feff}mean radius,2020,b\r\n1,2,3\r\n", &[][..]),
        ("b;2020;mean radius\n3;2;1\n", &[]),
        ("b\t2020\tmean_radius\n3\t2\t1\n", &[]),
        (
            ",2020,mean radius,b,target\n0,2,1,3,9\n",
            &["--ignore", ",target"],
        ),
        ("1,2,3\n", &["--header", "no"]),
    ] {
        fs::write(&csv, content).expect("written");
        program.run(&predict("scores.csv", more)).expect_success();
        let (_, lines) = read(&program.home().join("scores.csv"));
        for (cell, score) in lines[0][2..5].iter().zip(&scores) {
            let error = cell.parse::<f64>().expect("a number") - score;
            assert!(error.abs() <= 7.0 * model.descriptor().score_error, "{content:?}");
        }
    }
    let utf16: Vec<u8> = "b,2020,mean_radius\n3,2,1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, words) in [
        (
            &b",2020,mean radius,b,target\n0,2,1,3,9\n"[..],
            "--ignore ',target' leaves them out",
        ),
        (
            b"mean radius,mean-radius,2020,b\n1,1,1,1\n",
            "may be any of the columns",
        ),
        (b"b,2020\n1,2\n", "no column is called \"mean_radius\""),
        (
            b"b,2020,mean_radius\n\"1,5\",1,2\n",
            "write 1.5 with a decimal point",
        ),
        (&utf16, "UTF-16"),
    ] {
        fs::write(&csv, content).expect("written");
        let ended = program.run(&predict("scores.csv", &["--header", "yes"]));
        assert!(
            ended.code == Some(1) && ended.stderr.contains(words),
            "{}",
            ended.stderr
        );
    }
}
