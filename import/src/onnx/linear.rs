//! Weights and intercepts, with a scaler folded in.

use super::column::{Column, Columns, Scaling};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Half the width of a StandardScaler's range, in standard deviations.
const DEVIATIONS: f64 = 5.0;
/// Target interval of a MinMaxScaler. Its `feature_range` is not in the file; this covers 0 to 1,
/// the default, and -1 to 1.
const INTERVAL: (f64, f64) = (-1.0, 1.0);
/// Relative difference of numbers that are the same except for rounding in double precision.
const SAME: f64 = 1e-12;
/// Relative error of a range's ends from single precision in the file: some roundings.
const SINGLE: f64 = 8.0 * f32::EPSILON as f64;

/// A linear map of numbers of the encoding.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// Slots of the numbers, rising.
    support: Rc<[usize]>,
    /// One row per output, one weight per number.
    pub(super) coef: Vec<Vec<f64>>,
    /// One intercept per output.
    pub(super) intercept: Vec<f64>,
    /// Columns that it was made of. Maps stacked side by side may list the same numbers several
    /// times.
    sources: Vec<Rc<Columns>>,
}

/// Two maps are equal if they give the same scores.
impl PartialEq for Linear {
    fn eq(&self, other: &Self) -> bool {
        self.support == other.support && self.coef == other.coef && self.intercept == other.intercept
    }
}

/// A weighted sum of few numbers, and a constant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form {
    /// Slots and weights.
    pub(super) terms: Vec<(usize, f64)>,
    /// The constant.
    pub(super) offset: f64,
}

impl Linear {
    /// Multiplies the columns by `weights` (one row per output, one weight per column) and adds
    /// `intercept`.
    pub(super) fn new(columns: &Rc<Columns>, weights: &[Vec<f64>], intercept: &[f64]) -> Self {
        // A constant, such as the first column of PolynomialFeatures, depends on no number.
        let reads = |column: &&Column| column.constant().is_none();
        let support = support(columns.columns.iter().filter(reads).map(|column| column.slot));
        let places: Vec<Option<usize>> = columns
            .columns
            .iter()
            .map(|column| reads(&column).then(|| support.partition_point(|slot| *slot < column.slot)))
            .collect();
        let fold = |row: &Vec<f64>| {
            let mut folded = vec![0.0; support.len()];
            for ((weight, column), place) in row.iter().zip(&columns.columns).zip(&places) {
                if let Some(place) = place {
                    folded[*place] += weight * column.scale;
                }
            }
            folded
        };
        let shift = |row: &Vec<f64>| {
            row.iter()
                .zip(&columns.columns)
                .map(|(w, column)| w * column.offset)
                .sum::<f64>()
        };
        Self {
            coef: weights.iter().map(fold).collect(),
            intercept: weights
                .iter()
                .zip(intercept)
                .map(|(row, intercept)| intercept + shift(row))
                .collect(),
            support,
            sources: vec![columns.clone()],
        }
    }

    /// Returns the map with these sums as its outputs.
    pub(super) fn of_forms(forms: &[Form], sources: Vec<Rc<Columns>>) -> Self {
        let support = support(forms.iter().flat_map(|form| form.terms.iter().map(|term| term.0)));
        let row = |form: &Form| {
            let mut row = vec![0.0; support.len()];
            for &(slot, weight) in &form.terms {
                row[support.partition_point(|other| *other < slot)] += weight;
            }
            row
        };
        Self {
            coef: forms.iter().map(row).collect(),
            intercept: forms.iter().map(|form| form.offset).collect(),
            support,
            sources,
        }
    }

    /// Returns the slots that scores depend on, rising.
    pub(super) fn support(&self) -> &[usize] {
        &self.support
    }

    /// Returns the weights of these slots, one row per output; the slots must include the support.
    pub(super) fn weights_of(&self, slots: &[usize]) -> Vec<Vec<f64>> {
        let places: Vec<usize> = self
            .support
            .iter()
            .map(|slot| slots.partition_point(|other| other < slot))
            .collect();
        let spread = |row: &Vec<f64>| {
            let mut spread = vec![0.0; slots.len()];
            for (place, weight) in places.iter().zip(row) {
                spread[*place] = *weight;
            }
            spread
        };
        self.coef.iter().map(spread).collect()
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let row = |row: &Vec<f64>| size_of::<Vec<f64>>() + size_of_val(&**row);
        let sources = self.sources.iter().map(|columns| columns.size());
        let support = size_of_val(&*self.support);
        support
            + self.coef.iter().map(row).sum::<usize>()
            + size_of_val(&*self.intercept)
            + sources.sum::<usize>()
    }

