//! ONNX files, through all of `import` up to the comparison with the file itself.

use blindscore_engine::model::{LinearModel, Salt};
use blindscore_import::{MOST_LEVELS, Ranges, Settled, choose, compare, onnx::Graph, settle};
use blindscore_protocol::{
    descriptor::{Inputs, Task},
    params::LinearParams,
};
use std::{fs, sync::LazyLock};
use tempfile::TempDir;

/// Folder with a data file that tensors may refer to, as one of the seeds does.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary directory");
    fs::write(folder.path().join("model.onnx.data"), vec![0x3e; 2560]).expect("written");
    folder
});

pub(crate) fn prepare() {
    LazyLock::force(&FOLDER);
}

pub(crate) fn run(data: &[u8]) {
    let Ok(graph) = Graph::decode(data, FOLDER.path()) else {
        return;
    };
    let Ok(fitted) = graph.fitted() else { return };
    let task = fitted.task.is_none().then_some(Task::Regression);
    let Ok(Settled {
        fitted: named,
        task,
        labels,
    }) = settle(fitted.clone(), None, task)
    else {
        return;
    };
    let given = (named.ranges.is_none() && named.encoding.is_none()).then_some((-1.0, 1.0));
    let Ok(ranges) = Ranges::find(&named, given, None, 0.25) else {
        return;
    };
    let linear = LinearModel {
        params: LinearParams::N2048,
        salt: Salt::none(),
        name: "fuzzed".parse().expect("a name"),
        title: "fuzzed".into(),
        inputs: Inputs {
            encoding: named.encoding.clone(),
            ..ranges.inputs(named.feature_names(), MOST_LEVELS)
        },
        labels,
        task,
        classes: named.classes,
        link: named.link,
        members: named.members,
        input_rounding: true,
        accuracy: None,
        coef: named.coef,
        intercept: named.intercept,
    };
    if let Ok(choice) = choose(linear, 1e-3) {
        let _ = compare(&graph, &fitted, &choice.stated(), None);
        let file = choice.linear.to_safetensors().expect("a model file");
        LinearModel::from_safetensors(&file).expect("what is written can be read");
    }
}
