//! `import`: makes a model file from a fitted model.

use blindscore_import::{Grid, Report, Request, Structure, TableOptions, defaults, import, limits};
use blindscore_protocol::{
    columns::{Delimiter, HeaderChoice},
    descriptor::{Answer, Link, Task},
    name::ModelName,
};
use blindscore_remote::text::plain;
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  A scikit-learn pipeline (skl2onnx.to_onnx), with its training rows to find the ranges:
    blindscore import churn.onnx --name churn --calibrate train.csv --models-dir models
  A pipeline whose MinMaxScaler gives the ranges:
    blindscore import churn.onnx --name churn --models-dir models
  Weights saved from numpy (safetensors: coef, intercept), features between 0 and 1:
    blindscore import weights.safetensors --name churn --input-min 0 --input-max 1
  Coefficients of a logistic regression from R (write.csv(coef(model), file=\"churn.csv\")) or statsmodels (model.params.to_csv):
    blindscore import churn.csv --name churn --link sigmoid --labels no,yes --calibrate train.csv
  Compared with the pipeline's own predictions for these rows, one line each (numpy.savetxt of pipeline.predict(X_train), or a CSV file with a header
  such as predicted,proba_no,proba_yes). This finds export mistakes, such as a different order of columns, before the model is served:
    blindscore import churn.onnx --name churn --calibrate train.csv --expect predicted.csv
  Training rows that have an index and the answer besides the features:
    blindscore import churn.onnx --name churn --calibrate train.csv --ignore id,churned
  Boosted trees as their library saves them (save_model of XGBoost, LightGBM and CatBoost: .json, .ubj or .txt), and forests of
  scikit-learn as ONNX. The structure of the trees stays on the server:
    blindscore import churn.json --name churn --calibrate train.csv
  Large forests, whose structure may be known to clients:
    blindscore import forest.onnx --name forest --calibrate train.csv --structure public
  A neural network (MLPClassifier, or PyTorch's Linear layers and activations), with its training rows:
    blindscore import net.onnx --name churn --calibrate train.csv
  The same, or a linear model, of which only the label leaves the server:
    blindscore import churn.onnx --name churn-label --calibrate train.csv --answer label
  A projection network that models/net/fit_table.py trained, compared with itself in the clear on some rows:
    blindscore import net.safetensors --name churn-net --calibrate test.csv

An ONNX file is also run in the clear, on the rows of --calibrate or on random rows within the ranges, and must agree with the model.";

/// Returns what `--help` says after the options.
fn after_help() -> String {
    let [file, graph, table] = limits();
    format!(
        "{EXAMPLES}

Limits, checked before memory is allocated (larger inputs are refused):
  {file}
  {graph}
  {table}
  Only files are read: no pipes, no devices, and for the data of an ONNX file no symbolic links
Within these limits, an import takes less than 2,500 MB of memory and a few minutes.

It writes MODELS_DIR/NAME@VERSION.safetensors, which `blindscore-server serve --models-dir MODELS_DIR` serves a moment later, without a restart."
    )
}

/// Make a model file from a fitted model: linear as ONNX (scikit-learn, PyTorch), safetensors
/// (numpy), JSON (EBM) or a table of coefficients (R, statsmodels); trees of XGBoost, LightGBM,
/// CatBoost and scikit-learn; networks with hidden layers as ONNX; or a projection network
#[derive(Args)]
#[command(after_help = after_help())]
pub(crate) struct ImportArgs {
    /// Fitted model: .onnx, .safetensors, .json (EBM, XGBoost, LightGBM, CatBoost), .ubj (XGBoost),
    /// .txt (LightGBM) or .csv (coefficients)
    file: PathBuf,

    /// What of the answer leaves the server. scores (default): clients get scores, and
    /// probabilities if there are any. label: only which class it is. The server compares the
    /// scores under encryption, which takes a tenth of a second or more. For linear models, trees
    /// and networks that decide between classes
    #[arg(
        long,
        value_name = "SCORES|LABEL",
        default_value = "scores",
        hide_default_value = true
    )]
    answer: Answer,

    /// Name in URLs: a-z, 0-9 and '-'
    #[arg(long)]
    name: ModelName,

    /// Human-readable title, one line; the name if not given
    #[arg(long)]
    title: Option<String>,

    /// Folder for the model file; created if it doesn't exist
    #[arg(
        long,
        env = "BLINDSCORE_MODELS_DIR",
        value_name = "DIR",
        default_value = "models"
    )]
    models_dir: PathBuf,

    /// Rows of features. They give a linear model's ranges and, with a header, its feature names,
    /// and show how well the encrypted model agrees with the plain one
    #[arg(long, value_name = "CSV")]
    calibrate: Option<PathBuf>,

    /// Predictions of your own program for the rows of --calibrate, in the same order: the import
    /// is refused if the model disagrees. Columns `predicted` or `label`, `predicted_NAME`,
    /// `proba_NAME`, `score_NAME`, or a single one, which needs no header. Not for projection
    /// networks
    #[arg(long, value_name = "CSV", requires = "calibrate")]
    expect: Option<PathBuf>,

    /// Columns of --calibrate that are not features, such as an index or the value to predict
    #[arg(
        long,
        value_name = "COLUMN,...",
        value_delimiter = ',',
        requires = "calibrate"
    )]
    ignore: Vec<String>,

    /// Whether the first line of --calibrate names the columns: yes, no, or auto, which refuses a
    /// line that may be either
    #[arg(long, value_name = "YES|NO|AUTO", default_value = "auto")]
    header: HeaderChoice,

    /// Column separator of tables: ',', ';' or tab. Detected from the first line if not given
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<Delimiter>,

    #[arg(long, value_name = "SHARE", help = format!(
        "Share of its width by which a range from calibration rows is widened on both sides [default: {}]. \
         Clients refuse values outside. Not for trees and projection networks",
        defaults::WIDEN
    ))]
    widen: Option<f64>,

    /// Smallest value of every feature. Not for trees and projection networks
    #[arg(long, value_name = "X", requires = "input_max", allow_negative_numbers = true)]
    input_min: Option<f64>,

    /// Largest value of every feature. Not for trees and projection networks
    #[arg(long, value_name = "X", requires = "input_min", allow_negative_numbers = true)]
    input_max: Option<f64>,

    /// Names of the outputs, or of the two classes that a single output decides between. Blanks
    /// around a name are ignored
    #[arg(long, value_delimiter = ',', value_name = "A,B,...", value_parser = label)]
    labels: Option<Vec<String>>,

    /// Meaning of the scores, if the file leaves it open: regression (values), classification (one
    /// of several classes) or multilabel (labels of which several may hold). Not for projection
    /// networks
    #[arg(long, value_name = "TASK", value_parser = task)]
    task: Option<Task>,

    /// What becomes of the sum of a table of coefficients (.csv), which doesn't say it: sigmoid
    /// (logistic regression), softmax (multinomial), exp (log link) or identity (linear regression)
    #[arg(long, value_name = "LINK", value_parser = link)]
    link: Option<Link>,

    #[arg(long, value_name = "SHARE", help = format!(
        "Largest allowed error of a score, as a share of the score's range (six standard deviations) \
         [default: {} for linear models, which take a finer parameter set if the usual one misses it, or \
         would change probabilities by more than {}]. Networks with hidden layers take more time for it. Not for \
         trees and projection networks",
        defaults::MAX_ERROR,
        defaults::MAX_PROBABILITY_ERROR
    ))]
    max_error: Option<f64>,

    #[arg(long, value_name = "N", help = format!(
        "Rows of the calibration data to score encrypted [default: {}; for projection networks {}, for trees and networks with hidden layers {}]",
        defaults::CHECK_ROWS,
        defaults::NETWORK_CHECK_ROWS,
        defaults::ROTATED_CHECK_ROWS
    ))]
    check_rows: Option<usize>,

    /// Where the structure of trees is. private (default): on the server; clients know a grid of
    /// thresholds, and a row takes a tenth of a second or more. public: in every client, which
    /// tells them all of the trees but what their leaves hold; a row takes milliseconds, and is
    /// exact
    #[arg(long, value_name = "PRIVATE|PUBLIC")]
    structure: Option<Structure>,

    /// Thresholds that clients know of trees with a private structure. used (default): those that
    /// the trees use. quantiles:N: and N quantiles of each column of --calibrate, so that nobody
    /// can tell which are used
    #[arg(long, value_name = "GRID")]
    grid: Option<Grid>,

    #[arg(long, value_name = "SECONDS", help = format!(
        "Longest time that a row may take here, for trees with a private structure, networks with hidden \
         layers and --answer label [default: {}]",
        defaults::MAX_SECONDS
    ))]
    max_seconds: Option<f64>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl From<ImportArgs> for Request {
    fn from(args: ImportArgs) -> Self {
        Self {
            file: args.file,
            answer: args.answer,
            name: args.name,
            title: args.title,
            models_dir: args.models_dir,
            calibrate: args.calibrate,
            expect: args.expect,
            table: TableOptions {
                header: args.header,
                delimiter: args.delimiter,
                ignore: args.ignore,
            },
            widen: args.widen,
            range: args.input_min.zip(args.input_max),
            labels: args.labels,
            task: args.task,
            link: args.link,
            max_error: args.max_error,
            check_rows: args.check_rows,
            structure: args.structure,
            grid: args.grid,
            max_seconds: args.max_seconds,
        }
    }
}

/// Imports a model and reports the choices made.
pub(crate) fn run(args: ImportArgs) -> anyhow::Result<()> {
    let json = args.json;
    let report = Report::new(&import(&args.into())?);
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{:#}", report.as_json())?;
    } else {
        for line in report.lines() {
            writeln!(out, "{}", plain(&line))?;
        }
    }
    Ok(())
}

/// Parses the name of an output.
fn label(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a name is empty"),
        name => Ok(name.to_owned()),
    }
}

fn link(text: &str) -> Result<Link, &'static str> {
    [Link::Sigmoid, Link::Softmax, Link::Exp, Link::Identity]
        .into_iter()
        .find(|link| link.name() == text)
        .ok_or("not sigmoid, softmax, exp or identity")
}

fn task(text: &str) -> Result<Task, &'static str> {
    [Task::Classification, Task::Multilabel, Task::Regression]
        .into_iter()
        .find(|task| task.name() == text)
        .ok_or("not classification, multilabel or regression")
}
