//! The image, started by buildah.

use super::{builder::Buildah, folder};
use crate::launch::{listening, without_options};
use anyhow::{Context, ensure};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Folders that buildah mounts others on, and can't make in a file system that is read-only.
const FOLDERS: [&str; 5] = ["dev", "etc", "proc", "run", "sys"];
/// Files that it mounts others on.
const FILES: [&str; 4] = [
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "run/.containerenv",
];
/// What `unshare` runs: the container in a file system that is read-only but for its volumes.
const READ_ONLY: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";

/// The server in a container, which is removed on drop.
pub(super) struct Running<'a> {
    buildah: &'a Buildah,
    container: String,
    process: Child,
    /// Id of the server's process.
    pid: u32,
    /// Address that it listens on.
    pub(super) address: String,
    /// Time from the start of buildah until it listened.
    pub(super) took: Duration,
}

impl<'a> Running<'a> {
    /// Starts the image's command as the image's user, with a root file system that is read-only.
    pub(super) fn start(buildah: &'a Buildah, image: &str) -> anyhow::Result<Self> {
        let container = buildah.output(&["from", "--pull-never", image])?;
        let root = buildah.output(&["mount", &container])?;
        let root = Path::new(&root);
        for name in FOLDERS {
            fs::create_dir_all(root.join(name))?;
        }
        for name in FILES {
            fs::write(root.join(name), "")?;
        }
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        // Not shown: as it ends, buildah 1.28 can't tidy up in a file system that is read-only, and
        // says so at length.
        let log = folder()?.join("log");
        let mut command = without_options(Command::new("unshare"));
        command
            .args(["--mount", "sh", "-c", READ_ONLY])
            .arg(root)
            .arg(buildah.command().get_program())
            .args(buildah.command().get_args())
            .args(["run", "--isolation", "chroot"])
            .args(["--env", &format!("BLINDSCORE_BIND={address}"), &container, "--"])
            .args(words(buildah, image, ".OCIv1.Config.Entrypoint")?)
            .args(words(buildah, image, ".OCIv1.Config.Cmd")?)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?);
        let started = Instant::now();
        let mut process = command.spawn().context("can't start unshare")?;
        let output = process.stdout.take().context("the server has no output")?;
        let mut running = Self {
            buildah,
            container,
            process,
            pid: 0,
            address,
            took: Duration::ZERO,
        };
        listening(output).with_context(|| format!("{} has what it said", log.display()))?;
        running.took = started.elapsed();
        running.pid = last_child(running.process.id())?;
        Ok(running)
    }

    /// Runs the image's health check beside the server, and returns whether it passes.
    pub(super) fn healthy(&self, image: &str) -> anyhow::Result<bool> {
        let check = words(self.buildah, image, ".Docker.Config.Healthcheck.Test")?;
        let (kind, check) = check.split_first().context("the image has no health check")?;
        ensure!(kind == "CMD", "the health check is {kind}, and there is no shell");
        let mut command = self.buildah.command();
        let variable = format!("BLINDSCORE_BIND={}", self.address);
        command.args(["run", "--isolation", "chroot", "--env", &variable]);
        let ended = command
            .args([&self.container, "--"])
            .args(check)
            .stderr(Stdio::null())
            .output()?;
        Ok(ended.status.success() && ended.stdout == b"ready\n")
    }

    /// Returns a file about the server's process.
    pub(super) fn process(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{name}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }

    /// Tells the server to stop, and fails if it hasn't stopped soon.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        ensure!(
            Command::new("kill").args(["-TERM", &pid]).status()?.success(),
            "the server has ended already"
        );
        for _ in 0..100 {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the server doesn't stop when it is told to")
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Each of these fails if there is nothing left to end or remove.
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = last_child(self.process.id())
                .map(|pid| Command::new("kill").args(["-KILL", &pid.to_string()]).status());
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        let _ = self.buildah.output(&["rm", &self.container]);
    }
}

/// Returns a list of words of the image's configuration.
pub(super) fn words(buildah: &Buildah, image: &str, list: &str) -> anyhow::Result<Vec<String>> {
    let format = format!("{{{{range {list}}}}}{{{{println .}}}}{{{{end}}}}");
    let text = buildah.output(&["inspect", "--type", "image", "--format", &format, image])?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Returns the last of a chain of processes, each the only child of the one before.
fn last_child(mut pid: u32) -> anyhow::Result<u32> {
    loop {
        let mut children = Vec::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(task?.path().join("children"))?;
            children.extend(text.split_whitespace().map(str::to_owned));
        }
        match children.as_slice() {
            [] => return Ok(pid),
            [only] => pid = only.parse()?,
            _ => anyhow::bail!("process {pid} has {} children", children.len()),
        }
    }
}
