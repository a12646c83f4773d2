//! Import of projection networks, which are checked and measured but not changed.

use super::{ImportArgs, agreement, file, report::Report};
use crate::{
    import::{BOUND, Calibration, Naming, Network, Wanted},
    model::Salt,
};
use anyhow::{Context, bail, ensure};
use blindscore_protocol::descriptor::Inputs;
use serde_json::json;

/// Default number of rows to score encrypted; each takes a tenth of a second or more.
const CHECK_ROWS: usize = 20;

/// Checks and measures a network, and writes the model file.
pub(super) fn import(args: &ImportArgs, bytes: &[u8]) -> anyhow::Result<Report> {
    refuse_choices(args)?;
    let naming = Naming {
        name: &args.name,
        title: args.title.as_deref(),
        labels: args.labels.as_deref(),
        salt: &Salt::fresh()?,
    };
    let network = Network::read(bytes, &naming)?;
    let model = &network.model;
    let inputs = &model.descriptor().inputs;
    let data = args
        .calibrate
        .as_deref()
        .map(|path| {
            let names = names(inputs);
            let wanted = Wanted {
                count: inputs.count,
                names: names.as_deref(),
                unused: &[],
            };
            Calibration::read(path, wanted, &args.table_options()).with_context(|| path.display().to_string())
        })
        .transpose()?;
    let agreement = agreement::measure(model, data.as_ref(), args.check_rows.unwrap_or(CHECK_ROWS))?;
    ensure!(
        agreement.rows > 0,
        "all {} rows of the calibration data are out of range",
        agreement.refused
    );
    let path = file::write(&args.models_dir, &args.name, &network.content)?;
    let mut report = Report::new(model, path, &agreement, rayon::current_num_threads());
    if let Some(data) = &data {
        report.table_read(data);
    }
    report.row("inputs", format!("{} levels", inputs.levels));
    let error = BOUND * agreement.deviation;
    let rows = match agreement.rows {
        1 => "one row".to_owned(),
        rows => format!("any of {rows} rows"),
    };
    report.row(
        "error",
        format!("at most {error:.2e} is predicted for a score of {rows} (six deviations)"),
    );
    report.entries(json!({ "stated_error": error }));
    Ok(report)
}

/// Refuses options of linear models that a network's training has already settled.
fn refuse_choices(args: &ImportArgs) -> anyhow::Result<()> {
    let ranges = "the ranges of its features are those that it was trained with, and stand in its file";
    let says = "what it is for stands in its file";
    let checked = "it is rounded, and so decides otherwise now and then than what it was trained as; its training compares the two";
    let choices = [
        ("--task", args.task.is_some(), says),
        ("--expect", args.expect.is_some(), checked),
        ("--input-min", args.input_min.is_some(), ranges),
        ("--input-max", args.input_max.is_some(), ranges),
        ("--widen", args.widen.is_some(), ranges),
        (
            "--max-error",
            args.max_error.is_some(),
            "its weights are integers already, and its error follows from them",
        ),
    ];
    for (option, given, why) in choices {
        if given {
            bail!("{option} is not for a projection network: {why}");
        }
    }
    ensure!(
        args.check_rows != Some(0),
        "--check-rows is 0: a network's time and error are measured"
    );
    Ok(())
}

/// Returns the names of all features, if all have names.
fn names(inputs: &Inputs) -> Option<Vec<String>> {
    (0..inputs.count)
        .map(|index| inputs.name(index).map(str::to_owned))
        .collect()
}
