use std::{error::Error, io, path::PathBuf, time::Duration};

/// A store that can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory can't be made or locked.
    #[error("cannot use the directory {path:?}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The URL names no store that this program knows.
    #[error("the store's URL starts with file://, s3://, az://, gs:// or memory://, not {0}")]
    Scheme(String),
    /// A `file://` URL that isn't a path here.
    #[error("the file:// URL is no absolute path on this machine")]
    Path,
    /// An option that this kind of store doesn't have.
    #[error("this kind of store has no option {0}")]
    Option(String),
    /// An object store refused its settings.
    #[error(transparent)]
    Object(#[from] object_store::Error),
    /// The first use of the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store failed or can't be reached. Nothing that was acknowledged is lost by it, and the same may work later.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room: a full disk, or a quota of the file system.
    #[error("the store is full: {0}")]
    Full(object_store::Error),
    /// It didn't answer in time.
    #[error("the store did not answer within {} s", .0.as_secs_f64())]
    Slow(Duration),
    /// It gives back other bytes than were written, or isn't the one that was opened.
    #[error("the store is not the one that was opened: {0}")]
    Wrong(&'static str),
    /// The tenant has as many keys as it may have.
    #[error("{0} keys are stored, which is the limit")]
    QuotaReached(u64),
    /// An operation failed.
    #[error(transparent)]
    Object(object_store::Error),
}

impl StoreError {
    /// What kind of failure of the store this is; `None` for what a store that works may say too.
    pub(super) fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Full(_) => Some("full"),
            Self::Slow(_) => Some("slow"),
            Self::Wrong(_) => Some("wrong"),
            Self::QuotaReached(_) => None,
            Self::Object(
                object_store::Error::NotFound { .. }
                | object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => None,
            Self::Object(_) => Some("other"),
        }
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        if is_full(&error) {
            Self::Full(error)
        } else {
            Self::Object(error)
        }
    }
}

/// Whether a lack of room lies at the root of an error.
fn is_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let error = |kind: io::ErrorKind| object_store::Error::Generic {
            store: "test",
            source: Box::new(object_store::Error::Generic {
                store: "inner",
                source: Box::new(io::Error::from(kind)),
            }),
        };
        assert!(matches!(
            StoreError::from(error(io::ErrorKind::StorageFull)),
            StoreError::Full(_)
        ));
        assert!(matches!(
            StoreError::from(error(io::ErrorKind::PermissionDenied)),
            StoreError::Object(_)
        ));
    }
}
