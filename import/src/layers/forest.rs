//! An ensemble of trees of which only the label is sent: its units are the first layer, and two or
//! three more find the label.

use super::{
    TORUS,
    labels::{self, Comparison, Phase, Sign, pairs},
    rewrite::Form,
};
use blindscore_engine::{
    bits::BIT,
    forest::{Cover, ForestEngine, Unit},
    layers::{Division, IntegerLayers, IntegerUnit},
    model::LAYERS,
};
use blindscore_protocol::noise::NetworkNoise;

/// Most rotations of a comparison.
const MOST_REPEATS: usize = 16;
/// Rotations for all comparisons, unless there are more of them.
const ROTATIONS: usize = 300;
/// How far from the middle of a table a unit is read, as a part of the torus: half a step, by a
/// weight of up to two slots.
pub(crate) const ASIDE: f64 = 0.25 / LAYERS.polynomial_size.0 as f64;

/// An ensemble of trees as a network whose scores are bits.
pub(crate) struct ForestLabel {
    /// The network.
    pub(crate) network: IntegerLayers,
    /// Factor of each bit's phase.
    pub(crate) scales: Vec<f64>,
    /// Standard deviation of each difference that is compared.
    pub(crate) errors: Vec<f64>,
}

impl ForestLabel {
    /// Compares the scores of a cover for [`LAYERS`] over so many bits. Comparisons are rotated
    /// several times until the standard deviations of the differences are `wanted`, or there are
    /// too many rotations. No row leaves the range of a comparison.
    pub(crate) fn of(cover: &Cover, bits: usize, wanted: &[f64]) -> Self {
        let comparisons = comparisons(cover);
        // Tables have one size for all comparisons, so that each reads a slot of each unit.
        let period = comparisons
            .iter()
            .map(|comparison| comparison.period)
            .fold(0.0, f64::max);
        let most = (ROTATIONS / comparisons.len().max(1)).clamp(1, MOST_REPEATS);
        let classes = cover.bases.len();
        let deviation = |others: f64, repeats: usize| period * (others + Sign::new(repeats).noise()).sqrt();
        let rotated = |(comparison, wanted): (&Comparison, &f64)| {
            let others = noise(&comparison.form);
            let enough = (1..most).find(|repeats| deviation(others, *repeats) <= *wanted);
            let repeats = enough.unwrap_or(most);
            (repeats, deviation(others, repeats))
        };
        let (repeats, errors): (Vec<usize>, Vec<f64>) = comparisons.iter().zip(wanted).map(rotated).unzip();
        Self {
            errors,
            scales: vec![1.0 / BIT; classes],
            network: network(cover, bits, &comparisons, period, &repeats),
        }
    }
}

/// Returns a comparison for each pair of scores, or of the only one with zero.
fn comparisons(cover: &Cover) -> Vec<Comparison> {
    let of = |(one, other): (usize, Option<usize>)| {
        let weight = |unit: &Unit| {
            let of_score = |wanted: usize| {
                let own = unit.outputs.iter().filter(|(score, _)| *score == wanted);
                own.map(|(_, negated)| if *negated { -1.0 } else { 1.0 })
                    .sum::<f64>()
            };
            of_score(one) - other.map_or(0.0, of_score)
        };
        let form = Form {
            features: Vec::new(),
            tables: cover.units.iter().map(weight).collect(),
            offset: cover.bases[one] - other.map_or(0.0, |other| cover.bases[other]),
        };
        let scores = if other.is_some() { 2.0 } else { 1.0 };
        let bound = form.offset.abs() + scores * cover.half_range;
        labels::comparison((one, other), bound, bound, form)
    };
    pairs(cover.bases.len()).map(of).collect()
}

/// Returns the variance of a comparison's phase but for its own modulus switch, as a part of the
/// torus squared. No table has a slope where a level is.
fn noise(form: &Form) -> f64 {
    let reads = Division::new(&LAYERS, 1);
    let units = form.tables.iter().map(|weight| reads.reads(*weight as i32));
    units.sum::<f64>() + NetworkNoise::key_switch(&LAYERS) + NetworkNoise::input_rerandomisation(&LAYERS)
}

