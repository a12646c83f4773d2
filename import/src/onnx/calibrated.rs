//! Symbolic values of isotonic calibration: a probability for each score, by a curve of its own.

use super::{
    averages::{Average, Part},
    linear::Linear,
};
use blindscore_protocol::descriptor::{Curve, Link};
use std::rc::Rc;

/// Probabilities that curves give for scores, at any step of their computation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Calibrated {
    /// The scores.
    pub(super) linear: Rc<Linear>,
    /// The curve of each score.
    pub(super) curves: Rc<Vec<Curve>>,
    pub(super) step: CalibratedStep,
}

/// Step of the computation of probabilities that add up to one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CalibratedStep {
    /// The curves' probabilities, a column for each score.
    Each,
    /// One minus the only one.
    Complement,
    /// Sum of a row's probabilities.
    Sum,
    /// Whether that sum is something other than 0.
    Likely,
    /// This number if the sum is 0, else 0.
    Unlikely(f64),
    /// The probabilities, or 1 for each if their sum is 0.
    GuardedEach,
    /// Their sum, or the number of classes if it is 0.
    GuardedSum,
}

impl Calibrated {
    /// Returns the same at another step.
    pub(super) fn at(&self, step: CalibratedStep) -> Self {
        Self { step, ..self.clone() }
    }

    /// Returns whether another value is of the same probabilities.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.linear == other.linear && self.curves == other.curves
    }

    /// Returns the columns of several side by side.
    pub(super) fn beside(parts: &[&Self]) -> Self {
        let linears: Vec<&Linear> = parts.iter().map(|part| &*part.linear).collect();
        let curves = parts.iter().flat_map(|part| part.curves.iter().cloned());
        Self {
            linear: Linear::stacked(&linears).into(),
            curves: Rc::new(curves.collect()),
            step: CalibratedStep::Each,
        }
    }

    /// Returns the probabilities of so many classes.
    pub(super) fn average(&self, classes: usize) -> Average {
        Average {
            parts: vec![Part {
                linear: self.linear.clone(),
                link: Link::Isotonic,
                weight: 1.0,
                curves: self.curves.clone(),
            }],
            classes,
            names: None,
        }
    }

    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        self.linear.size() + size_of_curves(&self.curves)
    }
}

/// Returns the size of curves in memory, in bytes.
pub(super) fn size_of_curves(curves: &[Curve]) -> usize {
    let curve = |curve: &Curve| {
        size_of::<Curve>() + size_of_val(&*curve.thresholds) + size_of_val(&*curve.probabilities)
    };
    curves.iter().map(curve).sum()
}
