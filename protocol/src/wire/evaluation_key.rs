//! Evaluation key of either kind.

use super::{
    envelope::{Header, WireError},
    linear_evaluation_key::LinearEvaluationKey,
    network_evaluation_key::NetworkEvaluationKey,
};
use crate::{ids::KeyId, kind::Kind, params::ParameterSet};

/// Evaluation key: the public key that a client uploads once, so that the server can score its
/// queries.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluationKey {
    /// Key for linear models.
    Linear(LinearEvaluationKey),
    /// Key for projection networks.
    Network(NetworkEvaluationKey),
}

impl EvaluationKey {
    /// Returns the parameters of the key.
    pub fn parameters(&self) -> ParameterSet {
        match self {
            Self::Linear(key) => ParameterSet::Linear(key.params),
            Self::Network(key) => ParameterSet::Network(key.params),
        }
    }

    /// Returns the size of a key of this set, in bytes.
    pub const fn blob_len(set: &ParameterSet) -> usize {
        match set {
            ParameterSet::Linear(params) => LinearEvaluationKey::blob_len(params),
            ParameterSet::Network(params) => NetworkEvaluationKey::blob_len(params),
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
        let id = Header::peek(blob, Kind::EvaluationKey)?;
        match ParameterSet::by_id(id) {
            Some(ParameterSet::Linear(params)) => {
                LinearEvaluationKey::from_blob(blob, params).map(Self::Linear)
            }
            Some(ParameterSet::Network(params)) => {
                NetworkEvaluationKey::from_blob(blob, params).map(Self::Network)
            }
            None => Err(WireError::WrongParameterSet(id)),
        }
    }
}
