//! Seeds of masks at the start of payloads.

use super::WireError;
use crate::random::MaskSeed;

/// Splits the seed off the start of a payload.
pub(super) fn split(payload: &[u8]) -> Result<(MaskSeed, &[u8]), WireError> {
    let (seed, rest) = payload
        .split_first_chunk()
        .ok_or(WireError::Truncated(payload.len()))?;
    Ok((MaskSeed(*seed), rest))
}
