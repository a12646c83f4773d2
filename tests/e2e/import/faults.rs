//! Files that are not quite the models they seem to be, and tables that are not quite rows: the
//! right result, or a refusal with advice.

use super::{Client, fixture, import};
use anyhow::{Context, Result, ensure};
use blindscore_client::{ClientError, check_features};
use blindscore_engine::model::Model;
use blindscore_protocol::descriptor::{self, Link, Task};
use blindscore_tests::Server;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

fn fault(name: &str) -> PathBuf {
    fixture("faults").join(name)
}

/// Reads the numbers of a CSV file below its header.
fn rows(name: &str) -> Result<Vec<Vec<f64>>> {
    let mut reader = csv::Reader::from_path(fault(name))?;
    let rows = reader.records().map(|row| {
        let row = row?;
        Ok(row.iter().map(str::parse).collect::<Result<_, _>>()?)
    });
    rows.collect()
}

pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// Imports a valid file, and returns the report.
pub(super) fn imported(file: &Path, name: &str, models: &Path, more: &[&str]) -> Result<Value> {
    let output = import(file, name, models, more);
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Checks that a file is refused with a message that contains all `words`, and that nothing was
/// written.
pub(super) fn refused(file: &Path, more: &[&str], words: &[&str]) -> Result<()> {
    let models = TempDir::new()?;
    let output = import(file, "refused", models.path(), more);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1),
        "{more:?}: {:?}: {message}",
        output.status
    );
    for word in words {
        ensure!(message.contains(word), "{word:?} is not in: {message}");
    }
    ensure!(fs::read_dir(models.path())?.count() == 0, "something was written");
    Ok(())
}

/// Returns the descriptor of an imported model.
fn descriptor(models: &Path, name: &str) -> Result<descriptor::CheckedDescriptor> {
    let path = models.join(format!("{name}@1.safetensors"));
    Ok(Model::load(&path)?.descriptor().clone())
}

fn feature_names(model: &descriptor::CheckedDescriptor) -> Vec<&str> {
    (0..model.inputs.count)
        .filter_map(|index| model.inputs.name(index))
        .collect()
}

const TWO: [&str; 4] = ["--input-min", "-2", "--input-max", "2"];

#[test]
fn one_sigmoid_several_heads_and_several_targets_are_what_they_are() -> Result<()> {
    let models = TempDir::new()?;
    let folder = models.path();
    imported(&fault("one-sigmoid.onnx"), "one-sigmoid", folder, &TWO)?;
    imported(
        &fault("one-sigmoid.onnx"),
        "spam",
        folder,
        &[&TWO[..], &["--labels", "ham,spam"]].concat(),
    )?;
    imported(&fault("two-heads.onnx"), "two-heads", folder, &TWO)?;
    let (targets, predicted) = (fault("three-targets.csv"), fault("three-targets-predicted.csv"));
    let options = [
        "--calibrate",
        text(&targets)?,
        "--labels",
        "Weight,Waist,Pulse",
        "--expect",
        text(&predicted)?,
    ];
    let report = imported(&fault("three-targets.onnx"), "three-targets", folder, &options)?;
    assert_eq!(
        (&report["compared_rows"], &report["expected_rows"]),
        (&20.into(), &20.into())
    );

    let server = Server::start_with(&["--models-dir", text(folder)?]);
    let api = server.api();
    let (binary, spam) = (Client::new(&api, "one-sigmoid")?, Client::new(&api, "spam")?);
    let expected = [
        ("1", "spam", 0.994),
        ("0", "ham", 0.007),
        ("1", "spam", 0.769),
        ("0", "ham", 0.168),
    ];
    for (row, (label, named, probability)) in rows("one-sigmoid.csv")?.iter().zip(expected) {
        let scores = binary.predict(row)?;
        assert_eq!(scores.label(), Some(label));
        assert!(
            (scores.probabilities[1] - probability).abs() < 2e-3,
            "{:?}",
            scores.probabilities
        );
        assert_eq!(spam.predict(row)?.label(), Some(named));
    }
    let heads = Client::new(&api, "two-heads")?;
    let labels: Vec<&str> = heads
        .model
        .outputs
        .iter()
        .map(|output| output.label.as_str())
        .collect();
    assert_eq!(
        (labels, heads.model.task),
        (vec!["price", "rent"], Task::Regression)
    );
    for x in [[1.0, 1.0], [0.5, -1.0], [-2.0, 2.0]] {
        let scores = heads.predict(&x)?;
        let expected = [x[0] + 2.0 * x[1], -5.0 * x[0] + 0.5 * x[1]];
        for (score, expected) in scores.scores.iter().zip(expected) {
            assert!((score - expected).abs() < 0.01, "{score}, not {expected}");
        }
        assert_eq!((scores.decision, scores.probabilities.len()), (None, 0));
    }
    let targets = Client::new(&api, "three-targets")?;
    assert_eq!(
        (targets.model.task, targets.model.link),
        (Task::Regression, Link::Identity)
    );
    for (row, expected) in rows("three-targets.csv")?
        .iter()
        .zip(rows("three-targets-predicted.csv")?)
    {
        let scores = targets.predict(row)?;
        for (score, expected) in scores.scores.iter().zip(expected) {
            assert!((score - expected).abs() < 0.05, "{score}, not {expected}");
        }
        assert_eq!(scores.decision, None);
    }
    Ok(())
}

