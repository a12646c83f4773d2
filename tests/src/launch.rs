//! How a server is started and found, for the tests and for xtask, which has this file by its path.

use std::{
    env,
    io::{self, BufRead, BufReader},
    process::{ChildStdout, Command},
    thread,
};

/// Takes the options of this process's environment out of the child's: a test decides on its own.
pub(crate) fn without_options(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("BLINDSCORE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Waits until a server listens, and returns its URL, `http://address:port`.
///
/// # Errors
/// Fails if the server ends first, or prints something else.
pub(crate) fn listening(output: ChildStdout) -> io::Result<String> {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line)?;
    let Some(url) = line.trim().strip_prefix("listening on ") else {
        return Err(io::Error::other(format!(
            "the server should have said where it listens, and said {line:?}"
        )));
    };
    let url = url.to_owned();
    // Nobody reads on, and a full pipe would make the server wait.
    thread::spawn(move || io::copy(&mut output, &mut io::sink()));
    Ok(url)
}
