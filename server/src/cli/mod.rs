//! The command line.

mod config;
pub mod eval;
mod inspect;
mod serve;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use config::Layered;

/// Scores models on data that stays encrypted.
///
/// Clients keep their secret keys, encrypt feature vectors and decrypt scores. This program stores their public
/// keys and computes on ciphertexts; it sees neither inputs nor results.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Every option can also be given by the environment \
    variable shown with it, those of `serve` also by a file; `blindscore-server COMMAND --help` has examples."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Inspect(inspect::InspectArgs),
    Eval(eval::EvalArgs),
}

/// Runs what the command line says.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Inspect(args) => inspect::run(args),
        Command::Eval(args) => eval::run(args),
    }
}

/// Reads the command line again, on top of the configuration file if there is one.
fn serve(args: &serve::ServeArgs) -> anyhow::Result<()> {
    config::refuse_unknown_variables(&Cli::command())?;
    let program = Cli::command();
    let serve = program.find_subcommand("serve").cloned().unwrap_or_default();
    let mut layered = Layered::new(serve);
    if let Some(path) = &args.config {
        layered = layered.with_file(path)?;
    }
    let matches = program
        .mut_subcommand("serve", |_| layered.command())
        .get_matches();
    let Some((_, matches)) = matches.subcommand() else {
        return Ok(());
    };
    if args.print_config {
        print!("{}", layered.describe(matches));
        return Ok(());
    }
    serve::run(serve::ServeArgs::from_arg_matches(matches)?)
}
