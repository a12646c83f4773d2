//! The command line.

pub mod eval;
mod inspect;
mod serve;

use clap::{Parser, Subcommand};

/// Scores models on data that stays encrypted.
///
/// Clients keep their secret keys, encrypt feature vectors and decrypt scores. This program stores their public
/// keys and computes on ciphertexts; it sees neither inputs nor results.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Every option can also be given by the environment \
    variable shown with it; `blindscore-server COMMAND --help` has examples."
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
        Command::Serve(args) => serve::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Eval(args) => eval::run(args),
    }
}
