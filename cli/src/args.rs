//! Command-line arguments.

use crate::{
    eval::EvalArgs,
    import::ImportArgs,
    inspect::InspectArgs,
    publish::{PublishArgs, UnpublishArgs},
    types::TypesArgs,
};
use blindscore_protocol::{
    columns::{Delimiter, HeaderChoice},
    descriptor::ModelPin,
    name::ModelAddress,
    policy::REQUEST_TIMEOUT,
};
use blindscore_remote::{Api, Connection, KeyPlace, Naming, RemoteError, ServedModel, ServerUrl};
use clap::{Args, Parser, Subcommand, value_parser};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

const WALK: &str = "\
All steps, with the server's address given once:
  export BLINDSCORE_URL=https://scores.example
  blindscore keygen --model churn
  blindscore upload-keys --model churn
  blindscore predict --model churn --csv customers.csv --out scores.csv
  blindscore forget --model churn

Make a model file of your own, for the folder that `blindscore-server serve --models-dir` serves:
  blindscore import churn.onnx --name churn --calibrate train.csv --models-dir models
  blindscore inspect churn --models-dir models

Or publish it on a server, with an operator's token:
  blindscore publish models/churn@1.safetensors --url https://scores.example

`blindscore COMMAND --help` has more examples.";

const KEYGEN: &str = "\
Examples:
  blindscore keygen --url https://scores.example --model churn
  blindscore keygen --url http://127.0.0.1:8080 --model churn --key churn.key

The key fits the model's parameter set; models with the same set can share a key. The server is
asked only for the model's description. An existing key file is not replaced. The model's id is
printed too: with --model-id, or the variable BLINDSCORE_MODEL_ID, the other commands accept only
this model.";

const UPLOAD: &str = "\
Examples:
  blindscore upload-keys --url https://scores.example --model churn

Does nothing if the server has the key. Servers delete keys that have not been used for some time
(30 days by default); `predict` then uploads a new one automatically.";

const PREDICT: &str = "\
Examples:
  Match columns to the model's features by name:
    blindscore predict --model churn --csv data.csv --out scores.csv

  Copy an identifier to the result, and leave out columns that are not features:
    blindscore predict --model churn --csv data.csv --out scores.csv --id who --ignore town,year

  Numbers without a header, in the model's order:
    blindscore predict --model digits --csv pixels.csv --out scores.csv --no-header

  Pipe the result into another program:
    blindscore predict --model churn --csv data.csv --out - | sort

Input: a CSV file in UTF-8, with cells separated by ',', ';' or tabs. If it has a header and the
model names its features, columns may be in any order, under the model's names or the names before
its conversion (`mean radius` for `mean_radius`); missing and unknown columns are errors. Otherwise
columns are taken in order. A first line of numbers is a row, unless it looks like names, or the
model's features have numbers for names: then --header must say what it is. Without a header, --id
and --ignore take column numbers, from 1.

Rows that can't be scored (a cell is empty, not a number, or outside the range of its feature, or
there are too many or too few cells) don't stop the others. They get empty cells, and the reason in
a last column, `error`, which is written only if some row needs it. To hide from the server how many
they are, a blank row is sent instead of each; it counts toward limits on queries. --strict stops
before anything is sent, and lists these cells (the first 100, and the number of the others). Rows
count from 1, after the header. If no row has a number for each feature, the file is probably not
the intended table, and nothing is sent.

Output: a line for each row, in order.
  row, or the column of --id   1 for the first row
  label                        for classes: the decision
  predicted_NAME               for independent labels: 1 or 0; for regression: the value
  score_LABEL                  decrypted scores, one for each output; not for regression
  proba_LABEL                  probabilities, if the model has them
  error                        why a row has no scores; only if some row has none

A file is written as FILE.partial and renamed when it is complete. A pipe or a device, or - for
standard output, gets everything at the end, and is never replaced. Messages go to standard error.

