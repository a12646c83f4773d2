//! Linear models: ranges and rounding are chosen.

use super::{ImportArgs, agreement, file, report::Report};
use crate::{
    import::{self, Calibration, Choice, Fitted, MOST_LEVELS, Ranges, bound, choose, shared_or_own},
    model::{LinearModel, Salt},
};
use anyhow::{Context, bail, ensure};
use blindscore_protocol::{
    descriptor::{Link, Task},
    params::LinearParams,
};
use serde_json::json;
use std::path::Path;

/// Rows that are scored encrypted if the caller doesn't say.
const CHECK_ROWS: usize = 100;
/// Share of a range's width that it is widened by.
const WIDEN: f64 = 0.25;
/// Allowed error of a score, as a share of its range.
const MAX_ERROR: f64 = 1e-3;
/// Rows of the table of outputs.
const SHOWN: usize = 12;

/// Chooses, measures and writes.
pub(super) fn import(args: &ImportArgs, bytes: &[u8]) -> anyhow::Result<Report> {
    let widen = args.widen.unwrap_or(WIDEN);
    ensure!(
        widen >= 0.0 && widen.is_finite(),
        "--widen is {widen}, not a share of 0 or more"
    );
    let max_error = args.max_error.unwrap_or(MAX_ERROR);
    ensure!(
        max_error > 0.0 && max_error < 1.0,
        "--max-error is {max_error}, not a share between 0 and 1"
    );
    let mut fitted = read(args, bytes).with_context(|| format!("importing {}", args.file.display()))?;
    if let Some(labels) = &args.labels {
        relabel(&mut fitted, labels)?;
    }
    let data = args
        .calibrate
        .as_deref()
        .map(|path| Calibration::read(path, fitted.count(), fitted.features.as_deref()))
        .transpose()?;
    // Clients are asked for what the caller's own files have.
    if let Some(names) = data.as_ref().and_then(Calibration::names) {
        fitted.features = Some(names.to_vec());
    }
    let given = args.input_min.zip(args.input_max);
    let ranges = Ranges::find(&fitted, given, data.as_ref(), widen)?;
    let names = fitted.features.clone();
    let decides = fitted.task == Task::Classification;
    let mut linear = linear(args, fitted, &ranges)?;
    if let Some(shared) = ranges.shared(data.as_ref(), widen) {
        let with_one_range = LinearModel {
            inputs: shared.inputs(names.as_deref(), MOST_LEVELS),
            ..linear.clone()
        };
        linear = shared_or_own(with_one_range, linear)?;
    }
    let choice = choose(linear, max_error)?;
    let rows = args.check_rows.unwrap_or(CHECK_ROWS);
    let mut agreement = agreement::measure(&choice.model, data.as_ref(), rows)?;
    agreement.decides = decides;
    let content = choice.linear.to_safetensors()?;
    // What is written is what will be served.
    LinearModel::from_safetensors(&content).context("the model file can't be read back")?;
    let path = file::write(&args.models_dir, &args.name, &content)?;
    let mut report = Report::new(&choice.model, path, &agreement, 1);
    describe(&mut report, &choice, &ranges, max_error);
    Ok(report)
}

/// What was chosen.
fn describe(report: &mut Report, choice: &Choice, ranges: &Ranges, max_error: f64) {
    let inputs = &choice.linear.inputs;
    report.row("ranges", ranges.source);
    if let Some(norm) = inputs.norm {
        let distance = format!(
            "at most {:.4} from position {} of the ranges",
            norm.max, norm.centre
        );
        report.row("distance", distance);
    }
    report.row("inputs", format!("{} bits", inputs.levels.ilog2()));
    let largest = choice.predicted.iter().map(|output| output.largest_weight).max();
    let largest = largest.unwrap_or(0).max(1);
    report.row("weights", format!("{} bits", largest.ilog2() + 2));
    let error = format!(
        "at most {:.2e} of a score's range, {:.2e} in its units (six deviations); {max_error:.0e} was allowed",
        choice.worst(),
        choice.stated_error(),
    );
    report.row("error", error);
    if let Some(error) = choice.probability_error() {
        report.row("", format!("at most {error:.1e} of a probability"));
    }
    let margins = choice.predicted.iter();
    let margins = margins.map(|output| output.error.noise.flooding_margin().bits());
    let margin = margins.fold(f64::INFINITY, f64::min);
    report.row("margin", format!("{margin:.1} bits of flooding"));
    report.entries(json!({
        "norm": inputs.norm,
        "stated_error": choice.stated_error(),
        "probability_error": choice.probability_error(),
        "stated_error_share": choice.worst(),
        "flooding_margin_bits": margin,
    }));
    report.table(format!("  {:<20}{:>26}{:>12}", "output", "range", "error"));
    let outputs = choice.model.descriptor().outputs.iter().zip(&choice.predicted);
    for (output, predicted) in outputs.take(SHOWN) {
        let range = format!("{:.4} +- {:.4}", output.offset, output.half_range);
        let error = bound(predicted);
        report.table(format!("  {:<20}{range:>26}{error:>12.2e}", output.label));
    }
    if choice.predicted.len() > SHOWN {
        report.table(format!("  and {} more", choice.predicted.len() - SHOWN));
    }
}

fn read(args: &ImportArgs, bytes: &[u8]) -> anyhow::Result<Fitted> {
    let folder = args.file.parent().unwrap_or(Path::new(""));
    match args.file.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => Ok(import::onnx::read(bytes, folder)?),
        Some("safetensors") => Ok(import::read_safetensors(bytes)?),
        _ => bail!("its name ends in neither .onnx nor .safetensors"),
    }
}

/// Puts the caller's labels in the place of the file's.
fn relabel(fitted: &mut Fitted, labels: &[String]) -> anyhow::Result<()> {
    match (fitted.coef.len(), labels) {
        (1, [negative, positive]) if matches!(fitted.link, Link::Sigmoid | Link::Identity) => {
            fitted.classes = Some([negative.clone(), positive.clone()]);
            fitted.task = Task::Classification;
        }
        (rows, labels) if rows == labels.len() => {
            fitted.classes = None;
            fitted.labels = Some(labels.to_vec());
        }
        (rows, labels) => bail!("--labels names {}, the model has {rows} outputs", labels.len()),
    }
    Ok(())
}

/// The model to write, with levels yet to be chosen.
fn linear(args: &ImportArgs, fitted: Fitted, ranges: &Ranges) -> anyhow::Result<LinearModel> {
    let inputs = ranges.inputs(fitted.features.as_deref(), MOST_LEVELS);
    let labels = match (&fitted.labels, &fitted.classes) {
        (Some(labels), _) => labels.clone(),
        (None, Some([_, positive])) => vec![positive.clone()],
        // As scikit-learn and PyTorch count classes.
        (None, None) => (0..fitted.coef.len()).map(|index| index.to_string()).collect(),
    };
    Ok(LinearModel {
        params: LinearParams::N2048,
        salt: Salt::fresh()?,
        name: args.name.clone(),
        title: args.title.clone().unwrap_or_else(|| args.name.clone()),
        inputs,
        labels,
        task: fitted.task,
        classes: fitted.classes,
        link: fitted.link,
        input_rounding: true,
        accuracy: None,
        coef: fitted.coef,
        intercept: fitted.intercept,
    })
}
