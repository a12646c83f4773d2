//! Rounds a network of tables to integers.

use super::rewrite::{Form, Rewritten};
use blindscore_engine::{
    layers::{IntegerLayers, IntegerUnit, WINDOW},
    model::LAYERS,
};
use blindscore_protocol::{descriptor::Inputs, noise::NetworkNoise};

/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;
/// Largest entry of a table, as a part of the torus.
const MOST_ENTRY: f64 = 0.49;
/// Largest weight.
const MOST_WEIGHT: f64 = (1u64 << 30) as f64;
/// Half of the range of a score, over half of that of the calibration rows: a score outside would come
/// back in at the other end.
const HEADROOM: f64 = 2.0;

/// A network in integers, with what its scores mean.
pub(crate) struct Rounded {
    pub(crate) network: IntegerLayers,
    /// Summand of each score.
    pub(crate) bases: Vec<f64>,
    /// Factor of each score's phase.
    pub(crate) scales: Vec<f64>,
}

/// Mean and variance of numbers.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let count = numbers.clone().count().max(1) as f64;
        let mean = numbers.clone().sum::<f64>() / count;
        let variance = numbers.map(|number| (number - mean).powi(2)).sum::<f64>() / count;
        Self { mean, variance }
    }
}

/// Rounds a network for features of these ranges and levels, with so many rotations for each unit.
pub(crate) fn rounded(rewritten: &Rewritten, repeats: &[usize], inputs: &Inputs, rows: &[&[f64]]) -> Rounded {
    let top = f64::from(inputs.levels - 1);
    // Features as their levels.
    let ranges: Vec<(f64, f64)> = (0..inputs.count).map(|feature| inputs.range(feature)).collect();
    let widths: Vec<f64> = ranges.iter().map(|(min, max)| (max - min) / top).collect();
    let features: Vec<Moments> = (0..inputs.count)
        .map(|feature| {
            let (min, _) = ranges[feature];
            Moments::of(rows.iter().map(|row| (row[feature] - min) / widths[feature]))
        })
        .collect();
    let tables: Vec<Moments> = rewritten
        .units
        .iter()
        .map(|unit| Moments::of(unit.values.iter().copied()))
        .collect();
    // Phase of each unit by level of a feature.
    let by_level = |form: &Form, period: f64| -> Vec<f64> {
        let weights = form.features.iter().zip(&widths);
        weights.map(|(weight, width)| weight * width / period).collect()
    };
    let own: Vec<Vec<f64>> = rewritten
        .units
        .iter()
        .map(|unit| by_level(&unit.sum, unit.table.period))
        .collect();
    let input_step_log2 = input_step(&own, &features);
    let step = 2f64.powi(input_step_log2 as i32) / TORUS;
    let spans = rewritten.scores(rows).into_iter().map(|scores| {
        let (low, high) = scores
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
                (low.min(*score), high.max(*score))
            });
        let middle = (low + high) / 2.0;
        ((high - low).max(1e-6 * (1.0 + middle.abs())) / 2.0, middle)
    });
    let spans: Vec<(f64, f64)> = spans.collect();
    // The torus is twice the half range, which is public too.
    let scales: Vec<f64> = spans
        .iter()
        .map(|(half, _)| 2.0 * coarse_up(HEADROOM * half))
        .collect();
    let amplitudes = amplitudes(rewritten, repeats, &tables, &scales);
    // A weighted table as a part of the torus; the mean of the rounding errors goes to the offset.
    let weigh = |form: &Form, count: usize, period: f64| -> (Vec<i32>, f64) {
        let mut moved = 0.0;
        let mut round = |place: usize| {
            let exact = form.tables.get(place).copied().unwrap_or(0.0) / period;
            let weight = (exact / amplitudes[place])
                .round()
                .clamp(-MOST_WEIGHT, MOST_WEIGHT);
            moved += (exact - weight * amplitudes[place]) * tables[place].mean;
            weight as i32
        };
        let weights: Vec<i32> = (0..count).map(&mut round).collect();
        (weights, moved)
    };
    let mut first = 0;
    let mut units: Vec<IntegerUnit> = Vec::with_capacity(rewritten.units.len());
    for (place, unit) in rewritten.units.iter().enumerate() {
        if place > 0 && unit.layer > rewritten.units[place - 1].layer {
            first = place;
        }
        let table = &unit.table;
        let (others, mut offset) = weigh(&unit.sum, first, table.period);
        offset += (unit.sum.offset - table.middle) / table.period;
        let mut weights = Vec::with_capacity(inputs.count);
        for (feature, exact) in own[place].iter().enumerate() {
            let weight = (exact / step).round().clamp(-MOST_WEIGHT, MOST_WEIGHT);
            offset += exact * ranges[feature].0 / widths[feature];
            offset += (exact - weight * step) * features[feature].mean;
            weights.push(weight as i64);
        }
        let entry = |value: &f64| {
            let entry = value * amplitudes[place] / WINDOW as f64;
            (entry * f64::from(u32::MAX)).round() as i32
        };
        units.push(IntegerUnit {
            layer: unit.layer,
            features: some(weights, 0),
            units: some(others, 0),
            offset: on_torus(offset),
            repeats: repeats[place],
            table: table.values.iter().map(entry).collect(),
        });
    }
    let outputs = rewritten.outputs.iter().zip(&scales);
    // The middle of the range is the phase 0.
    let bases: Vec<f64> = spans
        .iter()
        .map(|(half, middle)| coarse(*middle, *half))
        .collect();
    let (outputs, biases): (Vec<_>, Vec<_>) = outputs
        .zip(&bases)
        .map(|((form, scale), base)| {
            let (weights, moved) = weigh(form, units.len(), *scale);
            (weights, on_torus(moved + (form.offset - base) / scale))
        })
        .unzip();
    let network = IntegerLayers {
        features: inputs.count,
        input_step: 1 << input_step_log2,
        units,
        outputs,
        biases,
    };
    Rounded {
        network,
        bases,
        scales,
    }
}

