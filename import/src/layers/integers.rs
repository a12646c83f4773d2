//! Rounds a network of tables to integers.

use super::{
    rewrite::{Form, Rewritten},
    rounding::{MOST_CORRELATED, Rounding},
};
use blindscore_engine::{
    layers::{Division, IntegerLayers, IntegerUnit, SLOTS},
    model::LAYERS,
};
use blindscore_protocol::{
    descriptor::{Inputs, finer_phase, sent_levels},
    noise::NetworkNoise,
};

/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;
/// Largest entry of a table, as a part of the torus.
const MOST_ENTRY: f64 = 0.49;
/// Largest weight.
const MOST_WEIGHT: f64 = (1u64 << 30) as f64;
/// Largest factor of the finer features, as a base-2 logarithm.
const MOST_FINE_FEATURES_LOG2: f64 = 10.0;
/// Half of the range of a score, over half of that of the calibration rows: a score outside would come
/// back in at the other end.
const HEADROOM: f64 = 2.0;

/// A network in integers, with what its scores mean.
pub(crate) struct Rounded {
    /// The network: its scores, and the same scores `fine` times finer.
    pub(crate) network: IntegerLayers,
    /// Summand of each score.
    pub(crate) bases: Vec<f64>,
    /// Factor of each score's phase.
    pub(crate) scales: Vec<f64>,
    /// How many times finer the second half of the features are, if they are sent twice.
    pub(crate) fine_features: Option<u32>,
    /// How many times finer the second half of the scores are.
    pub(crate) fine: u32,
}

impl Rounded {
    /// Returns the integer features of a row.
    pub(crate) fn levels(&self, inputs: &Inputs, row: &[f64]) -> Vec<i64> {
        sent_levels(&inputs.levels_of(row), self.fine_features)
    }

    /// Returns a score from the phases of all that are sent.
    pub(crate) fn score(&self, phases: &[f64], score: usize) -> f64 {
        let finer = phases[self.bases.len() + score];
        let phase = finer_phase(phases[score], finer, f64::from(self.fine));
        self.bases[score] + self.scales[score] * phase
    }
}

/// Numbers on the calibration rows, and how to round weights of them.
struct Numbers {
    means: Vec<f64>,
    /// Variance of each that no others can stand in for.
    variances: Vec<f64>,
    rounding: Option<Rounding>,
}

impl Numbers {
    /// Numbers by their values on some rows, one list per number.
    fn of(values: &[Vec<f64>]) -> Self {
        let rows = values.first().map_or(1, Vec::len).max(1) as f64;
        let means: Vec<f64> = values
            .iter()
            .map(|values| values.iter().sum::<f64>() / rows)
            .collect();
        let rounding = Rounding::of(values);
        let variances = match &rounding {
            Some(rounding) => rounding.remaining().collect(),
            None => {
                let variance = |(values, mean): (&Vec<f64>, &f64)| {
                    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows
                };
                values.iter().zip(&means).map(variance).collect()
            }
        };
        Self {
            means,
            variances,
            rounding,
        }
    }

    /// Rounds weights to multiples of `steps`, and returns these and the mean of what is lost. `noise` is the
    /// variance of each number's noise, by its multiple, and `shared` the number of slots or rotations that a
    /// multiple is divided among.
    fn round(
        &self,
        exact: &[f64],
        steps: &[f64],
        noise: &dyn Fn(usize, f64) -> f64,
        shared: &dyn Fn(usize) -> f64,
    ) -> (Vec<f64>, f64) {
        let rounded: Vec<f64> = match &self.rounding {
            Some(rounding) => rounding.round(exact, steps, noise, shared, MOST_WEIGHT),
            None => {
                let each = exact.iter().zip(steps);
                each.map(|(exact, step)| (exact / step).round().clamp(-MOST_WEIGHT, MOST_WEIGHT))
                    .collect()
            }
        };
        let lost = exact.iter().zip(steps).zip(rounded.iter().zip(&self.means));
        let lost = lost
            .map(|((exact, step), (rounded, mean))| (exact - rounded * step) * mean)
            .sum();
        (rounded, lost)
    }
}

