//! Header at the start of every blob.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `BLSC` |
//! | 4 | 2 | format version, little endian like all integers here |
//! | 6 | 2 | kind |
//! | 8 | 4 | parameter set |
//! | 12 | 8 | payload length |
//! | 20 | 32 | id of the public key it belongs to; zeros in a public key |
//! | 52 | 16 | id of the model it belongs to; zeros in keys |
//! | 68 | 16 | SHA-256 of header (up to here) and payload, first 16 bytes |
//!
//! The checksum detects accidents. It does not authenticate: anyone can compute it.

use crate::{
    ids::{KeyId, ModelId},
    kind::Kind,
    params::ParameterSetId,
};
use sha2::{Digest, Sha256};

/// Length of the header, in bytes.
pub const HEADER_BYTES: usize = 84;
/// Version of the wire format that this code writes and reads.
pub const FORMAT_VERSION: u16 = 3;

const MAGIC: [u8; 4] = *b"BLSC";
const CHECKED: usize = 68;

/// Why bytes are not the expected blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The blob is shorter than a header.
    #[error("{0} bytes are less than the {HEADER_BYTES} of a header")]
    Truncated(usize),
    /// The first four bytes are not the magic bytes.
    #[error("not a Blindscore blob: the magic bytes are missing")]
    BadMagic,
    /// The blob has another format version.
    #[error("the blob has format version {0}, only {FORMAT_VERSION} is supported{advice}", advice = advice(*.0))]
    UnsupportedVersion(u16),
    /// The blob is of another kind.
    #[error("expected {expected}, got a blob of kind {found}")]
    WrongKind {
        /// Kind that the caller expects.
        expected: Kind,
        /// Kind number in the header.
        found: u16,
    },
    /// The parameter set is unknown, or not the expected one.
    #[error("parameter set {0} is not the expected one")]
    WrongParameterSet(ParameterSetId),
    /// The length of the payload, or the length in the header, doesn't fit the kind and model.
    #[error("the payload should be {expected} bytes; the header says {declared} and {actual} are there")]
    WrongLength {
        /// Length that follows from kind, parameter set and model.
        expected: usize,
        /// Length in the header.
        declared: u64,
        /// Length that arrived.
        actual: usize,
    },
    /// The checksum differs: some byte was changed in transit.
    #[error("the checksum does not match: the blob was damaged")]
    BadChecksum,
    /// A field that has to be zero isn't, or padding bits are set.
    #[error("reserved bits are set")]
    ReservedBits,
}

/// Returns what to do about a blob of another version.
fn advice(version: u16) -> &'static str {
    if version < FORMAT_VERSION {
        ": it was made by an earlier version, whose keys can't be used any more; make a new key (SECURITY.md says why)"
    } else {
        ": it was made by a later version; update this one"
    }
}

/// Header that has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Kind of the blob's content.
    pub kind: Kind,
    /// Parameter set of the blob.
    pub params: ParameterSetId,
    /// Key that the blob belongs to.
    pub key: KeyId,
    /// Model that the blob belongs to.
    pub model: ModelId,
}

/// Id of a query: the checksum in its header, which is the start of a SHA-256 hash of all its other
/// bytes.
///
/// A response carries the id of the query that it answers, so that a mix-up is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(pub(super) [u8; QueryId::BYTES]);

impl QueryId {
    /// Length of the id, in bytes.
    pub const BYTES: usize = HEADER_BYTES - CHECKED;

    /// Returns the id of a query's blob.
    ///
    /// # Errors
    /// If it isn't the start of a query of this format.
    pub fn of(query: &[u8]) -> Result<Self, WireError> {
        Header::peek(query, Kind::Query)?;
        Ok(Self(array(query, CHECKED)))
    }
}

impl Header {
    /// Joins header and payload into one blob.
    pub fn seal(&self, payload: &[u8]) -> Vec<u8> {
        let mut blob = Vec::with_capacity(HEADER_BYTES + payload.len());
        blob.extend_from_slice(&MAGIC);
        blob.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        blob.extend_from_slice(&(self.kind as u16).to_le_bytes());
        blob.extend_from_slice(&self.params.0.to_le_bytes());
        blob.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        blob.extend_from_slice(&self.key.0);
        blob.extend_from_slice(&self.model.0);
        let checksum = checksum(&blob, payload);
        blob.extend_from_slice(&checksum);
        blob.extend_from_slice(payload);
        blob
    }

    /// Checks magic, version and kind in the first bytes of a blob and returns the parameter set:
    /// enough to know how long the blob must be.
    pub fn peek(blob: &[u8], expected: Kind) -> Result<ParameterSetId, WireError> {
        if blob.len() < HEADER_BYTES {
            return Err(WireError::Truncated(blob.len()));
        }
        if blob[..4] != MAGIC {
            return Err(WireError::BadMagic);
        }
        let version = u16::from_le_bytes(array(blob, 4));
        if version != FORMAT_VERSION {
            return Err(WireError::UnsupportedVersion(version));
        }
        let kind = u16::from_le_bytes(array(blob, 6));
        if Kind::from_u16(kind) != Some(expected) {
            return Err(WireError::WrongKind {
                expected,
                found: kind,
            });
        }
        Ok(ParameterSetId(u32::from_le_bytes(array(blob, 8))))
    }

