//! Variance of a decrypted score, predicted from the parameters.
//!
//! All variances are of torus elements (a `u64` divided by 2^64). For linear models they are of the phase of a *response*, in which a
//! message stands doubled (packing two ciphertexts with `X -> -X` doubles both).
//! The formulas are the usual independence heuristics: a product of a noise polynomial with a binary one
//! of `N` coefficients multiplies the variance by `N/2`, with an integer one by its squared norm.

use crate::params::{KeptBits, LinearParams, NetworkParams, TUniformBound};

/// Variance of the error of rounding to `kept` bits: uniform over one step.
pub(crate) fn rounding(kept: KeptBits) -> f64 {
    0.25f64.powi(kept.0 as i32) / 12.0
}

/// Variance of one noise sample.
pub(crate) fn variance(noise: TUniformBound) -> f64 {
    noise.std_dev().0.powi(2)
}

/// Where the error of one score comes from; each field is a variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreNoise {
    /// Noise and rounding of the query, multiplied by the integer weights.
    pub query: f64,
    /// Rounding errors of the f64 FFT that multiplies the query's mask with the weights: an estimate, since
    /// they depend on the order of operations.
    pub fourier: f64,
    /// The server's encryption of zero: `e*u - e1*s`.
    pub rerandomisation: f64,
    /// Noise of the automorphism key times the decomposition's digits.
    pub key_switch: f64,
    /// What the one-level decomposition leaves out.
    pub decomposition: f64,
    /// Rounding to the response's precision.
    pub modulus_switch: f64,
    /// Added by the server on purpose.
    pub flooding: f64,
}

impl ScoreNoise {
    /// Predicts the error of a score computed with integer weights of this squared Euclidean norm.
    ///
    /// `packed` tells whether the score shares its ciphertext with another one: the last of an odd
    /// number of scores doesn't, and goes through no key switch.
    pub fn predict(params: &LinearParams, weights_squared_norm: f64, packed: bool) -> Self {
        let n = params.n() as f64;
        let noise = variance(params.noise);
        // Doubling a phase multiplies its variance by four.
        let doubled = 4.0;
        let base = 2f64.powi(params.automorphism_base_log.0 as i32);
        let packing = f64::from(packed);
        Self {
            query: doubled * (noise + rounding(params.query_bits)) * weights_squared_norm,
            // Relative errors of 2^-53 that grow with the root of log2(N) layers, on a product whose
            // coefficients, before they wrap, have variance ||w||^2 / 12; times the N/2 ones of the secret.
            fourier: doubled * (n / 2.0) * n.log2() * 2f64.powi(-106) * weights_squared_norm / 12.0,
            rerandomisation: doubled * (n / 2.0) * (2.0 * noise + rounding(params.zero_bits)),
            // Digits are uniform in [-base/2, base/2).
            key_switch: packing * n * (base * base / 12.0) * (noise + rounding(params.automorphism_bits)),
            // Against s(-X), whose coefficients are 0 or +-1: centred like the modulus switch.
            decomposition: packing * (n / 4.0) * rounding(KeptBits(params.automorphism_base_log.0 as u32)),
            // Centred on the mean of a binary secret, E[(s - 1/2)^2] = 1/4
            // (Bourse, Minelli, Minihold, Paillier, CRYPTO 2018, section 3, for the uncentred form).
            modulus_switch: (n / 4.0 + 1.0) * rounding(params.response_bits),
            flooding: variance(params.flooding),
        }
    }

    /// Variance of the whole error.
    pub fn total(&self) -> f64 {
        self.query
            + self.fourier
            + self.rerandomisation
            + self.key_switch
            + self.decomposition
            + self.modulus_switch
            + self.flooding
    }

    /// Standard deviation of the whole error.
    pub fn std_dev(&self) -> f64 {
        self.total().sqrt()
    }

    /// How far the flooding noise lies above what it has to drown.
    pub fn flooding_margin(&self) -> FloodingMargin {
        let bits_above = |hidden: f64| 0.5 * (self.flooding / hidden).log2();
        FloodingMargin {
            rerandomisation: bits_above(self.rerandomisation),
            query: bits_above(self.query + self.fourier),
        }
    }
}

/// Flooding margins in bits: `log2` of the ratio of standard deviations. A client that keeps the noise of
/// its own query and knows its secret key tells a score's hidden noise from a simulated one with an advantage of
/// about `2^-bits`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloodingMargin {
    /// Over `e*u - e1*s`: linear combinations of the server's randomness, which protects the mask.
    pub rerandomisation: f64,
    /// Over the query's own noise times the weights, and the FFT's errors. What would leak is the same model's score at an input
    /// that differs from the query by that noise.
    pub query: f64,
}