A busy server is asked again after the time that it names, within --max-wait; if it has lost the
key, a new one is made and uploaded. Redirects are not followed: the message names the new address.
If the model is replaced during the run, all rows are scored again, so that one file never mixes two
models; but only if ranges, encoding and outputs are the same. Otherwise the run ends and shows the
difference: a server that could choose new ranges, and see whether rows follow, would learn what is
in the rows.

With --strict, ranges that the server chose before the run reveal the same. If you know the model,
pass --model-id; `keygen` and `predict` print the id. It has two halves: one from the server, and a
fingerprint of ranges, encoding and outputs that is computed here. The first half alone is accepted
too, but then you rely on the server's word.

Exit codes: 0 all rows were scored, 1 something failed, 2 the arguments are wrong, 3 some rows
could not be scored, and the others were.";

const FORGET: &str = "\
Examples:
  blindscore forget --url https://scores.example --model churn

Responses for this key that are not decrypted yet can't be read afterwards.";

/// Have a server score your data without showing it the data.
///
/// Generates keys, encrypts rows and decrypts scores. The secret key stays in a file on this
/// machine; the server gets a public key and ciphertexts. For those who run a server: makes model
/// files, and shows and measures them.
#[derive(Parser)]
#[command(name = "blindscore", version, max_term_width = 100, after_help = WALK)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Generate a secret key for a model and store it in a file
    #[command(after_help = KEYGEN)]
    Keygen(ModelArgs),
    /// Generate the public key and upload it to the server
    #[command(after_help = UPLOAD)]
    UploadKeys(ModelArgs),
    /// Encrypt the rows of a CSV file, have them scored, and decrypt the scores
    #[command(after_help = PREDICT)]
    Predict(PredictArgs),
    /// Delete the public key on the server and the secret key on this machine
    #[command(after_help = FORGET)]
    Forget(ModelArgs),
    Import(Box<ImportArgs>),
    Inspect(InspectArgs),
    Publish(PublishArgs),
    Unpublish(UnpublishArgs),
    Eval(Box<EvalArgs>),
    Types(TypesArgs),
}

/// Model, server and key of a command.
#[derive(Args)]
pub(crate) struct ModelArgs {
    /// Address of the server
    #[arg(long, env = "BLINDSCORE_URL", value_name = "URL", value_parser = str::parse::<ServerUrl>)]
    pub(crate) url: ServerUrl,

    /// Name of the model on the server
    #[arg(long, env = "BLINDSCORE_MODEL", value_name = "NAME")]
    pub(crate) model: ModelAddress,

    /// Accept only the model with this id, which `keygen` and `predict` print
    #[arg(long, env = "BLINDSCORE_MODEL_ID", value_name = "ID", value_parser = str::parse::<ModelPin>)]
    pub(crate) model_id: Option<ModelPin>,

    /// File of the secret key; whoever has it can read every query and every score. Default: one
    /// file for each server and parameter set, in the user's data directory
    #[arg(long, env = "BLINDSCORE_KEY", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Token to send as `Authorization: Bearer TOKEN`; prefer the variable, which other users of
    /// the machine can't see
    #[arg(long, env = "BLINDSCORE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Trust and time limits of the connection to the server.
#[derive(Args)]
pub(crate) struct ConnectionArgs {
    /// PEM file with certificates of authorities to trust in addition to the usual ones, for a
    /// server whose certificate a private authority has signed. SSL_CERT_FILE, if it is set,
    /// replaces the usual ones
    #[arg(long, env = "BLINDSCORE_CA_CERT", value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,

    /// Time limit of each try of a request in seconds, plus the time that its bytes take at 50
    /// kB/s; after that the request is retried
    #[arg(long, env = "BLINDSCORE_TIMEOUT", value_name = "SECONDS", default_value_t = REQUEST_TIMEOUT.as_secs(), value_parser = value_parser!(u64).range(Connection::SECONDS))]
    pub(crate) timeout: u64,

