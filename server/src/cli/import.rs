use crate::{
    import::Network,
    model::{Registry, is_name},
};
use anyhow::{Context, ensure};
use clap::Args;
use report::Report;
use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

mod agreement;
mod file;
mod linear;
mod network;
mod report;

const EXAMPLES: &str = "\
Examples:
  A scikit-learn pipeline (skl2onnx.to_onnx), with its training rows to find the ranges:
    blindscore-server import churn.onnx --name churn --calibrate train.csv --models-dir models
  A MinMaxScaler in the pipeline tells the ranges by itself:
    blindscore-server import churn.onnx --name churn --models-dir models
  Weights that numpy wrote (safetensors: coef, intercept), features between 0 and 1:
    blindscore-server import weights.safetensors --name churn --input-min 0 --input-max 1
  A projection network that models/net/fit_table.py trained, compared with itself in the clear on some rows:
    blindscore-server import net.safetensors --name churn-net --calibrate test.csv

It writes MODELS_DIR/NAME@VERSION.safetensors, which `serve --models-dir MODELS_DIR` serves a moment later, without a restart.";

/// Make a model file from a fitted model: linear as ONNX (scikit-learn, PyTorch) or safetensors (numpy), or a projection network
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportArgs {
    /// The fitted model: .onnx or .safetensors
    file: PathBuf,

    /// Name in addresses: a-z, 0-9 and '-'
    #[arg(long, value_parser = name)]
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

    /// Rows of features: they give a linear model's ranges, its features' names if there is a header, and show how well the encrypted model agrees with the plain one
    #[arg(long, value_name = "CSV")]
    calibrate: Option<PathBuf>,

    /// Share of a range's width by which ranges from calibration rows are widened to both sides [default: 0.25]. Clients refuse what is
    /// outside. Linear models only
    #[arg(long, value_name = "SHARE")]
    widen: Option<f64>,

    /// Smallest value of every feature. Linear models only
    #[arg(long, value_name = "X", requires = "input_max", allow_negative_numbers = true)]
    input_min: Option<f64>,

    /// Largest value of every feature. Linear models only
    #[arg(long, value_name = "X", requires = "input_min", allow_negative_numbers = true)]
    input_max: Option<f64>,

    /// Names of the outputs, or of the two classes between which one output decides
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    labels: Option<Vec<String>>,

    /// Largest error of a score that is allowed, as a share of the score's range (six standard deviations) [default: 0.001]. A finer parameter
    /// set is taken where the usual one misses it, or would move probabilities by more than 0.001. Linear models only
    #[arg(long, value_name = "SHARE")]
    max_error: Option<f64>,

    /// Rows of the calibration data that are scored encrypted [default: 100; for networks 20]
    #[arg(long, value_name = "N")]
    check_rows: Option<usize>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Imports a model and says what was chosen.
pub(super) fn run(args: ImportArgs) -> anyhow::Result<()> {
    ensure!(
        !Registry::is_bundled(&args.name),
        "--name {} is the name of a model that every server has",
        args.name
    );
    let importing = || format!("importing {}", args.file.display());
    let bytes = fs::read(&args.file).with_context(importing)?;
    let is_safetensors = args.file.extension().is_some_and(|found| found == "safetensors");
    let report = if is_safetensors && Network::is_in(&bytes) {
        network::import(&args, &bytes).with_context(importing)?
    } else {
        linear::import(&args, &bytes)?
    };
    print(&args, &report)
}

/// A name that can stand in an address as it is.
fn name(text: &str) -> Result<String, &'static str> {
    is_name(text)
        .then(|| text.to_owned())
        .ok_or("not made of a-z, 0-9 and '-'")
}

fn print(args: &ImportArgs, report: &Report) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", report.as_json())?;
    } else {
        report.write(&mut out)?;
    }
    Ok(())
}
