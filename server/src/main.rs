//! The `blindscore-server` binary; see [`blindscore_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    match blindscore_server::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
