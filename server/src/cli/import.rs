use crate::{
    import::{self, Calibration, Fitted, MOST_LEVELS, Ranges, choose, shared_or_own},
    model::LinearModel,
};
use anyhow::{Context, bail, ensure};
use blindscore_protocol::{descriptor::Link, params::LinearParams};
use clap::Args;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

mod agreement;
mod file;
mod report;

const EXAMPLES: &str = "\
Examples:
  A scikit-learn pipeline (skl2onnx.to_onnx), with its training rows to find the ranges:
    blindscore-server import churn.onnx --name churn --calibrate train.csv --models-dir models
  A MinMaxScaler in the pipeline tells the ranges by itself:
    blindscore-server import churn.onnx --name churn --models-dir models
  Weights that numpy wrote (safetensors: coef, intercept), features between 0 and 1:
    blindscore-server import weights.safetensors --name churn --input-min 0 --input-max 1

It writes MODELS_DIR/NAME@VERSION.safetensors, which `serve --models-dir MODELS_DIR` serves a moment later, without a restart.";

/// Make a model file from a fitted linear model: ONNX (scikit-learn, PyTorch) or safetensors (numpy)
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportArgs {
    /// The fitted model: .onnx or .safetensors
    file: PathBuf,

    /// Name in addresses: a-z, 0-9 and '-'
    #[arg(long)]
    name: String,

    /// A line for people; the name if not given
    #[arg(long)]
    title: Option<String>,

    /// Where the model file is written; made if it doesn't exist
    #[arg(
        long,
        env = "BLINDSCORE_MODELS_DIR",
        value_name = "DIR",
        default_value = "models"
    )]
    models_dir: PathBuf,

    /// Rows of features: they give the ranges, and show how well the encrypted model agrees with the float one
    #[arg(long, value_name = "CSV")]
    calibrate: Option<PathBuf>,

    /// Share of a range's width by which ranges from calibration rows are widened to both sides. Clients refuse what is outside
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    widen: f64,

    /// Smallest value of every feature
    #[arg(long, value_name = "X", requires = "input_max", allow_negative_numbers = true)]
    input_min: Option<f64>,

    /// Largest value of every feature
    #[arg(long, value_name = "X", requires = "input_min", allow_negative_numbers = true)]
    input_max: Option<f64>,

    /// Names of the outputs, or of the two classes between which one output decides
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    labels: Option<Vec<String>>,

    /// Largest error of a score that is allowed, as a share of the score's range (six standard deviations). A finer parameter set is taken where
    /// the usual one misses it, or would move probabilities by more than 0.001
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3)]
    max_error: f64,

    /// Rows of the calibration data that are scored encrypted
    #[arg(long, value_name = "N", default_value_t = 100)]
    check_rows: usize,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Imports a model and says what was chosen.
pub(super) fn run(args: ImportArgs) -> anyhow::Result<()> {
    ensure!(
        args.widen >= 0.0 && args.widen.is_finite(),
        "--widen is {}, not a share of 0 or more",
        args.widen
    );
    ensure!(
        args.max_error > 0.0 && args.max_error < 1.0,
        "--max-error is {}, not a share between 0 and 1",
        args.max_error
    );
    let mut fitted = read(&args.file).with_context(|| format!("importing {}", args.file.display()))?;
    if let Some(labels) = &args.labels {
        relabel(&mut fitted, labels)?;
    }
    let data = args
        .calibrate
        .as_deref()
        .map(|path| Calibration::read(path, fitted.count(), fitted.features.as_deref()))
        .transpose()?;
    let names = fitted.features.clone();
    let ranges = Ranges::find(
        &fitted,
        args.input_min.zip(args.input_max),
        data.as_ref(),
        args.widen,
    )?;
    let mut linear = linear(&args, fitted, &ranges);
    if let Some(shared) = ranges.shared(data.as_ref(), args.widen) {
        let with_one_range = LinearModel {
            inputs: shared.inputs(names.as_deref(), MOST_LEVELS),
            ..linear.clone()
        };
        linear = shared_or_own(with_one_range, linear)?;
    }
    let choice = choose(linear, args.max_error)?;
    let agreement = agreement::measure(&choice, data.as_ref(), args.check_rows)?;
    let path = file::write(&args.models_dir, &args.name, &choice.linear)?;
    let report = report::Report {
        choice: &choice,
        source: ranges.source,
        max_error: args.max_error,
        agreement: &agreement,
        path: &path,
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", report.as_json())?;
    } else {
        report.write(&mut out)?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Fitted> {
    let bytes = fs::read(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => Ok(import::onnx::read(&bytes)?),
        Some("safetensors") => Ok(import::read_safetensors(&bytes)?),
        _ => bail!("its name ends in neither .onnx nor .safetensors"),
    }
}

/// Puts the caller's labels in the place of the file's.
fn relabel(fitted: &mut Fitted, labels: &[String]) -> anyhow::Result<()> {
    match (fitted.coef.len(), labels) {
        (1, [negative, positive]) if matches!(fitted.link, Link::Sigmoid | Link::Identity) => {
            fitted.classes = Some([negative.clone(), positive.clone()]);
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
fn linear(args: &ImportArgs, fitted: Fitted, ranges: &Ranges) -> LinearModel {
    let inputs = ranges.inputs(fitted.features.as_deref(), MOST_LEVELS);
    let labels = match (&fitted.labels, &fitted.classes) {
        (Some(labels), _) => labels.clone(),
        (None, Some([_, positive])) => vec![positive.clone()],
        // As scikit-learn and PyTorch count classes.
        (None, None) => (0..fitted.coef.len()).map(|index| index.to_string()).collect(),
    };
    LinearModel {
        params: LinearParams::N2048,
        name: args.name.clone(),
        title: args.title.clone().unwrap_or_else(|| args.name.clone()),
        inputs,
        labels,
        classes: fitted.classes,
        link: fitted.link,
        input_rounding: true,
        accuracy: None,
        coef: fitted.coef,
        intercept: fitted.intercept,
    }
}
