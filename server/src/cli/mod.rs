//! Command line of the server.

mod config;
mod healthy;
mod serve;
mod token;
mod values;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use config::Layered;
use std::{ffi::OsString, path::PathBuf};

/// Scores models on data that stays encrypted.
///
/// Clients keep their secret keys, encrypt feature vectors and decrypt scores. This program stores
/// their public keys and computes on ciphertexts; it sees neither inputs nor results.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Every option can also be given by the environment \
    variable shown with it, those of `serve` also by a file; `blindscore-server COMMAND --help` has examples. The program \
    `blindscore` makes, shows and measures model files: `blindscore import --help`."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Token(token::TokenArgs),
    Healthy(healthy::HealthyArgs),
}

/// Runs the subcommand given on the command line.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(_) => {
            let (layered, matches) = configuration(std::env::args_os().skip(2))?;
            let args = serve::ServeArgs::from_arg_matches(&matches)?;
            if args.print_config {
                print!("{}", layered.describe(&matches));
                return Ok(());
            }
            serve::run(args)
        }
        Command::Token(args) => {
            let (_, matches) = configuration(args.as_for_serve())?;
            token::run(args, &serve::ServeArgs::from_arg_matches(&matches)?)
        }
        Command::Healthy(args) => {
            let (_, matches) = configuration(args.as_for_serve())?;
            healthy::run(&args, &serve::ServeArgs::from_arg_matches(&matches)?)
        }
    }
}

/// Reads the options of `serve` from flags, the environment and the configuration file that one of
/// them names.
fn configuration(flags: impl IntoIterator<Item = OsString>) -> anyhow::Result<(Layered, clap::ArgMatches)> {
    config::refuse_unknown_variables(&Cli::command())?;
    let command = Cli::command()
        .find_subcommand("serve")
        .cloned()
        .unwrap_or_default();
    let command = command.bin_name("blindscore-server serve");
    let line: Vec<OsString> = std::iter::once("serve".into()).chain(flags).collect();
    let first = command.clone().get_matches_from(&line);
    let mut layered = Layered::new(command);
    if let Some(path) = first.get_one::<PathBuf>("config") {
        layered = layered.with_file(path)?;
    }
    let matches = layered.command().get_matches_from(line);
    Ok((layered, matches))
}
