//! Files that try to take memory, time or other files: refused with an explanation, by a program
//! limited to 1 GB of address space.

use super::{
    fixture,
    onnx::{Graph, Message},
};
use anyhow::{Context, Result, ensure};
use blindscore_tests::blindscore;
use safetensors::{Dtype, tensor::TensorView};
use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// Limit on address space in kilobytes; the attacks took six times as much or more.
const ADDRESSES: u64 = 1_000_000;
const RANGE: [&str; 4] = ["--input-min", "0", "--input-max", "1"];

/// Imports a file with limited memory. A program that wants more is aborted; one that hangs is
/// ended by the test run.
fn import(file: &Path, more: &[&str]) -> Result<Output> {
    let models = TempDir::new()?;
    let limited = format!("ulimit -v {ADDRESSES}; exec \"$@\"");
    Ok(Command::new("sh")
        .args(["-c", &limited, "sh"])
        .arg(blindscore().get_program())
        .arg("import")
        .arg(file)
        .args(["--name", "hostile", "--check-rows", "1", "--models-dir"])
        .arg(models.path())
        .args(more)
        .output()?)
}

fn refused(file: &Path, more: &[&str], words: &str) -> Result<()> {
    let output = import(file, more)?;
    let message = String::from_utf8_lossy(&output.stderr);
    let shown: String = message.chars().take(2_000).collect();
    ensure!(
        output.status.code() == Some(1) && message.contains(words),
        "{}: not {words:?}: {:?}: {shown}",
        file.display(),
        output.status
    );
    ensure!(message.len() < 2_000, "{} bytes of message", message.len());
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// Adds a chain of nodes from one tensor to another.
fn chain(
    graph: Graph,
    operator: &str,
    attributes: &[(&str, u64)],
    from: &str,
    to: &str,
    nodes: usize,
) -> Graph {
    (0..nodes).fold(graph, |graph, index| {
        let name = |index: usize| match index {
            0 => from.to_owned(),
            index if index == nodes => to.to_owned(),
            index => format!("{operator}{index}"),
        };
        graph.node(operator, &[name(index)], &name(index + 1), attributes)
    })
}

/// Graph with `c`, four copies of the features.
fn wide() -> Graph {
    Graph::new(16_384).node("Concat", &["x"; 4], "c", &[("axis", 1)])
}

/// Graph with `s`, the given number of scores of 16,384 features each.
fn scores(outputs: u64) -> Graph {
    Graph::new(16_384)
        .ones("W", [16_384, 1])
        .ones("V", [1, outputs])
        .node("MatMul", &["x", "W"], "one", &[])
        .node("MatMul", &["one", "V"], "s", &[])
}

#[test]
fn graphs_hold_and_compute_no_more_than_is_allowed() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("graph.onnx");
    // All of these are needed at the end, so all of them are held.
    let names: Vec<String> = (0..3_000).map(|index| format!("i{index}")).collect();
    let held = names
        .iter()
        .fold(wide(), |graph, name| graph.node("Identity", &["c"], name, &[]))
        .node("Concat", &names, "y", &[("axis", 1)]);
    let doubled = (0..60).fold(Graph::new(1).ones("W", [1, 1]), |graph, index| {
        let name = |index: usize| format!("d{index}");
        let graph = if index == 0 {
            graph.node("MatMul", &["x", "W"], "d0", &[])
        } else {
            graph
        };
        graph.node(
            "Concat",
            &[name(index), name(index)],
            &name(index + 1),
            &[("axis", 1)],
        )
    });
    let long_name = "a".repeat(1_000_000);
    let classes = Message::default()
        .bytes(1, "classlabels_strings")
        .bytes(9, &long_name)
        .bytes(9, "b")
        .number(20, 8);
    let coefficients = Message::default()
        .bytes(1, "coefficients")
        .bytes(7, [0; 16])
        .number(20, 6);
    let classifier = Message::default()
        .bytes(1, "x")
        .bytes(2, "label")
        .bytes(2, "s")
        .bytes(4, "LinearClassifier")
        .bytes(7, "ai.onnx.ml")
        .bytes(5, coefficients)
        .bytes(5, classes);
    let many_rows = Graph::new(2).part(1, classifier).zeros("places", 60_000).node(
        "Gather",
        &["s", "places"],
        "y",
        &[("axis", 1)],
    );
    let circle = Graph::new(2)
        .node("Add", &["x", "b"], "a", &[])
        .node("Identity", &["a"], "b", &[])
        .node("Identity", &["b"], "y", &[]);
    for (graph, output, words) in [
        (held, "y", "at once"),
        (
            chain(wide(), "Identity", &[], "c", "y", 3_000),
            "y",
            "is the features, not an answer",
        ),
        (
            chain(scores(20), "Cast", &[("to", 1)], "s", "y", 2_000),
            "y",
            "gives 20 scores and doesn't say",
        ),
        (
            chain(scores(1_000), "Identity", &[], "s", "y", 2_200),
            "y",
            "multiplications",
        ),
        (scores(1_001), "s", "weights are allowed"),
        (doubled, "d60", "16384 columns"),
        (many_rows, "y", "more than 1,000 bytes"),
        (circle, "y", "which no node before it gives"),
    ] {
        fs::write(&file, graph.model(&[output]))?;
        refused(&file, &RANGE, words)?;
    }
    Ok(())
}

