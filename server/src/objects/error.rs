//! Errors of object stores.

use std::{error::Error, io, path::PathBuf, time::Duration};

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory can't be created or locked.
    #[error("cannot use the directory {path:?}: {source}")]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// Error from the system.
        source: io::Error,
    },
    /// The URL's scheme isn't supported.
    #[error("the store's URL starts with file://, s3://, az://, gs:// or memory://, not {0}")]
    Scheme(String),
    /// The `file://` URL isn't an absolute path on this machine.
    #[error("the file:// URL is not an absolute path on this machine")]
    Path,
    /// This kind of store doesn't have the option.
    #[error("this kind of store has no option {0}")]
    Option(String),
    /// The object store rejected its settings.
    #[error(transparent)]
    Object(#[from] object_store::Error),
    /// The first operation on the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store failed or can't be reached. Acknowledged writes are not lost, and the operation may
/// succeed later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, or a quota of the file system is reached.
    #[error("the store is full: {0}")]
    Full(object_store::Error),
    /// The operation timed out.
    #[error("the store did not answer within {} s", .0.as_secs_f64())]
    Slow(Duration),
    /// The store returned other bytes than were written, or was replaced since it was opened.
    #[error("the store is not the one that was opened: {0}")]
    Wrong(&'static str),
    /// Another operation failed.
    #[error(transparent)]
    Object(object_store::Error),
}

impl StoreError {
    /// Returns the kind of failure, or `None` for errors that a working store may return too.
    pub(crate) fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Full(_) => Some("full"),
            Self::Slow(_) => Some("slow"),
            Self::Wrong(_) => Some("wrong"),
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

/// Checks whether an error was caused by a lack of space.
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
