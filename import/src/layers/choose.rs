//! Chooses how a network is served: its linear parts, and the rotations of each unit.

use super::{
    FloatNetwork,
    integers::Rounder,
    judge::{Chosen, costs, judge, judged_rows},
    labels::pairs,
    rewrite::Rewritten,
};
use blindscore_engine::layers::MOST_REPEATS;
use blindscore_protocol::descriptor::{Answer, Inputs};
use std::ops::RangeInclusive;

/// Scores for which the last layer may have linear parts, whatever the number of units.
const FEW_SCORES: usize = 16;
/// Most rows that a network is fitted to.
pub(crate) const FIT_ROWS: usize = 2_000;
/// Factors of the finer scores that are tried, and the first of them.
const FINE: RangeInclusive<u32> = 2..=128;
const FIRST_FINE: u32 = 8;
/// Factor between sizes of the tables that are tried.
const STEP: f64 = 1.6;
/// Most steps of the search for both.
const MOST_STEPS: usize = 6;
/// Share of a variance below which more rotations are worth their time, if they aren't enough for
/// the error that is wanted.
const WORTHWHILE: f64 = 0.9;
/// Blind rotations up to which units are rotated several times, unless there are more units.
pub(crate) const ROTATIONS: usize = 300;

/// Returns the standard deviation of a score with which so small a share of rows would be decided
/// otherwise, by their margins: the differences between the two largest of several scores, each
/// with its error, or the only score.
pub(crate) fn undecided(scores: &[Vec<f64>], share: f64) -> f64 {
    let margin = |scores: &Vec<f64>| match scores.as_slice() {
        [score] => score.abs(),
        scores => {
            let mut sorted = scores.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let best = sorted.windows(2).next();
            best.map_or(f64::INFINITY, |best| best[0] - best[1]) / 2f64.sqrt()
        }
    };
    let margins: Vec<f64> = scores.iter().map(margin).collect();
    exceeded(&margins, share)
}

/// Returns for each pair of scores, or for the only one, the standard deviation of their difference
/// with which so small a share of rows would be decided otherwise: by the differences on the rows
/// for which one of the two decides. It is at least `least` times the largest difference, and at
/// most all of it.
pub(crate) fn undecided_pairs(scores: &[Vec<f64>], share: f64, least: f64) -> Vec<f64> {
    let count = scores.first().map_or(0, Vec::len);
    let largest = |scores: &Vec<f64>| {
        let numbered = scores.iter().enumerate();
        numbered
            .max_by(|one, other| one.1.total_cmp(other.1))
            .map(|(place, _)| place)
    };
    let share = share / (count.max(2) - 1) as f64;
    let of_pair = |(one, other): (usize, Option<usize>)| {
        let difference = |scores: &Vec<f64>| scores[one] - other.map_or(0.0, |other| scores[other]);
        let largest_of_all = scores.iter().map(|scores| difference(scores).abs());
        let width = largest_of_all.fold(f64::MIN_POSITIVE, f64::max);
        let decisive = scores.iter().filter(|scores| {
            let best = largest(scores);
            count == 1 || best == Some(one) || best == other
        });
        let margins: Vec<f64> = decisive.map(|scores| difference(scores).abs()).collect();
        if margins.is_empty() {
            return width;
        }
        exceeded(&margins, share).clamp(least * width, width)
    };
    pairs(count).map(of_pair).collect()
}

