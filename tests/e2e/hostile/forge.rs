//! Makes bad blobs from good ones.

use blindscore_protocol::{ids::KeyId, wire::HEADER_BYTES};
use std::ops::Range;

/// Where a header has its format version.
pub(crate) const VERSION: Range<usize> = 4..6;
/// Where a header names its parameter set.
pub(crate) const PARAMETER_SET: Range<usize> = 8..12;
/// Where it says how long the payload is.
pub(crate) const LENGTH: Range<usize> = 12..20;
/// Bytes of the header that the checksum covers; it stands right after them.
const CHECKED: usize = 68;

/// Empty, cut, longer, zeros, noise: variants of a blob that are not whole.
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

/// Bytes without structure, the same in every run.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let blocks = (0u64..).flat_map(|block| KeyId::of(&block.to_le_bytes()).0);
    blocks.take(len).collect()
}

/// Puts the right checksum into a changed blob.
pub(crate) fn seal(mut blob: Vec<u8>) -> Vec<u8> {
    let checked = [&blob[..CHECKED], &blob[HEADER_BYTES..]].concat();
    blob[CHECKED..HEADER_BYTES].copy_from_slice(&KeyId::of(&checked).0[..HEADER_BYTES - CHECKED]);
    blob
}

/// Replaces bytes of a header and seals it again.
pub(crate) fn lie(blob: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut blob = blob.to_vec();
    blob[offset..offset + bytes.len()].copy_from_slice(bytes);
    seal(blob)
}
