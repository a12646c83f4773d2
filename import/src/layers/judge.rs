//! Predicts the errors of a network in integers.

use super::{FloatNetwork, rounded::Rounded};
use crate::BOUND;
use blindscore_engine::{
    layers::{Gradient, IntegerLayers, PlainLayers},
    model::LAYERS,
};
use blindscore_protocol::{descriptor::Inputs, noise::NetworkNoise};

/// Rows on which errors are predicted.
const JUDGED_ROWS: (usize, usize) = (10, 60);
/// Most products for it.
const JUDGED_PRODUCTS: usize = 300_000_000;
/// Most products for the largest rounding error on all rows.
const STATED_PRODUCTS: usize = 2_000_000_000;

/// A network to be served, with its predicted errors.
pub(crate) struct Chosen {
    pub(crate) rounded: Rounded,
    /// For each score, or each difference that is compared if only the label is sent, the standard
    /// deviation that noise causes, root mean square over the rows.
    pub(crate) noise: Vec<f64>,
    /// The difference from the fitted network of what is scored on average, likewise: of rounded
    /// weights, and of tables that bend within the error of a rotation.
    pub(crate) rounding: Vec<f64>,
    /// Whether the scores always tell which of the finer ones is meant, by seven standard
    /// deviations.
    pub(crate) apart: bool,
    /// Size of the tables, as a multiple of the usual one.
    pub(super) amplitude: f64,
    /// Number of units, and of those whose range no valid row can leave.
    pub(crate) units: [usize; 2],
}

impl Chosen {
    /// Returns what is to be stated as the standard deviation of each score, so that six of it
    /// cover noise and the largest rounding error on the rows, and a quarter more of the latter.
    /// Errors of rounding aren't normal: a few rows may have several times the usual one. Of
    /// `rows`, as many are taken as there is time for; of `compared`, those on which the model is
    /// compared with its file, all.
    pub(crate) fn stated(
        &self,
        network: &FloatNetwork,
        inputs: &Inputs,
        rows: &[&[f64]],
        compared: &[&[f64]],
    ) -> Vec<f64> {
        let units = self.rounded.network.units.len();
        let count =
            (STATED_PRODUCTS / (units * units).max(1)).clamp(JUDGED_ROWS.1, rows.len().max(JUDGED_ROWS.1));
        let every = rows.len().div_ceil(count).max(1);
        let mut largest = vec![0.0f64; self.noise.len()];
        let averaged = self.rounded.network.averaged(&LAYERS);
        let clear = PlainLayers::new(&averaged);
        for row in rows.iter().step_by(every).chain(compared) {
            let levels = self.rounded.levels(inputs, row);
            let off = self.rounded.differences(&clear, &levels, &network.scores(row));
            for (largest, off) in largest.iter_mut().zip(off) {
                *largest = largest.max(off.abs());
            }
        }
        let errors = self.errors();
        let each = self.noise.iter().zip(largest).zip(errors);
        each.map(|((noise, largest), error)| error.max(noise.hypot(1.25 * largest / BOUND)))
            .collect()
    }

    /// Returns the standard deviation of each score.
    pub(crate) fn errors(&self) -> Vec<f64> {
        let each = self.noise.iter().zip(&self.rounding);
        each.map(|(noise, rounding)| noise.hypot(*rounding)).collect()
    }
}

/// Returns some of the rows, spread over them: as many as there is time for, by the number of
/// products that each takes.
pub(super) fn judged_rows<'r>(rows: &[&'r [f64]], products: usize) -> Vec<&'r [f64]> {
    let (least, most) = JUDGED_ROWS;
    let count = (JUDGED_PRODUCTS / products.max(1)).clamp(least, most);
    let every = rows.len().div_ceil(count).max(1);
    rows.iter().copied().step_by(every).collect()
}

/// Predicts the errors of a network on some rows.
pub(super) fn judge(
    network: &FloatNetwork,
    rounded: Rounded,
    amplitude: f64,
    inputs: &Inputs,
    rows: &[&[f64]],
) -> Chosen {
    let (mut noise, mut rounding) = (Vec::new(), Vec::new());
    let mut apart = true;
    let clear = PlainLayers::new(&rounded.network);
    let averaged = rounded.network.averaged(&LAYERS);
    let average = PlainLayers::new(&averaged);
    for row in rows {
        let levels = rounded.levels(inputs, row);
        let variances = if rounded.comparisons.is_empty() {
            let (variances, is_apart) = of_scores(&rounded, [&clear, &average], &levels);
            apart &= is_apart;
            variances
        } else {
            of_comparisons(&rounded, &clear, &levels)
        };
        let off = rounded.differences(&average, &levels, &network.scores(row));
        noise.resize(variances.len(), 0.0);
        rounding.resize(off.len(), 0.0);
        add(&mut noise, variances.into_iter());
        add(&mut rounding, off.into_iter().map(|off| off * off));
    }
    let root = |sums: Vec<f64>| {
        sums.into_iter()
            .map(|sum| (sum / rows.len().max(1) as f64).sqrt())
            .collect()
    };
    Chosen {
        noise: root(noise),
        rounding: root(rounding),
        apart,
        amplitude,
        units: [0; 2],
        rounded,
    }
}

