//! What decrypted scores mean: probabilities, values, and a decision.

use blindscore_protocol::descriptor::{Answer, Curve, Link, Member, ModelDescriptor, Task, pairs};

/// Decrypted response.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Scores in the model's own units, one per output. If the server sends only the label: 1 for
    /// the class that it is and -1 for others, or the sign of the only score.
    pub scores: Vec<f64>,
    /// Probabilities from the model's link function: one per class, or one per output of a model
    /// without classes. Empty if the link gives none.
    pub probabilities: Vec<f64>,
    /// Values of a regression: the scores, or `exp` of them behind a log link. Empty for other
    /// tasks.
    pub values: Vec<f64>,
    /// Class that the scores decide for; `None` if the model doesn't classify, or if the server
    /// sends only the label and no bit is set: three or more classes are equal up to noise, or a
    /// row is outside the range of a network's comparisons.
    pub decision: Option<Decision>,
}

/// Decision for one of a model's classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Position of the class. If one score decides between two classes: 1 if it is positive,
    /// otherwise 0.
    pub index: usize,
    /// Name of the class.
    pub label: String,
}

impl Scores {
    /// Derives probabilities and decision from a model's scores, one per output.
    pub fn new(model: &ModelDescriptor, scores: Vec<f64>) -> Self {
        let classes = model.classes.as_ref().map_or(0, Vec::len);
        let probabilities = match (model.link, scores.as_slice()) {
            (Link::Mean, scores) => mean(&model.members, scores, classes),
            (link, [score]) if classes == 2 => between(link, *score),
            (link, scores) => apply(link, scores),
        };
        let index = match (model.task, model.link, scores.as_slice()) {
            (Task::Multilabel | Task::Regression, ..) => None,
            (_, Link::Mean, _) => tied(&probabilities).next(),
            (_, Link::OneVsOne, scores) => first_largest(&one_vs_one(scores, classes)),
            (_, Link::Votes, scores) => first_largest(&votes(scores, classes)),
            (_, _, [score]) if classes == 2 => Some(usize::from(*score > 0.0)),
            (_, _, scores) if model.answer == Answer::Label => first_set(scores),
            (_, _, scores) => first_largest(scores),
        };
        let label = |index: usize| match &model.classes {
            Some(classes) => classes.get(index),
            None => model.outputs.get(index).map(|output| &output.label),
        };
        let decision = index.and_then(|index| {
            Some(Decision {
                index,
                label: label(index)?.clone(),
            })
        });
        let values = match (model.task, model.link) {
            (Task::Regression, Link::Exp) => scores.iter().map(|score| score.exp()).collect(),
            (Task::Regression, _) => scores.clone(),
            (Task::Classification | Task::Multilabel, _) => Vec::new(),
        };
        Self {
            scores,
            probabilities,
            values,
            decision,
        }
    }

    /// Returns whether a class is one of several whose means are equal up to rounding, so that the
    /// rule for ties decides (the first one).
    pub fn is_tied(&self, model: &ModelDescriptor, index: usize) -> bool {
        model.link == Link::Mean && tied(&self.probabilities).any(|other| other == index)
    }

    /// Returns the position of the chosen class.
    pub fn index(&self) -> Option<usize> {
        self.decision.as_ref().map(|decision| decision.index)
    }

    /// Returns the name of the chosen class.
    pub fn label(&self) -> Option<&str> {
        self.decision.as_ref().map(|decision| decision.label.as_str())
    }
}

/// Largest difference between means that are equal: weights may have been rounded to single
/// precision.
const EQUAL: f64 = 1e-6;

/// Returns the positions of the largest mean and of those that are equal to it, up to rounding of
/// the weights.
fn tied(means: &[f64]) -> impl Iterator<Item = usize> {
    let largest = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let numbered = means.iter().enumerate();
    numbered.filter_map(move |(index, mean)| (*mean >= largest - EQUAL).then_some(index))
}

/// Returns the position of the largest number, or of the first of several that are equal.
fn first_largest(numbers: &[f64]) -> Option<usize> {
    let numbered = numbers.iter().enumerate().rev();
    let best = numbered.max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map(|(index, _)| index)
}