fn network(
    cover: &Cover,
    bits: usize,
    comparisons: &[Comparison],
    period: f64,
    repeats: &[usize],
) -> IntegerLayers {
    let size = LAYERS.polynomial_size.0;
    let decides = |unit: &Unit| {
        let (weights, offset) = unit.phase();
        let mut features = vec![0; bits];
        weights.for_each(|(bit, weight)| features[bit] = weight);
        IntegerUnit {
            layer: 0,
            features,
            units: Vec::new(),
            offset,
            repeats: 1,
            table: unit
                .values(size)
                .into_iter()
                .map(|value| labels::entry(value / period))
                .collect(),
        }
    };
    let classes = cover.bases.len();
    let mut units: Vec<IntegerUnit> = cover.units.iter().map(decides).collect();
    let each = comparisons.iter().zip(repeats);
    let phases = each.map(|(Comparison { form, .. }, &repeats)| Phase {
        features: Vec::new(),
        units: form.tables.iter().map(|weight| *weight as i32).collect(),
        offset: (form.offset / period * TORUS) as i64 as u64,
        repeats,
    });
    let outputs = labels::find(&mut units, classes, comparisons, phases.collect());
    IntegerLayers {
        features: bits,
        input_step: ForestEngine::input_step(),
        outputs,
        biases: vec![0; classes],
        units,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_engine::{
        forest::{Forest, ForestNode, ForestTree, ForestVariable},
        layers::PlainLayers,
    };

    /// Returns trees of depth 2 over three variables of three cuts each.
    fn forest(trees: usize, scores: usize) -> Forest {
        let value = |place: usize| (place as f64 * 2.399).sin();
        let tree = |tree: usize| {
            let split = |variable: usize, branches| ForestNode::Split {
                variable: (tree + variable) % 3,
                cut: 1 + (tree * 5 + variable) % 3,
                flags: Vec::new(),
                branches,
            };
            let leaf = |place: usize| ForestNode::Leaf(vec![value(4 * tree + place)]);
            ForestTree {
                nodes: vec![
                    split(0, [1, 4]),
                    split(1, [2, 3]),
                    leaf(0),
                    leaf(1),
                    split(2, [5, 6]),
                    leaf(2),
                    leaf(3),
                ],
                output: Some(tree % scores),
            }
        };
        let variables = vec![ForestVariable { cuts: 3, flags: 0 }; 3];
        let bases = (0..scores).map(|score| 0.1 * value(100 + score)).collect();
        Forest::new(variables, (0..trees).map(tree).collect(), bases).unwrap()
    }

    /// Returns the bits of every row.
    fn rows() -> impl Iterator<Item = Vec<i64>> {
        (0..64).map(|row: usize| {
            let positions = [row % 4, row / 4 % 4, row / 16];
            let bits = positions.map(|position| (0..3).map(move |cut| i64::from(cut < position)));
            bits.into_iter().flatten().collect()
        })
    }

    #[test]
    fn bits_say_which_score_is_the_largest() {
        for (trees, scores, wanted) in [(12, 1, 1e-9), (21, 3, 1e-9), (24, 12, 1.0)] {
            let forest = forest(trees, scores);
            let cover = Cover::of(&LAYERS, &forest).unwrap();
            let pairs = pairs(scores).count();
            let label = ForestLabel::of(&cover, forest.bits(), &vec![wanted; pairs]);
            assert_eq!(label.network.check(&LAYERS), Ok(()));
            let repeats = |range: std::ops::Range<usize>| {
                let units = label.network.units[range].iter();
                units.map(|unit| unit.repeats).max()
            };
            let compared = cover.units.len()..cover.units.len() + pairs;
            let most = if wanted < 1.0 { MOST_REPEATS } else { 1 };
            assert_eq!(
                (repeats(0..compared.start), repeats(compared)),
                (Some(1), Some(most))
            );
            let (clear, mut told) = (PlainLayers::new(&label.network), 0);
            for bits in rows() {
                let plain = forest.scores(&bits);
                let mut order: Vec<usize> = (0..scores).collect();
                order.sort_by(|one, other| plain[*other].total_cmp(&plain[*one]));
                let (expected, margin) = match order.as_slice() {
                    [_] => (usize::from(plain[0] > 0.0), plain[0].abs()),
                    [best, next, ..] => (*best, plain[*best] - plain[*next]),
                    [] => unreachable!(),
                };
                // Within the error, either class may win.
                if margin < label.errors[0] {
                    continue;
                }
                told += 1;
                let found = clear.scores(&bits);
                for (class, phase) in found.iter().enumerate() {
                    let is_class = match scores {
                        1 => expected == 1,
                        _ => class == expected,
                    };
                    let bit = if is_class { BIT } else { -BIT };
                    assert!((phase - bit).abs() < 1e-6, "{plain:?}: {found:?}");
                }
            }
            assert!(told > 50, "{told} rows");
        }
    }

    #[test]
    fn no_row_leaves_the_range_of_a_comparison() {
        let forest = forest(30, 3);
        let cover = Cover::of(&LAYERS, &forest).unwrap();
        for comparison in comparisons(&cover) {
            assert!(comparison.certain);
            for bits in rows() {
                let scores = forest.scores(&bits);
                let other = comparison.other.map_or(0.0, |other| scores[other]);
                let difference = (scores[comparison.one] - other).abs();
                assert!(difference < 0.5 * comparison.period, "{difference}");
            }
        }
    }
}
