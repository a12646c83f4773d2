//! Descriptors that were fetched before, each with its `ETag`. A server that still has the same one
//! answers 304 instead of up to 4 MB.
//!
//! A cache is a convenience: what can't be read or written is as if it weren't there. What is read
//! is checked as an answer of the server is.

use crate::{ServerUrl, keyfile::folder};
use blindscore_protocol::{descriptor::DESCRIPTOR_BYTES, name::ModelAddress};
use etcetera::{BaseStrategy, choose_base_strategy};
use std::{
    fs::{self, DirEntry, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use tempfile::NamedTempFile;

/// Longest `ETag` that is kept, in bytes.
const TAG_BYTES: usize = 200;
/// Longest server's address that is kept, in bytes.
const ADDRESS_BYTES: usize = 2_000;
/// Most descriptors kept, of all servers.
const MOST: usize = 64;

/// Place of one model's descriptor.
pub(crate) struct Cache {
    path: PathBuf,
    /// Address of the server, because two may have folders of one name.
    address: String,
}

/// A descriptor as the server sent it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) tag: String,
    pub(crate) json: Vec<u8>,
}

impl Cache {
    /// Returns the place for a model's descriptor; `None` without a home directory.
    pub(crate) fn of(url: &ServerUrl, model: &ModelAddress) -> Option<Self> {
        let folder = choose_base_strategy()
            .ok()?
            .cache_dir()
            .join("blindscore/descriptors");
        Some(Self::within(&folder, url.as_str(), &model.to_string()))
    }

    fn within(parent: &Path, url: &str, model: &str) -> Self {
        Self {
            path: parent.join(format!("{}-{model}.json", folder(url))),
            address: url.to_owned(),
        }
    }

    /// Reads the descriptor. The file has the server's address, the `ETag` and the JSON, a line
    /// each.
    pub(crate) fn read(&self) -> Option<Kept> {
        let most = DESCRIPTOR_BYTES + ADDRESS_BYTES + TAG_BYTES + 2;
        let mut content = Vec::new();
        let file = File::open(&self.path).ok()?;
        file.metadata().ok().filter(|metadata| metadata.is_file())?;
        file.take(most as u64 + 1).read_to_end(&mut content).ok()?;
        let mut lines = content.splitn(3, |byte| *byte == b'\n');
        let (address, tag, json) = (lines.next()?, lines.next()?, lines.next()?);
        let tag = std::str::from_utf8(tag).ok().filter(|tag| is_tag(tag))?;
        (address == self.address.as_bytes() && json.len() <= DESCRIPTOR_BYTES).then(|| Kept {
            tag: tag.to_owned(),
            json: json.to_vec(),
        })
    }

    /// Keeps a descriptor in place of an earlier one, and no more than [`MOST`] of all.
    pub(crate) fn write(&self, tag: &str, json: &[u8]) {
        let fits = self.address.len() <= ADDRESS_BYTES && json.len() <= DESCRIPTOR_BYTES;
        if is_tag(tag) && fits && !self.address.contains('\n') {
            // Without it, the descriptor is fetched again.
            let _ = self.store(tag, json);
        }
    }

    fn store(&self, tag: &str, json: &[u8]) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        // Complete or absent: others may read it meanwhile.
        let mut file = NamedTempFile::new_in(parent)?;
        file.write_all(&[self.address.as_bytes(), b"\n", tag.as_bytes(), b"\n", json].concat())?;
        file.persist(&self.path)?;
        remove_oldest(parent)
    }

    /// Removes the descriptor.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the files that were written first, until there are no more than [`MOST`].
fn remove_oldest(parent: &Path) -> io::Result<()> {
    let age = |entry: DirEntry| -> io::Result<(SystemTime, PathBuf)> {
        Ok((entry.metadata()?.modified()?, entry.path()))
    };
    let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(parent)?
        .filter_map(|entry| age(entry.ok()?).ok())
        .collect();
    files.sort();
    for (_, path) in files.iter().take(files.len().saturating_sub(MOST)) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Returns whether a text can stand in `If-None-Match`.
fn is_tag(text: &str) -> bool {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    text.len() <= TAG_BYTES
        && quoted.len() >= 2
        && quoted.starts_with('"')
        && quoted.ends_with('"')
        && quoted[1..quoted.len() - 1]
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"1a2b\"";

    #[test]
    fn what_is_written_is_read_for_the_same_server_and_model_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |url: &str, model: &str| Cache::within(&dir.path().join("new/folder"), url, model);
        let cache = at("http://a.example", "churn");
        assert_eq!(cache.read(), None);
        cache.write(TAG, b"{\n}");
        cache.write("W/\"2\"", b"{\n1}");
        let kept = cache.read().unwrap();
        assert_eq!((kept.tag.as_str(), &kept.json[..]), ("W/\"2\"", &b"{\n1}"[..]));
        // The same file name, and another server.
        assert_eq!(at("https://A.example", "churn").read(), None);
        assert_eq!(at("http://a.example", "churn@1").read(), None);
        cache.remove();
        assert_eq!(cache.read(), None);
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::within(dir.path(), "http://a", "m");
        let long = [b"http://a\n\"1\"\n".to_vec(), vec![b' '; DESCRIPTOR_BYTES + 1]].concat();
        for content in [
            &b""[..],
            b"http://a\n\"1\"",
            b"http://a\n1\n{}",
            b"http://a\n\"\xff\"\n{}",
            &long,
        ] {
            fs::write(&cache.path, content).unwrap();
            assert_eq!(cache.read(), None);
        }
        fs::remove_file(&cache.path).unwrap();
        fs::create_dir(&cache.path).unwrap();
        assert_eq!(cache.read(), None);
        cache.write(TAG, b"{}");
        for tag in [
            "",
            "1",
            "\"",
            "\"a b\"",
            "\"a\r\n\"",
            &format!("\"{}\"", "x".repeat(TAG_BYTES)),
        ] {
            assert!(!is_tag(tag), "{tag:?}");
        }
        let other = Cache::within(dir.path(), "http://a", "other");
        other.write("1", b"{}");
        assert_eq!(other.read(), None);
    }

    #[test]
    fn no_more_than_some_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for model in 0..MOST + 6 {
            Cache::within(dir.path(), "http://a", &model.to_string()).write(TAG, b"{}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MOST);
        let last = Cache::within(dir.path(), "http://a", &(MOST + 5).to_string());
        assert!(last.read().is_some());
    }
}
