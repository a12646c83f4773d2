//! Ciphertexts carry exactly the stated noise: less would be insecure, more would make scores
//! wrong.

use blindscore_protocol::params::{LinearParams, NetworkParams, ParameterSet};
use blindscore_tests::noise::{Measured, measure};

/// Tolerance of means and deviations, as a share of the stated deviation.
const TOLERANCE: f64 = 0.02;

fn check(set: ParameterSet) {
    for measured in measure(set) {
        let (mean, deviation) = (measured.mean(), measured.deviation());
        let Measured {
            set,
            what,
            stated,
            errors,
            ..
        } = &measured;
        let count = errors.len();
        println!(
            "{set}, {what}: mean {mean:+.4}, deviation {deviation:.4} of 2^{:.2}, {count} samples",
            stated.log2()
        );
        // At least four deviations of a measured mean.
        assert!(count >= 45_000, "{what}: {count} samples tell too little");
        assert!(
            mean.abs() < TOLERANCE,
            "{set}, {what}: the mean is {mean} deviations"
        );
        assert!(
            (deviation - 1.0).abs() < TOLERANCE,
            "{set}, {what}: the deviation is {deviation} of what is stated"
        );
    }
}

#[test]
fn linear_blobs_carry_the_stated_noise() {
    check(ParameterSet::Linear(LinearParams::N2048));
}

#[test]
fn fine_linear_blobs_carry_the_stated_noise() {
    check(ParameterSet::Linear(LinearParams::N2048_FINE));
}

#[test]
fn network_blobs_carry_the_stated_noise() {
    check(ParameterSet::Network(NetworkParams::N704_K4));
}

#[test]
fn blobs_for_labels_of_networks_carry_the_stated_noise() {
    check(ParameterSet::Network(NetworkParams::N704_K4_SWITCH));
}

#[test]
fn blobs_for_layers_carry_the_stated_noise() {
    check(ParameterSet::Network(NetworkParams::N832_K2));
}

#[test]
fn blobs_for_trees_carry_the_stated_noise() {
    check(ParameterSet::Network(NetworkParams::N704_K2));
}
