use super::{KeptBits, LinearParams, NetworkParams, ParameterSet, TUniformBound, security_floor_log2_std};
use crate::noise::{rounding, variance};
use tfhe::core_crypto::prelude::{GlweDimension, PolynomialSize};

/// One kind of ciphertext that a client sends: what security and noise are stated of, as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encryption {
    /// What is encrypted.
    pub what: &'static str,
    /// `k` of the secret's ring.
    pub glwe_dimension: GlweDimension,
    /// `N` of the secret's ring.
    pub polynomial_size: PolynomialSize,
    /// Noise that is added.
    pub noise: TUniformBound,
    /// Bits of the bodies that travel; the rest is rounded away.
    pub bits: KeptBits,
}

impl Encryption {
    /// Dimension of the secret, `k N`, which the security depends on.
    pub const fn dimension(&self) -> usize {
        self.glwe_dimension.0 * self.polynomial_size.0
    }

    /// Standard deviation, as a fraction of the torus, of the error that whoever has the secret key finds in a body on the wire: noise and
    /// rounding. Its mean is zero.
    pub fn std_dev(&self) -> f64 {
        (variance(self.noise) + rounding(self.bits)).sqrt()
    }

    /// Base-2 logarithm of the least standard deviation that is secure at this dimension.
    pub fn floor_log2_std(&self) -> f64 {
        security_floor_log2_std(self.dimension())
    }
}

impl ParameterSet {
    /// Every kind of ciphertext that a client sends: those of a query first, then those of a public key in their order.
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
        glwe_dimension: params.input_dimension,
        polynomial_size: params.input_size,
        noise: params.input_noise,
        bits: params.query_bits,
    };
    let of_key = |what| Encryption {
        what,
        glwe_dimension: params.dimension,
        polynomial_size: params.size,
        noise: params.noise,
        bits: params.key_bits,
    };
    let key = ["bootstrapping key", "packing key", "encryptions of zero"];
    let input_zeros = Encryption {
        what: "input encryptions of zero",
        bits: params.input_zero_bits,
        ..query
    };
    [query]
        .into_iter()
        .chain(key.map(of_key))
        .chain([input_zeros])
        .collect()
}