fn add(sums: &mut [f64], terms: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
}

/// Returns the variance of each score, and whether the scores tell which of the finer ones is
/// meant, from the network and the one that is scored on average.
fn of_scores(rounded: &Rounded, [clear, average]: [&PlainLayers<'_>; 2], levels: &[i64]) -> (Vec<f64>, bool) {
    let scores = rounded.bases.len();
    let rest = NetworkNoise::score(&LAYERS, 0.0);
    let fine = f64::from(rounded.fine);
    let (gradients, phases) = (clear.gradients(&LAYERS, levels), average.scores(levels));
    let mut apart = true;
    let variance = |score: usize| {
        let scale = rounded.scales[score] / fine;
        let (coarse, finer) = (&gradients[score], &gradients[scores + score]);
        let between = apart_noise(&rounded.network, coarse, finer, fine);
        let deviation = (between + rest * (1.0 + fine.powi(-2))).sqrt();
        let turns = phases[score] * fine - phases[scores + score];
        apart &= (turns - turns.round()).abs() / fine + 7.0 * deviation < 0.5 / fine;
        scale * scale * (rounded.network.variance(&LAYERS, finer) + rest)
    };
    let variances = (0..scores).map(variance).collect();
    (variances, apart)
}

/// Returns the variance of each difference that is compared.
fn of_comparisons(rounded: &Rounded, clear: &PlainLayers<'_>, levels: &[i64]) -> Vec<f64> {
    let network = &rounded.network;
    let shared = network.shared_noise(&LAYERS);
    let units = rounded.comparisons.iter().map(|compared| compared.unit);
    let range = units.clone().min().unwrap_or(0)..units.max().map_or(0, |last| last + 1);
    let gradients = clear.phase_gradients(&LAYERS, levels, range);
    let each = rounded.comparisons.iter().zip(&gradients);
    each.map(|(compared, gradients)| {
        let phase = network.variance(&LAYERS, gradients) + shared[compared.unit] + compared.sign.noise();
        compared.period.powi(2) * phase
    })
    .collect()
}

/// Returns the variance of the difference between a score's phase and the finer one, divided by
/// `fine`: most of the noise of units is in both.
fn apart_noise(network: &IntegerLayers, coarse: &[Gradient], finer: &[Gradient], fine: f64) -> f64 {
    let between = coarse.iter().zip(finer).map(|(coarse, finer)| {
        let pairs = coarse.slots.iter().zip(&finer.slots);
        Gradient {
            slope: coarse.slope,
            bends: coarse.bends,
            slots: pairs.map(|(coarse, finer)| coarse - finer / fine).collect(),
        }
    });
    network.variance(&LAYERS, &between.collect::<Vec<Gradient>>())
}

/// Returns the part of the variance of scores or of differences, over what is wanted, that each
/// unit's rotations cause.
pub(super) fn costs(rounded: &Rounded, inputs: &Inputs, rows: &[&[f64]], wanted: &[f64]) -> Vec<f64> {
    let clear = PlainLayers::new(&rounded.network);
    let mut costs = vec![0.0; rounded.network.units.len()];
    let fine = f64::from(rounded.fine);
    let scales: Vec<f64> = match rounded.comparisons.as_slice() {
        [] => rounded.scales.iter().map(|scale| scale / fine).collect(),
        comparisons => comparisons.iter().map(|compared| compared.period).collect(),
    };
    let switch = NetworkNoise::modulus_switch(&LAYERS);
    for (compared, wanted) in rounded.comparisons.iter().zip(wanted) {
        costs[compared.unit] += (compared.period / wanted).powi(2) * switch;
    }
    for row in rows {
        let levels = rounded.levels(inputs, row);
        let gradients = match rounded.comparisons.as_slice() {
            [] => clear.gradients(&LAYERS, &levels).split_off(rounded.scales.len()),
            [first, ..] => {
                let units = first.unit..first.unit + rounded.comparisons.len();
                clear.phase_gradients(&LAYERS, &levels, units)
            }
        };
        for ((gradients, scale), wanted) in gradients.iter().zip(&scales).zip(wanted) {
            let factor = (scale / wanted).powi(2) / rows.len() as f64;
            for (cost, gradient) in costs.iter_mut().zip(gradients) {
                let switch = gradient.slope.powi(2) * gradient.switch(&LAYERS);
                *cost += factor * (switch + 2.0 * gradient.reads(&LAYERS));
            }
        }
    }
    costs
}
