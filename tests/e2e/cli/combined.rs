//! Models that combine several: averages of probabilities, and votes of pairs of classes.

use super::toy::{COEF, COLOURS, PREDICT, ROWS, features, models_with, read, serve, write_rows};
use blindscore_engine::model::Model;
use blindscore_tests::Program;
use std::fs;
use tempfile::TempDir;

/// Weights of a second model.
const OTHER: [f64; 9] = [-0.2, 0.3, 0.1, 0.4, -0.6, 0.2, 0.3, 0.1, -0.5];

/// Keys, rows and a prediction; returns the columns and the lines.
fn predicted(models: &TempDir) -> (Vec<String>, Vec<Vec<String>>) {
    let server = serve(models, &[]);
    let program = Program::new(server.url());
    write_rows(&program.home().join("rows.csv"));
    program.run(&["keygen", "--model", "toy"]).expect_success();
    program.run(&PREDICT).expect_success();
    let (header, lines) = read(&program.home().join("scores.csv"));
    assert_eq!(lines.len(), ROWS);
    (header, lines)
}

fn number(cell: &str) -> f64 {
    cell.parse().expect("a number")
}

/// Position of the largest number, the first of several.
fn largest(numbers: &[f64]) -> usize {
    (1..numbers.len()).fold(0, |best, place| {
        if numbers[place] > numbers[best] {
            place
        } else {
            best
        }
    })
}

#[test]
fn an_average_of_models_decides_by_its_probabilities() {
    let labels = r#"["r1", "g1", "b1", "r2", "g2", "b2"]"#;
    let members = r#"[{"link": "softmax", "scores": 3, "weight": 0.75}, {"link": "identity", "scores": 3, "weight": 0.25}]"#;
    let entries = [
        ("link", "mean"),
        ("labels", labels),
        ("classes", COLOURS),
        ("members", members),
    ];
    let models = models_with(&entries, &[COEF, OTHER].concat());
    let (header, lines) = predicted(&models);
    assert_eq!(
        header.join(" "),
        "who label score_r1 score_g1 score_b1 score_r2 score_g2 score_b2 proba_red proba_green proba_blue"
    );
    let model = Model::load(&models.path().join("toy.safetensors")).expect("a model");
    for (row, line) in lines.iter().enumerate() {
        let plain = model.plain_scores(&features(row));
        let powers: Vec<f64> = plain[..3].iter().map(|score| score.exp()).collect();
        let mut means: Vec<f64> = powers
            .iter()
            .map(|power| 0.75 * power / powers.iter().sum::<f64>())
            .collect();
        means[largest(&plain[3..])] += 0.25;
        for (cell, mean) in line[8..].iter().zip(&means) {
            assert!(
                (number(cell) - mean).abs() < 7.0 * model.descriptor().score_error,
                "row {row}: {line:?}, not {means:?}"
            );
        }
        assert_eq!(line[1], ["red", "green", "blue"][largest(&means)], "row {row}");
    }
}