    /// Time limit of a request in seconds, including all retries and the pauses that a busy server
    /// asks for
    #[arg(long, env = "BLINDSCORE_MAX_WAIT", value_name = "SECONDS", default_value_t = Connection::MAX_WAIT.as_secs(), value_parser = value_parser!(u64).range(Connection::SECONDS))]
    pub(crate) max_wait: u64,
}

#[derive(Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// CSV file with the rows to score
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: PathBuf,

    /// File for the scores; an existing file is replaced, unless it is the input; - is standard
    /// output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Column to copy into the output unchanged, in place of the row's number
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id: Option<String>,

    #[command(flatten)]
    layout: LayoutArgs,

    /// Send nothing if any row can't be scored
    #[arg(long)]
    pub(crate) strict: bool,

    /// Write the model's labels exactly as the server sends them. By default, control characters in
    /// them are escaped, and a label that a spreadsheet would take for a formula gets a leading
    /// apostrophe
    #[arg(long)]
    pub(crate) raw_labels: bool,
}

/// Layout of a CSV file with rows for a model.
#[derive(Args, Default, PartialEq, Eq)]
pub(crate) struct LayoutArgs {
    /// Columns that are not features
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,

    /// Whether the first line names the columns
    #[arg(long, value_name = "yes|no|auto", default_value = "auto", value_parser = str::parse::<HeaderChoice>)]
    header: HeaderChoice,

    /// Take the first line as a row: same as --header no
    #[arg(long, conflicts_with = "header")]
    no_header: bool,

    /// Delimiter of cells: ',', ';' or tab. Default: the one in the first line
    #[arg(long, value_name = "CHARACTER", value_parser = str::parse::<Delimiter>)]
    pub(crate) delimiter: Option<Delimiter>,
}

/// CSV file with rows for a model.
#[derive(Clone, Copy)]
pub(crate) struct CsvFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) layout: &'a LayoutArgs,
    /// Columns that are read as text besides the features.
    pub(crate) beside: &'a [String],
    /// Whether the command has the option `--id`, which messages then mention.
    pub(crate) has_id: bool,
}

impl ConnectionArgs {
    /// Returns the settings of the connection to a server.
    pub(crate) fn to(&self, url: &ServerUrl, token: Option<&str>) -> Connection {
        Connection {
            token: token.map(|token| Zeroizing::new(token.to_owned())),
            ca_cert: self.ca_cert.clone(),
            timeout: Duration::from_secs(self.timeout),
            max_wait: Duration::from_secs(self.max_wait),
            ..Connection::new(url.clone(), Naming::Options)
        }
    }
}

impl ModelArgs {
    /// Returns the settings of the connection to the server.
    pub(crate) fn connection(&self) -> Connection {
        self.connection.to(&self.url, self.token.as_deref())
    }

    /// Returns where the secret key is kept.
    pub(crate) fn key_place(&self) -> KeyPlace {
        self.key.clone().map_or(KeyPlace::Default, KeyPlace::File)
    }

    /// Fetches the model's description, and checks it.
    pub(crate) fn fetch(&self, api: &Api) -> Result<ServedModel, RemoteError> {
        api.model(&self.model, self.model_id.as_ref())
    }
}

impl PredictArgs {
    /// Returns the file to score.
    pub(crate) fn file(&self) -> CsvFile<'_> {
        CsvFile {
            path: &self.csv,
            layout: &self.layout,
            beside: self.id.as_slice(),
            has_id: true,
        }
    }
}

impl LayoutArgs {
    /// Returns the user's choice of how to read the first line.
    pub(crate) fn header(&self) -> HeaderChoice {
        if self.no_header {
            HeaderChoice::No
        } else {
            self.header
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::environment::CLIENT_VARIABLES;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn servers_know_the_variables() {
        let command = Cli::command();
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        let mut used: Vec<_> = arguments.filter_map(clap::Arg::get_env).collect();
        used.sort();
        used.dedup();
        let mut known = CLIENT_VARIABLES.map(std::ffi::OsStr::new);
        known.sort();
        assert_eq!(used, known);
    }
}
