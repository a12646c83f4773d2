//! The `blindscore-server` binary; see [`blindscore_server::cli`].

use std::process::ExitCode;

/// musl's own allocator lets one thread in at a time: docs/measurements.md has what that costs.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match blindscore_server::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
