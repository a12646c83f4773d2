//! Rounds a network of tables to integers.

use super::{
    TORUS,
    labels::{self, Comparison, Phase, Sign},
    numbers::{Numbers, steps},
    rewrite::{Form, Rewritten, TableUnit},
    rounded::{Compared, Rounded},
    weighing::Weighing,
};
use blindscore_engine::{
    bits::BIT,
    layers::{IntegerLayers, IntegerUnit, SLOTS},
    model::LAYERS,
};
use blindscore_protocol::{
    descriptor::{Answer, Inputs},
    noise::NetworkNoise,
};

/// Largest entry of a table, as a part of the torus.
const MOST_ENTRY: f64 = 0.49;
/// Half of the range of a score, over half of that of the calibration rows: a score outside would
/// wrap around.
const HEADROOM: f64 = 2.0;

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
    /// For each unit and each comparison, its phase by level of each feature, and for the level 0
    /// of all.
    phases: Vec<(Vec<f64>, f64)>,
    bases: Vec<f64>,
    scales: Vec<f64>,
    /// Comparisons of scores, if only the label is sent.
    comparisons: Vec<Comparison>,
}

impl<'r> Rounder<'r> {
    /// Returns the units.
    pub(super) fn units(&self) -> &[TableUnit] {
        &self.rewritten.units
    }

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

    /// Returns the number of units and comparisons, and of those whose range no valid row can
    /// leave.
    pub(crate) fn certain(&self) -> [usize; 2] {
        let units = self.units().iter().map(|unit| unit.table.certain);
        let each = units.chain(self.comparisons.iter().map(|comparison| comparison.certain));
        [self.rotated(), each.filter(|certain| *certain).count()]
    }

    /// Returns the number of units and comparisons, which may be rotated several times.
    pub(crate) fn rotated(&self) -> usize {
        self.rewritten.units.len() + self.comparisons.len()
    }

    /// Rounds the network, with so many rotations for each unit and each comparison, and scores
    /// that are also sent `fine` times finer. `amplitude` is the size of the tables as a multiple
    /// of the usual one.
    pub(crate) fn rounded(&self, repeats: &[usize], fine: u32, amplitude: f64) -> Rounded {
        let hidden = self.rewritten.units.len();
        let weighing = Weighing::new(self, &repeats[..hidden], f64::from(fine), amplitude);
        let mut units: Vec<IntegerUnit> = Vec::with_capacity(self.rotated());
        for (place, unit) in self.rewritten.units.iter().enumerate() {
            let table = &unit.table;
            let (others, own, offset) = self.phase(&weighing, place, &unit.sum, unit.layer, table.period);
            let entry =
                |value: &f64| (value * weighing.amplitudes[place] * f64::from(u32::MAX)).round() as i32;
            let unit = IntegerUnit {
                layer: unit.layer,
                features: own,
                units: others,
                offset: on_torus(offset - table.middle / table.period),
                repeats: repeats[place],
                table: table.values.iter().map(entry).collect(),
            };
            // Of one or two rotations, noise outweighs what bends do on average.
            units.push(match unit.repeats {
                1 | 2 => unit,
                _ => unit.sharpened(&LAYERS),
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
                    sign: Sign::new(repeats[unit]),
                    scores: (comparison.one, comparison.other),
                })
                .collect(),
        }
    }

    /// Returns the weights of units and of features of a phase, and its summand. `place` is its
    /// place among units and comparisons.
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

    /// Adds units that compare scores, and units that make bits of their signs. Returns the weights
    /// and the summand of each bit.
    fn bits(
        &self,
        weighing: &Weighing,
        repeats: &[usize],
        units: &mut Vec<IntegerUnit>,
    ) -> Vec<(Vec<i32>, u64)> {
        let (layer, hidden) = (self.tables.len() - 1, units.len());
        let each = self.comparisons.iter().zip(&repeats[hidden..]).enumerate();
        let phases = each.map(|(index, (comparison, &repeats))| {
            let (form, period) = (&comparison.form, comparison.period);
            let (units, features, offset) = self.phase(weighing, hidden + index, form, layer, period);
            Phase {
                features,
                units,
                offset: on_torus(offset),
                repeats,
            }
        });
        let phases = phases.collect();
        let bits = labels::find(units, self.rewritten.outputs.len(), &self.comparisons, phases);
        bits.into_iter().map(|weights| (weights, 0)).collect()
    }

    /// Returns the weights of the tables of all layers before `layer`, for a phase of `period`, and
    /// the mean of what rounding loses of it.
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

    /// Chooses the torus element of each table's unit. A large one makes the noise of reads small,
    /// a small one the rounding errors of weights: their variances, `noise (w / a)^2 / (slots *
    /// repeats)` and `a^2 var(T) / 12`, are equal at the best.
    pub(super) fn amplitudes(&self, repeats: &[usize], fine: f64, usual: f64) -> Vec<f64> {
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

/// Returns the middle of a range to a sixteenth of half its width: it is public, and the exact one
/// would tell of the scores of the calibration rows.
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
