//! Tarballs whose bytes depend on nothing but names, contents and one time.

use anyhow::{Context, ensure};
use flate2::{Compression, GzBuilder};
use std::{fs, io, path::Path};
use tar::{Builder, EntryType, Header};

/// A file of a tarball.
pub(super) struct Entry<'a> {
    /// Its name, in the tarball's folder.
    pub(super) name: &'a str,
    /// Where its bytes are.
    pub(super) source: &'a Path,
    /// Whether it may be run.
    pub(super) runs: bool,
}

/// Packs files into one folder of a tarball, sorted by name, as root's, with one time in seconds
/// since 1970.
pub(super) fn pack(archive: &Path, folder: &str, mut entries: Vec<Entry>, time: u64) -> anyhow::Result<()> {
    entries.sort_by_key(|entry| entry.name);
    let file = fs::File::create(archive).with_context(|| format!("creating {}", archive.display()))?;
    // Without a name and a time of its own.
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(io::BufWriter::new(file), Compression::best());
    let mut tarball = Builder::new(gzip);
    let mut last = None;
    for entry in entries {
        ensure!(
            last.replace(entry.name) != Some(entry.name),
            "{} is there twice",
            entry.name
        );
        let source = entry.source.display();
        let file = fs::File::open(entry.source).with_context(|| format!("opening {source}"))?;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(file.metadata()?.len());
        header.set_mode(if entry.runs { 0o755 } else { 0o644 });
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        tarball
            .append_data(&mut header, format!("{folder}/{}", entry.name), file)
            .with_context(|| format!("packing {source}"))?;
    }
    let written = tarball.into_inner()?.finish()?;
    written.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        path::PathBuf,
        process,
        time::{Duration, SystemTime},
    };

    const TIME: u64 = 1_700_000_000;

    /// An empty folder that is removed on drop.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("blindscore-{name}-{}", process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            Self(folder)
        }

        /// Packs two files that were written at some time, in some order.
        fn packed(&self, age: u64, backwards: bool) -> Vec<u8> {
            let [program, text] = ["program", "text"].map(|name| self.0.join(name));
            for (path, bytes) in [(&program, "runs"), (&text, "reads")] {
                fs::write(path, bytes).expect("a file");
                let file = fs::File::options().write(true).open(path).expect("a file");
                file.set_modified(SystemTime::now() - Duration::from_secs(age))
                    .expect("a time");
            }
            let entry = |name, source, runs| Entry { name, source, runs };
            let mut entries = vec![entry("program", &program, true), entry("text", &text, false)];
            if backwards {
                entries.reverse();
            }
            let archive = self.0.join("archive.tar.gz");
            pack(&archive, "folder", entries, TIME).expect("a tarball");
            fs::read(archive).expect("a tarball")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_tarball_that_is_packed_twice_has_the_same_bytes() {
        let scratch = Scratch::new("same-bytes");
        assert_eq!(scratch.packed(0, false), scratch.packed(100_000, true));
    }

    #[test]
    fn a_tarball_has_files_of_root_with_the_time_of_the_commit() {
        let scratch = Scratch::new("headers");
        let packed = scratch.packed(0, true);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let found: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let header = entry.header();
                let path = entry.path().expect("a path").display().to_string();
                let numbers =
                    [header.uid(), header.gid(), header.mtime()].map(|number| number.expect("a number"));
                (path, header.mode().expect("a mode"), numbers)
            })
            .collect();
        let expected = [("folder/program", 0o755), ("folder/text", 0o644)]
            .map(|(path, mode)| (path.to_owned(), mode, [0, 0, TIME]));
        assert_eq!(found, expected);
    }
}
