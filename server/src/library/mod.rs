//! The models besides the bundled ones: files in a folder or an object store.

mod folder;

use crate::objects::{
    Location, OpenError, StoreError, bounded, found, holds,
    staging::{self, Swept},
};
use blindscore_engine::model::{FileName, Listing, MOST_FILE, Model, ModelError, ModelFile, Registry};
use blindscore_protocol::name::{ModelAddress, ModelName};
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::spawn_blocking};

/// How often a folder is listed.
const FOLDER_INTERVAL: Duration = Duration::from_secs(2);
/// How often an object store is listed.
const OBJECTS_INTERVAL: Duration = Duration::from_secs(5);
/// Time for the bytes of a whole model, in addition to that of any operation. Requests of
/// `object_store` end after 30 s in any case.
const TRANSFER: Duration = Duration::from_secs(30);

/// Location of model files, and what was last seen there.
#[derive(Debug)]
pub(crate) struct Library {
    /// Set if the location is a folder.
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
    /// The location can't be read or written. A later try may succeed.
    #[error("can't read or write the models' location: {0}")]
    Store(StoreError),
    /// The folder or a file in it can't be read at the moment.
    #[error(transparent)]
    Unreadable(ModelError),
    /// A file can't be served.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The thread that loads the models has panicked.
    #[error("loading the models panicked")]
    Panicked,
    /// The program contradicts itself.
    #[error("{0}")]
    Inconsistent(&'static str),
}

// The message already has all details; as a source they would be printed twice.
impl From<StoreError> for LibraryError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Library {
    /// Opens the location of the models, which has to exist. Its operations may take `patience`
    /// each. Removes what killed processes have left of unfinished publications in a folder.
    pub(crate) fn open(location: &Location, patience: Duration) -> Result<Self, OpenError> {
        let folder = match location {
            Location::Directory(path) => {
                let is_model = |name: &str| name.ends_with(".safetensors");
                if let Err(error) = staging::sweep(path, Swept::Abandoned, is_model) {
                    tracing::warn!(%error, "files of unfinished publications can't be removed");
                }
                Some(path.clone())
            }
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

    /// Returns how often the location should be looked at: changes by others are served after this
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
    /// once, and are tried again when something changes; an unreadable location is tried again.
    pub(crate) async fn changed(&mut self, current: Arc<Registry>) -> Result<Option<Registry>, LibraryError> {
        let now = self.list().await?;
        if now == self.seen {
            return Ok(None);
        }
        let (files, loader) = (now.clone(), self.loader());
        let loaded = spawn_blocking(move || current.with(&files, |file| loader.load(file)))
            .await
            .map_err(|_| LibraryError::Panicked)?;
        if let Err(error @ (LibraryError::Store(_) | LibraryError::Unreadable(_))) = loaded {
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
            return listed
                .map_err(|_| LibraryError::Panicked)?
                .map_err(LibraryError::Unreadable);
        }
        let listed = bounded(self.patience, self.objects.list_with_delimiter(None)).await?;
        let files = listed.objects.into_iter().filter_map(|object| {
            let stamp = stamp(&object);
            ModelFile::new(PathBuf::from(object.location.as_ref()), stamp)
        });
        Ok(files.collect())
    }

    /// Checks that a model can be served beside those that were last seen, which `current` has: as
    /// this version, or as the next one.
    pub(crate) async fn admits(
        &self,
        name: &ModelName,
        version: Option<u32>,
        model: Model,
        current: Arc<Registry>,
    ) -> Result<(), LibraryError> {
        let next = || self.seen.newest(name).unwrap_or(0).saturating_add(1);
        let version = version.unwrap_or_else(next);
        let file = FileName {
            stem: name.to_string(),
            version: Some(version),
        };
        if self.seen.named(&file.stem).any(|known| *known.name() == file) {
            return Ok(());
        }
        // Once a name has versions, the file of that name without one isn't served any more.
        let unversioned = self
            .seen
            .named(&file.stem)
            .find(|known| known.name().version.is_none());
        if let Some(known) = unversioned
            && let Some(model) = current.model_of(known)
            && model.descriptor().name != file.stem
        {
            return Err(ModelError::hidden(known.path(), &model.descriptor().name).into());
        }
        let Some(file) = ModelFile::new(PathBuf::from(file.to_string()), String::new()) else {
            return Err(LibraryError::Inconsistent("a new model has no valid file name"));
        };
        let files = self.seen.with(file);
        let mut model = Some(model.with_version(version));
        let admitted = spawn_blocking(move || {
            // All others are known.
            let load = |_: &ModelFile| {
                let unknown = LibraryError::Inconsistent("a listed model is not loaded");
                model.take().ok_or(unknown)
            };
            current.with(&files, load).map(drop)
        });
        admitted.await.map_err(|_| LibraryError::Panicked)?
    }

    /// Returns the listed files to remove so that nothing is served at this address any more, in an
    /// order in which no older version is served meanwhile; `None` if there is no such model.
    ///
    /// # Errors
    /// If all files can be served now, and the others couldn't be without these; or if some can't
    /// be read.
    pub(crate) async fn removable(
        &self,
        address: &ModelAddress,
        current: Arc<Registry>,
    ) -> Result<Option<Vec<ModelFile>>, LibraryError> {
        let listed = self.list().await?;
        let (address, loader) = (address.clone(), self.loader());
        let found = spawn_blocking(move || {
            let files = files_of(&address, &listed, &current, |file| loader.load(file).ok());
            let is_served = current
                .files(&address.name)
                .any(|file| address.version.is_none() || file.name().version == address.version);
            if files.is_empty() && !is_served {
                return Ok(None);
            }
            let load = |file: &ModelFile| loader.load(file);
            // If not all can be served now, every removal is a step toward that.
            match current.with(&listed.without(&files), load) {
                Err(LibraryError::Model(error)) if current.with(&listed, load).is_ok() => Err(error.into()),
                Err(error @ (LibraryError::Store(_) | LibraryError::Unreadable(_))) => Err(error),
                _ => Ok(Some(files)),
            }
        });
        found.await.map_err(|_| LibraryError::Panicked)?
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

    /// Removes a listed file. Does nothing if it isn't there any more.
    pub(crate) async fn remove(&self, file: &ModelFile) -> Result<(), LibraryError> {
        if self.folder.is_some() {
            // By its own name: `object_store` doesn't take every name that a folder does.
            let path = file.path().to_owned();
            let removed = spawn_blocking(move || folder::remove(&path)).await;
            return removed
                .map_err(|_| LibraryError::Panicked)?
                .map_err(|cause| LibraryError::Unreadable(io_error(file, cause)));
        }
        let path = path_of(file)?;
        found(bounded(self.patience, self.objects.delete(&path)).await)?;
        Ok(())
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

/// Returns the listed files of a model, oldest version first.
fn files_of(
    address: &ModelAddress,
    listed: &Listing,
    served: &Registry,
    load: impl Fn(&ModelFile) -> Option<Model>,
) -> Vec<ModelFile> {
    // A file without a version may hold a model of another name than its own.
    let is_of_model = |file: &ModelFile| {
        let name = match served.model_of(file) {
            _ if file.name().version.is_some() => return true,
            Some(model) => Some(model.descriptor().name.clone()),
            None => load(file).map(|model| model.descriptor().name.clone()),
        };
        name.is_none_or(|name| name == address.name.as_str())
    };
    let named = listed
        .named(address.name.as_str())
        .filter(|file| is_of_model(file));
    let others = served.files(&address.name).filter(|file| listed.has(file));
    let wanted = |file: &&ModelFile| address.version.is_none() || file.name().version == address.version;
    let mut files: Vec<_> = named.chain(others).filter(wanted).cloned().collect();
    files.sort_by_key(|file| (file.name().version, file.path().to_owned()));
    files.dedup();
    files
}

/// Returns the path of an object that was listed, encoded as it is in the store.
fn path_of(file: &ModelFile) -> Result<Path, StoreError> {
    let path = Path::parse(file.path().to_string_lossy());
    path.map_err(|error| StoreError::from(object_store::Error::from(error)))
}

fn io_error(file: &ModelFile, cause: io::Error) -> ModelError {
    ModelError::Io {
        path: file.path().to_owned(),
        cause,
    }
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
            return file.load().map_err(|error| match error {
                // The system failed, and may not do so again: the file itself isn't at fault.
                ModelError::Io { ref cause, .. } if cause.raw_os_error().is_some() => {
                    LibraryError::Unreadable(error)
                }
                error => LibraryError::Model(error),
            });
        }
        let content = self.handle.block_on(self.fetch(file))?;
        Ok(file.parse(&content)?)
    }

    async fn fetch(&self, file: &ModelFile) -> Result<Vec<u8>, LibraryError> {
        let path = path_of(file)?;
        let object = bounded(self.patience, self.objects.get(&path)).await?;
        let length = object.meta.size;
        if length > MOST_FILE {
            let limit = format!("it has more than {} MB, the limit", MOST_FILE / 1_000_000);
            return Err(io_error(file, io::Error::other(limit)).into());
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

/// Returns a stamp that differs whenever the content does.
fn stamp(object: &ObjectMeta) -> String {
    let tag = object.e_tag.as_deref().unwrap_or_default();
    format!("{}-{}-{tag}", object.size, object.last_modified.to_rfc3339())
}
