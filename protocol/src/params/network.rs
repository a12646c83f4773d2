//! Parameters of everything that takes programmable bootstrappings: networks and trees.

use super::{KeptBits, MODULUS_BITS, ParameterSetId, QueryFormat, ResponseFormat, TUniformBound};
use tfhe::core_crypto::prelude::{
    DecompositionBaseLog, DecompositionLevelCount, GlweDimension, LweDimension, PolynomialSize,
};

/// Cryptographic parameters of a projection network, with one programmable bootstrapping per
/// projection.
///
/// Features are encrypted in a *small* ring. Its GLWE secret, read as an LWE secret, is the input
/// secret of the bootstrapping, so that the inner product with a projection's weights is an LWE
/// ciphertext under it without any key switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkParams {
    /// Identifier on the wire.
    pub id: ParameterSetId,
    /// Name in descriptors and messages.
    pub name: &'static str,
    /// GLWE dimension `k` of the input ring, in which features are encrypted.
    pub input_glwe_dimension: GlweDimension,
    /// Polynomial size `N` of the input ring.
    pub input_polynomial_size: PolynomialSize,
    /// Noise of everything encrypted in the input ring: queries, encryptions of zero, and the
    /// server's mask noise.
    pub input_noise: TUniformBound,
    /// Bits kept of each body coefficient of a query.
    pub query_bits: KeptBits,
    /// Bits kept of each body coefficient of the evaluation key's encryptions of zero in the input
    /// ring.
    pub input_zero_bits: KeptBits,
    /// GLWE dimension `k` of the output ring, in which blind rotations run and scores are
    /// encrypted.
    pub glwe_dimension: GlweDimension,
    /// Polynomial size `N` of the output ring.
    pub polynomial_size: PolynomialSize,
    /// Noise of the evaluation key.
    pub noise: TUniformBound,
    /// Decomposition base of the one-level external products.
    pub base_log: DecompositionBaseLog,
    /// Bits kept of each body coefficient of the evaluation key in the output ring.
    pub key_bits: KeptBits,
    /// Base-2 logarithm of the number of scores in one ciphertext of a response.
    pub packing_log2: u32,
    /// Bits kept of each mask and body coefficient of a response.
    pub response_bits: KeptBits,
    /// Key switch from the output secret to the input secret, for models with several layers of
    /// bootstrappings; `None` if there is only one.
    pub key_switch: Option<KeySwitch>,
}

/// Parameters of a key switch from the output secret to the input secret.
///
/// It runs in the input ring: the mask of an LWE ciphertext, read as polynomials of the input
/// ring's size, is decomposed into digits, which are multiplied by encryptions of the output
/// secret's polynomials (Chillotti, Gama, Georgieva, Izabachène, J. Cryptology 2020, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeySwitch {
    /// Base of the digits.
    pub base_log: DecompositionBaseLog,
    /// Number of digits.
    pub level_count: DecompositionLevelCount,
    /// Bits kept of each body coefficient of the key-switching key.
    pub bits: KeptBits,
}

impl KeySwitch {
    /// Returns the mean square of a digit of a uniform number.
    pub(crate) fn mean_square(&self) -> f64 {
        match self.base_log.0 {
            // Of neighbouring digits one is 0 (the non-adjacent form), and a third isn't on average
            // (Reitwiesner, "Binary Arithmetic", Advances in Computers 1, 1960).
            1 => 1.0 / 3.0,
            // Uniform from -base/2 to base/2, with both ends half as likely as the others.
            log => (4f64.powi(log as i32) + 2.0) / 12.0,
        }
    }
}

impl NetworkParams {
    /// Set with input dimension `n = 11 * 64 = 704` and output ring `k = 4, N = 512`.
    ///
    /// `input_noise`: TUniform(50) has a standard deviation of 2^-14.79 (the curve asks for
    /// 2^-14.87 at 704). `noise`: TUniform(17) has one of 2^-47.79 (2^-48.32 at 2048). The rounding
    /// to 23 bits limits the precision of a blind rotation, not the key.
    ///
    /// `input_zero_bits` keeps the rounding error of the encryptions of zero (2^-21.8) far below
    /// their noise.
    pub const N704_K4: Self = Self {
        id: ParameterSetId(7),
        name: "network-n704-k4-v3",
        input_glwe_dimension: GlweDimension(11),
        input_polynomial_size: PolynomialSize(64),
        input_noise: TUniformBound::new(50),
        query_bits: KeptBits(18),
        input_zero_bits: KeptBits(20),
        glwe_dimension: GlweDimension(4),
        polynomial_size: PolynomialSize(512),
        noise: TUniformBound::new(17),
        base_log: DecompositionBaseLog(23),
        key_bits: KeptBits(46),
        packing_log2: 4,
        response_bits: KeptBits(16),
        key_switch: None,
    };

    /// Set for trees, with the output ring `k = 2, N = 1024`: a blind rotation has twice as many
    /// steps as with [`Self::N704_K4`], which halves the error of the modulus switch, and so tells
    /// twice as many levels apart. Queries and secrets are those of that set, and so is the
    /// security: the dimensions (704 and 2048) and the noises are the same.
    pub const N704_K2: Self = Self {
        id: ParameterSetId(8),
        name: "network-n704-k2-v3",
        glwe_dimension: GlweDimension(2),
        polynomial_size: PolynomialSize(1024),
        ..Self::N704_K4
    };

