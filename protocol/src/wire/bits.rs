//! Bit packing: torus elements cut to their most significant bits, without gaps, least significant
//! bit first.

use super::WireError;
use crate::params::KeptBits;

/// Returns the number of bytes that `count` coefficients take.
pub(super) const fn packed_len(count: usize, kept: KeptBits) -> usize {
    (count * kept.0 as usize).div_ceil(8)
}

/// Appends `coefficients`, rounded to the kept bits, to `out`; the last byte is padded with zeros.
pub(super) fn pack(out: &mut Vec<u8>, coefficients: &[u64], kept: KeptBits) {
    out.reserve(packed_len(coefficients.len(), kept));
    let (mut pending, mut pending_bits) = (0u128, 0);
    for &coefficient in coefficients {
        pending |= u128::from(kept.round(coefficient)) << pending_bits;
        pending_bits += kept.0;
        while pending_bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            pending_bits -= 8;
        }
    }
    if pending_bits > 0 {
        out.push(pending as u8);
    }
}

/// Reads `count` coefficients. The caller must have checked that `bytes` is [`packed_len`] long.
pub(super) fn unpack(bytes: &[u8], count: usize, kept: KeptBits) -> Result<Vec<u64>, WireError> {
    assert_eq!(bytes.len(), packed_len(count, kept), "callers split by length");
    let mask = (1u128 << kept.0) - 1;
    let mut coefficients = Vec::with_capacity(count);
    let (mut pending, mut pending_bits) = (0u128, 0);
    for &byte in bytes {
        pending |= u128::from(byte) << pending_bits;
        pending_bits += 8;
        if pending_bits >= kept.0 && coefficients.len() < count {
            coefficients.push(kept.expand((pending & mask) as u64));
            pending >>= kept.0;
            pending_bits -= kept.0;
        }
    }
    if pending != 0 {
        return Err(WireError::ReservedBits);
    }
    Ok(coefficients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(values in proptest::collection::vec(any::<u64>(), 0..50), width in 8u32..=64) {
            let kept = KeptBits(width);
            let mut bytes = Vec::new();
            pack(&mut bytes, &values, kept);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), kept));
            let rounded: Vec<u64> = values.iter().map(|&v| kept.expand(kept.round(v))).collect();
            prop_assert_eq!(unpack(&bytes, values.len(), kept), Ok(rounded));
        }
    }

    #[test]
    fn padding_must_be_zero() {
        let kept = KeptBits(19);
        let mut bytes = Vec::new();
        pack(&mut bytes, &[3, 4, 5], kept);
        assert!(unpack(&bytes, 3, kept).is_ok());
        *bytes.last_mut().unwrap() |= 0x80;
        assert_eq!(unpack(&bytes, 3, kept), Err(WireError::ReservedBits));
    }
}
