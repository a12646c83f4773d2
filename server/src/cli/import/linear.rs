//! Import of linear models: chooses their ranges and rounding.

use super::{ImportArgs, agreement, file, report::Report};
use crate::{
    import::{
        self, Calibration, Choice, Compared, Expected, Fitted, MOST_LEVELS, MOST_ROWS, Ranges, Settled,
        Wanted, bound, choose, compare, onnx::Graph, settle, shared_or_own,
    },
    model::{LinearModel, Salt},
};
use anyhow::{Context, bail, ensure};
use blindscore_protocol::{
    descriptor::{Inputs, Task},
    params::LinearParams,
};
use serde_json::json;
use std::path::Path;

/// Default number of rows to score encrypted.
const CHECK_ROWS: usize = 100;
/// Default share of its width by which a range is widened.
const WIDEN: f64 = 0.25;
/// Default limit on a score's error, as a share of its range.
const MAX_ERROR: f64 = 1e-3;
/// Limit on measured errors, as a multiple of the stated error: seven deviations, where six are
/// stated. No score exceeds it by chance.
const MISSED: f64 = 7.0 / 6.0;
/// Most rows in the table of outputs.
const SHOWN: usize = 12;

/// Chooses ranges and rounding, measures the result and writes the model file.
pub(super) fn import(args: &ImportArgs, bytes: Vec<u8>) -> anyhow::Result<Report> {
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
    let importing = || format!("importing {}", args.file.display());
    let Source { fitted, graph } = read(args, &bytes).with_context(importing)?;
    drop(bytes);
    let mut settled = settle(fitted.clone(), args.labels.as_deref(), args.task).with_context(importing)?;
    let wanted = Wanted {
        count: fitted.count(),
        names: fitted.features.as_deref(),
        unused: &fitted.unused,
    };
    let calibrate = args.calibrate.as_deref();
    let data = calibrate
        .map(|path| {
            Calibration::read(path, wanted, &args.table_options()).with_context(|| path.display().to_string())
        })
        .transpose()?;
    // Clients are asked for features by the names in the caller's own files.
    if let Some(names) = data.as_ref().and_then(Calibration::names) {
        settled.fitted.features = Some(names.to_vec());
    }
    let given = args.input_min.zip(args.input_max);
    let ranges = Ranges::find(&settled.fitted, given, data.as_ref(), widen)?;
    if let (Some((min, max)), Some(data)) = (given, &data) {
        let inputs = ranges.inputs(settled.fitted.features.as_deref(), MOST_LEVELS);
        check_given(&inputs, data, (min, max))?;
    }
    let names = settled.fitted.features.clone();
    let decides = settled.task == Task::Classification;
    let mut linear = linear(args, settled, &ranges)?;
    if let Some(shared) = ranges.shared(data.as_ref(), widen) {
        let with_one_range = LinearModel {
            inputs: shared.inputs(names.as_deref(), MOST_LEVELS),
            ..linear.clone()
        };
        linear = shared_or_own(with_one_range, linear)?;
    }
    let choice = choose(linear, max_error)?;
    let comparisons =
        compared(args, &fitted, graph.as_ref(), &choice, data.as_ref()).with_context(importing)?;
    let rows = args.check_rows.unwrap_or(CHECK_ROWS);
    let mut agreement = agreement::measure(&choice.model, data.as_ref(), rows)?;
    agreement.decides = decides;
    ensure!(
        agreement.largest_error <= MISSED * choice.stated_error(),
        "an encrypted score was off by {:.2e}, and {:.2e} is what would be stated: please report this",
        agreement.largest_error,
        choice.stated_error()
    );
    let content = choice.linear.to_safetensors()?;
    // Reads the content back: it is what will be served.
    LinearModel::from_safetensors(&content).context("the model file can't be read back")?;
    let path = file::write(&args.models_dir, &args.name, &content)?;
    let mut report = Report::new(&choice.model, path, &agreement, 1);
    describe(&mut report, &choice, &ranges, max_error);
    if let Some(data) = &data {
        report.table_read(data);
    }
    if !fitted.unused.is_empty() {
        report.row(
            "unused",
            format!(
                "columns that the model knows and doesn't use: {}",
                fitted.unused.join(", ")
            ),
        );
    }
    report.entries(json!({ "unused_columns": fitted.unused }));
    comparisons.describe(&mut report);
    Ok(report)
}

/// Refuses a given range that excludes all rows. Otherwise no number in the report would reveal
/// that the range is not the intended one.
fn check_given(inputs: &Inputs, data: &Calibration, (min, max): (f64, f64)) -> anyhow::Result<()> {
    let rows = data.rows();
    let outside = |row: &Vec<f64>| row.iter().position(|value| !(min..=max).contains(value));
    let (Some(row), Some(feature)) = (rows.first(), rows.first().and_then(outside)) else {
        return Ok(());
    };
    ensure!(
        rows.iter().any(|row| outside(row).is_none()),
        "all {} rows of the calibration data are out of range: --input-min is {min} and --input-max {max}, and {} of the first row is {}. \
         Give the range that the features have, or none: it is then taken from the rows",
        rows.len(),
        inputs
            .name(feature)
            .map_or_else(|| format!("feature {feature}"), |name| format!("{name:?}")),
        row[feature]
    );
    Ok(())
}