/// Rows that are told apart by the mean of two hard votes, which is equal for some of them: the
/// area under the curve is that of the means, and not that of any score.
#[test]
fn averages_are_evaluated_by_their_probabilities() {
    let members = r#"[{"link": "identity", "scores": 1, "weight": 0.5}, {"link": "identity", "scores": 1, "weight": 0.5}]"#;
    let entries = [
        ("link", "mean"),
        ("labels", r#"["yes by model 1", "yes by model 2"]"#),
        ("classes", r#"["no", "yes"]"#),
        ("members", members),
        ("task", "classification"),
    ];
    let models = models_with(&entries, &[1.0, -1.0, 0.0, 1.0, 0.0, -1.0]);
    let program = Program::new("http://127.0.0.1:9");
    let rows = [
        ([9, 0, 0], true),
        ([9, 0, 9], true),
        ([0, 9, 0], false),
        ([0, 9, 9], false),
        ([1, 0, 5], false),
    ];
    let mut table = String::from("a,b,c,answer\n");
    for ([a, b, c], yes) in rows {
        table += &format!("{a},{b},{c},{}\n", if yes { "yes" } else { "no" });
    }
    fs::write(program.home().join("rows.csv"), table).expect("written");
    let folder = models.path().to_string_lossy().into_owned();
    let eval = [
        "eval",
        "--model",
        "toy",
        "--models-dir",
        &folder,
        "--csv",
        "rows.csv",
        "--label",
        "answer",
        "--json",
    ];
    let done = program.run(&eval).expect_success();
    let report: serde_json::Value = serde_json::from_str(&done.stdout).expect("a report");
    // Intercepts are the first weights, 1 and -1.
    let mean = |[a, b, c]: [i32; 3]| f64::from(i32::from(a - b + 1 > 0) + i32::from(a - c - 1 > 0)) / 2.0;
    let (mut won, mut pairs) = (0.0, 0.0);
    for (positive, _) in rows.iter().filter(|(_, yes)| *yes) {
        for (negative, _) in rows.iter().filter(|(_, yes)| !yes) {
            let (positive, negative) = (mean(*positive), mean(*negative));
            won += if positive > negative {
                1.0
            } else if positive < negative {
                0.0
            } else {
                0.5
            };
            pairs += 1.0;
        }
    }
    for of in ["plain", "encrypted"] {
        let auc = report[of]["auc"].as_f64().expect("an area");
        assert!(
            (auc - won / pairs).abs() < 1e-12 && auc < 1.0,
            "{of}: {auc}, not {won} of {pairs}"
        );
    }
}

#[test]
fn pairs_of_classes_vote() {
    let labels = r#"["green over red", "blue over red", "blue over green"]"#;
    for link in ["votes", "one-vs-one"] {
        let models = models_with(&[("link", link), ("labels", labels), ("classes", COLOURS)], &COEF);
        let (header, lines) = predicted(&models);
        assert_eq!(
            header.join(" "),
            "who label score_green over red score_blue over red score_blue over green"
        );
        let model = Model::load(&models.path().join("toy.safetensors")).expect("a model");
        let mut ties = 0;
        for (row, line) in lines.iter().enumerate() {
            let [green_red, blue_red, blue_green] = model.plain_scores(&features(row))[..] else {
                panic!("three scores");
            };
            let won = |holds: bool| f64::from(u8::from(holds));
            let votes = [
                won(green_red <= 0.0) + won(blue_red <= 0.0),
                won(green_red > 0.0) + won(blue_green <= 0.0),
                won(blue_red > 0.0) + won(blue_green > 0.0),
            ];
            let sums = [
                -green_red - blue_red,
                green_red - blue_green,
                blue_red + blue_green,
            ];
            let tie = votes == [1.0; 3];
            ties += usize::from(tie);
            let decided = if tie && link == "one-vs-one" {
                largest(&sums)
            } else {
                largest(&votes)
            };
            assert_eq!(line[1], ["red", "green", "blue"][decided], "row {row} of {link}");
        }
        assert!(ties > 0, "no row is decided by the rule for ties");
    }
}

#[test]
fn members_that_do_not_fit_are_refused_by_name() {
    let labels = r#"["a", "b", "c"]"#;
    for (link, more, words) in [
        ("mean", vec![], "has the link mean and no members"),
        (
            "mean",
            vec![(
                "members",
                "[{\"link\": \"softmax\", \"scores\": 2, \"weight\": 1}]",
            )],
            "a probability for each class",
        ),
        (
            "mean",
            vec![(
                "members",
                "[{\"link\": \"softmax\", \"scores\": 3, \"weight\": 0.5}]",
            )],
            "don't add up to one",
        ),
        (
            "softmax",
            vec![(
                "members",
                "[{\"link\": \"softmax\", \"scores\": 3, \"weight\": 1}]",
            )],
            "only the link mean has",
        ),
    ] {
        let mut entries = vec![("link", link), ("labels", labels), ("classes", COLOURS)];
        entries.extend(more);
        let models = models_with(&entries, &COEF);
        let Err(error) = Model::load(&models.path().join("toy.safetensors")) else {
            panic!("{link} was read");
        };
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}
