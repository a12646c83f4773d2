//! Destinations of results: a file that appears complete or not at all, or a pipe.

use anyhow::{Context, bail, ensure};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

/// Destination of a result.
pub(crate) enum Destination {
    /// File, written under another name and renamed when it is complete.
    File { path: PathBuf, partial: PathBuf },
    /// Standard output.
    Stdout,
    /// Pipe or device, which must not be replaced by a file.
    Stream(PathBuf),
}

impl Destination {
    /// Interprets an option that names a file.
    pub(crate) fn of(out: &Path) -> anyhow::Result<Self> {
        let stdout = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
        if stdout.iter().any(|path| out.as_os_str() == OsStr::new(path)) {
            return Ok(Self::Stdout);
        }
        match fs::metadata(out) {
            Ok(found) if found.is_dir() => bail!("{} is a folder, and a file is needed", out.display()),
            // The target of another file descriptor may look like a file, but must not be replaced
            // either.
            Ok(found) if !found.is_file() || out.starts_with("/dev/fd") || out.starts_with("/proc") => {
                Ok(Self::Stream(out.to_owned()))
            }
            _ => {
                // Resolves a link, so that the link itself is kept.
                let path = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
                let mut partial = path.clone().into_os_string();
                partial.push(".partial");
                Ok(Self::File {
                    path,
                    partial: partial.into(),
                })
            }
        }
    }

    /// Fails if `input` would be replaced.
    pub(crate) fn spare(&self, input: &Path) -> anyhow::Result<()> {
        let Self::File { path, .. } = self else {
            return Ok(());
        };
        ensure!(
            fs::canonicalize(input).ok().as_ref() != Some(path),
            "{} is the input, and would be replaced",
            path.display()
        );
        Ok(())
    }

    /// Opens the draft that collects all lines. A pipe gets nothing earlier: lines that it has
    /// received can't be taken back if the model changes.
    pub(crate) fn draft(&self) -> anyhow::Result<File> {
        match self {
            Self::File { partial, .. } => {
                File::create(partial).with_context(|| format!("can't write {}", partial.display()))
            }
            Self::Stdout | Self::Stream(_) => tempfile::tempfile().context("can't write a temporary file"),
        }
    }

    /// Moves the finished draft to the destination.
    pub(crate) fn take(&self, mut draft: File) -> anyhow::Result<()> {
        let done = match self {
            Self::File { path, partial } => draft.sync_all().and_then(|()| fs::rename(partial, path)),
            Self::Stdout => copy(&mut draft, &mut io::stdout().lock()),
            Self::Stream(path) => {
                let opened = OpenOptions::new().append(true).open(path);
                opened.and_then(|mut stream| copy(&mut draft, &mut stream))
            }
        };
        done.with_context(|| format!("can't write {self}"))
    }

    /// Describes what is left of the output if the run ends after `rows` rows.
    pub(crate) fn rest(&self, rows: u64, flushed: bool) -> String {
        match (rows, self) {
            (0, _) => "no row was scored".to_owned(),
            (_, Self::Stdout | Self::Stream(_)) => format!("nothing was written to {self}"),
            (_, Self::File { partial, .. }) if flushed => {
                format!("the first {rows} rows were scored: {}", name(partial).display())
            }
            _ => format!("the first {rows} rows were scored, and could not be written"),
        }
    }
}

/// Returns a path relative to the current folder, if it is below it.
fn name(path: &Path) -> &Path {
    let here = std::env::current_dir().and_then(fs::canonicalize);
    here.ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => name(path).display().fmt(f),
            Self::Stdout => f.write_str("standard output"),
            Self::Stream(path) => path.display().fmt(f),
        }
    }
}

fn copy(from: &mut File, to: &mut impl Write) -> io::Result<()> {
    from.rewind()?;
    io::copy(from, to)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn write(out: &Path) -> anyhow::Result<()> {
        let destination = Destination::of(out)?;
        let mut draft = destination.draft()?;
        draft.write_all(b"scores\n")?;
        destination.take(draft)
    }

    #[test]
    fn files_are_replaced_whole_and_input_is_spared() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out.csv");
        for _ in 0..2 {
            write(&out).unwrap();
            assert_eq!(fs::read(&out).unwrap(), b"scores\n");
        }
        let destination = Destination::of(&out).unwrap();
        assert!(destination.spare(&dir.path().join("rows.csv")).is_ok());
        assert!(destination.spare(&dir.path().join("./out.csv")).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(Destination::of(dir.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.csv"), dir.path().join("link.csv"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"scores\n");
        write(Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        for out in ["-", "/dev/stdout"] {
            assert!(matches!(Destination::of(Path::new(out)), Ok(Destination::Stdout)));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_gets_all_of_it() {
        use std::os::unix::fs::FileTypeExt;
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let path = pipe.clone();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            File::open(path).unwrap().read_to_string(&mut text).unwrap();
            text
        });
        write(&pipe).unwrap();
        assert_eq!(reader.join().unwrap(), "scores\n");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