    /// Returns the number of outputs.
    pub(super) fn len(&self) -> usize {
        self.intercept.len()
    }

    /// Applies another linear map to these scores, with one row of `weights` per output.
    pub(super) fn then(&self, weights: &[Vec<f64>], intercept: &[f64]) -> Self {
        let row = |weights: &Vec<f64>| {
            let mut sum = vec![0.0; self.support.len()];
            for (weight, row) in weights.iter().zip(&self.coef) {
                for (sum, value) in sum.iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
            sum
        };
        let constant = |(weights, intercept): (&Vec<f64>, &f64)| {
            weights
                .iter()
                .zip(&self.intercept)
                .map(|(w, b)| w * b)
                .sum::<f64>()
                + intercept
        };
        Self {
            coef: weights.iter().map(row).collect(),
            intercept: weights.iter().zip(intercept).map(constant).collect(),
            support: self.support.clone(),
            sources: self.sources.clone(),
        }
    }

    /// Returns each output times its factor, plus its offset.
    pub(super) fn scaled(&self, factors: &[f64], offsets: &[f64]) -> Self {
        let mut scaled = self.clone();
        for (row, factor) in scaled.coef.iter_mut().zip(factors) {
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        for ((intercept, factor), offset) in scaled.intercept.iter_mut().zip(factors).zip(offsets) {
            *intercept = *intercept * factor + offset;
        }
        scaled
    }

    /// Returns the map with the magnitudes of all weights and intercepts.
    pub(super) fn magnitudes(&self) -> Self {
        let mut magnitudes = self.clone();
        let rows = magnitudes.coef.iter_mut().flatten();
        rows.chain(&mut magnitudes.intercept)
            .for_each(|number| *number = number.abs());
        magnitudes
    }

    /// Returns all outputs with the opposite sign.
    pub(super) fn negated(&self) -> Self {
        let count = self.len();
        self.scaled(&vec![-1.0; count], &vec![0.0; count])
    }

    /// Returns some of the outputs.
    pub(super) fn select(&self, places: &[usize]) -> Self {
        Self {
            coef: places.iter().map(|&place| self.coef[place].clone()).collect(),
            intercept: places.iter().map(|&place| self.intercept[place]).collect(),
            support: self.support.clone(),
            sources: self.sources.clone(),
        }
    }

    /// Returns the outputs of several maps, one after the other.
    pub(super) fn stacked(parts: &[&Self]) -> Self {
        let mut sources: Vec<Rc<Columns>> = Vec::new();
        let mut known = HashSet::new();
        for source in parts.iter().flat_map(|part| &part.sources) {
            if known.insert(Rc::as_ptr(source)) {
                sources.push(source.clone());
            }
        }
        let support = support(parts.iter().flat_map(|part| part.support.iter().copied()));
        Self {
            coef: parts.iter().flat_map(|part| part.weights_of(&support)).collect(),
            intercept: parts
                .iter()
                .flat_map(|part| part.intercept.iter().copied())
                .collect(),
            support,
            sources,
        }
    }

    /// Returns the sums of the outputs of several maps, each times `factor`. All have as many
    /// outputs.
    pub(super) fn added(parts: &[&Self], factor: f64) -> Self {
        let stacked = Self::stacked(parts);
        let outputs = parts.first().map_or(0, |part| part.len());
        let weights: Vec<Vec<f64>> = (0..outputs)
            .map(|output| {
                let of_output = |place: usize| if place % outputs == output { factor } else { 0.0 };
                (0..stacked.len()).map(of_output).collect()
            })
            .collect();
        stacked.then(&weights, &vec![0.0; outputs])
    }

    /// Returns columns as the outputs of a map.
    pub(super) fn identity(columns: &Rc<Columns>) -> Self {
        let count = columns.len();
        let row = |place: usize| {
            let mut row = vec![0.0; count];
            row[place] = 1.0;
            row
        };
        let weights: Vec<Vec<f64>> = (0..count).map(row).collect();
        Self::new(columns, &weights, &vec![0.0; count])
    }

    /// Returns a single output preceded by its opposite, as for a decision between two classes.
    pub(super) fn with_opposite(&self) -> Self {
        Self::stacked(&[&self.negated(), self])
    }

    /// Returns the single output that decides between two classes, if the first of two outputs is
    /// the opposite of the second.
    pub(super) fn halved(&self) -> Option<Self> {
        let [negative, positive] = self.coef.as_slice() else {
            return None;
        };
        let opposite = |a: f64, b: f64| (a + b).abs() <= 1e-6 * a.abs().max(b.abs());
        let is_opposite = negative.iter().zip(positive).all(|(a, b)| opposite(*a, *b))
            && opposite(self.intercept[0], self.intercept[1]);
        is_opposite.then(|| self.select(&[1]))
    }

    /// Returns the matrices of columns that the map was made of.
    pub(super) fn sources(&self) -> &[Rc<Columns>] {
        &self.sources
    }

    /// Returns the factor and the summand that make one output another of the same map: `other =
    /// factor * one + summand`. `None` if there are none.
    pub(super) fn relation(&self, one: usize, other: usize) -> Option<(f64, f64)> {
        let (one, other) = (
            (&self.coef[one], self.intercept[one]),
            (&self.coef[other], self.intercept[other]),
        );
        let largest = |row: &[f64]| row.iter().fold(0.0f64, |most, weight| most.max(weight.abs()));
        let most = largest(one.0);
        let place = one.0.iter().position(|weight| weight.abs() == most);
        let factor = match place {
            Some(place) if one.0[place] != 0.0 => other.0[place] / one.0[place],
            // Two constants.
            _ => 0.0,
        };
        let off = SAME * largest(other.0);
        let mut pairs = one.0.iter().zip(other.0);
        if !pairs.all(|(one, other)| (other - factor * one).abs() <= off) {
            return None;
        }
        let summand = other.1 - factor * one.1;
        let rounding = SAME * (other.1.abs() + (factor * one.1).abs());
        Some((factor, if summand.abs() <= rounding { 0.0 } else { summand }))
    }

    /// Returns the columns that the map was made of.
    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.sources.iter().flat_map(|source| &source.columns)
    }

    /// Returns the assumption behind the ranges.
    pub(super) fn assumed(&self) -> &'static str {
        if self.columns().any(|column| column.scaling == Scaling::Interval) {
            "what a MinMaxScaler maps to -1 to 1, and so to 0 to 1; one with another feature_range needs --calibrate"
        } else {
            "five standard deviations to both sides of the scaler's means"
        }
    }

