//! What rounding the weights of units goes by.

use super::integers::Rounder;
use blindscore_engine::{layers::Division, model::LAYERS};

/// What rounding the weights of units goes by.
pub(super) struct Weighing {
    /// Number of rotations of each unit.
    pub(super) repeats: Vec<usize>,
    /// Torus element of each table's unit.
    pub(super) amplitudes: Vec<f64>,
    /// Mean square of the derivative of what is read with respect to the phase.
    slopes: Vec<f64>,
    divisions: Vec<Division>,
}

impl Weighing {
    pub(super) fn new(rounder: &Rounder<'_>, repeats: &[usize], fine: f64, amplitude: f64) -> Self {
        let amplitudes = rounder.amplitudes(repeats, fine, amplitude);
        let each = amplitudes.iter().zip(rounder.units());
        Self {
            slopes: each
                .map(|(amplitude, unit)| amplitude.powi(2) * unit.steepness)
                .collect(),
            divisions: repeats
                .iter()
                .map(|count| Division::new(&LAYERS, *count))
                .collect(),
            repeats: repeats.to_vec(),
            amplitudes,
        }
    }

    /// Returns the variance of the noise of a unit's rotations, for a weight that is divided among
    /// them.
    pub(super) fn noise(&self, place: usize, weight: i32) -> f64 {
        let division = &self.divisions[place];
        division.reads(weight) + self.slopes[place] * division.switch(weight)
    }
}
