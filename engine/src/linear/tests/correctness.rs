//! Encrypted scores against plaintext integers.

use super::{Fixture, circular_difference};

/// Eight standard deviations of the noise, in units of half the torus.
const TOLERANCE: f64 = 8.0 * 2.0 / 40_000.0;

fn check(features: usize, outputs: usize, weight_bits: u32) {
    let fixture = Fixture::new(features, outputs, weight_bits, 7);
    for index in 0..3 {
        let input = fixture.features(index);
        for (c, (score, expected)) in fixture
            .scores(&input)
            .iter()
            .zip(fixture.expected(&input))
            .enumerate()
        {
            let error = circular_difference(*score, expected);
            assert!(
                error.abs() < TOLERANCE,
                "{features} x {outputs}, output {c}: {score}, expected {expected}, off by {error}"
            );
        }
    }
}

#[test]
fn one_feature_one_output() {
    check(1, 1, 14);
}

#[test]
fn the_shape_of_mnist() {
    check(784, 10, 13);
}

#[test]
fn an_odd_number_of_outputs() {
    check(30, 3, 14);
}

#[test]
fn exactly_one_ciphertext_and_one_feature_more() {
    check(2048, 2, 12);
    check(2049, 2, 12);
}

#[test]
fn several_ciphertexts() {
    check(5000, 4, 11);
}

#[test]
fn a_single_feature_at_every_place_reaches_its_weight() {
    // Catches an off-by-one in the rotation, or a wrong sign where the ring wraps around.
    let fixture = Fixture::new(2050, 2, 13, 3);
    for place in [0, 1, 2, 1023, 1024, 2046, 2047, 2048, 2049] {
        let mut input = vec![0.0; 2050];
        input[place] = 255.0;
        for (score, expected) in fixture.scores(&input).iter().zip(fixture.expected(&input)) {
            assert!(
                circular_difference(*score, expected).abs() < TOLERANCE,
                "feature {place}"
            );
        }
    }
}