/// Returns the position of the first number above 0, if there is one: classes that are equal up to
/// noise may both have a bit.
fn first_set(bits: &[f64]) -> Option<usize> {
    bits.iter().position(|bit| *bit > 0.0)
}

/// Returns the probabilities of a link function; the identity, `exp` and pairs give none.
fn apply(link: Link, scores: &[f64]) -> Vec<f64> {
    let sigmoids = || scores.iter().copied().map(sigmoid).collect::<Vec<f64>>();
    match link {
        Link::Identity | Link::Exp | Link::Isotonic | Link::Mean | Link::OneVsOne | Link::Votes => Vec::new(),
        Link::Sigmoid => sigmoids(),
        Link::OneVsRest => normalised(sigmoids()),
        Link::Probability => normalised(scores.iter().map(|score| score.max(0.0)).collect()),
        Link::Softmax => {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            normalised(scores.iter().map(|s| (s - largest).exp()).collect())
        }
    }
}

/// Returns the probabilities of the two classes that one score decides between.
fn between(link: Link, score: f64) -> Vec<f64> {
    let probabilities = apply(link, &[score]);
    probabilities.iter().flat_map(|p| [1.0 - p, *p]).collect()
}

/// Returns the mean of the members' probabilities of each class. A member without probabilities
/// gives 1 to the class that it decides for.
fn mean(members: &[Member], mut scores: &[f64], classes: usize) -> Vec<f64> {
    let mut mean = vec![0.0; classes];
    for member in members {
        let (own, rest) = scores.split_at(member.scores.min(scores.len()));
        scores = rest;
        let probabilities = match (member.link, own) {
            (Link::Identity, own) => {
                let chosen = match own {
                    [score] => usize::from(*score > 0.0),
                    own => first_largest(own).unwrap_or(0),
                };
                (0..classes)
                    .map(|class| f64::from(u8::from(class == chosen)))
                    .collect()
            }
            (Link::Isotonic, own) => calibrated(&member.curves, own),
            (link, [score]) => between(link, *score),
            (link, own) => apply(link, own),
        };
        for (sum, probability) in mean.iter_mut().zip(probabilities) {
            *sum += member.weight * probability;
        }
    }
    mean
}

/// Returns the probabilities that isotonic calibration gives: one score is that of the second of
/// two classes.
pub fn calibrated(curves: &[Curve], scores: &[f64]) -> Vec<f64> {
    let each = curves.iter().zip(scores);
    let each: Vec<f64> = each.map(|(curve, score)| curve.at(*score)).collect();
    match each.as_slice() {
        [second] => vec![1.0 - second, *second],
        _ => normalised(each),
    }
}

/// Returns how many of the pairs' scores decide for each class.
fn votes(scores: &[f64], classes: usize) -> Vec<f64> {
    let mut votes = vec![0.0; classes];
    for ((first, second), score) in pairs(classes).zip(scores) {
        votes[if *score > 0.0 { second } else { first }] += 1.0;
    }
    votes
}

