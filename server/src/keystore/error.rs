//! Errors of uploads.

use crate::objects::StoreError;

/// Why a key isn't stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// The tenant has reached its limit of keys.
    #[error("{0} keys are stored, which is the limit")]
    Quota(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
