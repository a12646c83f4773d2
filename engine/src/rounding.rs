//! Centred rounding: the body absorbs the expected phase error from rounding the mask.
//!
//! Rounding a mask coefficient by `r` changes the phase by `r` times a secret coefficient. A binary
//! coefficient is 1/2 on average, so the mean of that change is known without the secret, and only
//! `r (s - 1/2)` remains: half the variance.

use blindscore_protocol::params::KeptBits;

/// Secret polynomial that the rounded mask is multiplied by.
#[derive(Clone, Copy)]
pub(super) enum Secret {
    /// `s(X)`: all coefficients are 1/2 on average.
    Key,
    /// `s(-X)`: 1/2 at even coefficients, -1/2 at odd ones.
    Image,
}

/// Returns coefficient `position` of `residuals` times the mean of the secret.
///
/// The residuals are below 2^48 in absolute value, so their sum fits.
pub(super) fn expected_product(residuals: &[u64], secret: Secret, position: usize) -> u64 {
    let sum: i64 = residuals
        .iter()
        .enumerate()
        .map(|(index, &residual)| {
            let wraps = index > position;
            // N is even, so the parity of the secret's index is that of the difference, wrapped or
            // not.
            let odd_image = matches!(secret, Secret::Image) && index.abs_diff(position) % 2 == 1;
            if wraps != odd_image {
                -(residual as i64)
            } else {
                residual as i64
            }
        })
        .sum();
    (sum / 2) as u64
}

/// Returns the expected phase errors at `positions` from rounding `mask` to `kept` bits. Subtract
/// them from the body.
pub(super) fn expected_loss(
    kept: KeptBits,
    mask: &[u64],
    positions: impl Iterator<Item = usize>,
) -> Vec<u64> {
    let residual = |&coefficient: &u64| coefficient.wrapping_sub(kept.expand(kept.round(coefficient)));
    let residuals: Vec<u64> = mask.iter().map(residual).collect();
    positions
        .map(|position| expected_product(&residuals, Secret::Key, position))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::{polynomial::product_coefficient, random::reproducible};

    #[test]
    fn is_half_the_product_with_all_ones() {
        let residuals: Vec<u64> = reproducible([1; 16], 64)
            .iter()
            .map(|&v| (v as i64 >> 20) as u64 & !1)
            .collect();
        let minus_one = u64::MAX;
        let ones = vec![1; 64];
        let image: Vec<u64> = (0..64).map(|i| if i % 2 == 0 { 1 } else { minus_one }).collect();
        for position in [0, 1, 5, 63] {
            for (secret, polynomial) in [(Secret::Key, &ones), (Secret::Image, &image)] {
                let product = product_coefficient(&residuals, polynomial, position);
                assert_eq!(
                    expected_product(&residuals, secret, position),
                    (product as i64 / 2) as u64
                );
            }
        }
    }
}
