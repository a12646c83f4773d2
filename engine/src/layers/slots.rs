//! Reads of rotated tables, and how weights are divided among what can be read.
//!
//! A table changes little from one coefficient to the next, and the noise of neighbouring
//! coefficients is independent in part. So a unit is read at several coefficients around the
//! middle, of each of its rotations. Each is a *slot*. A weight says how many times slots are added
//! up: all of them as often as possible, and then the first ones once more. Slots are ordered so
//! that a few of them are as many rotations as possible and stay around the middle.

use crate::network::{LweCiphertext, extracted};
use blindscore_protocol::params::{MODULUS_BITS, NetworkParams};

/// Slots of a rotation: coefficients around the middle. More of them have little less noise for the
/// same weight, because a part of it is shared.
pub const SLOTS: usize = 4;
/// Coefficients before the middle.
const BEFORE: usize = SLOTS / 2;
/// Coefficients of a rotation in the order in which they are slots, from [`BEFORE`] before the
/// middle. Rotations take turns, so that a few slots aren't all on the same side.
const ORDER: [[usize; SLOTS]; 2] = [[1, 2, 0, 3], [2, 1, 3, 0]];
/// Bits kept of a read's coefficients: rounding to them is far below the noise.
const BITS: u32 = u32::BITS;

/// Divides a weight among so many: what each has, and the number of the first ones that have one
/// more, or one less if it is negative.
pub(super) fn divided(weight: i32, among: usize) -> (i32, i32) {
    // At most `SLOTS * MOST_REPEATS`.
    let among = among.max(1) as i32;
    (weight / among, weight % among)
}

/// Returns how many times a weight adds up each coefficient, over all rotations.
pub(super) fn coefficients(weight: i32, repeats: usize) -> [i32; SLOTS] {
    let rotations = repeats as i32;
    let (each, more) = divided(weight, SLOTS * repeats);
    let mut counts = [each * rotations; SLOTS];
    for slot in 0..SLOTS {
        let first = (more.abs() - slot as i32 * rotations).clamp(0, rotations);
        // Those of even rotations come first.
        counts[ORDER[0][slot]] += more.signum() * ((first + 1) / 2);
        counts[ORDER[1][slot]] += more.signum() * (first / 2);
    }
    counts
}

/// LWE ciphertext of a read under the output secret.
#[derive(Clone)]
pub(super) struct Read {
    mask: Vec<u32>,
    body: u32,
}

impl Read {
    /// Reads the slots of a rotated table, a GLWE ciphertext of `(k + 1) N` coefficients. `part` is
    /// the number of the rotation among those of its unit.
    pub(super) fn slots(params: &NetworkParams, rotated: &[u64], part: usize) -> [Self; SLOTS] {
        let (mask, body) = rotated.split_at(params.output_lwe_dimension().0);
        let rounded = |coefficient: u64| {
            let dropped = MODULUS_BITS - BITS;
            (coefficient.wrapping_add(1 << (dropped - 1)) >> dropped) as u32
        };
        ORDER[part % 2].map(|place| {
            let mut coefficients = Vec::with_capacity(mask.len());
            for polynomial in mask.chunks_exact(params.polynomial_size.0) {
                coefficients.extend(extracted(&moved(polynomial, place)).map(rounded));
            }
            Self {
                mask: coefficients,
                body: rounded(moved(body, place)[0]),
            }
        })
    }

    /// Adds another read.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, coefficient) in self.mask.iter_mut().zip(&other.mask) {
            *sum = sum.wrapping_add(*coefficient);
        }
        self.body = self.body.wrapping_add(other.body);
    }

    /// Returns the sum of reads times integer weights.
    pub(super) fn weighted<'r>(
        params: &NetworkParams,
        terms: impl Iterator<Item = (&'r Self, i32)>,
    ) -> LweCiphertext {
        let mut sum = vec![0u32; params.output_lwe_dimension().0];
        let mut body = 0u32;
        for (read, weight) in terms {
            let weight = weight as u32;
            for (sum, coefficient) in sum.iter_mut().zip(&read.mask) {
                *sum = sum.wrapping_add(coefficient.wrapping_mul(weight));
            }
            body = body.wrapping_add(read.body.wrapping_mul(weight));
        }
        let widened = |coefficient: u32| u64::from(coefficient) << (MODULUS_BITS - BITS);
        LweCiphertext {
            mask: sum.into_iter().map(widened).collect(),
            body: widened(body),
        }
    }
}

/// Returns a polynomial with the coefficient at `place - BEFORE` moved to 0, with `X^N = -1`.
fn moved(polynomial: &[u64], place: usize) -> Vec<u64> {
    let mut moved = polynomial.to_vec();
    if let Some(later) = place.checked_sub(BEFORE) {
        moved.rotate_left(later);
        let end = moved.len() - later;
        moved[end..].iter_mut().for_each(|x| *x = x.wrapping_neg());
    } else {
        let earlier = BEFORE - place;
        moved.rotate_right(earlier);
        moved[..earlier].iter_mut().for_each(|x| *x = x.wrapping_neg());
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_that_move_around_the_end_change_their_sign() {
        let polynomial: Vec<u64> = (0..32).map(|x| x * x + 1).collect();
        let at = |index: i64| match index {
            index if index < 0 => polynomial[(index + 32) as usize].wrapping_neg(),
            index if index >= 32 => polynomial[(index - 32) as usize].wrapping_neg(),
            index => polynomial[index as usize],
        };
        for place in 0..SLOTS {
            let expected: Vec<u64> = (0..32).map(|index| at(index + place as i64 - 2)).collect();
            assert_eq!(moved(&polynomial, place), expected, "{place}");
        }
    }

    #[test]
    fn a_weight_is_divided_among_slots_in_their_order() {
        for repeats in [1, 2, 3, 8, 64] {
            for weight in [-1_000, -37, -5, -1, 0, 1, 2, 3, 4, 7, 9, 31, 33, 1_000] {
                let (each, more) = divided(weight, SLOTS * repeats);
                let mut expected = [0; SLOTS];
                for index in 0..SLOTS * repeats {
                    let (slot, part) = (index / repeats, index % repeats);
                    let extra = if index < more.unsigned_abs() as usize {
                        more.signum()
                    } else {
                        0
                    };
                    expected[ORDER[part % 2][slot]] += each + extra;
                }
                assert_eq!(coefficients(weight, repeats), expected, "{weight} by {repeats}");
                assert_eq!(expected.iter().sum::<i32>(), weight);
            }
        }
    }
}
