//! Program `blindscore`: scores CSV files on a server that can't read them, and makes model files.

mod args;
mod columns;
mod complaint;
mod destination;
mod eval;
mod find;
mod import;
mod inspect;
mod key;
mod label;
mod predict;
mod publish;
mod screen;
mod source;
mod table;
mod types;
mod writer;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// Exit code if some rows could not be scored, but the others were.
const SOME_ROWS_REFUSED: u8 = 3;

fn main() -> ExitCode {
    let fine = |()| ExitCode::SUCCESS;
    let done = match Cli::parse().command {
        Command::Keygen(args) => key::generate(&args).map(fine),
        Command::UploadKeys(args) => key::upload(&args).map(fine),
        Command::Predict(args) => predict::run(&args).map(|refused| match refused {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(SOME_ROWS_REFUSED),
        }),
        Command::Forget(args) => key::forget(&args).map(fine),
        Command::Import(args) => import::run(*args).map(fine),
        Command::Inspect(args) => inspect::run(&args).map(fine),
        Command::Eval(args) => eval::run(&args).map(fine),
        Command::Publish(args) => publish::publish(&args).map(fine),
        Command::Unpublish(args) => publish::unpublish(&args).map(fine),
        Command::Types(args) => types::run(args).map(fine),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", blindscore_remote::text::lines(&format!("{error:#}")));
        ExitCode::FAILURE
    })
}
