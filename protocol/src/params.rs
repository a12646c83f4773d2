//! Parameter sets and the security curve they are held to.

use core::fmt;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DynamicDistribution, GlweDimension, PolynomialSize, StandardDev,
};

/// Bits of the ciphertext modulus: `q = 2^64`, arithmetic wraps natively.
pub const MODULUS_BITS: u32 = u64::BITS;

/// Smallest noise, as the base-2 logarithm of a standard deviation on the torus, that gives 132 bits
/// of security to a binary secret of `dimension` coefficients with `q = 2^64`.
///
/// Source: the security-curve fit of Concrete (Zama) against the lattice estimator,
/// `max(-0.024891456582633045 n + 2.65734593837534, 2 - 64)`, valid for `n > 450`.
/// For a GLWE ciphertext `n = k N`.
pub fn security_floor_log2_std(dimension: usize) -> f64 {
    const SLOPE: f64 = -0.024891456582633045;
    const BIAS: f64 = 2.65734593837534;
    (SLOPE * dimension as f64 + BIAS).max(2.0 - f64::from(MODULUS_BITS))
}

/// Identifier of a parameter set on the wire. Never reused: a changed set gets a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterSetId(pub u32);

impl fmt::Display for ParameterSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of most significant bits of each coefficient that travel; the rest is rounded away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBits(pub u32);

impl KeptBits {
    /// Rounds a torus element to the nearest multiple of `2^(64 - bits)`, as an integer below `2^bits`.
    #[inline]
    pub fn round(self, torus: u64) -> u64 {
        let dropped = MODULUS_BITS - self.0;
        if dropped == 0 {
            return torus;
        }
        torus.wrapping_add(1 << (dropped - 1)) >> dropped
    }

    /// The torus element that an integer made by [`KeptBits::round`] stands for.
    #[inline]
    pub fn expand(self, kept: u64) -> u64 {
        kept << (MODULUS_BITS - self.0)
    }
}

/// Base-2 logarithm of the bound of a TUniform distribution: integers in `[-2^b, 2^b]`, the two ends
/// half as likely as the others. Its variance is `(2^(2b+1) + 1) / 6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TUniformBound(pub u32);

impl TUniformBound {
    /// Standard deviation as a fraction of the torus.
    pub fn std_dev(self) -> StandardDev {
        let variance = (2f64.powi(2 * self.0 as i32 + 1) + 1.0) / 6.0;
        StandardDev(variance.sqrt() / 2f64.powi(MODULUS_BITS as i32))
    }

    /// The distribution as tfhe samples it.
    pub fn distribution(self) -> DynamicDistribution<u64> {
        DynamicDistribution::new_t_uniform(self.0)
    }
}

/// Everything that fixes the cryptography of linear scoring.
///
/// The public key holds two seeded GLWE encryptions under the secret `s(X)`: one of zero, from which the
/// server makes its own fresh encryptions of zero, and one of `s(-X) * 2^64 / 2^base_log`, a one-level
/// key-switching key for the automorphism `X -> -X`, with which it packs two scores into one ciphertext
/// (Chen, Dai, Kim, Song, "Efficient Homomorphic Conversion Between (Ring) LWE Ciphertexts", ACNS 2021, section 3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearParams {
    /// Identifier on the wire.
    pub id: ParameterSetId,
    /// Name in descriptors and messages.
    pub name: &'static str,
    /// `k`.
    pub glwe_dimension: GlweDimension,
    /// `N`.
    pub polynomial_size: PolynomialSize,
    /// Noise of every encryption that hides something: queries, public key, and the server's mask noise.
    pub noise: TUniformBound,
    /// Body coefficients of a query.
    pub query_bits: KeptBits,
    /// Body coefficients of the encryption of zero in the public key.
    pub zero_bits: KeptBits,
    /// Body coefficients of the automorphism key in the public key.
    pub automorphism_bits: KeptBits,
    /// Decomposition of the one-level automorphism key switch.
    pub automorphism_base_log: DecompositionBaseLog,
    /// Mask and body coefficients of a response, after the modulus switch.
    pub response_bits: KeptBits,
    /// Noise that the server adds to each score of a response, to drown what the other noises tell.
    pub flooding: TUniformBound,
}