#[test]
fn what_no_output_depends_on_is_not_run() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("unused.onnx");
    let graph = Graph::new(2)
        .ones("W", [2, 1])
        .ones("column", [100_000, 1])
        .ones("row", [1, 100_000])
        .node("Add", &["column", "row"], "large", &[])
        .node("MatMul", &["x", "W"], "y", &[]);
    fs::write(&file, graph.model(&["y"]))?;
    let output = import(&file, &RANGE)?;
    let report = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && report.contains("200 rows match"),
        "{:?}: {report}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn parts_of_a_file_are_counted_before_they_are_decoded() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("parts.onnx");
    let model = |graph: Vec<u8>| Message::default().bytes(7, graph);
    let empty = |field: u64, count: usize| Message::default().bytes(field, "").as_ref().repeat(count);
    let attributes = Message::default().bytes(1, empty(5, 1_000_000));
    let packed = Message::default().bytes(5, Message::default().bytes(7, [0; 100].repeat(500_000)));
    for (content, words) in [
        (model(empty(1, 200_000)), "nodes"),
        (model(empty(5, 2_000_000)), "of memory"),
        (model(attributes.as_ref().to_vec()), "of memory"),
        (model(packed.as_ref().to_vec()), "of memory"),
    ] {
        fs::write(&file, content)?;
        refused(&file, &RANGE, words)?;
    }
    // A sparse file takes no space on the disk.
    File::create(&file)?.set_len(10_000_000_000)?;
    refused(&file, &RANGE, "more than 200 MB")?;
    let tensors = folder.path().join("large.safetensors");
    let header = format!("{{{}\"a\":1}}", " ".repeat(5_000_000));
    fs::write(
        &tensors,
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat(),
    )?;
    refused(&tensors, &RANGE, "its header has 5000007 bytes")
}