#[test]
fn operators_labels_and_names_that_do_not_fit_are_refused() -> Result<()> {
    refused(&fault("reshape.onnx"), &TWO, &["Reshape", "[rows, 4] to [-1, 2]"])?;
    let one_label = [&TWO[..], &["--labels", "spam"]].concat();
    refused(
        &fault("one-sigmoid.onnx"),
        &one_label,
        &["--labels names one class", "no,yes"],
    )?;
    let range = ["--input-min", "0", "--input-max", "1"];
    let two_names = fault("two-names-for-three-features.safetensors");
    refused(&two_names, &range, &["2 names for 3 features"])?;

    // The same file with other entries.
    let folder = TempDir::new()?;
    let file = folder.path().join("other.safetensors");
    let numbers: Vec<u8> = [1.0f64, 2.0, 3.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    for (entries, tensor, words) in [
        (
            vec![("features", r#"["a","b","c","d","e"]"#)],
            None,
            "5 names for 3 features",
        ),
        (
            vec![("features", r#"["a","b","a"]"#)],
            None,
            "two features are called \"a\"",
        ),
        (
            vec![("labels", r#"["a","b","c"]"#)],
            None,
            "3 names for 1 outputs",
        ),
        (vec![("labels", r#"["a","a"]"#)], None, "one name"),
        (
            vec![("labels", r#"["no","yes"]"#), ("link", "softmax")],
            None,
            "softmax",
        ),
        (
            vec![("labels", r#"["no","yes"]"#), ("link", "one-vs-rest")],
            None,
            "one-vs-rest",
        ),
        (
            vec![("labels", r#"["yes"]"#), ("link", "sigmoid")],
            None,
            "names one class",
        ),
        (vec![("deskew", "true")], None, "deskew"),
        (vec![], Some("scale"), "\"scale\""),
        (vec![], Some("feature_min"), "belong together"),
    ] {
        let coef = TensorView::new(Dtype::F64, vec![1, 3], &numbers)?;
        let intercept = TensorView::new(Dtype::F64, vec![1], &numbers[..8])?;
        let more = TensorView::new(Dtype::F64, vec![3], &numbers)?;
        let tensors = [("coef", coef), ("intercept", intercept)]
            .into_iter()
            .chain(tensor.map(|name| (name, more)));
        let entries = entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        fs::write(&file, safetensors::serialize(tensors, Some(entries))?)?;
        refused(&file, &range, &[words])?;
    }
    Ok(())
}

/// Returns the decisions that these weights give for the training rows; `coef` has one row per
/// class.
fn decisions(coef: &[Vec<f64>], intercept: &[f64]) -> Result<String> {
    let mut text = "predicted\n".to_owned();
    for row in rows("fortran-order-train.csv")? {
        let score = |class: usize| {
            intercept[class]
                + coef[class]
                    .iter()
                    .zip(&row)
                    .map(|(weight, x)| weight * x)
                    .sum::<f64>()
        };
        let best = (0..coef.len())
            .max_by(|&a, &b| score(a).total_cmp(&score(b)))
            .context("a class")?;
        text += &format!("{best}\n");
    }
    Ok(text)
}

#[test]
fn weights_in_another_order_are_found_by_the_users_own_predictions() -> Result<()> {
    let folder = TempDir::new()?;
    let scrambled = fault("fortran-order.safetensors");
    let train = fault("fortran-order-train.csv");
    let calibrate = ["--calibrate", text(&train)?];
    // Without predictions the error can't be found, and the report says so.
    let report = imported(&scrambled, "scrambled", folder.path(), &calibrate)?;
    assert!(
        report["not_compared"]
            .as_str()
            .context("a reason")?
            .contains("--expect")
    );

    let bytes = fs::read(&scrambled)?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let values = |name: &str| -> Result<Vec<f64>> {
        let tensor = tensors.tensor(name)?;
        let width = tensor.data().len() / tensor.shape().iter().product::<usize>();
        let number = |bytes: &[u8]| match width {
            4 => Ok(f64::from(f32::from_le_bytes(bytes.try_into()?))),
            _ => Ok(f64::from_le_bytes(bytes.try_into()?)),
        };
        tensor.data().chunks(width).map(number).collect()
    };
    let (coef, intercept) = (values("coef")?, values("intercept")?);
    let classes = intercept.len();
    let features = coef.len() / classes;
    // In memory order, column by column.
    let fitted: Vec<Vec<f64>> = (0..classes)
        .map(|class| {
            (0..features)
                .map(|feature| coef[feature * classes + class])
                .collect()
        })
        .collect();
    let predicted = folder.path().join("predicted.csv");
    fs::write(&predicted, decisions(&fitted, &intercept)?)?;
    let expect = [&calibrate[..], &["--expect", text(&predicted)?]].concat();
    refused(&scrambled, &expect, &["The first is row", "np.ascontiguousarray"])?;

    // Row by row, as the recipe writes it now.
    let file = folder.path().join("right.safetensors");
    let bytes = |values: Vec<f64>| values.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    let (coef, intercept) = (bytes(fitted.concat()), bytes(intercept));
    let right = [
        (
            "coef",
            TensorView::new(Dtype::F64, vec![classes, features], &coef)?,
        ),
        (
            "intercept",
            TensorView::new(Dtype::F64, vec![classes], &intercept)?,
        ),
    ];
    fs::write(&file, safetensors::serialize(right, None)?)?;
    let report = imported(&file, "right", folder.path(), &expect)?;
    assert_eq!(report["expected_rows"], 112);

    // One row too few, or a column that isn't the model's.
    let short = "predicted\n1\n2\n";
    fs::write(&predicted, short)?;
    refused(&file, &expect, &["--expect has 2 rows, --calibrate has 112"])?;
    fs::write(&predicted, "predicted,proba_9\n1,0.5\n")?;
    refused(&file, &expect, &["\"proba_9\"", "proba_NAME"])
}

#[test]
fn ranges_of_a_scaler_hold_all_that_it_was_fitted_on() -> Result<()> {
    let models = TempDir::new()?;
    imported(
        &fault("minmax-minus-one-to-one.onnx"),
        "minmax",
        models.path(),
        &[],
    )?;
    let model = descriptor(models.path(), "minmax")?;
    let rows = rows("minmax-minus-one-to-one.csv")?;
    assert_eq!(rows.len(), 40);
    for row in rows {
        check_features(&model.inputs, &row)?;
    }
    let far = check_features(&model.inputs, &[1e4, 0.0, 0.0]);
    assert!(matches!(far, Err(ClientError::FeatureRange { .. })));
    Ok(())
}

#[test]
fn columns_are_those_that_the_model_uses_by_the_users_own_names() -> Result<()> {
    let models = TempDir::new()?;
    let folder = models.path();
    let text_column = fault("dropped-text-column.csv");
    imported(&fault("dropped-text-column.onnx"), "dropped", folder, &[])?;
    let report = imported(
        &fault("dropped-text-column.onnx"),
        "dropped-calibrated",
        folder,
        &["--calibrate", text(&text_column)?],
    )?;
    assert_eq!(
        report["other_columns"],
        Value::Array(Vec::new()),
        "the model knows the column"
    );
    for name in ["dropped", "dropped-calibrated"] {
        assert_eq!(feature_names(&descriptor(folder, name)?), ["age", "income"]);
    }

    let renamed = fault("renamed-columns.onnx");
    let (table, predicted) = (
        fault("renamed-columns.csv"),
        fault("renamed-columns-predicted.csv"),
    );
    imported(&renamed, "converters", folder, &[])?;
    assert_eq!(
        feature_names(&descriptor(folder, "converters")?),
        ["mean_radius", "mean_texture"]
    );
    let own = ["--calibrate", text(&table)?, "--expect", text(&predicted)?];
    imported(&renamed, "own", folder, &own)?;
    assert_eq!(
        feature_names(&descriptor(folder, "own")?),
        ["mean radius", "mean texture"]
    );

    // Probabilities under the classes' bare names, as pandas writes them, and probabilities that
    // aren't the model's.
    let shares = fs::read_to_string(&predicted)?.replace("predicted,proba_0,proba_1", "predicted,0,1");
    let without_labels = |lines: &str| {
        let rest = lines.lines().filter_map(|line| line.split_once(','));
        rest.map(|(_, shares)| format!("{shares}\n")).collect::<String>()
    };
    let other_shares = folder.join("shares.csv");
    let own_shares = ["--calibrate", text(&table)?, "--expect", text(&other_shares)?];
    fs::write(&other_shares, without_labels(&shares))?;
    imported(&renamed, "shares", folder, &own_shares)?;
    fs::write(
        &other_shares,
        without_labels(&shares.replace("predicted,0,1", "predicted,1,0")),
    )?;
    refused(&renamed, &own_shares, &["The first is row 1", "differ on"])?;

    // Columns in another order are found by name, and a surplus one is reported.
    let other = folder.join("other.csv");
    let lines = fs::read_to_string(&table)?;
    let swapped = lines.lines().enumerate().map(|(number, line)| {
        let (radius, texture) = line.split_once(',').unwrap_or_default();
        let target = if number == 0 {
            "target".to_owned()
        } else {
            number.to_string()
        };
        format!("{target},{texture},{radius}\n")
    });
    fs::write(&other, swapped.collect::<String>())?;
    let report = imported(
        &renamed,
        "swapped",
        folder,
        &["--calibrate", text(&other)?, "--expect", text(&predicted)?],
    )?;
    assert_eq!(report["other_columns"], Value::from(vec!["target"]));
    // Two columns to which converters give the same name are never confused.
    fs::write(&other, lines.replacen("mean texture", "mean_radius", 1))?;
    refused(
        &renamed,
        &["--calibrate", text(&other)?],
        &["\"mean_radius\"", "\"mean radius\""],
    )?;
    fs::write(&other, lines.replacen("mean texture", "texture", 1))?;
    refused(
        &renamed,
        &["--calibrate", text(&other)?],
        &["\"mean_texture\"", "\"texture\""],
    )
}

#[test]
fn tables_are_read_as_the_user_says_or_refused() -> Result<()> {
    let folder = TempDir::new()?;
    let table = folder.path().join("table.csv");
    let heads = fault("two-heads.onnx");
    let calibrate = ["--calibrate", text(&table)?];
    let with = |more: &[&'static str]| [&calibrate[..], more].concat();
    let years = "2019,2020\n1,2\n3,4\n";
    for (content, more, rows) in [
        (years, &["--header", "yes"][..], 2),
        (years, &["--header", "no"], 3),
        ("a;b\n1;2\n", &[], 1),
        ("a\tb\n1\t2\n", &["--delimiter", "tab"], 1),
        ("\u{feff}a,b\n1,2\n", &[], 1),
        ("id,a,b,y\nr1,1,2,0\n", &["--ignore", "id,y"], 1),
    ] {
        fs::write(&table, content)?;
        let report = imported(&heads, "table", folder.path(), &with(more))?;
        assert_eq!(report["calibration_rows"], rows, "{content:?}");
    }
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, more, words) in [
        (years.as_bytes(), &[][..], "--header yes"),
        (b"id,a,b\nr1,1,2\n", &[], "--ignore"),
        (b"a;b\n1,5;2\n", &[], "decimal comma"),
        (b"a,b\n1;2,3\n", &[], "--delimiter"),
        (&utf16, &[], "UTF-16"),
        (b"a,b\n1,\n", &[], "it is empty"),
        (b"a,b\n1,2\n", &["--ignore", "c"], "no other column named \"c\""),
    ] {
        fs::write(&table, content)?;
        refused(&heads, &with(more), &[words])?;
    }
    Ok(())
}
