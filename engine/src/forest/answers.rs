//! What the leaves of a tree are for the scores.

use super::pruned::Pruned;

/// Largest relative difference between sums of leaves that are equal, such as probabilities that
/// were rounded to single precision.
const ROUNDING: f64 = 1e-5;

/// A number of a tree's leaves that units have in their tables.
pub(super) struct Answer {
    /// Its place in a leaf.
    pub(super) place: usize,
    /// Scores that it is added to, or subtracted from if `true`.
    pub(super) outputs: Vec<(usize, bool)>,
    /// Middle of its values, which the base has instead.
    pub(super) middle: f64,
}

/// What a tree's leaves are for the scores.
pub(super) struct Answers(pub(super) Vec<Answer>);

impl Answers {
    /// Takes the middle of a tree's values into the bases. If the numbers of each leaf have the
    /// same sum, as probabilities do, the first one follows from the others, and needs no units.
    pub(super) fn of(tree: &Pruned, output: Option<usize>, bases: &mut [f64]) -> Self {
        let spans = spans(tree);
        let middle = |place: usize| {
            let (low, high): (f64, f64) = spans[place];
            low + (high - low) / 2.0
        };
        if let Some(output) = output {
            bases[output] += middle(0);
            return Self(vec![Answer {
                place: 0,
                outputs: vec![(output, false)],
                middle: middle(0),
            }]);
        }
        let implied = common_sum(tree).filter(|_| bases.len() > 1);
        if let Some(sum) = implied {
            bases[0] += sum;
        }
        let answers = (usize::from(implied.is_some())..bases.len()).map(|place| {
            let middle = middle(place);
            bases[place] += middle;
            let mut outputs = vec![(place, false)];
            if implied.is_some() {
                bases[0] -= middle;
                outputs.push((0, true));
            }
            Answer {
                place,
                outputs,
                middle,
            }
        });
        Self(answers.collect())
    }

    /// Widens the range of each score by what a tree adds to it.
    pub(super) fn widen(&self, tree: &Pruned, ranges: &mut [(f64, f64)]) {
        let mut spans = vec![(f64::INFINITY, f64::NEG_INFINITY); ranges.len()];
        tree.visit(&mut |leaf| {
            let mut values = vec![0.0; ranges.len()];
            for answer in &self.0 {
                for &(output, negated) in &answer.outputs {
                    let value = leaf[answer.place] - answer.middle;
                    values[output] += if negated { -value } else { value };
                }
            }
            for (span, value) in spans.iter_mut().zip(values) {
                *span = (span.0.min(value), span.1.max(value));
            }
        });
        for (range, span) in ranges.iter_mut().zip(spans) {
            *range = (range.0 + span.0, range.1 + span.1);
        }
    }
}

/// Returns the smallest and the largest value of each number of the leaves.
pub(super) fn spans(tree: &Pruned) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    tree.visit(&mut |leaf| {
        spans.resize(leaf.len(), (f64::INFINITY, f64::NEG_INFINITY));
        for (span, value) in spans.iter_mut().zip(leaf) {
            *span = (span.0.min(*value), span.1.max(*value));
        }
    });
    spans
}

/// Returns the sum of the numbers of a leaf, if all leaves have the same one.
pub(super) fn common_sum(tree: &Pruned) -> Option<f64> {
    let (mut least, mut most, mut size) = (f64::INFINITY, f64::NEG_INFINITY, 0f64);
    tree.visit(&mut |leaf| {
        let sum: f64 = leaf.iter().sum();
        least = least.min(sum);
        most = most.max(sum);
        size = leaf.iter().fold(size, |size, value| size.max(value.abs()));
    });
    (most - least <= ROUNDING * size).then(|| least + (most - least) / 2.0)
}
