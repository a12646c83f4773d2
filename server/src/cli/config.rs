//! Configuration of `serve`: flags, then `BLINDSCORE_*` variables, then a TOML file, then defaults.
//!
//! Values in the file become defaults of the command line, so that one parser reads everything.

use anyhow::{Context, bail, ensure};
use blindscore_protocol::environment::{CLIENT_VARIABLES, PREFIX};
use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// Placeholder for secret values.
const REDACTED: &str = "REDACTED";
/// Meta options, not settable from a file.
const ABOUT_CONFIGURATION: [&str; 3] = ["config", "print-config", "help"];

/// A command whose defaults can come from a file.
pub(super) struct Layered {
    /// Command without the file's defaults.
    original: Command,
    command: Command,
    file: Option<PathBuf>,
    in_file: BTreeSet<String>,
}

impl Layered {
    /// Wraps a command, without a file yet.
    pub(super) fn new(command: Command) -> Self {
        Self {
            original: command.clone(),
            command,
            file: None,
            in_file: BTreeSet::new(),
        }
    }

    /// Reads options from a TOML file. They have the names of the flags.
    ///
    /// # Errors
    /// Fails if the file can't be read, or has an unknown option or a value that the flag would
    /// reject.
    pub(super) fn with_file(mut self, path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
        let table: toml::Table = text.parse().with_context(|| format!("{name} is not TOML"))?;
        for (key, value) in table {
            let Some(id) = settable(&self.command)
                .find(|arg| arg.get_long() == Some(&key))
                .map(|arg| arg.get_id().clone())
            else {
                bail!("{name}: there is no option {key:?}");
            };
            let texts = texts(&value).with_context(|| format!("{name}: {key}"))?;
            self.check(&key, &texts)
                .with_context(|| format!("{name}: {key}"))?;
            self.command = self.command.mut_arg(id, |arg| arg.default_values(texts));
            self.in_file.insert(key);
        }
        self.file = Some(path.to_owned());
        Ok(self)
    }

    /// Checks that the flag accepts these values.
    fn check(&self, key: &str, texts: &[String]) -> anyhow::Result<()> {
        let program = self.command.get_name().to_owned();
        let flags = texts.iter().map(|text| format!("--{key}={text}"));
        let line = std::iter::once(program).chain(flags);
        let Err(error) = self.command.clone().try_get_matches_from(line) else {
            return Ok(());
        };
        let words = error.to_string();
        bail!(
            "{}",
            words
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ")
        )
    }

    /// Returns the command with the file's defaults, for parsing.
    pub(super) fn command(&self) -> Command {
        self.command.clone()
    }

    /// Returns the configuration in force as TOML, with the source of each value. Secrets are
    /// redacted.
    pub(super) fn describe(&self, matches: &ArgMatches) -> String {
        let mut lines = String::new();
        for arg in settable(&self.original) {
            let (Some(name), id) = (arg.get_long(), arg.get_id().as_str()) else {
                continue;
            };
            let values: Vec<String> = matches
                .get_raw(id)
                .into_iter()
                .flatten()
                .map(|value| literal(&redacted(name, &value.to_string_lossy())))
                .collect();
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => "flag".to_owned(),
                Some(ValueSource::EnvVariable) => "environment".to_owned(),
                _ if self.in_file.contains(name) => match &self.file {
                    Some(file) => file.display().to_string(),
                    None => "file".to_owned(),
                },
                _ => "default".to_owned(),
            };
            let value = match (is_list(arg), values.first()) {
                (true, _) => format!("[{}]", values.join(", ")),
                (false, Some(value)) => value.clone(),
                (false, None) => {
                    lines += &format!("# {name} is not set\n");
                    continue;
                }
            };
            lines += &format!("{name} = {value} # {source}\n");
        }
        lines
    }
}

/// Refuses unknown variables with this program's prefix, most likely misspelt options.
pub(super) fn refuse_unknown_variables(program: &Command) -> anyhow::Result<()> {
    let known: BTreeSet<_> = program
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter_map(Arg::get_env)
        .collect();
    for (name, _) in env::vars_os() {
        let ours = name.to_string_lossy().starts_with(PREFIX);
        ensure!(
            !ours
                || known.contains(name.as_os_str())
                || CLIENT_VARIABLES.iter().any(|client| *client == name),
            "there is no option for the environment variable {}",
            name.to_string_lossy()
        );
    }
    Ok(())
}

/// Returns the options that a file may set.
fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        arg.get_long()
            .is_some_and(|long| !ABOUT_CONFIGURATION.contains(&long))
    })
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Converts a TOML value to command-line arguments.
fn texts(value: &toml::Value) -> anyhow::Result<Vec<String>> {
    Ok(match value {
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => vec![value.to_string()],
        toml::Value::Array(values) => {
            let texts: Result<Vec<_>, _> = values.iter().map(texts).collect();
            texts?.concat()
        }
        other => bail!("a {} can't be the value of an option", other.type_str()),
    })
}

/// Formats text as a TOML value; numbers and booleans stay unquoted.
fn literal(text: &str) -> String {
    match text {
        "true" | "false" => text.to_owned(),
        _ if text.parse::<i64>().is_ok() => text.to_owned(),
        _ => toml::Value::from(text).to_string(),
    }
}

/// Returns an option's value with secrets redacted.
fn redacted(name: &str, value: &str) -> String {
    match name {
        "store-options" | "otlp-headers" => match value.split_once('=') {
            Some((key, _)) => format!("{key}={REDACTED}"),
            None => REDACTED.to_owned(),
        },
        "store" | "models" | "tokens" | "share" | "otlp-endpoint" => match url::Url::parse(value) {
            Ok(mut url) => {
                // These fail only for URLs without a host, which have neither a user name nor a
                // password.
                if !url.username().is_empty() {
                    let _ = url.set_username(REDACTED);
                }
                if url.password().is_some() {
                    let _ = url.set_password(Some(REDACTED));
                }
                if url.query().is_some() {
                    url.set_query(Some(REDACTED));
                }
                url.to_string()
            }
            Err(_) => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}
