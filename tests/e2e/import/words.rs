//! Options and tables that don't say what was meant: the import gives the right model, or advice.

use super::{
    faults::{imported, refused, text},
    fixture,
    onnx::Graph,
};
use anyhow::Result;
use blindscore_engine::model::Model;
use blindscore_protocol::descriptor::{Link, Task};
use blindscore_tests::blindscore;
use safetensors::{Dtype, tensor::TensorView};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const RANGE: [&str; 4] = ["--input-min", "-2", "--input-max", "2"];

/// Writes unit weights for two features and the given number of outputs, as numpy would.
fn weights(folder: &Path, outputs: usize, entries: &[(&str, &str)]) -> Result<PathBuf> {
    let file = folder.join("weights.safetensors");
    let ones = 1f64.to_le_bytes().repeat(2 * outputs);
    let tensors = [
        ("coef", TensorView::new(Dtype::F64, vec![outputs, 2], &ones)?),
        (
            "intercept",
            TensorView::new(Dtype::F64, vec![outputs], &ones[..8 * outputs])?,
        ),
    ];
    let entries = entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    fs::write(&file, safetensors::serialize(tensors, Some(entries))?)?;
    Ok(file)
}

#[test]
fn the_task_settles_what_weights_are_for() -> Result<()> {
    let folder = TempDir::new()?;
    let file = weights(folder.path(), 3, &[])?;
    for (task, link) in [
        (Task::Regression, Link::Identity),
        (Task::Multilabel, Link::Sigmoid),
        (Task::Classification, Link::Softmax),
    ] {
        let labels = ["--task", task.name(), "--labels", " a , b,c "];
        imported(&file, task.name(), folder.path(), &[&RANGE[..], &labels].concat())?;
        let model = Model::load(&folder.path().join(format!("{}@1.safetensors", task.name())))?;
        let model = model.descriptor();
        let names: Vec<&str> = model.outputs.iter().map(|output| output.label.as_str()).collect();
        assert_eq!((model.task, model.link, names), (task, link, vec!["a", "b", "c"]));
    }
    let with = |more: &[&'static str]| [&RANGE[..], more].concat();
    refused(&file, &with(&["--labels", "a, b,a "]), &["the name \"a\" twice"])?;
    let file = weights(folder.path(), 3, &[("link", "softmax")])?;
    refused(
        &file,
        &with(&["--task", "regression"]),
        &["is for classification"],
    )?;
    let file = weights(folder.path(), 1, &[("labels", r#"["no","yes"]"#)])?;
    refused(
        &file,
        &with(&["--task", "regression"]),
        &["between \"no\" and \"yes\""],
    )
}

#[test]
fn predictions_without_names_are_read_or_named() -> Result<()> {
    let folder = TempDir::new()?;
    let file = weights(folder.path(), 1, &[("labels", r#"["0","1"]"#)])?;
    let (table, predicted) = (
        folder.path().join("table.csv"),
        folder.path().join("predicted.csv"),
    );
    fs::write(&table, "a,b\n1,0\n-2,0\n-2,-2\n2,1\n")?;
    let options = ["--calibrate", text(&table)?, "--expect", text(&predicted)?];
    // Labels as numpy.savetxt writes them.
    for content in [
        "1.000e+00\n0.000e+00\n0.000e+00\n1.000e+00\n",
        "label\n1.0\n0.0\n0.0\n1.0\n",
    ] {
        fs::write(&predicted, content)?;
        let report = imported(&file, "numbers", folder.path(), &options)?;
        assert_eq!(report["expected_rows"], 4);
    }
    for (content, words) in [
        (
            "1.000e+00\n0.000e+00\n",
            r#"has 1 rows below its first line, "1.000e+00", --calibrate has 4"#,
        ),
        (
            "1.2e-01 8.8e-01\n7.3e-01 2.7e-01\n",
            r#"header="proba_0,proba_1""#,
        ),
        (
            "1.2e-01,8.8e-01\n7.3e-01,2.7e-01\n",
            r#"header="proba_0,proba_1""#,
        ),
    ] {
        fs::write(&predicted, content)?;
        refused(&file, &options, &[words])?;
    }
    Ok(())
}

#[test]
fn rows_and_columns_that_are_left_out_are_told() -> Result<()> {
    let folder = TempDir::new()?;
    let file = weights(
        folder.path(),
        1,
        &[("features", r#"["a","b"]"#), ("task", "regression")],
    )?;
    let table = folder.path().join("table.csv");
    fs::write(&table, "a,b\n0,10\n2,20\n4,30\n")?;
    let calibrate = ["--calibrate", text(&table)?];
    let with = |more: &[&'static str]| [&calibrate[..], more].concat();
    refused(
        &file,
        &with(&["--input-min", "0", "--input-max", "9"]),
        &["all 3 rows", "--input-max 9", "\"b\" of the first row is 10"],
    )?;
    let report = imported(
        &file,
        "range",
        folder.path(),
        &with(&["--input-min", "0", "--input-max", "25"]),
    )?;
    assert_eq!(report["refused"], 1);
    refused(&file, &with(&["--ignore", "b"]), &["\"b\"", "which it needs"])?;

    // In a single column, a blank line is a missing value, but the end of the last line is none.
    let graph = Graph::new(1)
        .ones("w", [1, 1])
        .node("MatMul", &["x", "w"], "y", &[]);
    let single = folder.path().join("one-column.onnx");
    fs::write(&single, graph.model(&["y"]))?;
    for (content, line) in [("a\n1\n\n3\n", 3), ("1.5\r\n\r\n", 2)] {
        fs::write(&table, content)?;
        refused(&single, &calibrate, &[&format!("line {line} is blank")])?;
    }
    for content in ["a\n1\n3\n", "a\r\n1\r\n3", "1\n3"] {
        fs::write(&table, content)?;
        let report = imported(&single, "column", folder.path(), &calibrate)?;
        assert_eq!(report["calibration_rows"], 2, "{content:?}");
    }
    Ok(())
}

#[test]
fn a_cause_is_told_once_and_without_escapes() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("broken.safetensors");
    fs::write(&file, [0xff; 64])?;
    let inspected = |name: &Path| -> Result<String> {
        let output = blindscore().arg("inspect").arg(name).output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
    };
    assert_eq!(inspected(&file)?.matches("header too large").count(), 1);
    let onnx = fixture("iris").join("model.onnx");
    assert!(inspected(&onnx)?.contains("`blindscore import`"));

    let named = weights(folder.path(), 1, &[("labels", r#"["no","\u001b[2Jyes\n"]"#)])?;
    imported(&named, "escapes", folder.path(), &RANGE)?;
    let shown = inspected(&folder.path().join("escapes@1.safetensors"))?;
    assert!(shown.contains("[2Jyes") && !shown.contains('\u{1b}'), "{shown}");
    Ok(())
}
