use super::{
    envelope::{Header, Kind, WireError},
    linear_key::LinearPublicKey,
    network_key::NetworkPublicKey,
};
use crate::{
    ids::{KeyId, ModelId},
    params::{ParameterSet, ParameterSetId},
};

/// What a client uploads once, so that the server can score its queries.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicKey {
    /// For linear models.
    Linear(LinearPublicKey),
    /// For projection networks.
    Network(NetworkPublicKey),
}

impl PublicKey {
    /// Parameters of the key.
    pub fn set(&self) -> ParameterSet {
        match self {
            Self::Linear(key) => ParameterSet::Linear(key.params),
            Self::Network(key) => ParameterSet::Network(key.params),
        }
    }

    /// Bytes of a key of this set.
    pub const fn blob_len(set: &ParameterSet) -> usize {
        match set {
            ParameterSet::Linear(params) => LinearPublicKey::blob_len(params),
            ParameterSet::Network(params) => NetworkPublicKey::blob_len(params),
        }
    }

    /// The blob and its id. Rounds the bodies to the bits that travel.
    pub fn to_blob(&self) -> (Vec<u8>, KeyId) {
        let blob = match self {
            Self::Linear(key) => key.to_blob(),
            Self::Network(key) => key.to_blob(),
        };
        let id = KeyId::of(&blob);
        (blob, id)
    }

    /// Reads a whole key.
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

/// A payload as the blob of a public key, which belongs to no other key and no model.
pub(super) fn seal(set: ParameterSetId, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        kind: Kind::PublicKey,
        params: set,
        key: KeyId::NONE,
        model: ModelId::NONE,
    };
    header.seal(payload)
}

/// The payload of a public key's blob.
pub(super) fn open(blob: &[u8], set: ParameterSetId, payload_len: usize) -> Result<&[u8], WireError> {
    let (header, payload) = Header::open(blob, Kind::PublicKey, set, payload_len)?;
    if header.key != KeyId::NONE || header.model != ModelId::NONE {
        return Err(WireError::ReservedBits);
    }
    Ok(payload)
}
