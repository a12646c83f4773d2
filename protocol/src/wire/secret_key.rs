//! Exported secret keys.

use super::envelope::{HEADER_BYTES, Header, WireError};
use crate::{
    ids::{KeyId, ModelId},
    kind::Kind,
    params::ParameterSet,
};
use core::fmt;
use zeroize::Zeroizing;

/// Exported form of a secret key: its bits and the id of the public key made with it.
///
/// It is the only blob that must not be sent. Debug shows no bits, and memory is wiped on drop.
#[derive(Clone)]
pub struct SecretKeyBits {
    /// Parameters of the key.
    pub set: ParameterSet,
    /// Id of the public key made with it.
    pub key: KeyId,
    /// Secret bits, one coefficient (0 or 1) each: all of the set's secrets, one after the other.
    pub bits: Zeroizing<Vec<u64>>,
}

impl fmt::Debug for SecretKeyBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeyBits")
            .field("set", &self.set.name())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl SecretKeyBits {
    const fn payload_len(set: &ParameterSet) -> usize {
        set.secret_bits().div_ceil(8)
    }

    /// Returns the size of an exported key, in bytes.
    pub const fn blob_len(set: &ParameterSet) -> usize {
        HEADER_BYTES + Self::payload_len(set)
    }

    /// Returns the blob, which is wiped on drop.
    pub fn to_blob(&self) -> Zeroizing<Vec<u8>> {
        let mut payload = Zeroizing::new(vec![0u8; Self::payload_len(&self.set)]);
        for (index, bit) in self.bits.iter().enumerate() {
            payload[index / 8] |= ((bit & 1) as u8) << (index % 8);
        }
        let header = Header {
            kind: Kind::SecretKey,
            params: self.set.id(),
            key: self.key,
            model: ModelId::NONE,
        };
        Zeroizing::new(header.seal(&payload))
    }

    /// Reads an exported key from its whole blob.
    pub fn from_blob(blob: &[u8]) -> Result<Self, WireError> {
        let id = Header::peek(blob, Kind::SecretKey)?;
        let set = ParameterSet::by_id(id).ok_or(WireError::WrongParameterSet(id))?;
        let (header, payload) = Header::open(blob, Kind::SecretKey, id, Self::payload_len(&set))?;
        if header.model != ModelId::NONE {
            return Err(WireError::ReservedBits);
        }
        let bits = (0..set.secret_bits())
            .map(|index| u64::from(payload[index / 8] >> (index % 8) & 1))
            .collect();
        Ok(Self {
            set,
            key: header.key,
            bits: Zeroizing::new(bits),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_debug_without_secrets() {
        for set in ParameterSet::ALL {
            let bits = (0..set.secret_bits()).map(|i| u64::from(i % 3 == 1)).collect();
            let key = SecretKeyBits {
                set,
                key: KeyId([3; 32]),
                bits: Zeroizing::new(bits),
            };
            let blob = key.to_blob();
            assert_eq!(blob.len(), SecretKeyBits::blob_len(&set));
            let read = SecretKeyBits::from_blob(&blob).unwrap();
            assert_eq!(*read.bits, *key.bits);
            assert_eq!(read.key, key.key);
            assert!(!format!("{key:?}").contains("bits"));
        }
    }
}