/// Reports the choices made.
fn describe(report: &mut Report, choice: &Choice, ranges: &Ranges, max_error: f64) {
    let inputs = &choice.linear.inputs;
    report.row("ranges", ranges.source);
    if let Some(assumed) = ranges.assumed {
        report.row("", assumed);
    }
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

/// Content of a model's file.
struct Source {
    fitted: Fitted,
    /// ONNX graph, which can be run in the clear.
    graph: Option<Graph>,
}

fn read(args: &ImportArgs, bytes: &[u8]) -> anyhow::Result<Source> {
    let folder = args.file.parent().unwrap_or(Path::new(""));
    match args.file.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => {
            let graph = Graph::decode(bytes, folder)?;
            Ok(Source {
                fitted: graph.fitted()?,
                graph: Some(graph),
            })
        }
        Some("safetensors") => Ok(Source {
            fitted: import::read_safetensors(bytes)?,
            graph: None,
        }),
        other => bail!(
            "its name ends in neither .onnx nor .safetensors{}",
            other.and_then(advice).unwrap_or_default()
        ),
    }
}

/// Returns advice for files of other tools, by their extension.
fn advice(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "json" | "ubj" | "txt" | "bst" | "model" | "cbm" => {
            ". If it is a model of decision trees (XGBoost, LightGBM, CatBoost, EBM): those are not served. Fit a linear model, or a projection \
             network (models/net)"
        }
        "pkl" | "pickle" | "joblib" => {
            ". Pickled Python objects are not read: export the pipeline with skl2onnx.to_onnx"
        }
        "pt" | "pth" | "ckpt" | "h5" | "keras" | "pb" => {
            ". Export the model to ONNX (torch.onnx.export, tf2onnx)"
        }
        "gz" | "zip" => ". Unpack it first",
        _ => return None,
    })
}

/// Results of comparing the model with other predictions.
struct Comparisons {
    /// Comparison with the file run in the clear, or why there was none.
    file: Result<Compared, String>,
    /// Comparison with the caller's own predictions.
    expected: Option<Compared>,
}

fn compared(
    args: &ImportArgs,
    fitted: &Fitted,
    graph: Option<&Graph>,
    choice: &Choice,
    data: Option<&Calibration>,
) -> anyhow::Result<Comparisons> {
    let file = match graph {
        Some(graph) => {
            let rows = data.map(|data| data.sample(MOST_ROWS));
            compare(graph, fitted, choice, rows.as_deref())?.map_err(|why| why.to_string())
        }
        None => {
            Err("a safetensors file has no graph to run; --expect compares with your own predictions".into())
        }
    };
    let expected = match (&args.expect, data) {
        (Some(path), Some(data)) => {
            let expected = Expected::read(path, choice.model.descriptor());
            let expected = expected.with_context(|| path.display().to_string())?;
            Some(expected.compare(data.rows(), choice)?)
        }
        _ => None,
    };
    Ok(Comparisons { file, expected })
}

impl Comparisons {
    fn describe(&self, report: &mut Report) {
        let summary = |Compared { rows, largest, close }: &Compared| {
            let close = match close {
                0 => String::new(),
                close => format!(", {close} too close to call"),
            };
            format!("{rows} rows match, largest difference {largest:.1e}{close}")
        };
        match &self.file {
            Ok(compared) => report.row(
                "compared",
                format!("with the file, run in the clear: {}", summary(compared)),
            ),
            Err(why) => report.row("compared", format!("not with the file, run in the clear: {why}")),
        }
        if let Some(compared) = &self.expected {
            report.row("", format!("with --expect: {}", summary(compared)));
        }
        report.entries(json!({
            "compared_rows": self.file.as_ref().map_or(0, |compared| compared.rows),
            "not_compared": self.file.as_ref().err(),
            "expected_rows": self.expected.as_ref().map(|compared| compared.rows),
        }));
    }
}

/// Returns the model to write, with its levels yet to be chosen.
fn linear(args: &ImportArgs, settled: Settled, ranges: &Ranges) -> anyhow::Result<LinearModel> {
    let Settled { fitted, task, labels } = settled;
    Ok(LinearModel {
        params: LinearParams::N2048,
        salt: Salt::fresh()?,
        name: args.name.clone(),
        title: args.title.clone().unwrap_or_else(|| args.name.clone()),
        inputs: ranges.inputs(fitted.features.as_deref(), MOST_LEVELS),
        labels,
        task,
        classes: fitted.classes,
        link: fitted.link,
        input_rounding: true,
        accuracy: fitted.accuracy,
        coef: fitted.coef,
        intercept: fitted.intercept,
    })
}
