//! The division attack: without re-randomisation, the mask of a response is the query's mask times
//! the weights, and anyone who knows the query can recover the weights.

use super::super::{packing::Unpacked, rerandomise};
use super::{Fixture, multiply, weight_polynomial};
use crate::fourier::FourierContext;
use blindscore_protocol::random::Sampler;
use blindscore_protocol::{
    ids::{KeyId, ModelId},
    random::reproducible,
    wire::Query,
};
/// Returns `a^-1` modulo `X^N + 1` and `2^64`, for an `a` with an odd sum of coefficients.
fn invert(a: &[u64]) -> Vec<u64> {
    let n = a.len();
    // Modulo 2, a^N = a(1) = 1, so a^-1 = a^(N-1), the product of the a^(2^k); squaring doubles
    // exponents.
    let mut power: Vec<u64> = a.iter().map(|c| c & 1).collect();
    let mut inverse = power.clone();
    for _ in 1..n.ilog2() {
        let mut square = vec![0; n];
        for (index, bit) in power.iter().enumerate() {
            square[2 * index % n] ^= bit;
        }
        power = square;
        inverse = multiply(&inverse, &power).iter().map(|c| c & 1).collect();
    }
    // Newton: x (2 - a x) doubles the number of correct bits.
    for _ in 0..6 {
        let mut correction: Vec<u64> = multiply(a, &inverse).iter().map(|c| c.wrapping_neg()).collect();
        correction[0] = correction[0].wrapping_add(2);
        inverse = multiply(&inverse, &correction);
    }
    inverse
}

/// Returns the Pearson correlation of two polynomials' coefficients, read as signed numbers.
fn correlation(a: &[u64], b: &[u64]) -> f64 {
    let centred = |values: &[u64]| {
        let mean = values.iter().map(|&v| v as i64 as f64).sum::<f64>() / values.len() as f64;
        values
            .iter()
            .map(|&v| v as i64 as f64 - mean)
            .collect::<Vec<f64>>()
    };
    let (a, b) = (centred(a), centred(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

struct Attack {
    fixture: Fixture,
    query: Query,
    mask: Vec<u64>,
    inverse: Vec<u64>,
}

impl Attack {
    fn new() -> Self {
        let fixture = Fixture::new(784, 4, 13, 9);
        let n = fixture.params.n();
        loop {
            let query = fixture.query(&fixture.features(0));
            let mask = query.masks().next(n);
            // Every other query has an invertible mask; the attacker simply asks again.
            if mask.iter().fold(0, |sum, c| sum ^ (c & 1)) == 1 {
                let inverse = invert(&mask);
                return Self {
                    fixture,
                    query,
                    mask,
                    inverse,
                };
            }
        }
    }

    fn weights(&self, output: usize) -> Vec<u64> {
        weight_polynomial(&self.fixture.outputs[output].weights, self.fixture.params.n())
    }

    /// Returns the products of query and weights, with nothing added to them.
    fn bare(&self) -> Vec<Unpacked> {
        let bare = |output| Unpacked {
            mask: multiply(&self.mask, &self.weights(output)),
            body: 0,
        };
        (0..self.fixture.outputs.len()).map(bare).collect()
    }

    fn divide(&self, mask: &[u64]) -> Vec<u64> {
        multiply(mask, &self.inverse)
    }

    fn rerandomised(&self) -> Vec<Unpacked> {
        let mut fft = FourierContext::new(self.fixture.params.polynomial_size);
        rerandomise(
            &mut fft,
            &mut Sampler::new().unwrap(),
            &self.fixture.key,
            self.bare(),
        )
    }
}

/// Five standard deviations of the correlation between independent polynomials with 2,048
/// coefficients.
const CHANCE: f64 = 5.0 / 45.25;

#[test]
fn division_reads_the_weights_off_bare_products() {
    let attack = Attack::new();
    for (output, ciphertext) in attack.bare().iter().enumerate() {
        assert_eq!(attack.divide(&ciphertext.mask), attack.weights(output));
    }
}

#[test]
fn the_engines_products_are_bare() {
    // Only re-randomisation stands between a client and the weights.
    let attack = Attack::new();
    let mut fft = FourierContext::new(attack.fixture.params.polynomial_size);
    for (fast, exact) in attack
        .fixture
        .engine
        .products(&mut fft, &attack.query)
        .iter()
        .zip(attack.bare())
    {
        for (fast, exact) in fast.mask.iter().zip(&exact.mask) {
            let error = fast.wrapping_sub(*exact) as i64;
            assert!(error.unsigned_abs() < 1 << 32, "the FFT is off by {error}");
        }
    }
}

#[test]
fn division_reads_nothing_off_rerandomised_products() {
    let attack = Attack::new();
    for (output, ciphertext) in attack.rerandomised().iter().enumerate() {
        let found = correlation(&attack.divide(&ciphertext.mask), &attack.weights(output));
        assert!(found.abs() < CHANCE, "output {output}: correlation {found}");
    }
}

#[test]
fn division_reads_nothing_off_a_response() {
    let attack = Attack::new();
    let n = attack.fixture.params.n();
    let response = attack
        .fixture
        .engine
        .score(&attack.query, &attack.fixture.key)
        .unwrap();
    assert_eq!(response.masks.len(), 2 * n);
    for mask in response.masks.chunks_exact(n) {
        let divided = attack.divide(mask);
        for output in 0..4 {
            let found = correlation(&divided, &attack.weights(output));
            assert!(found.abs() < CHANCE, "output {output}: correlation {found}");
        }
    }
}

#[test]
fn scores_do_not_share_an_encryption_of_zero() {
    let attack = Attack::new();
    let difference =
        |a: &[u64], b: &[u64]| -> Vec<u64> { a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b)).collect() };
    let expected = difference(&attack.weights(0), &attack.weights(1));

    // A shared encryption of zero cancels, which leaves the bare difference of the weights.
    let shared = reproducible([4; 16], attack.fixture.params.n());
    let masks: Vec<Vec<u64>> = attack
        .bare()
        .iter()
        .map(|ciphertext| {
            ciphertext
                .mask
                .iter()
                .zip(&shared)
                .map(|(a, z)| a.wrapping_add(*z))
                .collect()
        })
        .collect();
    assert_eq!(attack.divide(&difference(&masks[0], &masks[1])), expected);

    // The engine's encryptions of zero do not cancel.
    let fresh = attack.rerandomised();
    for (first, second) in [(0, 1), (1, 2), (2, 3), (0, 3)] {
        let (first, second) = (&fresh[first].mask, &fresh[second].mask);
        let found = correlation(&attack.divide(&difference(first, second)), &expected);
        assert!(found.abs() < CHANCE, "correlation {found}");
    }
}

#[test]
fn the_same_query_twice_gets_unrelated_responses() {
    let attack = Attack::new();
    let Query { key, model, .. } = attack.query;
    assert_ne!((key, model), (KeyId::NONE, ModelId::NONE));
    let respond = || {
        attack
            .fixture
            .engine
            .score(&attack.query, &attack.fixture.key)
            .unwrap()
            .masks
    };
    let (one, two) = (respond(), respond());
    assert!(correlation(&one, &two).abs() < CHANCE);
    assert!(one.iter().zip(&two).filter(|(a, b)| a == b).count() < 10);
}
