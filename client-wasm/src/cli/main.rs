//! The program `blindscore`: scores a whole CSV file on a server that can't read it.

mod api;
mod args;
mod columns;
mod http;
mod key;
mod keyfile;
mod predict;
mod screen;
mod table;
mod writer;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Keygen(args) => key::generate(&args),
        Command::UploadKeys(args) => key::upload(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Forget(args) => key::forget(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
