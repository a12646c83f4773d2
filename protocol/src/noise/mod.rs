//! Variance of a decrypted score, predicted from the parameters.
//!
//! All variances are of torus elements (a `u64` divided by 2^64). For linear models they are of the
//! phase of a *response*, which holds the doubled message (packing two ciphertexts with `X -> -X`
//! doubles both). The formulas use the usual independence heuristics: the product of a noise
//! polynomial with a binary one of `N` coefficients multiplies the variance by `N/2`, with an
//! integer one by its squared norm.

mod encryption;

pub use encryption::Encryption;

use crate::params::{KeptBits, LinearParams, NetworkParams, TUniformBound};

/// Returns the variance of the error of rounding to `kept` bits, which is uniform over one step.
pub(crate) fn rounding(kept: KeptBits) -> f64 {
    0.25f64.powi(kept.0 as i32) / 12.0
}

/// Returns the variance of one noise sample.
pub(crate) fn variance(noise: TUniformBound) -> f64 {
    noise.std_dev().0.powi(2)
}

/// Contributions to the error of one score; each field is a variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreNoise {
    /// Noise and rounding of the query, multiplied by the integer weights.
    pub query: f64,
    /// Rounding errors of the f64 FFT that multiplies the query's mask by the weights: an estimate,
    /// since they depend on the order of operations.
    pub fourier: f64,
    /// The server's encryption of zero: `e*u - e1*s`.
    pub rerandomisation: f64,
    /// Noise of the automorphism key times the decomposition's digits.
    pub key_switch: f64,
    /// Error of the one-level decomposition.
    pub decomposition: f64,
    /// Error of rounding to the response's precision.
    pub modulus_switch: f64,
    /// Flooding noise, which the server adds on purpose.
    pub flooding: f64,
}

impl ScoreNoise {
    /// Predicts the error of a score computed with integer weights of this squared Euclidean norm.
    ///
    /// `packed` says whether the score shares its ciphertext with another one. The last of an odd
    /// number of scores doesn't, and needs no key switch.
    pub fn predict(params: &LinearParams, weights_squared_norm: f64, packed: bool) -> Self {
        let n = params.n() as f64;
        let noise = variance(params.noise);
        // Doubling a phase multiplies its variance by four.
        let doubled = 4.0;
        let base = 2f64.powi(params.automorphism_base_log.0 as i32);
        let packing = f64::from(packed);
        Self {
            query: doubled * (noise + rounding(params.query_bits)) * weights_squared_norm,
            // Relative errors of 2^-53 that grow with the square root of log2(N) layers, on a
            // product whose coefficients, before they wrap, have variance ||w||^2 / 12; times the
            // N/2 ones of the secret.
            fourier: doubled * (n / 2.0) * n.log2() * 2f64.powi(-106) * weights_squared_norm / 12.0,
            rerandomisation: doubled * (n / 2.0) * (2.0 * noise + rounding(params.zero_bits)),
            // Digits are uniform in [-base/2, base/2).
            key_switch: packing * n * (base * base / 12.0) * (noise + rounding(params.automorphism_bits)),
            // Multiplied by s(-X), whose coefficients are 0 or +-1; centred like the modulus
            // switch.
            decomposition: packing * (n / 4.0) * rounding(KeptBits(params.automorphism_base_log.0 as u32)),
            // Centred on the mean of a binary secret, E[(s - 1/2)^2] = 1/4 (Bourse, Minelli,
            // Minihold, Paillier, CRYPTO 2018, section 3, for the uncentred form).
            modulus_switch: (n / 4.0 + 1.0) * rounding(params.response_bits),
            flooding: variance(params.flooding),
        }
    }

    /// Returns the variance of the whole error.
    pub fn total(&self) -> f64 {
        self.query
            + self.fourier
            + self.rerandomisation
            + self.key_switch
            + self.decomposition
            + self.modulus_switch
            + self.flooding
    }

    /// Returns the standard deviation of the whole error.
    pub fn std_dev(&self) -> f64 {
        self.total().sqrt()
    }

    /// Returns how far the flooding noise lies above the noise that it has to hide.
    pub fn flooding_margin(&self) -> FloodingMargin {
        let bits_above = |hidden: f64| 0.5 * (self.flooding / hidden).log2();
        FloodingMargin {
            rerandomisation: bits_above(self.rerandomisation),
            query: bits_above(self.query + self.fourier),
        }
    }
}

/// Flooding margins in bits: `log2` of the ratio of standard deviations. A client that keeps its
/// query's noise and knows its secret key can tell a score's hidden noise from a simulated one with
/// an advantage of about `2^-bits`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloodingMargin {
    /// Margin over `e*u - e1*s`: linear combinations of the server's randomness, which protects the
    /// mask.
    pub rerandomisation: f64,
    /// Margin over the query's own noise times the weights, plus the FFT's errors. A leak would
    /// reveal the same model's score at an input that differs from the query by that noise.
    pub query: f64,
}

impl FloodingMargin {
    /// Returns the smaller of the two margins.
    pub fn bits(&self) -> f64 {
        self.rerandomisation.min(self.query)
    }
}