/// Chooses the step of a weighted feature, as a part of the torus, and how many times finer features are sent
/// a second time, if they are. Both are powers of two.
///
/// Sent once, a large step `s` keeps weights, and with them the query's noise, small; a small one their
/// rounding errors. The variances, `noise |w|^2 / s^2` and `s^2 sum(var x) / 12`, are equal at the best step.
///
/// Sent twice, the second weights make up for what rounding the first ones loses. They are up to half of the
/// factor `f`, and cause noise of `noise count f^2 / 12`; what is lost in the end is
/// `s^2 sum(var x) / (12 f^2)`. These are equal at the best factor; with it, the derivative of the sum of all
/// three is zero at the best step.
fn steps(features: &Numbers, phases: &[(Vec<f64>, f64)]) -> (f64, Option<u32>) {
    let squares = phases
        .iter()
        .map(|(weights, _)| weights.iter().map(|weight| weight * weight).sum());
    let squares: Vec<f64> = squares.filter(|square| *square > 0.0).collect();
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    let count = features.means.len() as f64;
    let spread = features.variances.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let weights = phases.iter().flat_map(|(weights, _)| weights);
    let largest = weights.fold(0.0, |most: f64, weight| most.max(weight.abs()));
    // No weight may be too large.
    let rounded = |step: f64| {
        let step = step.max(largest / MOST_WEIGHT);
        2f64.powf((64.0 + step.log2()).round().clamp(12.0, 62.0) - 64.0)
    };
    let query = NetworkNoise::query(&LAYERS);
    let twice = (12.0 * query * mean / (query * count * spread).sqrt()).cbrt();
    let factor = (twice * twice * spread / (query * count)).powf(0.25);
    let factor = factor.log2().round().min(MOST_FINE_FEATURES_LOG2);
    let fits = rounded(twice) * TORUS >= 2f64.powf(12.0 + factor);
    if 2 * features.means.len() <= MOST_CORRELATED && factor >= 1.0 && fits {
        return (rounded(twice), Some(1 << factor as u32));
    }
    (rounded((12.0 * query * mean / spread).powf(0.25)), None)
}

/// A network of tables, prepared for rounding it for different numbers of rotations.
pub(crate) struct Rounder<'r> {
    rewritten: &'r Rewritten,
    /// Levels of the features as they are sent.
    features: Numbers,
    /// Step of each feature that is sent, as a part of the torus.
    steps: Vec<f64>,
    /// How many times finer the second half of the features are, if they are sent twice.
    fine_features: Option<u32>,
    /// For each layer of units, and last for the scores, the tables of all earlier layers.
    tables: Vec<Numbers>,
    /// For each unit, its phase by level of each feature, and for the level 0 of all.
    phases: Vec<(Vec<f64>, f64)>,
    bases: Vec<f64>,
    scales: Vec<f64>,
}

