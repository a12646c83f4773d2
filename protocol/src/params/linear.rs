//! Parameters of linear models.

use super::{KeptBits, MODULUS_BITS, ParameterSetId, QueryFormat, ResponseFormat, TUniformBound};
use tfhe::core_crypto::prelude::{DecompositionBaseLog, GlweDimension, PolynomialSize};

/// Cryptographic parameters of linear scoring.
///
/// The evaluation key holds two seeded GLWE encryptions under the secret `s(X)`. The first encrypts
/// zero; the server makes its own fresh encryptions of zero from it. The second encrypts
/// `s(-X) * 2^64 / 2^base_log`; it is a one-level key-switching key for the automorphism `X -> -X`,
/// with which the server packs two scores into one ciphertext (Chen, Dai, Kim, Song, "Efficient
/// Homomorphic Conversion Between (Ring) LWE Ciphertexts", ACNS 2021, section 3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearParams {
    /// Identifier on the wire.
    pub id: ParameterSetId,
    /// Name in descriptors and messages.
    pub name: &'static str,
    /// GLWE dimension `k`.
    pub glwe_dimension: GlweDimension,
    /// Polynomial size `N`.
    pub polynomial_size: PolynomialSize,
    /// Noise of every encryption that hides something: queries, evaluation key, and the server's
    /// mask noise.
    pub noise: TUniformBound,
    /// Bits kept of each body coefficient of a query.
    pub query_bits: KeptBits,
    /// Bits kept of each body coefficient of the evaluation key's encryption of zero.
    pub zero_bits: KeptBits,
    /// Bits kept of each body coefficient of the evaluation key's automorphism key.
    pub automorphism_bits: KeptBits,
    /// Decomposition base of the one-level automorphism key switch.
    pub automorphism_base_log: DecompositionBaseLog,
    /// Bits kept of each mask and body coefficient of a response, after the modulus switch.
    pub response_bits: KeptBits,
    /// Flooding noise that the server adds to each score of a response, to hide what the other
    /// noise reveals.
    pub flooding: TUniformBound,
}

impl LinearParams {
    /// Set with `k = 1, N = 2048`.
    ///
    /// `noise`: TUniform(17) has a standard deviation of 2^-47.8, on the safe side of the curve's
    /// 2^-48.3. `query_bits` keeps the rounding error of a body (2^-49.8) below that noise.
    /// `zero_bits` and `automorphism_bits` share the 20 kB that an evaluation key may take.
    /// `response_bits` is the precision of the scores.
    pub const N2048: Self = Self {
        id: ParameterSetId(5),
        name: "linear-n2048-v3",
        glwe_dimension: GlweDimension(1),
        polynomial_size: PolynomialSize(2048),
        noise: TUniformBound::new(17),
        query_bits: KeptBits(48),
        zero_bits: KeptBits(36),
        automorphism_bits: KeptBits(41),
        automorphism_base_log: DecompositionBaseLog(21),
        response_bits: KeptBits(19),
        flooding: TUniformBound::new(48),
    };

    /// The same set with finer scores: eight times finer in a ciphertext of their own, three times
    /// finer where two share one (there the key switch dominates). Responses are a sixth larger,
    /// and the flooding margin is at least three bits smaller.
    pub const N2048_FINE: Self = Self {
        id: ParameterSetId(6),
        name: "linear-n2048-fine-v3",
        response_bits: KeptBits(22),
        flooding: TUniformBound::new(45),
        ..Self::N2048
    };

    /// Returns `N` as a plain count of coefficients.
    pub const fn n(&self) -> usize {
        self.polynomial_size.0
    }

    /// Returns the dimension of the secret, `k N`, which the security depends on.
    pub const fn secret_dimension(&self) -> usize {
        self.glwe_dimension.0 * self.polynomial_size.0
    }

    /// Returns the number of ciphertexts in a query of `features` values, `N` of them per
    /// polynomial.
    pub const fn query_ciphertexts(&self, features: usize) -> usize {
        features.div_ceil(self.n())
    }

    /// Returns the format of a query.
    pub const fn query_format(&self) -> QueryFormat {
        QueryFormat {
            set: self.id,
            bits: self.query_bits,
        }
    }

    /// Returns the format of a response, with two scores per ciphertext.
    pub const fn response_format(&self) -> ResponseFormat {
        ResponseFormat {
            set: self.id,
            bits: self.response_bits,
            mask_len: self.n(),
            scores: 2,
            stride: 1,
        }
    }

    /// Returns the factor `2^64 / 2^base_log` by which the automorphism key's message is scaled.
    pub const fn automorphism_gadget(&self) -> u64 {
        1 << (MODULUS_BITS as usize - self.automorphism_base_log.0)
    }
}
