//! Public key of either kind.

use super::{
    envelope::{Header, Kind, WireError},
    linear_key::LinearPublicKey,
    network_key::NetworkPublicKey,
};
use crate::{
    ids::{KeyId, ModelId},
    params::{ParameterSet, ParameterSetId},
};

/// Public key, which a client uploads once so that the server can score its queries.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicKey {
    /// Key for linear models.
    Linear(LinearPublicKey),
    /// Evaluation key for projection networks.
    Network(NetworkPublicKey),
}

impl PublicKey {
    /// Returns the parameters of the key.
    pub fn set(&self) -> ParameterSet {
        match self {
            Self::Linear(key) => ParameterSet::Linear(key.params),
            Self::Network(key) => ParameterSet::Network(key.params),
        }
    }

    /// Returns the size of a key of this set, in bytes.
    pub const fn blob_len(set: &ParameterSet) -> usize {
        match set {
            ParameterSet::Linear(params) => LinearPublicKey::blob_len(params),
            ParameterSet::Network(params) => NetworkPublicKey::blob_len(params),
        }
    }

    /// Returns the blob, with the bodies rounded to the bits that are sent, and its id.
    pub fn to_blob(&self) -> (Vec<u8>, KeyId) {
        let blob = match self {
            Self::Linear(key) => key.to_blob(),
            Self::Network(key) => key.to_blob(),
        };
        let id = KeyId::of(&blob);
        (blob, id)
    }

    /// Reads a key from its whole blob.
    pub fn from_blob(blob: &[u8]) -> Result<Self, WireError> {
        let id = Header::peek(blob, Kind::PublicKey)?;
        match ParameterSet::by_id(id) {
            Some(ParameterSet::Linear(params)) => LinearPublicKey::from_blob(blob, params).map(Self::Linear),
            Some(ParameterSet::Network(params)) => {
                NetworkPublicKey::from_blob(blob, params).map(Self::Network)
            }
            None => Err(WireError::WrongParameterSet(id)),
        }
    }
}

/// Wraps a payload as the blob of a public key, which belongs to no other key and no model.
pub(super) fn seal(set: ParameterSetId, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        kind: Kind::PublicKey,
        params: set,
        key: KeyId::NONE,
        model: ModelId::NONE,
    };
    header.seal(payload)
}

/// Checks the blob of a public key and returns its payload.
pub(super) fn open(blob: &[u8], set: ParameterSetId, payload_len: usize) -> Result<&[u8], WireError> {
    let (header, payload) = Header::open(blob, Kind::PublicKey, set, payload_len)?;
    if header.key != KeyId::NONE || header.model != ModelId::NONE {
        return Err(WireError::ReservedBits);
    }
    Ok(payload)
}
