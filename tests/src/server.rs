//! Runs the real server as a child process.

use crate::{
    Api,
    launch::{listening, without_options},
    program::built,
};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use tempfile::TempDir;

/// A server on a free port with a data directory of its own, killed on drop.
pub struct Server {
    process: Child,
    url: String,
    data: Arc<TempDir>,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// Starts a server with an empty data directory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with an empty data directory and these arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let data = TempDir::new().expect("a temporary directory");
        Self::launch(Arc::new(data), arguments)
    }

    /// Kills the server and starts another on the same data.
    pub fn restart(self) -> Self {
        let data = self.data.clone();
        drop(self);
        Self::launch(data, &[])
    }

    /// Starts another server on the same data.
    pub fn replica(&self, arguments: &[&str]) -> Self {
        Self::launch(self.data.clone(), arguments)
    }

    /// Starts a server on an existing data directory.
    pub fn on(data: Arc<TempDir>, arguments: &[&str]) -> Self {
        Self::launch(data, arguments)
    }

    /// Starts a server whose allocator reserves addresses for one heap only, and not for a heap of
    /// each thread, so that its addresses show what requests have allocated. Needs glibc.
    pub fn with_one_heap() -> Self {
        let data = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut command = blindscore_server();
        command.env("MALLOC_ARENA_MAX", "1");
        Self::launch_as(command, data, &[])
    }

    /// Starts a server with a variable in its environment, and these arguments.
    pub fn start_among((name, value): (&str, &str), arguments: &[&str]) -> Self {
        let data = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut command = blindscore_server();
        command.env(name, value);
        Self::launch_as(command, data, arguments)
    }

    /// Starts a server whose data directory is a file system of its own with `bytes` bytes of
    /// space. Needs Linux, where users may mount file systems for themselves.
    pub fn on_small_disk(bytes: usize) -> Self {
        let data = Arc::new(TempDir::new().expect("a temporary directory"));
        // The mount is private to this process, and is gone when it ends.
        let script = format!("mount -t tmpfs -o size={bytes} none \"$0\" && exec \"$@\"");
        let mut mounted = Command::new("unshare");
        mounted
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(data.path())
            .arg(built("blindscore-server", "BLINDSCORE_SERVER_BIN"));
        Self::launch_as(without_options(mounted), data, &[])
    }

    fn launch(data: Arc<TempDir>, arguments: &[&str]) -> Self {
        Self::launch_as(blindscore_server(), data, arguments)
    }

    fn launch_as(mut command: Command, data: Arc<TempDir>, arguments: &[&str]) -> Self {
        let mut process = command
            .arg("serve")
            // As environment variables, so that arguments override them.
            .env("BLINDSCORE_BIND", "127.0.0.1:0")
            .env("BLINDSCORE_DATA_DIR", data.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server binary starts");
        let stderr = process.stderr.take().expect("stderr is piped");
        let stdout = process.stdout.take().expect("stdout is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = log.clone();
        thread::spawn(move || collect(stderr, &sink));

        let mut server = Self {
            process,
            url: String::new(),
            data,
            log,
        };
        match listening(stdout) {
            Ok(url) => server.url = url,
            Err(error) => panic!("the server did not start: {error}, log:\n{}", server.log()),
        }
        server
    }

    /// Returns the URL, `http://address:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates an HTTP client for the server.
    pub fn api(&self) -> Api {
        Api::new(&self.url)
    }

    /// Returns the directory of stored keys.
    pub fn keys_dir(&self) -> PathBuf {
        self.data.path().join("keys")
    }

    /// Lists the names of the key files, including temporary ones.
    pub fn stored_files(&self) -> Vec<String> {
        let entries = self.keys_dir().read_dir().expect("the key directory");
        let names = entries.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        });
        names.filter(|name| name != "probe" && name != "lock").collect()
    }

    /// Returns the process's current or peak resident memory in bytes, as counted by Linux
    /// (`VmRSS`, `VmHWM`).
    pub fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the process lives, on Linux");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kilobytes.expect("a field in kB") * 1024
    }

    /// Returns the number of open files, including connections.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(path)
            .expect("the process lives, on Linux")
            .count()
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Checks that the process is still running.
    pub fn assert_alive(&mut self) {
        let ended = self.process.try_wait().expect("the process can be asked");
        assert!(
            ended.is_none(),
            "the server ended: {ended:?}, log:\n{}",
            self.log()
        );
    }

    /// Sends SIGTERM and waits for the process to end.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill runs");
        assert!(sent.success());
        self.process.wait().expect("the process ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if the process has ended by itself, which is fine here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a command for the program `blindscore-server`, without options from this process's
/// environment.
pub fn blindscore_server() -> Command {
    without_options(Command::new(built("blindscore-server", "BLINDSCORE_SERVER_BIN")))
}

/// Creates a token of a tenant, for servers on this data directory.
///
/// # Errors
/// Fails if the server program doesn't create one.
pub fn token(data: &Path, tenant: &str) -> anyhow::Result<String> {
    create_token(data, &[tenant])
}

/// Creates an operator's token, for servers on this data directory.
///
/// # Errors
/// Fails if the server program doesn't create one.
pub fn operator_token(data: &Path) -> anyhow::Result<String> {
    create_token(data, &["operator", "--operator"])
}

/// Creates a token for monitoring, for servers on this data directory.
///
/// # Errors
/// Fails if the server program doesn't create one.
pub fn monitor_token(data: &Path) -> anyhow::Result<String> {
    create_token(data, &["prometheus", "--monitor"])
}

fn create_token(data: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = blindscore_server()
        .args(["token", "create"])
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .output()?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn collect(mut source: impl Read, sink: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = source.read(&mut buffer) {
        sink.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(&buffer[..count]);
    }
}
