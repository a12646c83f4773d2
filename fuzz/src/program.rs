//! Runs the real programs on an input.

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Limit on a program's address space in KiB.
const MEMORY: u64 = 2 << 20;
/// Time limit of a run on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Result of a run.
pub(crate) struct Ended {
    /// Exit code, or `None` if the program was stopped while it waited to retry.
    pub(crate) code: Option<i32>,
    pub(crate) complaint: String,
}

/// Runs one of our programs to its end.
///
/// # Panics
/// Panics if the program panics, is killed by a signal, or still runs after [`PATIENCE`].
pub(crate) fn run(name: &str, arguments: &[&str]) -> Ended {
    let programs = PathBuf::from(env::var_os("FUZZ_PROGRAMS").expect("FUZZ_PROGRAMS is set"));
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let heard = scratch.path().join("stderr");
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v \"$0\"; exec \"$@\"", &MEMORY.to_string()])
        .arg(programs.join(name))
        .args(arguments)
        .env_clear()
        .env("HOME", scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&heard).expect("a file"))
        .spawn()
        .expect("the program starts");
    let started = Instant::now();
    let read = || String::from_utf8_lossy(&fs::read(&heard).unwrap_or_default()).into_owned();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            let complaint = read();
            let sound = status.code().is_some_and(|code| code != 101) && !complaint.contains("panicked at");
            assert!(sound, "{name} {arguments:?} ended with {status}: {complaint}");
            return Ended {
                code: status.code(),
                complaint,
            };
        }
        let complaint = || read().lines().last().unwrap_or_default().to_owned();
        let waits = started.elapsed() > Duration::from_secs(1) && complaint().contains("trying again");
        if waits || started.elapsed() > PATIENCE {
            // Fails if the program has exited in the meantime, which is fine.
            let _ = child.kill();
            let _ = child.wait();
            assert!(waits, "{name} {arguments:?} still runs: {}", read());
            return Ended {
                code: None,
                complaint: read(),
            };
        }
        thread::sleep(Duration::from_millis(1));
    }
}
