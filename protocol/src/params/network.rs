use super::{KeptBits, MODULUS_BITS, ParameterSetId, QueryFormat, ResponseFormat, TUniformBound};
use tfhe::core_crypto::prelude::{DecompositionBaseLog, GlweDimension, LweDimension, PolynomialSize};

/// Everything that fixes the cryptography of a projection network: one programmable bootstrapping for each projection.
///
/// Features are encrypted in a *small* ring, whose GLWE secret, read as an LWE secret, is the input of the bootstrapping: the inner
/// product with a projection's weights is an LWE ciphertext under it without any key switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkParams {
    /// Identifier on the wire.
    pub id: ParameterSetId,
    /// Name in descriptors and messages.
    pub name: &'static str,
    /// `k` of the ring that features are encrypted in.
    pub input_dimension: GlweDimension,
    /// `N` of the ring that features are encrypted in.
    pub input_size: PolynomialSize,
    /// Noise of whatever is encrypted in that ring: queries, encryptions of zero, and the server's mask noise.
    pub input_noise: TUniformBound,
    /// Body coefficients of a query.
    pub query_bits: KeptBits,
    /// Body coefficients of the evaluation key's encryptions of zero in the ring of features.
    pub input_zero_bits: KeptBits,
    /// `k` of the ring that is rotated.
    pub dimension: GlweDimension,
    /// `N` of the ring that is rotated.
    pub size: PolynomialSize,
    /// Noise of the evaluation key.
    pub noise: TUniformBound,
    /// Decomposition of the external products; one level.
    pub base_log: DecompositionBaseLog,
    /// Body coefficients of the evaluation key.
    pub key_bits: KeptBits,
    /// Base-2 logarithm of the number of scores in one ciphertext of a response.
    pub packing_log2: u32,
    /// Mask and body coefficients of a response.
    pub response_bits: KeptBits,
}

impl NetworkParams {
    /// `n = 11 * 64 = 704` to `k = 4, N = 512`.
    ///
    /// `input_noise`: TUniform(50) has a standard deviation of 2^-14.79 (the curve asks for 2^-14.87 at 704), `noise`: TUniform(17)
    /// of 2^-47.79 (2^-48.32 at 2048). What limits the precision of a rotation is the rounding to 23 bits, not the key.
    ///
    /// `input_zero_bits` keeps the rounding of the encryptions of zero (2^-21.8) far under their noise.
    pub const N704_K4: Self = Self {
        id: ParameterSetId(7),
        name: "network-n704-k4-v3",
        input_dimension: GlweDimension(11),
        input_size: PolynomialSize(64),
        input_noise: TUniformBound::new(50),
        query_bits: KeptBits(18),
        input_zero_bits: KeptBits(20),
        dimension: GlweDimension(4),
        size: PolynomialSize(512),
        noise: TUniformBound::new(17),
        base_log: DecompositionBaseLog(23),
        key_bits: KeptBits(46),
        packing_log2: 4,
        response_bits: KeptBits(16),
    };

    /// Dimension of the secret that features are encrypted with.
    pub const fn input_lwe_dimension(&self) -> LweDimension {
        LweDimension(self.input_dimension.0 * self.input_size.0)
    }

    /// Dimension of the secret that scores are encrypted with.
    pub const fn output_lwe_dimension(&self) -> LweDimension {
        LweDimension(self.dimension.0 * self.size.0)
    }

    /// Ciphertexts in a query of `features` values.
    pub const fn query_ciphertexts(&self, features: usize) -> usize {
        features.div_ceil(self.input_size.0)
    }

    /// Rows of one GGSW ciphertext.
    pub const fn ggsw_rows(&self) -> usize {
        self.dimension.0 + 1
    }

    /// GLWE ciphertexts of the ring of scores in an evaluation key: a GGSW of each input secret bit, key-switching keys for the automorphisms of packing, and `k`
    /// encryptions of zero.
    pub const fn key_ciphertexts(&self) -> usize {
        let packing = self.packing_log2 as usize * self.dimension.0;
        self.input_lwe_dimension().0 * self.ggsw_rows() + packing + self.dimension.0
    }

    /// Scores in one ciphertext of a response.
    pub const fn packed_scores(&self) -> usize {
        1 << self.packing_log2
    }

    /// The exponents `g` of the automorphisms `X -> X^g` of packing: 3, 5, 9 and so on.
    pub fn packing_exponents(&self) -> impl Iterator<Item = usize> + use<> {
        (1..=self.packing_log2).map(|level| (1 << level) + 1)
    }

    /// Factor `2^64 / 2^base_log` of the messages in a GGSW.
    pub const fn gadget(&self) -> u64 {
        1 << (MODULUS_BITS as usize - self.base_log.0)
    }

    /// Base-2 logarithm of `2N`, the number of steps of a rotation.
    pub const fn rotation_log2(&self) -> u32 {
        self.size.0.ilog2() + 1
    }

    /// Format of a query.
    pub const fn query_format(&self) -> QueryFormat {
        QueryFormat {
            set: self.id,
            bits: self.query_bits,
        }
    }

    /// Format of a response.
    pub const fn response_format(&self) -> ResponseFormat {
        ResponseFormat {
            set: self.id,
            bits: self.response_bits,
            mask_len: self.output_lwe_dimension().0,
            scores: self.packed_scores(),
            stride: self.size.0 / self.packed_scores(),
        }
    }
}