impl<'r> Rounder<'r> {
    /// Prepares a network for features of these ranges and levels.
    pub(crate) fn new(rewritten: &'r Rewritten, inputs: &'r Inputs, rows: &[&[f64]]) -> Self {
        let top = f64::from(inputs.levels - 1);
        let ranges: Vec<(f64, f64)> = (0..inputs.count).map(|feature| inputs.range(feature)).collect();
        let width = |(min, max): &(f64, f64)| (max - min) / top;
        let levels: Vec<Vec<f64>> = ranges
            .iter()
            .enumerate()
            .map(|(feature, range)| {
                rows.iter()
                    .map(|row| (row[feature] - range.0) / width(range))
                    .collect()
            })
            .collect();
        let phase = |unit: &super::rewrite::TableUnit| {
            let period = unit.table.period;
            let weights = unit.sum.features.iter().zip(&ranges);
            let (by_level, at_zero): (Vec<f64>, Vec<f64>) = weights
                .map(|(weight, range)| (weight * width(range) / period, weight * range.0 / period))
                .unzip();
            (by_level, at_zero.iter().sum::<f64>())
        };
        let layers = rewritten.units.last().map_or(0, |unit| unit.layer + 1);
        let tables = (0..=layers).map(|layer| {
            let before = rewritten.units.iter().take_while(|unit| unit.layer < layer);
            let values: Vec<Vec<f64>> = before.map(|unit| unit.values.clone()).collect();
            Numbers::of(&values)
        });
        let spans = rewritten.scores(rows).into_iter().map(|scores| {
            let (low, high) = scores
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
                    (low.min(*score), high.max(*score))
                });
            let middle = (low + high) / 2.0;
            let half = (high - low).max(1e-6 * (1.0 + middle.abs())) / 2.0;
            // The torus is twice the half range.
            (coarse(middle, half), 2.0 * coarse_up(HEADROOM * half))
        });
        let (bases, scales) = spans.unzip();
        let mut phases: Vec<(Vec<f64>, f64)> = rewritten.units.iter().map(phase).collect();
        let once = Numbers::of(&levels);
        let (largest, fine_features) = steps(&once, &phases);
        let mut steps = vec![largest; levels.len()];
        let features = match fine_features {
            None => once,
            Some(factor) => {
                steps.extend(vec![largest / f64::from(factor); levels.len()]);
                // What rounding the first weight loses, the second makes up for.
                phases
                    .iter_mut()
                    .for_each(|(by_level, _)| by_level.resize(steps.len(), 0.0));
                Numbers::of(&[levels.clone(), levels].concat())
            }
        };
        Self {
            features,
            steps,
            fine_features,
            tables: tables.collect(),
            phases,
            bases,
            scales,
            rewritten,
        }
    }

    /// Rounds the network, with so many rotations for each unit, and scores that are also sent `fine`
    /// times finer. `amplitude` is the size of the tables as a multiple of the usual one.
    pub(crate) fn rounded(&self, repeats: &[usize], fine: u32, amplitude: f64) -> Rounded {
        let amplitudes = self.amplitudes(repeats, f64::from(fine), amplitude);
        let slopes: Vec<f64> = amplitudes
            .iter()
            .zip(&self.rewritten.units)
            .map(|(amplitude, unit)| amplitude.powi(2) * unit.steepness)
            .collect();
        let divisions: Vec<Division> = repeats
            .iter()
            .map(|count| Division::new(&LAYERS, *count))
            .collect();
        // Of a unit's rotations, for a weight that is divided among them.
        let noise = |place: usize, weight: f64| {
            let (division, weight) = (&divisions[place], weight as i32);
            division.reads(weight) + slopes[place] * division.switch(weight)
        };
        let query = NetworkNoise::query(&LAYERS);
        let of_query = |_: usize, weight: f64| query * weight * weight;
        let shared = |place: usize| repeats[place] as f64;
        let mut units: Vec<IntegerUnit> = Vec::with_capacity(self.rewritten.units.len());
        for (place, unit) in self.rewritten.units.iter().enumerate() {
            let table = &unit.table;
            let (others, mut offset) =
                self.weigh(&unit.sum, unit.layer, table.period, &amplitudes, &noise, &shared);
            offset += (unit.sum.offset - table.middle) / table.period;
            let (by_level, at_zero) = &self.phases[place];
            let (own, lost) = self.features.round(by_level, &self.steps, &of_query, &|_| 1.0);
            offset += at_zero + lost;
            let entry = |value: &f64| (value * amplitudes[place] * f64::from(u32::MAX)).round() as i32;
            units.push(IntegerUnit {
                layer: unit.layer,
                features: some(own.into_iter().map(|weight| weight as i64).collect(), 0),
                units: some(others, 0),
                offset: on_torus(offset),
                repeats: repeats[place],
                table: table.values.iter().map(entry).collect(),
            });
        }
        let layers = self.tables.len() - 1;
        let scores = [1.0, f64::from(fine)].into_iter().flat_map(|factor| {
            let forms = self
                .rewritten
                .outputs
                .iter()
                .zip(self.scales.iter().zip(&self.bases));
            forms.map(move |(form, (scale, base))| (form, scale / factor, *base))
        });
        let (outputs, biases) = scores
            .map(|(form, scale, base)| {
                let (weights, lost) = self.weigh(form, layers, scale, &amplitudes, &noise, &shared);
                // The middle of the range is the phase 0.
                (weights, on_torus(lost + (form.offset - base) / scale))
            })
            .unzip();
        Rounded {
            network: IntegerLayers {
                features: self.steps.len(),
                // Of the last, the finest.
                input_step: self.steps.last().map_or(0, |step| (step * TORUS) as u64),
                units,
                outputs,
                biases,
            },
            bases: self.bases.clone(),
            scales: self.scales.clone(),
            fine_features: self.fine_features,
            fine,
        }
    }

    /// Returns the weights of the tables of all layers before `layer`, for a phase of `period`, and the
    /// mean of what rounding loses of it.
    fn weigh(
        &self,
        form: &Form,
        layer: usize,
        period: f64,
        amplitudes: &[f64],
        noise: &dyn Fn(usize, f64) -> f64,
        shared: &dyn Fn(usize) -> f64,
    ) -> (Vec<i32>, f64) {
        let numbers = &self.tables[layer];
        let count = numbers.means.len();
        let exact: Vec<f64> = (0..count)
            .map(|place| form.tables.get(place).copied().unwrap_or(0.0) / period)
            .collect();
        let (rounded, lost) = numbers.round(&exact, &amplitudes[..count], noise, shared);
        (rounded.into_iter().map(|weight| weight as i32).collect(), lost)
    }

    /// Chooses the torus element of each table's unit. A large one makes the noise of reads small, a
    /// small one the rounding errors of weights: their variances, `noise (w / a)^2 / (slots * repeats)` and
    /// `a^2 var(T) / 12`, are equal at the best.
    fn amplitudes(&self, repeats: &[usize], fine: f64, usual: f64) -> Vec<f64> {
        // Of a slot, if all have the same weight.
        let slot = NetworkNoise::reads(&LAYERS, 1.0, SLOTS as f64);
        let units = &self.rewritten.units;
        let (mut squares, mut readers) = (vec![0.0f64; units.len()], vec![0.0f64; units.len()]);
        let mut add = |form: &Form, period: f64| {
            for (place, weight) in form
                .tables
                .iter()
                .enumerate()
                .filter(|(_, weight)| **weight != 0.0)
            {
                squares[place] += (weight / period).powi(2);
                readers[place] += 1.0;
            }
        };
        for unit in units {
            add(&unit.sum, unit.table.period);
        }
        for (form, scale) in self.rewritten.outputs.iter().zip(&self.scales) {
            add(form, scale / fine);
        }
        let amplitude = |place: usize| {
            let unit = &units[place];
            let largest = unit
                .table
                .values
                .iter()
                .fold(0.0, |most: f64, value| most.max(value.abs()));
            let most = MOST_ENTRY / largest.max(f64::MIN_POSITIVE);
            let mean = squares[place] / readers[place].max(1.0);
            // Whoever reads it first.
            let variance = self.tables[unit.layer + 1].variances[place].max(1e-12 * largest * largest);
            let noise = slot / (SLOTS * repeats[place]) as f64;
            let best = usual * (12.0 * noise * mean / variance.max(f64::MIN_POSITIVE)).powf(0.25);
            if best > 0.0 { best.min(most) } else { most }
        };
        (0..units.len()).map(amplitude).collect()
    }
}

/// Returns the middle of a range to a sixteenth of half its width: it is public, and the exact one would
/// tell of the scores of the calibration rows.
fn coarse(middle: f64, half: f64) -> f64 {
    let step = 2f64.powf(half.log2().floor() - 3.0);
    // Zero has no sign.
    (middle / step).round() * step + 0.0
}

/// Rounds a number up to a sixteenth of the power of two below it.
fn coarse_up(value: f64) -> f64 {
    let step = 2f64.powf(value.log2().floor() - 4.0);
    (value / step).ceil() * step
}

/// Returns weights, or none if all are zero.
fn some<T: PartialEq>(weights: Vec<T>, zero: T) -> Vec<T> {
    if weights.iter().all(|weight| *weight == zero) {
        Vec::new()
    } else {
        weights
    }
}

/// Returns the torus element of a phase, to 2^-48 of the torus.
fn on_torus(phase: f64) -> u64 {
    const STEP: f64 = 281_474_976_710_656.0;
    let part = phase - phase.round();
    (((part * STEP).round() as i64) << 16) as u64
}