    /// Set for networks with several layers, with input dimension `n = 13 * 64 = 832`, the output
    /// ring of [`Self::N704_K2`], and a key switch back.
    ///
    /// `input_noise`: TUniform(47) has a standard deviation of 2^-17.79 (the curve asks for
    /// 2^-18.05 at 832). It is the smallest dimension at which the key switch adds little, 2^-10.5,
    /// to the error of the modulus switch, 2^-8.9; at 704 it would add 2^-7.5. Roundings are as
    /// fine beside the noise as those of the other sets.
    pub const N832_K2: Self = Self {
        id: ParameterSetId(9),
        name: "network-n832-k2-v3",
        input_glwe_dimension: GlweDimension(13),
        input_noise: TUniformBound::new(47),
        query_bits: KeptBits(21),
        input_zero_bits: KeptBits(23),
        key_switch: Some(KeySwitch {
            base_log: DecompositionBaseLog(2),
            level_count: DecompositionLevelCount(8),
            bits: KeptBits(23),
        }),
        ..Self::N704_K2
    };

    /// Set for projection networks of which only the label is sent: [`Self::N704_K4`] with a key
    /// switch back, which makes the key 0.6 % longer.
    ///
    /// At 704 a key switch adds an error of 2^-8.2 to that of the modulus switch, 2^-8.0: too much
    /// for a layer of units, and little beside the differences of scores that decide about labels.
    /// Digits are bits with signs (base 2), two thirds of which are 0: any larger base makes more
    /// noise.
    pub const N704_K4_SWITCH: Self = Self {
        id: ParameterSetId(10),
        name: "network-n704-k4-switch-v3",
        key_switch: Some(KeySwitch {
            base_log: DecompositionBaseLog(1),
            level_count: DecompositionLevelCount(13),
            bits: KeptBits(20),
        }),
        ..Self::N704_K4
    };

    /// Returns the dimension of the secret that features are encrypted under.
    pub const fn input_lwe_dimension(&self) -> LweDimension {
        LweDimension(self.input_glwe_dimension.0 * self.input_polynomial_size.0)
    }

    /// Returns the dimension of the secret that scores are encrypted under.
    pub const fn output_lwe_dimension(&self) -> LweDimension {
        LweDimension(self.glwe_dimension.0 * self.polynomial_size.0)
    }

    /// Returns the number of ciphertexts in a query of `features` values.
    pub const fn query_ciphertexts(&self, features: usize) -> usize {
        features.div_ceil(self.input_polynomial_size.0)
    }

    /// Returns the number of rows in a GGSW ciphertext.
    pub const fn ggsw_rows(&self) -> usize {
        self.glwe_dimension.0 + 1
    }

    /// Returns the number of GLWE ciphertexts in the output ring of an evaluation key: a GGSW for
    /// each bit of the input secret, key-switching keys for the packing automorphisms, and `k`
    /// encryptions of zero.
    pub const fn key_ciphertexts(&self) -> usize {
        let packing = self.packing_log2 as usize * self.glwe_dimension.0;
        self.input_lwe_dimension().0 * self.ggsw_rows() + packing + self.glwe_dimension.0
    }

    /// Returns the number of ciphertexts in the input ring of a key-switching key: one for each
    /// digit of each polynomial of the input ring's size that the output secret consists of.
    pub const fn key_switch_ciphertexts(&self) -> usize {
        match &self.key_switch {
            Some(switch) => {
                self.output_lwe_dimension().0 / self.input_polynomial_size.0 * switch.level_count.0
            }
            None => 0,
        }
    }

    /// Returns the number of scores in one ciphertext of a response.
    pub const fn packed_scores(&self) -> usize {
        1 << self.packing_log2
    }

    /// Returns the Galois elements `g` of the packing automorphisms `X -> X^g`: 3, 5, 9 and so on.
    pub fn galois_elements(&self) -> impl Iterator<Item = usize> + use<> {
        (1..=self.packing_log2).map(|level| (1 << level) + 1)
    }

    /// Returns the factor `2^64 / 2^base_log` of the messages in a GGSW.
    pub const fn gadget(&self) -> u64 {
        1 << (MODULUS_BITS as usize - self.base_log.0)
    }

    /// Returns the base-2 logarithm of `2N`, the number of steps of a blind rotation.
    pub const fn rotation_log2(&self) -> u32 {
        self.polynomial_size.0.ilog2() + 1
    }

    /// Returns the format of a query.
    pub const fn query_format(&self) -> QueryFormat {
        QueryFormat {
            set: self.id,
            bits: self.query_bits,
        }
    }

    /// Returns the format of a response.
    pub const fn response_format(&self) -> ResponseFormat {
        ResponseFormat {
            set: self.id,
            bits: self.response_bits,
            mask_len: self.output_lwe_dimension().0,
            scores: self.packed_scores(),
            stride: self.polynomial_size.0 / self.packed_scores(),
        }
    }
}