/// Noise of a network, as variances on the torus.
pub struct NetworkNoise;

impl NetworkNoise {
    /// Returns the error of a projection before its blind rotation: the query's noise times integer
    /// weights of this squared norm, a fresh encryption of zero, and the centred modulus switch to
    /// `2N` steps. A projection's range from -1 to 1 spans half of the torus.
    pub fn projection(params: &NetworkParams, weights_squared_norm: f64) -> f64 {
        Self::query(params) * weights_squared_norm
            + Self::input_rerandomisation(params)
            + Self::modulus_switch(params)
    }

    /// Returns the error of the centred modulus switch to `2N` steps.
    pub fn modulus_switch(params: &NetworkParams) -> f64 {
        let dimension = params.input_lwe_dimension().0 as f64;
        (dimension / 4.0 + 1.0) * rounding(KeptBits(params.rotation_log2()))
    }

    /// Returns the error of a key switch from the output secret to the input secret: the digits
    /// times the noise of the key, and the error of the decomposition, centred; 0 without a key
    /// switch.
    pub fn key_switch(params: &NetworkParams) -> f64 {
        let Some(switch) = &params.key_switch else {
            return 0.0;
        };
        let dimension = params.output_lwe_dimension().0 as f64;
        let digits = dimension * switch.level_count.0 as f64 * switch.mean_square();
        let kept = KeptBits((switch.base_log.0 * switch.level_count.0) as u32);
        digits * (variance(params.input_noise) + rounding(switch.bits)) + dimension / 4.0 * rounding(kept)
    }

    /// Returns the error of one bit or feature of a query.
    pub fn query(params: &NetworkParams) -> f64 {
        variance(params.input_noise) + rounding(params.query_bits)
    }

    /// Returns the error of a fresh encryption of zero under the input secret: `e u - e1 s + e2`,
    /// with binary `u` and `s`.
    pub fn input_rerandomisation(params: &NetworkParams) -> f64 {
        let noise = variance(params.input_noise);
        let dimension = params.input_lwe_dimension().0 as f64;
        dimension / 2.0 * (2.0 * noise + rounding(params.input_zero_bits)) + noise
    }

    /// Returns the error of one coefficient after a blind rotation. Each of the `n` external
    /// products adds the digits times the key's noise, the error of the one-level decomposition
    /// (half of the key's bits are set), and an estimate of the f64 FFT's rounding.
    pub fn rotation(params: &NetworkParams) -> f64 {
        Self::rotation_parts(params).iter().sum()
    }

    /// Returns the parts of the error after a blind rotation that are from the key's noise, and
    /// from errors of masks.
    fn rotation_parts(params: &NetworkParams) -> [f64; 2] {
        let (k, n) = (params.glwe_dimension.0 as f64, params.polynomial_size.0 as f64);
        let digits = 4f64.powi(params.base_log.0 as i32) / 12.0 * (k + 1.0) * n;
        let key = digits * (variance(params.noise) + rounding(params.key_bits));
        let decomposition = (1.0 + k * n / 2.0) / 2.0 * rounding(KeptBits(params.base_log.0 as u32));
        let fourier = digits / 12.0 * 2f64.powi(-106) * n.log2() * (1.0 + k * n / 2.0);
        let products = params.input_lwe_dimension().0 as f64;
        [products * key, products * (decomposition + fourier)]
    }

    /// Returns the error of a weighted sum of neighbouring coefficients after blind rotations.
    /// `squares` is the sum of the squares of their weights, `sums` that of the squares of each
    /// rotation's sum of weights.
    ///
    /// Noise of the key is independent from one coefficient to the next. Errors of masks (of the
    /// decomposition, and of the FFT) are multiplied by the secret, whose coefficients are 1/2 on
    /// average: half of their variance is that of a sum that neighbours share.
    pub fn reads(params: &NetworkParams, squares: f64, sums: f64) -> f64 {
        let [key, masks] = Self::rotation_parts(params);
        squares * (key + masks / 2.0) + sums * masks / 2.0
    }

    /// Returns the error of packing. Each level doubles the phase and adds a key switch: the digits
    /// times the key's noise, and the error of the one-level decomposition. On the first level, the
    /// digits belong to coefficients that have just been divided and are too small to count.
    pub fn packing(params: &NetworkParams) -> f64 {
        let dimension = params.output_lwe_dimension().0 as f64;
        let digits = 4f64.powi(params.base_log.0 as i32) / 12.0 * dimension;
        let key = digits * (variance(params.noise) + rounding(params.key_bits));
        let decomposition = dimension / 2.0 * rounding(KeptBits(params.base_log.0 as u32));
        let doubled = |levels: u32| (4f64.powi(levels as i32) - 1.0) / 3.0;
        doubled(params.packing_log2) * decomposition + doubled(params.packing_log2.saturating_sub(1)) * key
    }

    /// Returns the error of a score: a sum of coefficients read after blind rotations, with integer
    /// weights of this squared norm.
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
        // Largest norm of an output of mnist-linear, as the margin that `inspect` prints shows.
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