/// Returns for each class its votes, plus its scores' sum mapped to less than half a vote: the
/// decision function of scikit-learn's `OneVsOneClassifier` (`_ovr_decision_function`), which also
/// `SVC` gives.
pub fn one_vs_one(scores: &[f64], classes: usize) -> Vec<f64> {
    let mut sums = vec![0.0; classes];
    for ((first, second), score) in pairs(classes).zip(scores) {
        sums[first] -= score;
        sums[second] += score;
    }
    let decided = votes(scores, classes).into_iter().zip(sums);
    decided
        .map(|(votes, sum)| votes + sum / (3.0 * (sum.abs() + 1.0)))
        .collect()
}

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// Divides by the sum; if all weights are zero, they become equal.
fn normalised(weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter().map(|w| w / sum).collect()
    } else {
        vec![1.0 / weights.len() as f64; weights.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let soft = apply(Link::Softmax, &[1000.0, 1000.0, -1000.0]);
        assert!((soft[0] - 0.5).abs() < 1e-12 && soft[2] < 1e-12);
        assert_eq!(apply(Link::Sigmoid, &[0.0]), [0.5]);
        assert_eq!(apply(Link::Identity, &[-3.5]), [0.0; 0]);
        let rest = apply(Link::OneVsRest, &[0.0, 0.0, -1000.0]);
        assert_eq!(rest, [0.5, 0.5, 0.0]);
        assert_eq!(apply(Link::OneVsRest, &[-1000.0; 4]), [0.25; 4]);
        assert_eq!(apply(Link::Probability, &[0.5, -0.25, 1.5]), [0.25, 0.0, 0.75]);
        assert_eq!(apply(Link::Probability, &[-0.1, 0.0]), [0.5, 0.5]);
    }

    #[test]
    fn the_first_bit_is_the_class() {
        assert_eq!(first_set(&[-1.0, 1.0, -1.0]), Some(1));
        assert_eq!(first_set(&[-1.0, 1.0, 1.0]), Some(1));
        assert_eq!(first_set(&[-1.0, -1.0]), None);
    }

    #[test]
    fn means_weigh_each_model() {
        let member = |link, scores, weight| Member {
            link,
            scores,
            weight,
            curves: Vec::new(),
        };
        let two = [
            member(Link::Sigmoid, 1, 0.5),
            member(Link::Softmax, 2, 0.25),
            member(Link::Identity, 1, 0.25),
        ];
        assert_eq!(mean(&two, &[0.0, 3.0, 3.0, 0.1], 2), [0.375, 0.625]);
        assert_eq!(mean(&two, &[0.0, 3.0, 3.0, -0.1], 2), [0.625, 0.375]);
        let three = [member(Link::Identity, 3, 0.5), member(Link::OneVsRest, 3, 0.5)];
        assert_eq!(
            mean(&three, &[0.0, 2.0, 1.0, -1000.0, 0.0, 0.0], 3),
            [0.0, 0.75, 0.25]
        );
    }

    #[test]
    fn calibrated_probabilities_add_up_to_one() {
        let curve = |low, high| Curve {
            thresholds: vec![-1.0, 1.0],
            probabilities: vec![low, high],
        };
        let isotonic = |curves: Vec<Curve>| Member {
            link: Link::Isotonic,
            scores: curves.len(),
            weight: 1.0,
            curves,
        };
        let two = isotonic(vec![curve(0.25, 0.75)]);
        assert_eq!(mean(&[two], &[0.5], 2), [0.375, 0.625]);
        let three = [isotonic(vec![curve(0.0, 1.0), curve(0.0, 0.5), curve(0.0, 0.5)])];
        assert_eq!(
            mean(&three, &[1.0, 0.0, 3.0], 3),
            [4.0 / 7.0, 1.0 / 7.0, 2.0 / 7.0]
        );
        // As in scikit-learn: the same for all classes, if none is likely.
        assert_eq!(mean(&three, &[-1.0, -2.0, -3.0], 3), [1.0 / 3.0; 3]);
    }

    /// Decision functions of `sklearn.utils.multiclass._ovr_decision_function`, by hand.
    #[test]
    fn pairs_vote_and_their_sums_break_ties() {
        // 0 loses against 1 and wins against 2; 1 loses against 2: one vote for each.
        let cycle = [0.5, -2.0, 1.0];
        assert_eq!(votes(&cycle, 3), [1.0; 3]);
        let third = |sum: f64| 1.0 + sum / (3.0 * (sum.abs() + 1.0));
        assert_eq!(one_vs_one(&cycle, 3), [third(1.5), third(-0.5), third(-1.0)]);
        assert_eq!(first_largest(&votes(&[-0.5, 2.0, -1.0], 3)), Some(0));
        assert_eq!(first_largest(&one_vs_one(&[-0.5, 2.0, -1.0], 3)), Some(2));
        assert_eq!(votes(&[1.0, 1.0, 1.0, -1.0, -1.0, -1.0], 4), [0.0, 3.0, 2.0, 1.0]);
    }
}
