//! Kinds of ciphertexts that a client sends, with their noise and security.

use super::{rounding, variance};
use crate::params::{
    KeptBits, LinearParams, NetworkParams, ParameterSet, TUniformBound, security_floor_log2_std,
};
use tfhe::core_crypto::prelude::{GlweDimension, PolynomialSize};

/// One kind of ciphertext that a client sends, as it stands on the wire. Security and noise are
/// stated per kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encryption {
    /// Name of the kind.
    pub what: &'static str,
    /// GLWE dimension `k` of the secret.
    pub glwe_dimension: GlweDimension,
    /// Polynomial size `N` of the secret.
    pub polynomial_size: PolynomialSize,
    /// Noise added at encryption.
    pub noise: TUniformBound,
    /// Bits of each body coefficient that are sent; the rest is rounded away.
    pub bits: KeptBits,
}

impl Encryption {
    /// Returns the dimension of the secret, `k N`, which the security depends on.
    pub const fn dimension(&self) -> usize {
        self.glwe_dimension.0 * self.polynomial_size.0
    }

    /// Returns the standard deviation, as a fraction of the torus, of the error that the holder of
    /// the secret key finds in a body on the wire: noise plus rounding. The mean is zero.
    pub fn std_dev(&self) -> f64 {
        (variance(self.noise) + rounding(self.bits)).sqrt()
    }

    /// Returns the base-2 logarithm of the smallest standard deviation that is secure at this
    /// dimension.
    pub fn floor_log2_std(&self) -> f64 {
        security_floor_log2_std(self.dimension())
    }
}

impl ParameterSet {
    /// Returns every kind of ciphertext that a client sends: first those of a query, then those of
    /// a public key in wire order.
    pub fn encryptions(&self) -> Vec<Encryption> {
        match self {
            Self::Linear(params) => linear(params),
            Self::Network(params) => network(params),
        }
    }
}

fn linear(params: &LinearParams) -> Vec<Encryption> {
    let kinds = [
        ("query", params.query_bits),
        ("encryption of zero", params.zero_bits),
        ("automorphism key", params.automorphism_bits),
    ];
    let encryption = |(what, bits)| Encryption {
        what,
        glwe_dimension: params.glwe_dimension,
        polynomial_size: params.polynomial_size,
        noise: params.noise,
        bits,
    };
    kinds.map(encryption).to_vec()
}

fn network(params: &NetworkParams) -> Vec<Encryption> {
    let query = Encryption {
        what: "query",
        glwe_dimension: params.input_glwe_dimension,
        polynomial_size: params.input_polynomial_size,
        noise: params.input_noise,
        bits: params.query_bits,
    };
    let of_key = |what| Encryption {
        what,
        glwe_dimension: params.glwe_dimension,
        polynomial_size: params.polynomial_size,
        noise: params.noise,
        bits: params.key_bits,
    };
    let key = ["bootstrapping key", "packing key", "encryptions of zero"];
    let input_zeros = Encryption {
        what: "input encryptions of zero",
        bits: params.input_zero_bits,
        ..query
    };
    let key_switch = params.key_switch.map(|switch| Encryption {
        what: "key-switching key",
        bits: switch.bits,
        ..query
    });
    [query]
        .into_iter()
        .chain(key.map(of_key))
        .chain([input_zeros])
        .chain(key_switch)
        .collect()
}
