//! The first layer: encrypted features to one LWE ciphertext per projection, without a key switch.

use super::{IntegerNetwork, IntegerProjection, rotation::ModSwitchedLwe};
use crate::{
    fourier::{FourierContext, Spectrum},
    weights::Weights,
};
use blindscore_protocol::{
    params::{KeptBits, MODULUS_BITS, NetworkParams},
    wire::Query,
};
use std::ops::{Add, Sub};

/// One projection, transformed for scoring.
pub(super) struct Projection {
    weights: Weights,
    bias: u64,
    /// Test polynomial: `f` at `2 i / N` for `i < N`, times the amplitude.
    pub(super) test_polynomial: Vec<u64>,
}

/// Transforms the masks of a query: `k` polynomials per ciphertext.
pub(crate) fn query_spectra(params: &NetworkParams, query: &Query) -> Vec<Vec<Spectrum>> {
    let (k, n) = (params.input_glwe_dimension.0, params.input_polynomial_size.0);
    let mut fft = FourierContext::new(params.input_polynomial_size);
    let masks = query
        .masks()
        .next(k * n * params.query_ciphertexts(query.bodies.len()));
    let mut transform = |polynomial: &[u64]| {
        let mut spectrum = fft.zero();
        fft.forward_torus(&mut spectrum, polynomial);
        spectrum
    };
    masks
        .chunks_exact(k * n)
        .map(|mask| mask.chunks_exact(n).map(&mut transform).collect())
        .collect()
}

impl Projection {
    pub(super) fn new(
        params: &NetworkParams,
        fft: &mut FourierContext,
        projection: &IntegerProjection,
        input_step: u64,
        amplitude: f64,
    ) -> Self {
        let size = params.polynomial_size.0;
        let value = |index: usize| {
            let f = IntegerNetwork::activation(projection.width, 2.0 * index as f64 / size as f64);
            (f * amplitude).round() as i64 as u64
        };
        Self {
            weights: Weights::new(fft, params.input_polynomial_size.0, &projection.weights),
            bias: (projection.bias as u64).wrapping_mul(input_step),
            test_polynomial: (0..size).map(value).collect(),
        }
    }

    /// Returns the LWE ciphertext of `w x + b` under the input secret.
    pub(super) fn apply(
        &self,
        params: &NetworkParams,
        fft: &mut FourierContext,
        query: &[Vec<Spectrum>],
        bodies: &[u64],
    ) -> LweCiphertext {
        self.weights.ciphertext(params, fft, query, bodies, self.bias)
    }
}

/// Returns the mask of the LWE ciphertext of coefficient 0, from a mask polynomial of a GLWE
/// ciphertext: coefficient 0 of `A s` is `A_0 s_0 - sum_t A_(N-t) s_t`.
pub(crate) fn extracted(polynomial: &[u64]) -> impl Iterator<Item = u64> {
    let rest = polynomial[1..].iter().rev();
    polynomial[..1]
        .iter()
        .copied()
        .chain(rest.map(|coefficient| coefficient.wrapping_neg()))
}

/// Returns the place of a rotation among `parts`, in the order of what is added before rounding.
/// Those that follow each other are far apart, so that errors of a few rotations cancel out too:
/// multiples of a number without a common divisor, near the golden section.
pub(crate) fn rounding_place(part: usize, parts: usize) -> usize {
    const SECTION: f64 = 0.618;
    let divides = |step: usize| (2..=step).any(|by| step.is_multiple_of(by) && parts.is_multiple_of(by));
    let away = |step: &usize| (*step as f64 - SECTION * parts as f64).abs();
    let steps = (1..=parts).filter(|step| !divides(*step));
    let step = steps.min_by(|one, other| away(one).total_cmp(&away(other)));
    part * step.unwrap_or(1) % parts
}

impl Add<&Self> for LweCiphertext {
    type Output = Self;

    fn add(self, other: &Self) -> Self {
        self.combine(other, u64::wrapping_add)
    }
}

impl Sub<&Self> for LweCiphertext {
    type Output = Self;

    fn sub(self, other: &Self) -> Self {
        self.combine(other, u64::wrapping_sub)
    }
}

/// LWE ciphertext of a unit, before the modulus switch.
#[derive(Clone)]
pub(crate) struct LweCiphertext {
    pub(crate) mask: Vec<u64>,
    pub(crate) body: u64,
}

impl LweCiphertext {
    pub(super) fn new(mask: Vec<u64>, body: u64) -> Self {
        Self { mask, body }
    }

    /// Extracts coefficient 0 of a GLWE ciphertext under the output secret.
    pub(super) fn extract(params: &NetworkParams, ciphertext: &[u64]) -> Self {
        let (mask, body) = ciphertext.split_at(params.output_lwe_dimension().0);
        let polynomials = mask.chunks_exact(params.polynomial_size.0);
        Self::new(polynomials.flat_map(extracted).collect(), body[0])
    }

    /// Multiplies the phase by an integer.
    pub(super) fn scaled(mut self, by: i64) -> Self {
        let scale = |x: &mut u64| *x = x.wrapping_mul(by as u64);
        self.mask.iter_mut().for_each(scale);
        scale(&mut self.body);
        self
    }

    fn combine(mut self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        for (own, other) in self.mask.iter_mut().zip(&other.mask) {
            *own = with(*own, *other);
        }
        self.body = with(self.body, other.body);
        self
    }

    /// Switches the modulus to `2N`, centred: a secret bit is 1/2 on average, so the body absorbs
    /// half of the mask's rounding errors.
    pub(super) fn modulus_switch(&self, params: &NetworkParams) -> ModSwitchedLwe {
        self.modulus_switch_part(params, 0, 1)
    }

    /// Switches the modulus to `2N` for one of several rotations of the same ciphertext.
    ///
    /// Each coefficient is rounded up in as many of the rotations as its remainder asks for: their
    /// average is the coefficient rounded to a `parts`-th of a step. So the average of the errors
    /// has a standard deviation that is `parts` times smaller, where that of independent errors
    /// would be `sqrt(parts)` times smaller. Bits far below a step decide in which of the
    /// rotations, so that each error by itself is as random as before.
    pub(crate) fn modulus_switch_part(
        &self,
        params: &NetworkParams,
        part: usize,
        parts: usize,
    ) -> ModSwitchedLwe {
        let steps = KeptBits(params.rotation_log2());
        let (place, parts) = (rounding_place(part, parts) as u64, parts as u64);
        let step = 1u64 << (MODULUS_BITS - steps.0);
        let rounded = |coefficient: u64| {
            let shift = ((coefficient & u64::from(u32::MAX)) * parts) >> 32;
            // From -1/2 to 1/2 of a step, in the middles of `parts` equal intervals.
            let moved = (2 * ((place + shift) % parts) + 1) * (step / (2 * parts));
            steps.round(coefficient.wrapping_add(moved).wrapping_sub(step / 2))
        };
        let mut loss = 0i64;
        let mask = self.mask.iter().map(|&coefficient| {
            let rounded = rounded(coefficient);
            // Below 2^53 in absolute value after halving, so a sum of hundreds fits.
            loss += coefficient.wrapping_sub(steps.expand(rounded)) as i64 / 2;
            rounded as usize
        });
        let mask = mask.collect();
        ModSwitchedLwe {
            mask,
            body: rounded(self.body.wrapping_sub(loss as u64)) as usize,
        }
    }
}