impl FloodingMargin {
    /// The smaller of the two.
    pub fn bits(&self) -> f64 {
        self.rerandomisation.min(self.query)
    }
}

/// Noise of a projection network, as variances on the torus.
pub struct NetworkNoise;

impl NetworkNoise {
    /// The error of a projection before its rotation: the query's noise times integer weights of this squared norm, a fresh encryption of
    /// zero, and the centred modulus switch to `2N` steps. A projection's range from -1 to 1 is half of the torus.
    pub fn projection(params: &NetworkParams, weights_squared_norm: f64) -> f64 {
        let query = variance(params.input_noise) + rounding(params.query_bits);
        let dimension = params.input_lwe_dimension().0 as f64;
        let switch = (dimension / 4.0 + 1.0) * rounding(KeptBits(params.rotation_log2()));
        query * weights_squared_norm + Self::input_rerandomisation(params) + switch
    }

    /// The error of a fresh encryption of zero under the input secret: `e u - e1 s + e2`, with binary `u` and `s`.
    pub fn input_rerandomisation(params: &NetworkParams) -> f64 {
        let noise = variance(params.input_noise);
        let dimension = params.input_lwe_dimension().0 as f64;
        dimension / 2.0 * (2.0 * noise + rounding(params.input_zero_bits)) + noise
    }

    /// The error of one coefficient after a blind rotation: in each of `n` external products the digits times the key's noise, what a
    /// one-level decomposition leaves out (half of the key's bits are set), and an estimate of the f64 FFT's rounding.
    pub fn rotation(params: &NetworkParams) -> f64 {
        let (k, n) = (params.dimension.0 as f64, params.size.0 as f64);
        let digits = 4f64.powi(params.base_log.0 as i32) / 12.0 * (k + 1.0) * n;
        let key = digits * (variance(params.noise) + rounding(params.key_bits));
        let decomposition = (1.0 + k * n / 2.0) / 2.0 * rounding(KeptBits(params.base_log.0 as u32));
        let fourier = digits / 12.0 * 2f64.powi(-106) * n.log2() * (1.0 + k * n / 2.0);
        params.input_lwe_dimension().0 as f64 * (key + decomposition + fourier)
    }

    /// The error of packing: each level doubles what is there and adds a key switch, digits times the key's noise and what a one-level
    /// decomposition leaves out. On the first level the digits are those of coefficients that have just been divided, and too small to count.
    pub fn packing(params: &NetworkParams) -> f64 {
        let dimension = params.output_lwe_dimension().0 as f64;
        let digits = 4f64.powi(params.base_log.0 as i32) / 12.0 * dimension;
        let key = digits * (variance(params.noise) + rounding(params.key_bits));
        let decomposition = dimension / 2.0 * rounding(KeptBits(params.base_log.0 as u32));
        let doubled = |levels: u32| (4f64.powi(levels as i32) - 1.0) / 3.0;
        doubled(params.packing_log2) * decomposition + doubled(params.packing_log2.saturating_sub(1)) * key
    }

    /// The error of a score that adds up reads with integer weights of this squared norm.
    pub fn score(params: &NetworkParams, reads_squared_norm: f64) -> f64 {
        let dimension = params.output_lwe_dimension().0 as f64;
        let switch = (dimension / 4.0 + 1.0) * rounding(params.response_bits);
        Self::rotation(params) * reads_squared_norm + Self::packing(params) + switch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margin_of_the_shipped_set_is_what_the_documents_say() {
        // The largest norm of an output of mnist-linear, as `inspect` shows by its margin.
        let noise = ScoreNoise::predict(&LinearParams::N2048, 2f64.powi(32), true);
        let margin = noise.flooding_margin();
        assert!((margin.rerandomisation - 15.0).abs() < 0.1, "{margin:?}");
        assert!((margin.query - 13.7).abs() < 0.5, "{margin:?}");
        assert!(
            noise.modulus_switch > noise.flooding,
            "the modulus switch should dominate: {noise:?}"
        );
    }

    #[test]
    fn the_fine_set_is_as_much_finer_as_it_says() {
        let gain = |packed| {
            let of = |set| ScoreNoise::predict(set, 0.0, packed).std_dev();
            of(&LinearParams::N2048) / of(&LinearParams::N2048_FINE)
        };
        assert!(gain(false) > 7.9, "{}", gain(false));
        assert!(gain(true) > 2.9, "{}", gain(true));
        let margin = ScoreNoise::predict(&LinearParams::N2048_FINE, 0.0, true).flooding_margin();
        assert!(margin.rerandomisation > 11.0, "{margin:?}");
    }
}
