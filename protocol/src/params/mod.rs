//! Parameter sets and the security curve that they must meet.

mod linear;
mod network;

pub use linear::LinearParams;
pub use network::{KeySwitch, NetworkParams};

use core::fmt;
use tfhe::core_crypto::prelude::StandardDev;

/// Bits of the ciphertext modulus `q = 2^64`; arithmetic wraps natively.
pub const MODULUS_BITS: u32 = u64::BITS;

/// Returns the smallest noise, as the base-2 logarithm of a standard deviation on the torus, that
/// gives 132 bits of security to a binary secret of `dimension` coefficients with `q = 2^64`.
///
/// Source: the security-curve fit of Concrete (Zama) against the lattice estimator,
/// `max(-0.024891456582633045 n + 2.65734593837534, 2 - 64)`, valid for `n > 450`. For a GLWE
/// ciphertext `n = k N`.
pub fn security_floor_log2_std(dimension: usize) -> f64 {
    const SLOPE: f64 = -0.024891456582633045;
    const BIAS: f64 = 2.65734593837534;
    (SLOPE * dimension as f64 + BIAS).max(2.0 - f64::from(MODULUS_BITS))
}

/// Identifier of a parameter set on the wire. It is never reused: a changed set gets a new number,
/// and a name with the wire format that it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterSetId(pub u32);

impl fmt::Display for ParameterSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of most significant bits of each coefficient that are sent; the rest is rounded away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBits(pub u32);

impl KeptBits {
    /// Rounds a torus element to the nearest multiple of `2^(64 - bits)`, returned as an integer
    /// below `2^bits`.
    #[inline]
    pub fn round(self, torus: u64) -> u64 {
        let dropped = MODULUS_BITS - self.0;
        if dropped == 0 {
            return torus;
        }
        torus.wrapping_add(1 << (dropped - 1)) >> dropped
    }

    /// Returns the torus element that an integer from [`KeptBits::round`] stands for.
    #[inline]
    pub fn expand(self, kept: u64) -> u64 {
        kept << (MODULUS_BITS - self.0)
    }
}

/// Base-2 logarithm of the bound of a TUniform distribution: integers in `[-2^b, 2^b]`, with the
/// two ends half as likely as the others. Its variance is `(2^(2b+1) + 1) / 6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TUniformBound(u32);

impl TUniformBound {
    /// Creates a bound from its base-2 logarithm.
    ///
    /// # Panics
    /// If `log2` is above 61: a sample must take fewer than 64 random bits.
    pub const fn new(log2: u32) -> Self {
        assert!(log2 <= MODULUS_BITS - 3);
        Self(log2)
    }

    /// Returns the base-2 logarithm of the bound.
    pub const fn log2(self) -> u32 {
        self.0
    }

    /// Returns the number of uniform bits that one sample takes.
    pub(crate) const fn random_bits(self) -> u32 {
        self.0 + 2
    }

    /// Returns the standard deviation as a fraction of the torus.
    pub fn std_dev(self) -> StandardDev {
        let variance = (2f64.powi(2 * self.0 as i32 + 1) + 1.0) / 6.0;
        StandardDev(variance.sqrt() / 2f64.powi(MODULUS_BITS as i32))
    }
}

/// Format of a query, known to both sides in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryFormat {
    /// Parameter set of the query.
    pub set: ParameterSetId,
    /// Bits kept of each body coefficient; each feature has one.
    pub bits: KeptBits,
}

/// Format of a response, known to both sides in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFormat {
    /// Parameter set of the response.
    pub set: ParameterSetId,
    /// Bits kept of each mask and body coefficient.
    pub bits: KeptBits,
    /// Number of mask coefficients in one ciphertext.
    pub mask_len: usize,
    /// Number of scores in one ciphertext.
    pub scores: usize,
    /// Distance from one score to the next, in coefficients of the phase.
    pub stride: usize,
}

impl ResponseFormat {
    /// Returns the number of ciphertexts in a response of `outputs` scores.
    pub const fn ciphertexts(&self, outputs: usize) -> usize {
        outputs.div_ceil(self.scores)
    }
}

/// Known parameter set of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParameterSet {
    /// Set for linear models.
    Linear(LinearParams),
    /// Set for networks or for trees.
    Network(NetworkParams),
}

impl ParameterSet {
    /// Every set that this version supports.
    pub const ALL: [Self; 6] = [
        Self::Linear(LinearParams::N2048),
        Self::Linear(LinearParams::N2048_FINE),
        Self::Network(NetworkParams::N704_K4),
        Self::Network(NetworkParams::N704_K2),
        Self::Network(NetworkParams::N832_K2),
        Self::Network(NetworkParams::N704_K4_SWITCH),
    ];

    /// Returns the set with this identifier.
    pub fn by_id(id: ParameterSetId) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.id() == id)
    }

    /// Names of the sets of earlier versions. Their keys can't be used any more: queries of
    /// `network-n704-k4` carried too little noise, and the others were dropped with their wire
    /// format.
    pub const RETIRED: [&str; 4] = [
        "linear-n2048",
        "linear-n2048-fine",
        "network-n704-k4",
        "network-n704-k4-v2",
    ];

    /// Returns the set that has the same precision as a retired one, for model files made for the
    /// latter.
    pub fn successor(retired: &str) -> Option<Self> {
        match retired {
            "linear-n2048" => Some(Self::Linear(LinearParams::N2048)),
            "linear-n2048-fine" => Some(Self::Linear(LinearParams::N2048_FINE)),
            "network-n704-k4" | "network-n704-k4-v2" => Some(Self::Network(NetworkParams::N704_K4)),
            _ => None,
        }
    }

    /// Returns the set with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Returns the identifier on the wire.
    pub const fn id(&self) -> ParameterSetId {
        match self {
            Self::Linear(set) => set.id,
            Self::Network(set) => set.id,
        }
    }

    /// Returns the name in descriptors and messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear(set) => set.name,
            Self::Network(set) => set.name,
        }
    }

    /// Returns the number of bits in a secret key.
    pub const fn secret_bits(&self) -> usize {
        match self {
            Self::Linear(set) => set.secret_dimension(),
            Self::Network(set) => set.input_lwe_dimension().0 + set.output_lwe_dimension().0,
        }
    }

    /// Returns the format of queries.
    pub const fn query_format(&self) -> QueryFormat {
        match self {
            Self::Linear(set) => set.query_format(),
            Self::Network(set) => set.query_format(),
        }
    }

    /// Returns the format of responses.
    pub const fn response_format(&self) -> ResponseFormat {
        match self {
            Self::Linear(set) => set.response_format(),
            Self::Network(set) => set.response_format(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_on_or_just_above_the_security_curve() {
        let named = |set: ParameterSet| {
            set.encryptions()
                .into_iter()
                .map(move |found| (set.name(), found))
        };
        for (set, encryption) in ParameterSet::ALL.into_iter().flat_map(named) {
            let excess = encryption.noise.std_dev().0.log2() - encryption.floor_log2_std();
            let what = encryption.what;
            assert!(
                excess >= 0.0,
                "{set}, {what}: the noise is {excess:.2} bits below the 132-bit curve"
            );
            assert!(
                excess < 1.0,
                "{set}, {what}: the noise is {excess:.2} bits more than security asks for"
            );
        }
    }

    #[test]
    fn every_retired_set_has_a_successor() {
        for name in ParameterSet::RETIRED {
            assert!(ParameterSet::by_name(name).is_none());
            let successor = ParameterSet::successor(name).unwrap();
            assert_eq!(successor.name(), format!("{}-v3", name.trim_end_matches("-v2")));
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
