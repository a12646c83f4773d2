//! A small model and a table for it.

use blindscore_engine::model::Model;
use blindscore_tests::Server;
use safetensors::{Dtype, serialize, tensor::TensorView};
use std::{collections::HashMap, fs, path::Path};
use tempfile::TempDir;

/// Number of rows in the table: two full requests and a half.
pub(crate) const ROWS: usize = 40;

/// Arguments that score the table, with its row names.
pub(crate) const PREDICT: [&str; 9] = [
    "predict",
    "--model",
    "toy",
    "--csv",
    "rows.csv",
    "--out",
    "scores.csv",
    "--id",
    "who",
];

/// Creates a folder with a linear model `toy` of three features from 0 to 9, with one output per
/// row of `coef`.
pub(crate) fn models(link: &str, coef: &[f64], labels: &str) -> TempDir {
    models_with(&[("link", link), ("labels", labels)], coef)
}

/// Like [`models`], with entries added to the model's file or replaced.
pub(crate) fn models_with(entries: &[(&str, &str)], coef: &[f64]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bytes: Vec<u8> = coef.iter().flat_map(|value| value.to_le_bytes()).collect();
    let outputs = coef.len() / 3;
    let view = |shape, data| TensorView::new(Dtype::F64, shape, data).expect("a tensor");
    let tensors = [
        ("coef", view(vec![outputs, 3], &bytes)),
        ("intercept", view(vec![outputs], &bytes[..8 * outputs])),
    ];
    let metadata = [
        ("name", "toy"),
        ("title", "A toy"),
        ("input_min", "0"),
        ("input_max", "9"),
        ("input_levels", "10"),
    ];
    let metadata: HashMap<String, String> = metadata
        .iter()
        .chain(entries)
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let file = serialize(tensors, Some(metadata)).expect("a model file");
    fs::write(dir.path().join("toy.safetensors"), file).expect("written");
    dir
}

/// Names of three classes.
pub(crate) const COLOURS: &str = r#"["red", "green", "blue"]"#;
/// Weights for these classes.
pub(crate) const COEF: [f64; 9] = [1.0, 0.5, -0.3, -1.0, 0.2, 0.4, 0.1, -0.7, 0.6];

pub(crate) fn classes() -> TempDir {
    models("softmax", &COEF, COLOURS)
}

pub(crate) fn serve(models: &TempDir, more: &[&str]) -> Server {
    let dir = models.path().to_string_lossy();
    Server::start_with(&[&["--models-dir", &*dir], more].concat())
}

pub(crate) fn features(row: usize) -> [f64; 3] {
    [row % 10, (3 * row + 1) % 10, (7 * row + 5) % 10].map(|value| value as f64)
}

/// Writes a table of `ROWS` rows, each with a name.
pub(crate) fn write_rows(path: &Path) {
    let mut text = String::from("a,who,b,c\n");
    for row in 0..ROWS {
        let [a, b, c] = features(row);
        text += &format!("{a},\"no, {row}\",{b},{c}\n");
    }
    fs::write(path, text).expect("written");
}

/// Reads the header and lines of a file.
pub(crate) fn read(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).expect("the file is there");
    let cells = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = cells(reader.headers().expect("a header").clone());
    let lines = reader
        .records()
        .map(|line| cells(line.expect("a line")))
        .collect();
    (header, lines)
}

/// Checks every line against the model in the clear.
#[track_caller]
pub(crate) fn check(path: &Path, models: &TempDir) {
    let model = Model::load(&models.path().join("toy.safetensors")).expect("a model");
    let (header, lines) = read(path);
    assert_eq!(
        header.join(" "),
        "who label score_red score_green score_blue proba_red proba_green proba_blue"
    );
    assert_eq!(lines.len(), ROWS);
    for (row, line) in lines.iter().enumerate() {
        let scores = model.plain_scores(&features(row));
        let weights: Vec<f64> = scores.iter().map(|score| score.exp()).collect();
        let best = (0..3)
            .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
            .expect("three");
        assert_eq!(line[0], format!("no, {row}"));
        assert_eq!(line[1], ["red", "green", "blue"][best], "row {row}");
        for class in 0..3 {
            let number = |at: usize| line[at].parse::<f64>().expect("a number");
            let error = (number(2 + class) - scores[class]).abs();
            assert!(
                error <= 7.0 * model.descriptor().score_error,
                "row {row}: off by {error}"
            );
            let probability = weights[class] / weights.iter().sum::<f64>();
            assert!((number(5 + class) - probability).abs() < 0.01, "row {row}");
        }
    }
}
