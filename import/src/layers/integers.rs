//! Rounds a network of tables to integers.

use super::{
    labels::{self, Comparison},
    rewrite::{Form, Rewritten},
    rounding::{MOST_CORRELATED, Rounding},
};
use blindscore_engine::{
    layers::{BIT, Division, IntegerLayers, IntegerUnit, PlainLayers, SLOTS},
    model::LAYERS,
};
use blindscore_protocol::{
    descriptor::{Answer, Inputs, finer_phase, sent_levels},
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
    /// How many times finer the second half of the scores are, if they are sent.
    pub(crate) fine: u32,
    /// Comparisons of scores, if only the label is sent.
    pub(crate) comparisons: Vec<Compared>,
}

/// A unit that compares two scores, or one with zero.
pub(crate) struct Compared {
    /// Place of the unit.
    pub(crate) unit: usize,
    /// Difference that the torus stands for.
    pub(crate) period: f64,
    /// The score, and the one that is taken from it.
    pub(crate) scores: (usize, Option<usize>),
}

impl Compared {
    /// Returns the difference of the two scores.
    pub(crate) fn difference(&self, scores: &[f64]) -> f64 {
        let (one, other) = self.scores;
        scores[one] - other.map_or(0.0, |other| scores[other])
    }
}

impl Rounded {
    /// Returns the integer features of a row.
    pub(crate) fn levels(&self, inputs: &Inputs, row: &[f64]) -> Vec<i64> {
        sent_levels(&inputs.levels_of(row), self.fine_features)
    }

    /// Returns the errors of the scores from those of their differences, if only the label is sent: each of two
    /// scores has half of the variance.
    pub(crate) fn of_scores(&self, errors: Vec<f64>) -> Vec<f64> {
        if self.comparisons.is_empty() {
            return errors;
        }
        let mut of_scores = vec![0.0f64; self.bases.len()];
        for (compared, error) in self.comparisons.iter().zip(errors) {
            let (one, other) = compared.scores;
            let each = if other.is_some() {
                error / 2f64.sqrt()
            } else {
                error
            };
            for score in [Some(one), other].into_iter().flatten() {
                of_scores[score] = of_scores[score].max(each);
            }
        }
        of_scores
    }

    /// Returns by how much the scores of a row, or their differences if only the label is sent, are off in
    /// the clear.
    pub(crate) fn differences(&self, clear: &PlainLayers<'_>, levels: &[i64], fitted: &[f64]) -> Vec<f64> {
        if self.comparisons.is_empty() {
            let phases = clear.scores(levels);
            let each = fitted.iter().enumerate();
            return each
                .map(|(score, fitted)| self.score(&phases, score) - fitted)
                .collect();
        }
        let phases = clear.phases(levels);
        let difference = |compared: &Compared| {
            let phase = phases[compared.unit];
            compared.period * (phase - phase.round()) - compared.difference(fitted)
        };
        self.comparisons.iter().map(difference).collect()
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
    /// For each unit and each comparison, its phase by level of each feature, and for the level 0 of all.
    phases: Vec<(Vec<f64>, f64)>,
    bases: Vec<f64>,
    scales: Vec<f64>,
    /// Comparisons of scores, if only the label is sent.
    comparisons: Vec<Comparison>,
}

impl<'r> Rounder<'r> {
    /// Prepares a network for features of these ranges and levels.
    pub(crate) fn new(rewritten: &'r Rewritten, inputs: &'r Inputs, rows: &[&[f64]], answer: Answer) -> Self {
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
        let phase = |(form, period): (&Form, f64)| {
            let weights = form.features.iter().zip(&ranges);
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
        let comparisons = match answer {
            Answer::Scores => Vec::new(),
            Answer::Label => Comparison::all(rewritten, inputs, rows),
        };
        let units = rewritten.units.iter().map(|unit| (&unit.sum, unit.table.period));
        let compared = comparisons
            .iter()
            .map(|comparison| (&comparison.form, comparison.period));
        let mut phases: Vec<(Vec<f64>, f64)> = units.chain(compared).map(phase).collect();
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
            comparisons,
            rewritten,
        }
    }

    /// Returns the number of units and comparisons, which may be rotated several times.
    pub(crate) fn rotated(&self) -> usize {
        self.rewritten.units.len() + self.comparisons.len()
    }

    /// Rounds the network, with so many rotations for each unit and each comparison, and scores that are also
    /// sent `fine` times finer. `amplitude` is the size of the tables as a multiple of the usual one.
    pub(crate) fn rounded(&self, repeats: &[usize], fine: u32, amplitude: f64) -> Rounded {
        let hidden = self.rewritten.units.len();
        let weighing = Weighing::new(self, &repeats[..hidden], f64::from(fine), amplitude);
        let mut units: Vec<IntegerUnit> = Vec::with_capacity(self.rotated());
        for (place, unit) in self.rewritten.units.iter().enumerate() {
            let table = &unit.table;
            let (others, own, offset) = self.phase(&weighing, place, &unit.sum, unit.layer, table.period);
            let entry =
                |value: &f64| (value * weighing.amplitudes[place] * f64::from(u32::MAX)).round() as i32;
            units.push(IntegerUnit {
                layer: unit.layer,
                features: own,
                units: others,
                offset: on_torus(offset - table.middle / table.period),
                repeats: repeats[place],
                table: table.values.iter().map(entry).collect(),
            });
        }
        let sums = if self.comparisons.is_empty() {
            self.scores(&weighing, fine)
        } else {
            self.bits(&weighing, repeats, &mut units)
        };
        let (outputs, biases) = sums.into_iter().unzip();
        let compared = hidden..hidden + self.comparisons.len();
        let bits = |numbers: &[f64], of_bits: f64| match self.comparisons.is_empty() {
            true => numbers.to_vec(),
            false => vec![of_bits; numbers.len()],
        };
        Rounded {
            network: IntegerLayers {
                features: self.steps.len(),
                // Of the last, the finest.
                input_step: self.steps.last().map_or(0, |step| (step * TORUS) as u64),
                units,
                outputs,
                biases,
            },
            bases: bits(&self.bases, 0.0),
            scales: bits(&self.scales, 1.0 / BIT),
            fine_features: self.fine_features,
            fine,
            comparisons: compared
                .zip(&self.comparisons)
                .map(|(unit, comparison)| Compared {
                    unit,
                    period: comparison.period,
                    scores: (comparison.one, comparison.other),
                })
                .collect(),
        }
    }