#[test]
fn only_files_beside_the_model_are_read_and_pipes_are_not_waited_for() -> Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    let elsewhere = TempDir::new()?;
    fs::write(elsewhere.path().join("secret"), [0; 16])?;
    std::os::unix::fs::symlink(elsewhere.path().join("secret"), path("link"))?;
    let pipe = path("pipe");
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success(), "mkfifo");
    let shape = [2, 1];
    let graph = || Graph::new(2).node("MatMul", &["x", "w"], "y", &[]);
    for (data, words) in [
        ("link", "symbolic link"),
        ("pipe", "a pipe or a device"),
        ("../secret", "not in the model's folder"),
    ] {
        let file = path("external.onnx");
        fs::write(&file, graph().elsewhere("w", shape, data).model(&["y"]))?;
        refused(&file, &RANGE, words)?;
    }
    // Forty tensors share the same 131 MB of a file that takes no space on the disk.
    File::create(path("sparse"))?.set_len(16_384 * 1_000 * 8)?;
    let shared = (0..40).fold(graph(), |graph, index| {
        let name = if index == 0 {
            "w".to_owned()
        } else {
            format!("w{index}")
        };
        graph.elsewhere(&name, [16_384, 1_000], "sparse")
    });
    let file = path("shared.onnx");
    fs::write(&file, shared.model(&["y"]))?;
    refused(&file, &RANGE, "more than 200 MB")?;

    let model = path("model.onnx");
    fs::write(&model, graph().ones("w", shape).model(&["y"]))?;
    let train = path("train.csv");
    fs::write(&train, "a,b\n1,2\n3,4\n")?;
    let pipe_as_model = path("pipe.onnx");
    ensure!(
        Command::new("mkfifo").arg(&pipe_as_model).status()?.success(),
        "mkfifo"
    );
    refused(&pipe_as_model, &RANGE, "a pipe or a device")?;
    for (table, words) in [
        (text(&pipe)?, "a pipe or a device"),
        ("/dev/zero", "a pipe or a device"),
        (text(folder.path())?, "a folder"),
        ("-", "standard input"),
    ] {
        refused(&model, &["--calibrate", table], words)?;
        refused(&model, &["--calibrate", text(&train)?, "--expect", table], words)?;
    }
    Ok(())
}

#[test]
fn tables_have_bounded_rows() -> Result<()> {
    let folder = TempDir::new()?;
    let table = folder.path().join("table.csv");
    let model = fixture("faults").join("two-heads.onnx");
    let zeros = [0; 2_000_000];
    let quoted = format!("a,b\n1,\"2\n{}", "3,4\n".repeat(2_000_000));
    let repeated = |text: &str| text.repeat(5_000_000);
    for (content, words) in [
        (repeated(",").as_bytes(), "a row has more than 4 MB"),
        (repeated("a").as_bytes(), "a row has more than 4 MB"),
        (
            format!("a,b\n1,2\n{}", repeated("1")).as_bytes(),
            "a row has more than 4 MB",
        ),
        (&*",".repeat(100_000).into_bytes(), "100001 columns"),
        (quoted.as_bytes(), "the quote in line 2"),
        (&zeros, "UTF-16"),
    ] {
        fs::write(&table, content)?;
        refused(&model, &["--calibrate", text(&table)?], words)?;
    }
    // Each row of the single column takes the memory of several values.
    let single = folder.path().join("single.onnx");
    let graph = Graph::new(1)
        .ones("w", [1, 1])
        .node("MatMul", &["x", "w"], "y", &[]);
    fs::write(&single, graph.model(&["y"]))?;
    fs::write(&table, "1\n".repeat(6_000_000))?;
    refused(&single, &["--calibrate", text(&table)?], "more than 5555555 rows")
}

#[test]
fn an_accuracy_is_a_share() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("model.safetensors");
    let one = 1f64.to_le_bytes();
    let write = |accuracy: &str| -> Result<()> {
        let tensors = [
            ("coef", TensorView::new(Dtype::F64, vec![1], &one)?),
            ("intercept", TensorView::new(Dtype::F64, vec![1], &one)?),
        ];
        let entries = [("accuracy".to_owned(), accuracy.to_owned())].into();
        Ok(fs::write(&file, safetensors::serialize(tensors, Some(entries))?)?)
    };
    for (accuracy, words) in [
        ("NaN", "accuracy is NaN"),
        ("-5", "accuracy is -5,"),
        ("1e400", "accuracy is inf"),
        ("1.01", "outside 0 to 1"),
        ("high", "\"high\" is not such a number"),
    ] {
        write(accuracy)?;
        refused(&file, &RANGE, words)?;
    }
    write("0.75")?;
    ensure!(import(&file, &RANGE)?.status.success(), "0.75");
    Ok(())
}
