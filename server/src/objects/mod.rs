//! Object stores, for keys, models, tokens and counts: where they are, and how their operations
//! fail.

mod error;
mod location;
mod small;
pub(crate) mod staging;

pub use error::{OpenError, StoreError};
pub use location::{Location, StoreOption};
pub use small::ObjectError;
pub(crate) use small::{LONGEST, Objects, Read};

use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use std::time::Duration;

/// Waits for an operation of a store, for at most `patience`.
pub(crate) async fn bounded<T>(
    patience: Duration,
    operation: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, operation).await {
        Ok(result) => result.map_err(StoreError::from),
        Err(_) => Err(StoreError::Slow(patience)),
    }
}

/// Maps "not found" to `None`.
pub(crate) fn found<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Object(object_store::Error::NotFound { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Checks whether an object has exactly this content.
pub(crate) async fn holds(
    objects: &dyn ObjectStore,
    path: &Path,
    content: &[u8],
) -> object_store::Result<bool> {
    let object = objects.get(path).await?;
    if object.meta.size != content.len() as u64 {
        return Ok(false);
    }
    // Piece by piece, since a second copy of a long object would be unaccounted memory.
    let mut pieces = object.into_stream();
    let mut rest = content;
    while let Some(piece) = pieces.try_next().await? {
        match rest.strip_prefix(&piece[..]) {
            Some(more) => rest = more,
            None => return Ok(false),
        }
    }
    Ok(rest.is_empty())
}