impl LinearParams {
    /// The only set so far: `k = 1, N = 2048`.
    ///
    /// `noise`: TUniform(17) has a standard deviation of 2^-47.8, on the safe side of the curve's 2^-48.3.
    /// `query_bits` keeps the rounding of a body (2^-49.8) under that noise. `zero_bits` and
    /// `automorphism_bits` share the 20 kB a public key may take; `response_bits` is the precision of the scores.
    pub const N2048: Self = Self {
        id: ParameterSetId(1),
        name: "linear-n2048",
        glwe_dimension: GlweDimension(1),
        polynomial_size: PolynomialSize(2048),
        noise: TUniformBound(17),
        query_bits: KeptBits(48),
        zero_bits: KeptBits(36),
        automorphism_bits: KeptBits(41),
        automorphism_base_log: DecompositionBaseLog(21),
        response_bits: KeptBits(19),
        flooding: TUniformBound(48),
    };

    /// Every set this version can use.
    pub const ALL: [Self; 1] = [Self::N2048];

    /// The set with this identifier.
    pub fn by_id(id: ParameterSetId) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.id == id)
    }

    /// The set with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name == name)
    }

    /// `N` as a plain count of coefficients.
    pub const fn n(&self) -> usize {
        self.polynomial_size.0
    }

    /// Dimension of the secret, `k N`, which the security depends on.
    pub const fn secret_dimension(&self) -> usize {
        self.glwe_dimension.0 * self.polynomial_size.0
    }

    /// `q = 2^64`.
    pub fn modulus(&self) -> CiphertextModulus<u64> {
        CiphertextModulus::new_native()
    }

    /// Ciphertexts in a query of `features` values: one polynomial carries `N` of them.
    pub const fn query_ciphertexts(&self, features: usize) -> usize {
        features.div_ceil(self.n())
    }

    /// Ciphertexts in a response of `outputs` scores: one carries two.
    pub const fn response_ciphertexts(&self, outputs: usize) -> usize {
        outputs.div_ceil(2)
    }

    /// Ciphertext of a response, and coefficient of its phase, in which score `output` stands.
    pub const fn score_place(&self, output: usize) -> (usize, usize) {
        (output / 2, output % 2)
    }

    /// Factor `2^64 / 2^base_log` by which the automorphism key's message is scaled.
    pub const fn automorphism_gadget(&self) -> u64 {
        1 << (MODULUS_BITS as usize - self.automorphism_base_log.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_on_or_just_above_the_security_curve() {
        for set in LinearParams::ALL {
            let excess = set.noise.std_dev().0.log2() - security_floor_log2_std(set.secret_dimension());
            assert!(
                excess >= 0.0,
                "{}: noise is {excess:.2} bits below the 132-bit curve",
                set.name
            );
            assert!(
                excess < 1.0,
                "{}: noise is {excess:.2} bits more than security asks for",
                set.name
            );
        }
    }

    #[test]
    fn curve_matches_published_points() {
        for (n, log2_std) in [(704, -14.9), (768, -16.5), (1536, -35.6), (2048, -48.3)] {
            assert!((security_floor_log2_std(n) - log2_std).abs() < 0.05);
        }
        assert_eq!(security_floor_log2_std(4096), -62.0);
    }

    #[test]
    fn rounding_keeps_the_nearest_multiple() {
        let kept = KeptBits(19);
        assert_eq!(kept.expand(kept.round(u64::MAX)), 0);
        for torus in [0, 1, 1 << 44, (1 << 45) + 7, u64::MAX / 3] {
            let error = kept.expand(kept.round(torus)).wrapping_sub(torus) as i64;
            assert!(error.unsigned_abs() <= 1 << 44);
        }
    }
}