/// Returns the middle of a range to a sixteenth of half its width: it is public, and the exact one would
/// tell of the scores of the calibration rows.
fn coarse(middle: f64, half: f64) -> f64 {
    let step = 2f64.powf(half.log2().floor() - 3.0);
    (middle / step).round() * step
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

/// Chooses the step of a weighted feature, as the base-2 logarithm of a torus element: a large step
/// keeps the weights, and with them the query's noise, small; a small one their rounding errors. Their
/// variances, `noise |w|^2 / step^2` and `step^2 sum(var x) / 12`, are equal at the best.
fn input_step(by_level: &[Vec<f64>], features: &[Moments]) -> u32 {
    let squares: Vec<f64> = by_level
        .iter()
        .map(|weights| weights.iter().map(|weight| weight * weight).sum())
        .filter(|square| *square > 0.0)
        .collect();
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    let spread: f64 = features.iter().map(|feature| feature.variance).sum();
    let largest = by_level
        .iter()
        .flatten()
        .fold(0.0, |most: f64, weight| most.max(weight.abs()));
    let best = (12.0 * NetworkNoise::query(&LAYERS) * mean / spread.max(f64::MIN_POSITIVE)).powf(0.25);
    // No weight may be too large.
    let step = best.max(largest / MOST_WEIGHT);
    (64.0 + step.log2()).round().clamp(12.0, 62.0) as u32
}

/// Chooses the torus element of each table's unit. A large one makes the noise of reads small, a small
/// one the rounding errors of weights: their variances, `noise (w / a)^2 / repeats` and
/// `a^2 var(T) / 12`, are equal at the best.
fn amplitudes(rewritten: &Rewritten, repeats: &[usize], tables: &[Moments], scales: &[f64]) -> Vec<f64> {
    let window = NetworkNoise::window(&LAYERS, WINDOW);
    let count = rewritten.units.len();
    let (mut squares, mut readers) = (vec![0.0f64; count], vec![0.0f64; count]);
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
    for unit in &rewritten.units {
        add(&unit.sum, unit.table.period);
    }
    for (form, scale) in rewritten.outputs.iter().zip(scales) {
        add(form, *scale);
    }
    let amplitude = |place: usize| {
        let unit = &rewritten.units[place];
        let largest = unit
            .table
            .values
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.abs()));
        let most = MOST_ENTRY * WINDOW as f64 / largest.max(f64::MIN_POSITIVE);
        let mean = squares[place] / readers[place].max(1.0);
        let variance = tables[place].variance.max(1e-12 * largest * largest);
        let noise = window / repeats[place] as f64;
        let best = (12.0 * noise * mean / variance.max(f64::MIN_POSITIVE)).powf(0.25);
        if best > 0.0 { best.min(most) } else { most }
    };
    (0..count).map(amplitude).collect()
}
