//! Ring arithmetic that both sides need: exact single coefficients of a product, and automorphisms.

/// Returns coefficient `position` of `a * b` modulo `X^N + 1` and `2^64`, where `N` is the common
/// length.
///
/// The running time depends only on `N`, since either factor may be secret.
#[inline]
pub fn product_coefficient(a: &[u64], b: &[u64], position: usize) -> u64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[u64], b: &[u64]| {
        let pairs = a.iter().zip(b.iter().rev());
        pairs.fold(0u64, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)))
    };
    let (a_low, a_high) = a.split_at(position + 1);
    let (b_low, b_high) = b.split_at(position + 1);
    // X^N = -1: the terms that wrap around are subtracted.
    dot(a_low, b_low).wrapping_sub(dot(a_high, b_high))
}

/// Computes `out = a(X^exponent)` modulo `X^N + 1`, for an odd exponent.
pub fn automorphism(out: &mut [u64], a: &[u64], exponent: usize) {
    let n = a.len();
    assert_eq!(out.len(), n);
    for (index, coefficient) in a.iter().enumerate() {
        // X^N = -1: the sign changes with every wrap.
        let image = index * exponent % (2 * n);
        out[image % n] = if image < n {
            *coefficient
        } else {
            coefficient.wrapping_neg()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfhe::core_crypto::{
        algorithms::polynomial_algorithms::polynomial_karatsuba_wrapping_mul, prelude::Polynomial,
    };

    #[test]
    fn automorphisms_are_those_of_the_ring() {
        let (mut image, mut back) = ([0; 4], [0; 4]);
        automorphism(&mut image, &[1, 2, 3, 4], 3);
        // 1 + 2 X^3 + 3 X^6 + 4 X^9 = 1 + 4 X - 3 X^2 + 2 X^3.
        assert_eq!(image, [1, 4, 3u64.wrapping_neg(), 2]);
        automorphism(&mut back, &image, 3);
        assert_eq!(back, [1, 2, 3, 4]);
    }

    #[test]
    fn agrees_with_tfhe() {
        let a: Vec<u64> = (1..=64u64)
            .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        let b: Vec<u64> = (1..=64u64)
            .map(|i| i.wrapping_mul(0xd134_2543_de82_ef95))
            .collect();
        let mut product = Polynomial::from_container(vec![0u64; 64]);
        polynomial_karatsuba_wrapping_mul(
            &mut product,
            &Polynomial::from_container(a.as_slice()),
            &Polynomial::from_container(b.as_slice()),
        );
        for (position, expected) in product.as_ref().iter().enumerate() {
            assert_eq!(product_coefficient(&a, &b, position), *expected);
        }
    }
}