    /// Returns the ranges of the numbers in `slots`: those that follow from their steps, or as
    /// implied by their scalers: five standard deviations to both sides of the mean, or the
    /// preimage of an interval. `None` if there is neither for one of them.
    pub(super) fn ranges(
        &self,
        slots: &[usize],
        interval: impl Fn(usize) -> Option<(f64, f64)>,
    ) -> Option<Vec<(f64, f64)>> {
        let scaled = || self.columns().filter(|column| interval(column.slot).is_none());
        // A scaler without deviations has factors of one only; in one with deviations, constant
        // features have a factor of one.
        let moved_only = |column: &Column| column.scaling == Scaling::Standard && column.scale == 1.0;
        if scaled().next().is_some() && scaled().all(moved_only) {
            return None;
        }
        let mut ranges: HashMap<usize, (f64, f64)> = HashMap::new();
        for column in scaled() {
            let (low, high) = match column.scaling {
                Scaling::None => continue,
                Scaling::Standard => (-DEVIATIONS, DEVIATIONS),
                Scaling::Interval => INTERVAL,
            };
            // A constant column may have been scaled by zero; then its value doesn't matter.
            let ends = [low, high].map(|end| {
                if column.scale == 0.0 {
                    end
                } else {
                    (end - column.offset) / column.scale
                }
            });
            let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            let middle = if column.scale == 0.0 {
                0.0
            } else {
                (column.offset / column.scale).abs()
            };
            let more = SINGLE * (low.abs().max(high.abs()) + middle);
            let range = ranges
                .entry(column.slot)
                .or_insert((f64::INFINITY, f64::NEG_INFINITY));
            *range = (range.0.min(low - more), range.1.max(high + more));
        }
        let range = |&slot: &usize| interval(slot).or_else(|| ranges.get(&slot).copied());
        slots.iter().map(range).collect()
    }
}

/// Returns the slots in rising order, each once.
fn support(slots: impl Iterator<Item = usize>) -> Rc<[usize]> {
    let mut slots: Vec<usize> = slots.collect();
    slots.sort_unstable();
    slots.dedup();
    slots.into()
}