    /// Returns the kind of a blob that starts with these bytes, whatever its version.
    pub fn kind_of(head: &[u8]) -> Option<Kind> {
        let is_blob = head.len() >= HEADER_BYTES && head[..4] == MAGIC;
        is_blob.then(|| Kind::from_u16(u16::from_le_bytes(array(head, 6))))?
    }

    /// Returns the length of the payload that the header at the start of a blob declares, if a
    /// whole header is there.
    pub fn declared_len(head: &[u8]) -> Option<u64> {
        (head.len() >= HEADER_BYTES).then(|| u64::from_le_bytes(array(head, 12)))
    }

    /// Returns whether a blob that starts with these bytes has an older format version than this
    /// code writes: nobody can use it any more.
    pub fn is_of_earlier_format(head: &[u8]) -> bool {
        head.len() >= HEADER_BYTES
            && head[..4] == MAGIC
            && u16::from_le_bytes(array(head, 4)) < FORMAT_VERSION
    }

    /// Checks a whole blob and splits it into header and payload.
    pub fn open(
        blob: &[u8],
        kind: Kind,
        params: ParameterSetId,
        payload_len: usize,
    ) -> Result<(Self, &[u8]), WireError> {
        let found = Self::peek(blob, kind)?;
        if found != params {
            return Err(WireError::WrongParameterSet(found));
        }
        let (head, payload) = blob.split_at(HEADER_BYTES);
        let declared = Self::declared_len(head).ok_or(WireError::Truncated(blob.len()))?;
        if declared != payload_len as u64 || payload.len() != payload_len {
            return Err(WireError::WrongLength {
                expected: payload_len,
                declared,
                actual: payload.len(),
            });
        }
        if checksum(&head[..CHECKED], payload) != head[CHECKED..] {
            return Err(WireError::BadChecksum);
        }
        let header = Self {
            kind,
            params,
            key: KeyId(array(head, 20)),
            model: ModelId(array(head, 52)),
        };
        Ok((header, payload))
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> [u8; QueryId::BYTES] {
    let digest = Sha256::new().chain_update(head).chain_update(payload).finalize();
    array(&digest, 0)
}

/// Returns the `L` bytes at `offset`. The caller must have checked the length.
fn array<const L: usize>(bytes: &[u8], offset: usize) -> [u8; L] {
    let mut out = [0; L];
    out.copy_from_slice(&bytes[offset..offset + L]);
    out
}

/// Wraps a payload as the blob of an evaluation key, which belongs to no other key and no model.
pub(super) fn seal_evaluation_key(set: ParameterSetId, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        kind: Kind::EvaluationKey,
        params: set,
        key: KeyId::NONE,
        model: ModelId::NONE,
    };
    header.seal(payload)
}

/// Checks the blob of an evaluation key and returns its payload.
pub(super) fn open_evaluation_key(
    blob: &[u8],
    set: ParameterSetId,
    payload_len: usize,
) -> Result<&[u8], WireError> {
    let (header, payload) = Header::open(blob, Kind::EvaluationKey, set, payload_len)?;
    if header.key != KeyId::NONE || header.model != ModelId::NONE {
        return Err(WireError::ReservedBits);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header {
        kind: Kind::Query,
        params: ParameterSetId(1),
        key: KeyId([7; 32]),
        model: ModelId([9; 16]),
    };

    fn open(blob: &[u8], len: usize) -> Result<(Header, &[u8]), WireError> {
        Header::open(blob, Kind::Query, ParameterSetId(1), len)
    }

    #[test]
    fn opens_what_it_sealed() {
        let blob = HEADER.seal(b"payload");
        assert_eq!(open(&blob, 7), Ok((HEADER, &b"payload"[..])));
        assert_eq!(Header::declared_len(&blob), Some(7));
        assert_eq!(Header::declared_len(&blob[..HEADER_BYTES - 1]), None);
        assert_eq!(
            open(&blob, 8).unwrap_err(),
            WireError::WrongLength {
                expected: 8,
                declared: 7,
                actual: 7
            }
        );
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let blob = HEADER.seal(&[5; 40]);
        for index in 0..blob.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut bad = blob.clone();
                bad[index] ^= flip;
                assert!(open(&bad, 40).is_err(), "byte {index} ^ {flip:#x} went unnoticed");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), len in 0usize..200) {
            prop_assert!(open(&bytes, len).is_err());
        }

        #[test]
        fn lengths_are_exact(payload in proptest::collection::vec(any::<u8>(), 0..64), delta in 1usize..9) {
            let blob = HEADER.seal(&payload);
            prop_assert!(open(&blob, payload.len() + delta).is_err());
            prop_assert!(open(&blob[..blob.len().saturating_sub(delta)], payload.len()).is_err());
            let longer = [&blob[..], &vec![0; delta]].concat();
            prop_assert!(open(&longer, payload.len()).is_err());
        }
    }
}
