//! Chooses how a network is served: its linear parts, and the rotations of each unit.

use super::{
    FloatNetwork,
    integers::{Rounded, Rounder},
    rewrite::Rewritten,
};
use blindscore_engine::{
    layers::{IntegerLayers, MOST_REPEATS, WINDOW},
    model::LAYERS,
};
use blindscore_protocol::{descriptor::Inputs, noise::NetworkNoise};

/// Most rows that a network is fitted to.
pub(crate) const FIT_ROWS: usize = 2_000;
/// Factors of the finer scores that are tried.
const FINE: [u32; 7] = [2, 4, 8, 16, 32, 64, 128];
/// Rows on which errors are predicted.
const JUDGED_ROWS: usize = 60;
/// Blind rotations up to which units are rotated several times, unless there are more units.
pub(crate) const ROTATIONS: usize = 144;

/// A network to be served, with its predicted errors.
pub(crate) struct Chosen {
    pub(crate) rounded: Rounded,
    /// For each score, the standard deviation that noise causes, root mean square over the rows.
    pub(crate) noise: Vec<f64>,
    /// For each score, the difference from the fitted network without noise, likewise.
    pub(crate) rounding: Vec<f64>,
    /// Whether the scores always tell which of the finer ones is meant, by seven standard deviations.
    apart: bool,
}

impl Chosen {
    /// Returns the standard deviation of each score.
    pub(crate) fn errors(&self) -> Vec<f64> {
        let each = self.noise.iter().zip(&self.rounding);
        each.map(|(noise, rounding)| noise.hypot(*rounding)).collect()
    }
}

/// Chooses how to serve a network for features of these ranges and levels. Units are rotated several
/// times until the standard deviations of the scores are at most `wanted`, or `most` rotations are
/// reached.
///
/// # Errors
/// The place of a unit whose function has no finite value in the range of its sums.
pub(crate) fn choose(
    network: &FloatNetwork,
    inputs: &Inputs,
    rows: &[&[f64]],
    wanted: &[f64],
    most: usize,
) -> Result<Chosen, usize> {
    let mut best: Option<(f64, Chosen)> = None;
    for last in [true, false] {
        let rewritten = Rewritten::of(network, rows, last)?;
        let Some(chosen) = repeated(network, &rewritten, inputs, rows, wanted, most) else {
            continue;
        };
        let errors = chosen.errors();
        let worst = errors
            .iter()
            .zip(wanted)
            .map(|(error, wanted)| error / wanted)
            .fold(0.0, f64::max);
        if best.as_ref().is_none_or(|(other, _)| worst < *other) {
            best = Some((worst, chosen));
        }
    }
    // Both were tried.
    best.map(|(_, chosen)| chosen).ok_or(0)
}

/// Chooses the numbers of rotations: each further one goes to the unit where it makes the errors
/// smallest.
fn repeated(
    network: &FloatNetwork,
    rewritten: &Rewritten,
    inputs: &Inputs,
    rows: &[&[f64]],
    wanted: &[f64],
    most: usize,
) -> Option<Chosen> {
    let units = rewritten.units.len();
    let rounder = Rounder::new(rewritten, inputs, rows);
    let judged = judged_rows(rows);
    let total = |chosen: &Chosen| {
        let relative = chosen.errors().into_iter().zip(wanted);
        relative
            .map(|(error, wanted)| (error / wanted).powi(2))
            .fold(0.0, f64::max)
    };
    let finest = |repeats: &[usize]| {
        let tried = FINE.into_iter().filter_map(|fine| {
            let chosen = judge(network, rounder.rounded(repeats, fine), inputs, &judged);
            // The least is always possible.
            (chosen.apart || fine == FINE[0]).then_some(chosen)
        });
        tried.min_by(|one, other| total(one).total_cmp(&total(other)))
    };
    let first = finest(&vec![1; units])?;
    let costs = costs(&first.rounded, inputs, &judged, wanted);
    let start = total(&first);
    if start <= 1.0 || most <= units {
        return Some(first);
    }
    let mut repeats = vec![1usize; units];
    let mut left = costs.iter().sum::<f64>();
    // The largest score's error decides; the sum over all scores is in the same proportion.
    let enough = left / start;
    for _ in units..most {
        let gain = |place: &usize| {
            let count = repeats[*place] as f64;
            if repeats[*place] < MOST_REPEATS {
                costs[*place] / (count * (count + 1.0))
            } else {
                0.0
            }
        };
        let Some(place) = (0..units).max_by(|one, other| gain(one).total_cmp(&gain(other))) else {
            break;
        };
        left -= gain(&place);
        repeats[place] += 1;
        if left <= enough {
            break;
        }
    }
    finest(&repeats)
}

/// Returns some of the rows, spread over them.
fn judged_rows<'r>(rows: &[&'r [f64]]) -> Vec<&'r [f64]> {
    let every = rows.len().div_ceil(JUDGED_ROWS).max(1);
    rows.iter().copied().step_by(every).collect()
}

fn levels(inputs: &Inputs, row: &[f64]) -> Vec<i64> {
    inputs.levels_of(row).into_iter().map(i64::from).collect()
}

/// Predicts the errors of a network on some rows.
fn judge(network: &FloatNetwork, rounded: Rounded, inputs: &Inputs, rows: &[&[f64]]) -> Chosen {
    let scores = rounded.bases.len();
    let (mut noise, mut rounding) = (vec![0.0; scores], vec![0.0; scores]);
    let rest = NetworkNoise::score(&LAYERS, 0.0);
    let fine = f64::from(rounded.fine);
    let mut apart = true;
    for row in rows {
        let levels = levels(inputs, row);
        let variances = rounded.network.spread(&LAYERS, &levels);
        let phases = rounded.network.scores(&levels);
        for (score, fitted) in network.scores(row).into_iter().enumerate() {
            let scale = rounded.scales[score] / fine;
            let (coarse, finer) = (score, scores + score);
            let served = rounded.bases[score] + scale * phases[finer];
            noise[score] += scale * scale * (variances[finer] + rest);
            rounding[score] += (served - fitted).powi(2);
            // Noise of the phases of units is in both, but to be on the safe side.
            let deviation = (variances[coarse] + rest + (variances[finer] + rest) / (fine * fine)).sqrt();
            let between = (phases[coarse] - phases[finer] / fine).abs();
            apart &= between + 7.0 * deviation < 0.5 / fine;
        }
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
        rounded,
    }
}

/// Returns the part of the scores' variance, over what is wanted, that each unit's rotations cause.
fn costs(rounded: &Rounded, inputs: &Inputs, rows: &[&[f64]], wanted: &[f64]) -> Vec<f64> {
    let own = IntegerLayers::own_noise(&LAYERS);
    let window = NetworkNoise::window(&LAYERS, WINDOW);
    let mut costs = vec![0.0; rounded.network.units.len()];
    for row in rows {
        let gradients = rounded.network.gradients(&LAYERS, &levels(inputs, row));
        let finer = &gradients[rounded.scales.len()..];
        for ((gradients, scale), wanted) in finer.iter().zip(&rounded.scales).zip(wanted) {
            let scale = scale / f64::from(rounded.fine);
            let factor = (scale / wanted).powi(2) / rows.len() as f64;
            for (cost, gradient) in costs.iter_mut().zip(gradients) {
                // Rounding errors of weights are as large as the noise of reads.
                *cost += factor * gradient.rotations * (gradient.slope.powi(2) * own + 2.0 * window);
            }
        }
    }
    costs
}
