//! The files of an instance, in the folders that the harness measures.

use crate::error::Error;
use blindscore_engine::files;
use clap::ValueEnum;
use serde::Serialize;
use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Largest number of images in an instance.
const IMAGES: usize = 10_000;

/// Size of an instance. The harness passes its number.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// One image.
    #[value(name = "0", alias = "single")]
    Single,
    /// 100 images; 15 in earlier versions of the harness.
    #[value(name = "1", alias = "small")]
    Small,
    /// 1,000 images.
    #[value(name = "2", alias = "medium")]
    Medium,
    /// 10,000 images.
    #[value(name = "3", alias = "large")]
    Large,
}

impl Size {
    /// Returns the name of the instance's folders.
    fn folder(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// Returns how many images there may be. The file of images says how many of a batch there are,
    /// since the harness has changed its numbers.
    pub(crate) fn images(self) -> RangeInclusive<usize> {
        match self {
            Self::Single => 1..=1,
            Self::Small | Self::Medium | Self::Large => 1..=IMAGES,
        }
    }
}

/// Places of an instance's files.
pub(crate) struct Instance {
    /// Size of the instance.
    pub(crate) size: Size,
    data: PathBuf,
    io: PathBuf,
}

impl Instance {
    /// Returns the places below the harness's folder.
    pub(crate) fn new(root: &Path, size: Size) -> Self {
        Self {
            size,
            data: root.join("datasets").join(size.folder()),
            io: root.join("io").join(size.folder()),
        }
    }

    /// Returns the file of images, which the harness writes.
    pub(crate) fn pixels(&self) -> PathBuf {
        self.data.join("intermediate/test_pixels.txt")
    }

    /// Returns the file of images as they are encrypted. It stays with the client.
    pub(crate) fn prepared_pixels(&self) -> PathBuf {
        self.io.join("intermediate/prepared_pixels.txt")
    }

    /// Returns the evaluation key's file, which goes to the server.
    pub(crate) fn evaluation_key(&self) -> PathBuf {
        self.io.join("public_keys/evaluation_key.bin")
    }

    /// Returns the secret key's file, which stays with the client.
    pub(crate) fn secret_key(&self) -> PathBuf {
        self.io.join("secret_key/secret_key.bin")
    }

    /// Returns the queries, which go to the server.
    pub(crate) fn queries(&self) -> Ciphertexts {
        Ciphertexts {
            folder: self.io.join("ciphertexts_upload"),
            prefix: "query",
            stage: "client_encode_encrypt_input",
        }
    }

    /// Returns the responses, which go to the client.
    pub(crate) fn responses(&self) -> Ciphertexts {
        Ciphertexts {
            folder: self.io.join("ciphertexts_download"),
            prefix: "response",
            stage: "server_encrypted_compute",
        }
    }

    /// Returns the file of decrypted scores. It stays with the client.
    pub(crate) fn scores(&self) -> PathBuf {
        self.io.join("intermediate/scores.txt")
    }

    /// Returns the file of digits, which the harness compares with the labels.
    pub(crate) fn predictions(&self) -> PathBuf {
        self.io.join("encrypted_model_predictions.txt")
    }

    /// Returns the file of the server's own times, which the harness adds to its report.
    pub(crate) fn server_steps(&self) -> PathBuf {
        self.io.join("server_reported_steps.json")
    }
}

/// Folder of numbered ciphertexts, one for each image.
pub(crate) struct Ciphertexts {
    folder: PathBuf,
    prefix: &'static str,
    /// Stage that writes them.
    pub(crate) stage: &'static str,
}

impl Ciphertexts {
    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{}_{index}.bin", self.prefix))
    }

    /// Writes ciphertexts in place of those of an earlier run.
    pub(crate) fn write(&self, blobs: &[Vec<u8>]) -> Result<(), Error> {
        match fs::remove_dir_all(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&self.folder, source));
            }
            _ => {}
        }
        fs::create_dir_all(&self.folder).map_err(|source| failed(&self.folder, source))?;
        for (index, blob) in blobs.iter().enumerate() {
            let path = self.path(index);
            fs::write(&path, blob).map_err(|source| failed(&path, source))?;
        }
        Ok(())
    }

    /// Returns the files, in the order of the images.
    pub(crate) fn files(&self, size: Size) -> Result<Vec<PathBuf>, Error> {
        let found =
            fs::read_dir(&self.folder).map_err(|source| missing_or(&self.folder, self.stage, source))?;
        let found = found
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(|source| failed(&self.folder, source))?;
        let files: Vec<PathBuf> = (0..found.len()).map(|index| self.path(index)).collect();
        let expected: HashSet<&PathBuf> = files.iter().collect();
        if let Some(stray) = found.iter().find(|path| !expected.contains(path)) {
            return Err(Error::Stray { path: stray.clone() });
        }
        let allowed = size.images();
        if !allowed.contains(&files.len()) {
            return Err(Error::Count {
                path: self.folder.clone(),
                what: "ciphertexts",
                found: files.len(),
                allowed: format!("there are {} to {} images", allowed.start(), allowed.end()),
            });
        }
        Ok(files)
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

fn missing_or(path: &Path, stage: &'static str, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        let path = path.to_owned();
        Error::Missing { path, stage }
    } else {
        failed(path, source)
    }
}

/// Reads a blob whose length is known: its length is checked before anything is read.
pub(crate) fn read_blob(
    path: &Path,
    stage: &'static str,
    what: &str,
    length: usize,
) -> Result<Vec<u8>, Error> {
    let file = files::open(path).map_err(|source| missing_or(path, stage, source))?;
    let found = file.metadata().map_err(|source| failed(path, source))?.len();
    if found != length as u64 {
        return Err(Error::Length {
            path: path.to_owned(),
            what: what.to_owned(),
            expected: length,
            found,
        });
    }
    files::read(path, found).map_err(|source| failed(path, source))
}

/// Reads a text file of at most `most` bytes that `stage` has written.
pub(crate) fn read_text(path: &Path, stage: &'static str, most: u64) -> Result<String, Error> {
    let bytes = files::read(path, most).map_err(|source| missing_or(path, stage, source))?;
    let not_text = |_| failed(path, io::Error::other("it isn't a text file"));
    String::from_utf8(bytes).map_err(not_text)
}

/// Returns a value as JSON, for the file at `path`.
pub(crate) fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(value).map_err(|source| failed(path, source.into()))
}

/// Writes a file, and its folder if there is none.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    written(path, content, &mut OpenOptions::new())
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    written(path, content, &mut options)
}

fn written(path: &Path, content: &[u8], options: &mut OpenOptions) -> Result<(), Error> {
    let mut write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = options.write(true).create(true).truncate(true).open(path)?;
        file.write_all(content)
    };
    write().map_err(|source| failed(path, source))
}