/// Returns the standard deviation of a normal error that exceeds so small a share of margins.
fn exceeded(margins: &[f64], share: f64) -> f64 {
    // Of a normal error, the chance to exceed a margin.
    let otherwise = |deviation: f64| {
        let chance = |margin: &f64| libm::erfc(margin / deviation / 2f64.sqrt()) / 2.0;
        margins.iter().map(chance).sum::<f64>() / margins.len().max(1) as f64
    };
    let (mut low, mut high) = (
        0.0,
        margins
            .iter()
            .copied()
            .filter(|m| m.is_finite())
            .fold(0.0, f64::max),
    );
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if otherwise(middle) > share {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

/// Chooses how to serve a network for features of these ranges and levels. Units are rotated
/// several times until the standard deviations of the scores, or of the differences of each pair if
/// only the label is sent, are at most `wanted`, or `most` rotations are reached.
///
/// # Errors
/// The place of a unit whose function has no finite value in the range of its sums.
pub(crate) fn choose(
    network: &FloatNetwork,
    inputs: &Inputs,
    rows: &[&[f64]],
    wanted: &[f64],
    most: usize,
    answer: Answer,
) -> Result<Chosen, usize> {
    // Each score takes a unit more for linear parts of the last layer.
    let few = network.outputs.len() <= network.units.len().max(FEW_SCORES);
    let choices: &[bool] = match answer {
        Answer::Scores if few => &[true, false],
        Answer::Scores => &[false],
        // Comparisons read features themselves.
        Answer::Label => &[true],
    };
    let mut best: Option<((bool, f64, usize), Chosen)> = None;
    for last in choices.iter().copied() {
        let rewritten = Rewritten::of(network, inputs, rows, last, answer)?;
        let rounder = Rounder::new(&rewritten, inputs, rows, answer);
        let mut chosen = repeated(network, &rounder, inputs, rows, wanted, most);
        chosen.units = rounder.certain();
        let errors = chosen.errors();
        let relative = errors.iter().zip(wanted).map(|(error, wanted)| error / wanted);
        // What is precise enough may as well be fast.
        let worst = relative.fold(1.0, f64::max);
        let rotations = chosen.rounded.network.units.iter().map(|unit| unit.repeats).sum();
        let key = (!chosen.apart, worst, rotations);
        if best.as_ref().is_none_or(|(other, _)| key < *other) {
            best = Some((key, chosen));
        }
    }
    // Both were tried.
    best.map(|(_, chosen)| chosen).ok_or(0)
}

/// Chooses the numbers of rotations: each further one goes to the unit where it makes the errors
/// smallest.
fn repeated(
    network: &FloatNetwork,
    rounder: &Rounder<'_>,
    inputs: &Inputs,
    rows: &[&[f64]],
    wanted: &[f64],
    most: usize,
) -> Chosen {
    let units = rounder.rotated();
    let judged = judged_rows(rows, 2 * network.outputs.len() * units * units);
    let total = |chosen: &Chosen| {
        let relative = chosen.errors().into_iter().zip(wanted);
        relative
            .map(|(error, wanted)| (error / wanted).powi(2))
            .fold(0.0, f64::max)
    };
    let tried = |repeats: &[usize], fine: u32, amplitude: f64| {
        let rounded = rounder.rounded(repeats, fine, amplitude);
        judge(network, rounded, amplitude, inputs, &judged)
    };
    // Climbs from one choice to its best neighbour, as long as that is better.
    let finest = |repeats: &[usize], mut fine: u32, amplitude: f64| {
        let mut best = tried(repeats, fine, amplitude);
        while !best.apart && fine > *FINE.start() {
            fine /= 2;
            best = tried(repeats, fine, amplitude);
        }
        for _ in 0..MOST_STEPS {
            let (fine, size) = (best.rounded.fine, best.amplitude);
            let near = [
                (2 * fine, size),
                (fine, size * STEP),
                (fine, size / STEP),
                (fine / 2, size),
            ];
            // Nothing is sent twice if only the label is sent.
            let allowed = if best.rounded.comparisons.is_empty() {
                FINE
            } else {
                fine..=fine
            };
            let near = near.into_iter().filter(|(fine, _)| allowed.contains(fine));
            let near = near
                .map(|(fine, size)| tried(repeats, fine, size))
                .filter(|next| next.apart);
            match near.min_by(|one, other| total(one).total_cmp(&total(other))) {
                Some(next) if total(&next) < total(&best) => best = next,
                _ => break,
            }
        }
        best
    };
    let mut repeats = vec![1usize; units];
    let mut best = finest(&repeats, FIRST_FINE, 1.0);
    let costs = costs(&best.rounded, inputs, &judged, wanted);
    let gain = |repeats: &[usize], place: usize| {
        let count = repeats[place] as f64;
        if repeats[place] < MOST_REPEATS {
            // Between the averages of errors that cancel out and of those that don't.
            costs[place] * (count.powf(-1.5) - (count + 1.0).powf(-1.5))
        } else {
            0.0
        }
    };
    let mut rotations = units;
    while (total(&best) > 1.0 || !best.apart) && rotations < most {
        let next = (rotations + rotations.div_ceil(4)).min(most);
        let before = repeats.clone();
        for _ in rotations..next {
            let gains = (0..units).map(|place| (place, gain(&repeats, place)));
            // Units that have all rotations that they may have gain nothing.
            let best = gains
                .filter(|(_, gain)| *gain > 0.0)
                .max_by(|one, other| one.1.total_cmp(&other.1));
            match best {
                Some((place, _)) => repeats[place] += 1,
                None => break,
            }
        }
        if repeats == before {
            break;
        }
        rotations = next;
        let chosen = finest(&repeats, best.rounded.fine, best.amplitude);
        let (new, old) = (total(&chosen), total(&best));
        let better = new < old && (new <= 1.0 || new < WORTHWHILE * old);
        if (chosen.apart && !best.apart) || (chosen.apart == best.apart && better) {
            best = chosen;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BOUND, Fitted,
        layers::{Curve, HiddenUnit, curve::Function},
    };
    use blindscore_engine::{layers::PlainLayers, model::LAYERS};
    use blindscore_protocol::descriptor::Link;

    #[test]
    fn no_unit_has_more_rotations_than_it_may() {
        let unit = |weight: f64| HiddenUnit {
            layer: 0,
            features: vec![weight, 1.0],
            units: Vec::new(),
            offset: 0.1,
            curve: Curve::number().then(Function::Tanh).unwrap(),
        };
        let network = FloatNetwork {
            fitted: Fitted::new(Link::Identity, vec![vec![0.0; 2]], vec![0.5]),
            units: vec![unit(2.0), unit(-1.0)],
            outputs: vec![vec![1.0, -3.0]],
        };
        let rows: Vec<Vec<f64>> = (0..200)
            .map(|row| vec![f64::from(row * 37 % 100) / 100.0, f64::from(row * 61 % 97) / 97.0])
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let inputs = Inputs::uniform(2, 0.0, 1.0, 1 << 16);
        // An error that no number of rotations reaches.
        let chosen = choose(&network, &inputs, &rows, &[1e-9], 1_000, Answer::Scores).unwrap();
        let network = &chosen.rounded.network;
        assert_eq!(network.check(&LAYERS), Ok(()));
        assert!(network.units.iter().any(|unit| unit.repeats > 16));
    }

    #[test]
    fn scores_tell_which_of_the_finer_ones_is_meant() {
        let number = |place: usize| (place as f64 * 1.7).sin();
        let unit = |place: usize| HiddenUnit {
            layer: 0,
            features: (0..6).map(|feature| number(7 * place + feature)).collect(),
            units: Vec::new(),
            offset: number(place),
            curve: Curve::number().then(Function::Tanh).unwrap(),
        };
        let network = FloatNetwork {
            fitted: Fitted::new(Link::Identity, vec![vec![0.0; 6]; 3], vec![0.0; 3]),
            units: (0..24).map(unit).collect(),
            outputs: (0..3)
                .map(|output| (0..24).map(|place| number(40 * output + place)).collect())
                .collect(),
        };
        let rows: Vec<Vec<f64>> = (0..300)
            .map(|row| {
                (0..6)
                    .map(|feature| 0.5 + 0.5 * number(row * 11 + feature * 5))
                    .collect()
            })
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let inputs = Inputs::uniform(6, 0.0, 1.0, 1 << 16);
        let chosen = choose(&network, &inputs, &rows, &[1e-9; 3], 24, Answer::Scores).unwrap();
        let (network, fine) = (&chosen.rounded.network, f64::from(chosen.rounded.fine));
        let clear = PlainLayers::new(network);
        for row in &rows {
            let levels = chosen.rounded.levels(&inputs, row);
            let (phases, gradients) = (clear.scores(&levels), clear.gradients(&LAYERS, &levels));
            for score in 0..3 {
                let reads = |score: usize| -> f64 {
                    let gradients = gradients[score].iter();
                    gradients.map(|gradient| gradient.reads(&LAYERS)).sum()
                };
                let noise = (reads(score) + reads(3 + score) / (fine * fine)).sqrt();
                let turns = phases[score] * fine - phases[3 + score];
                let apart = (turns - turns.round()).abs() / fine;
                assert!(apart + 5.0 * noise < 0.5 / fine, "{apart}, {noise}, {fine}");
            }
        }
    }

    #[test]
    fn the_stated_error_covers_rows_that_few_others_are_like() {
        let steps = HiddenUnit {
            layer: 0,
            features: vec![40.0],
            units: Vec::new(),
            offset: -38.0,
            curve: Curve::number().then(Function::Tanh).unwrap(),
        };
        let network = FloatNetwork {
            fitted: Fitted::new(Link::Identity, vec![vec![0.0]], vec![0.0]),
            units: vec![steps],
            outputs: vec![vec![1.0]],
        };
        // Two of 2,000 rows are where the function is steep.
        let rows: Vec<Vec<f64>> = (0..2_000)
            .map(|row| {
                vec![if row % 1_000 == 501 {
                    0.951
                } else {
                    f64::from(row % 500) / 600.0
                }]
            })
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let inputs = Inputs::uniform(1, 0.0, 1.0, 1 << 16);
        let chosen = choose(&network, &inputs, &rows, &[1.0], 1, Answer::Scores).unwrap();
        let stated = chosen.stated(&network, &inputs, &rows, &[])[0];
        let error = |row: &&[f64]| {
            let phases =
                PlainLayers::new(&chosen.rounded.network).scores(&chosen.rounded.levels(&inputs, row));
            (chosen.rounded.score(&phases, 0) - network.scores(row)[0]).abs()
        };
        let largest = rows.iter().map(error).fold(0.0, f64::max);
        assert!(
            largest > BOUND * chosen.rounding[0],
            "{largest}: no row is unlike the others"
        );
        assert!(largest < BOUND * stated, "{largest} of {}", BOUND * stated);
        // Rows that the model is compared on count, though others were taken before.
        let usual = &rows[..500];
        let stated = |compared| BOUND * chosen.stated(&network, &inputs, usual, compared)[0];
        assert!(largest > stated(&[]), "{largest} of {}", stated(&[]));
        assert!(largest < stated(&rows[501..502]), "{largest}");
    }

    #[test]
    fn the_closest_decisions_say_how_precise_scores_must_be() {
        // One row in a hundred is decided by 0.1, the others by 10.
        let mut scores = vec![vec![10.0]; 99];
        scores.push(vec![0.1]);
        // 0.1 is one deviation for a chance of 15.9 %.
        let found = undecided(&scores, 0.001_587);
        assert!((found - 0.1).abs() < 0.001, "{found}");
        // A difference of two scores has the errors of both.
        let pairs: Vec<Vec<f64>> = scores.iter().map(|score| vec![score[0], 0.0]).collect();
        let found = undecided(&pairs, 0.001_587);
        assert!((found - 0.1 / 2f64.sqrt()).abs() < 0.001, "{found}");
    }
}