    /// Returns the weights of units and of features of a phase, and its summand. `place` is its place among
    /// units and comparisons.
    fn phase(
        &self,
        weighing: &Weighing,
        place: usize,
        form: &Form,
        layer: usize,
        period: f64,
    ) -> (Vec<i32>, Vec<i64>, f64) {
        let query = NetworkNoise::query(&LAYERS);
        let (others, mut offset) = self.weigh(weighing, form, layer, period);
        let (by_level, at_zero) = &self.phases[place];
        let of_query = |_: usize, weight: f64| query * weight * weight;
        let (own, lost) = self.features.round(by_level, &self.steps, &of_query, &|_| 1.0);
        offset += form.offset / period + at_zero + lost;
        let own = own.into_iter().map(|weight| weight as i64).collect();
        (some(others, 0), some(own, 0), offset)
    }

    /// Returns the weights and the summand of each score, and of each once more, finer.
    fn scores(&self, weighing: &Weighing, fine: u32) -> Vec<(Vec<i32>, u64)> {
        let layers = self.tables.len() - 1;
        let scores = [1.0, f64::from(fine)].into_iter().flat_map(|factor| {
            let forms = self
                .rewritten
                .outputs
                .iter()
                .zip(self.scales.iter().zip(&self.bases));
            forms.map(move |(form, (scale, base))| (form, scale / factor, *base))
        });
        scores
            .map(|(form, scale, base)| {
                let (weights, lost) = self.weigh(weighing, form, layers, scale);
                // The middle of the range is the phase 0.
                (weights, on_torus(lost + (form.offset - base) / scale))
            })
            .collect()
    }

    /// Adds units that compare scores, and units that make bits of their signs. Returns the weights and the
    /// summand of each bit.
    fn bits(
        &self,
        weighing: &Weighing,
        repeats: &[usize],
        units: &mut Vec<IntegerUnit>,
    ) -> Vec<(Vec<i32>, u64)> {
        let (layer, hidden) = (self.tables.len() - 1, units.len());
        let classes = self.rewritten.outputs.len();
        let repeats = &repeats[hidden..];
        for (index, (comparison, &repeats)) in self.comparisons.iter().zip(repeats).enumerate() {
            let (form, period) = (&comparison.form, comparison.period);
            let (others, features, offset) = self.phase(weighing, hidden + index, form, layer, period);
            units.push(IntegerUnit {
                layer,
                features,
                units: others,
                offset: on_torus(offset),
                repeats,
                table: labels::sign(classes, repeats),
            });
        }
        let bit = |class| labels::bit(class, classes, &self.comparisons, repeats, layer + 1, hidden);
        units.extend((0..classes).map(bit));
        let first = hidden + self.comparisons.len();
        let alone = |class| {
            (0..first + classes)
                .map(|unit| i32::from(unit == first + class))
                .collect()
        };
        (0..classes).map(|class| (alone(class), 0)).collect()
    }

    /// Returns the weights of the tables of all layers before `layer`, for a phase of `period`, and the
    /// mean of what rounding loses of it.
    fn weigh(&self, weighing: &Weighing, form: &Form, layer: usize, period: f64) -> (Vec<i32>, f64) {
        let numbers = &self.tables[layer];
        let count = numbers.means.len();
        let exact: Vec<f64> = (0..count)
            .map(|place| form.tables.get(place).copied().unwrap_or(0.0) / period)
            .collect();
        let noise = |place: usize, weight: f64| weighing.noise(place, weight as i32);
        let shared = |place: usize| weighing.repeats[place] as f64;
        let (rounded, lost) = numbers.round(&exact, &weighing.amplitudes[..count], &noise, &shared);
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
            if self.comparisons.is_empty() {
                add(form, scale / fine);
            }
        }
        for comparison in &self.comparisons {
            add(&comparison.form, comparison.period);
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

/// What rounding the weights of units goes by.
struct Weighing {
    /// Number of rotations of each unit.
    repeats: Vec<usize>,
    /// Torus element of each table's unit.
    amplitudes: Vec<f64>,
    /// Mean square of the derivative of what is read with respect to the phase.
    slopes: Vec<f64>,
    divisions: Vec<Division>,
}

impl Weighing {
    fn new(rounder: &Rounder<'_>, repeats: &[usize], fine: f64, amplitude: f64) -> Self {
        let amplitudes = rounder.amplitudes(repeats, fine, amplitude);
        let each = amplitudes.iter().zip(&rounder.rewritten.units);
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

    /// Returns the variance of the noise of a unit's rotations, for a weight that is divided among them.
    fn noise(&self, place: usize, weight: i32) -> f64 {
        let division = &self.divisions[place];
        division.reads(weight) + self.slopes[place] * division.switch(weight)
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
