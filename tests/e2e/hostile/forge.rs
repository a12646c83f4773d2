//! Makes invalid blobs from valid ones.

use blindscore_protocol::{ids::KeyId, wire::HEADER_BYTES};
use std::ops::Range;

/// Position of the format version in a header.
pub(crate) const VERSION: Range<usize> = 4..6;
/// Position of the parameter set in a header.
pub(crate) const PARAMETER_SET: Range<usize> = 8..12;
/// Position of the payload's length in a header.
pub(crate) const LENGTH: Range<usize> = 12..20;
/// Header bytes that the checksum covers; it directly follows them.
const CHECKED: usize = 68;

/// Returns incomplete variants of a blob: empty, cut, longer, zeros, noise.
pub(crate) fn broken(blob: &[u8]) -> Vec<(String, Vec<u8>)> {
    let cut = |len: usize| (format!("cut to {len} bytes"), blob[..len].to_vec());
    let mut variants: Vec<_> = [
        0,
        1,
        4,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        HEADER_BYTES + 1,
        blob.len() / 2,
        blob.len() - 1,
    ]
    .into_iter()
    .map(cut)
    .collect();
    variants.push(("one byte longer".into(), [blob, &[0]].concat()));
    variants.push(("without its first byte".into(), blob[1..].to_vec()));
    variants.push(("zeros".into(), vec![0; blob.len()]));
    variants.push(("ones".into(), vec![0xff; blob.len()]));
    variants.push(("noise".into(), noise(blob.len())));
    variants.push((
        "text".into(),
        b"not a ciphertext ".repeat(blob.len() / 17 + 1)[..blob.len()].to_vec(),
    ));
    variants
}

/// Returns bytes without structure, the same in every run.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let blocks = (0u64..).flat_map(|block| KeyId::of(&block.to_le_bytes()).0);
    blocks.take(len).collect()
}

/// Updates the checksum of a changed blob.
pub(crate) fn seal(mut blob: Vec<u8>) -> Vec<u8> {
    let checked = [&blob[..CHECKED], &blob[HEADER_BYTES..]].concat();
    blob[CHECKED..HEADER_BYTES].copy_from_slice(&KeyId::of(&checked).0[..HEADER_BYTES - CHECKED]);
    blob
}

/// Replaces bytes of a header and updates the checksum.
pub(crate) fn lie(blob: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut blob = blob.to_vec();
    blob[offset..offset + bytes.len()].copy_from_slice(bytes);
    seal(blob)
}
