//! The models besides the bundled ones: files in a folder or an object store.

use crate::objects::{Location, OpenError, StoreError, bounded, found, holds};
use blindscore_engine::model::{FileName, Listing, MOST_FILE, Model, ModelError, ModelFile, Registry};
use blindscore_protocol::name::ModelName;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::spawn_blocking};

/// How often a folder is listed.
const FOLDER_INTERVAL: Duration = Duration::from_secs(2);
/// How often an object store is listed.
const OBJECTS_INTERVAL: Duration = Duration::from_secs(5);
/// Time for the bytes of a whole model, in addition to that of any operation. Requests of
/// `object_store` end after 30 s in any case.
const TRANSFER: Duration = Duration::from_secs(30);

/// Place of model files, and what was last seen there.
#[derive(Debug)]
pub(crate) struct Library {
    /// Set if the place is a folder.
    folder: Option<PathBuf>,
    objects: Arc<dyn ObjectStore>,
    patience: Duration,
    seen: Listing,
    /// Why the files that were last seen can't be served, if they can't.
    problem: Option<String>,
}

/// Result of publishing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The file is new.
    New,
    /// The same file was there.
    Already,
    /// Another file of the same name is there.
    Taken,
}

/// Why the models can't be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// The place can't be read. A later try may succeed.
    #[error("the models can't be read: {0}")]
    Store(#[from] StoreError),
    /// A file can't be served.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A thread ended without a result.
    #[error("loading the models failed")]
    Failed,
}

impl Library {
    /// Opens the place of the models, which has to exist. Its operations may take `patience` each.
    pub(crate) fn open(location: &Location, patience: Duration) -> Result<Self, OpenError> {
        let folder = match location {
            Location::Directory(path) => Some(path.clone()),
            _ => None,
        };
        Ok(Self {
            folder,
            objects: location.objects(patience)?,
            patience,
            seen: Listing::default(),
            problem: None,
        })
    }

    /// Returns how often the place should be looked at: changes by others are served after this
    /// time, and the time that loading takes.
    pub(crate) fn interval(&self) -> Duration {
        match self.folder {
            Some(_) => FOLDER_INTERVAL,
            None => OBJECTS_INTERVAL,
        }
    }

    /// Returns why the files that were last seen can't be served, if they can't.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Returns the models as they are now, which share those of unchanged files with `current`, or
    /// `None` if nothing has changed since the last call. Files that can't be served are an error
    /// once, and are tried again when something changes; an unreadable place is tried again.
    pub(crate) async fn changed(&mut self, current: Arc<Registry>) -> Result<Option<Registry>, LibraryError> {
        let now = self.list().await?;
        if now == self.seen {
            return Ok(None);
        }
        let (files, loader) = (now.clone(), self.loader());
        let loaded = spawn_blocking(move || current.with(&files, |file| loader.load(file)))
            .await
            .map_err(|_| LibraryError::Failed)?;
        if let Err(error @ LibraryError::Store(_)) = loaded {
            return Err(error);
        }
        self.seen = now;
        self.problem = loaded.as_ref().err().map(ToString::to_string);
        loaded.map(Some)
    }

    /// Lists the model files.
    pub(crate) async fn list(&self) -> Result<Listing, LibraryError> {
        if let Some(folder) = self.folder.clone() {
            // Not by `object_store`, whose stamps miss a file that was changed in its place.
            let listed = spawn_blocking(move || Listing::of_folder(&folder)).await;
            return Ok(listed.map_err(|_| LibraryError::Failed)??);
        }
        let listed = bounded(self.patience, self.objects.list_with_delimiter(None)).await?;
        let files = listed.objects.into_iter().filter_map(|object| {
            let stamp = stamp(&object);
            ModelFile::new(PathBuf::from(object.location.as_ref()), stamp)
        });
        Ok(files.collect())
    }

    /// Writes a file unless there is one of this name. Once this returns, the file is durable.
    pub(crate) async fn publish(&self, name: &FileName, content: Bytes) -> Result<Published, StoreError> {
        let path = Path::from(name.to_string());
        let put = self.objects.put_opts(
            &path,
            PutPayload::from_bytes(content.clone()),
            PutOptions::from(PutMode::Create),
        );
        match bounded(self.patience + TRANSFER, put).await {
            Ok(_) => Ok(Published::New),
            Err(StoreError::Object(object_store::Error::AlreadyExists { .. })) => {
                Ok(match self.holds(name, &content).await? {
                    true => Published::Already,
                    false => Published::Taken,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Checks whether the file of this name has exactly this content.
    pub(crate) async fn holds(&self, name: &FileName, content: &[u8]) -> Result<bool, StoreError> {
        let path = Path::from(name.to_string());
        let same = holds(&*self.objects, &path, content);
        Ok(found(bounded(self.patience + TRANSFER, same).await)?.unwrap_or(false))
    }

    /// Removes a file. Does nothing if it isn't there.
    pub(crate) async fn remove(&self, name: &FileName) -> Result<(), StoreError> {
        let path = Path::from(name.to_string());
        found(bounded(self.patience, self.objects.delete(&path)).await).map(drop)
    }

    fn loader(&self) -> Loader {
        Loader {
            folder: self.folder.is_some(),
            objects: self.objects.clone(),
            patience: self.patience,
            handle: Handle::current(),
        }
    }
}

/// Returns the names of the files to remove so that no model of this name is served any more, in an
/// order in which no older version is served meanwhile.
pub(crate) fn all_of(name: &ModelName, listed: &Listing, served: &Registry) -> Vec<FileName> {
    let mut names: Vec<_> = listed.named(name.as_str()).cloned().collect();
    // A file without a version may be called something else than its model.
    names.extend(served.files(name).map(|file| file.name().clone()));
    names.sort_by(|one, other| (one.version, &one.stem).cmp(&(other.version, &other.stem)));
    names.dedup();
    names
}

/// Reads the files of a library, from threads on which it may block.
struct Loader {
    folder: bool,
    objects: Arc<dyn ObjectStore>,
    patience: Duration,
    handle: Handle,
}

impl Loader {
    fn load(&self, file: &ModelFile) -> Result<Model, LibraryError> {
        if self.folder {
            return Ok(file.load()?);
        }
        let content = self.handle.block_on(self.fetch(file))?;
        Ok(file.parse(&content)?)
    }

    async fn fetch(&self, file: &ModelFile) -> Result<Vec<u8>, LibraryError> {
        let too_large = || ModelError::Io {
            path: file.path().to_owned(),
            cause: std::io::Error::other(format!(
                "it has more than {} MB, the limit",
                MOST_FILE / 1_000_000
            )),
        };
        let path = Path::from(file.name().to_string());
        let object = bounded(self.patience, self.objects.get(&path)).await?;
        let length = object.meta.size;
        if length > MOST_FILE {
            return Err(too_large().into());
        }
        let mut content = Vec::with_capacity(length as usize);
        let mut pieces = object.into_stream();
        while let Some(piece) = bounded(self.patience, pieces.try_next()).await? {
            if content.len() + piece.len() > length as usize {
                return Err(StoreError::Wrong("an object is longer than it was said to be").into());
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }
}

/// Returns what tells the content of an object from any other of its name.
fn stamp(object: &ObjectMeta) -> String {
    let tag = object.e_tag.as_deref().unwrap_or_default();
    format!("{}-{}-{tag}", object.size, object.last_modified.to_rfc3339())
}
