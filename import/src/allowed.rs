//! Errors that are stated for a model, and the differences between answers that they allow.

use super::{BOUND, Choice, bound, choice::slope, isotonic, layers::labels::pairs};
use blindscore_client::{Scores, one_vs_one};
use blindscore_engine::model::Model;
use blindscore_protocol::descriptor::{self, Link, ModelDescriptor, Task};

/// Tolerance for single precision, as a share of a score or its range.
pub(super) const SINGLE: f64 = 1e-5;

/// Gives the scores of a row in the clear.
pub(crate) type PlainScores<'m> = Box<dyn Fn(&[f64]) -> Vec<f64> + 'm>;

/// A model, and the errors that are stated for it.
pub struct Stated<'m> {
    pub(crate) descriptor: &'m ModelDescriptor,
    /// Scores of a row in the clear.
    pub(crate) plain: PlainScores<'m>,
    /// For each score, its largest error, and half of its range.
    scores: Vec<(f64, f64)>,
    /// Largest error of a probability, if there are any.
    probability: Option<f64>,
    /// That without what isotonic calibration adds.
    smooth: f64,
    /// If only the label is sent, the largest error of the difference of each pair of scores.
    pairs: Vec<f64>,
}

impl Choice {
    /// Returns the model with its stated errors.
    pub fn stated(&self) -> Stated<'_> {
        let scores = self.predicted.iter();
        Stated {
            descriptor: self.model.descriptor(),
            plain: Box::new(|row| self.model.plain_scores(row)),
            scores: scores.map(|output| (bound(output), output.half_range)).collect(),
            probability: self.probability_error(),
            smooth: self.smooth_error(),
            pairs: Vec::new(),
        }
    }
}

impl<'m> Stated<'m> {
    /// Returns a model with the error of a score that its descriptor states.
    pub(crate) fn of_model(model: &'m Model) -> Self {
        let plain = Box::new(|row: &[f64]| model.plain_scores(row));
        Self::of_error(model.descriptor(), plain, BOUND * model.descriptor().score_error)
    }

    /// Returns a model, by its scores in the clear, with an error of its own for each score, six
    /// standard deviations.
    pub(crate) fn of_errors(descriptor: &'m ModelDescriptor, plain: PlainScores<'m>, errors: &[f64]) -> Self {
        let largest = errors.iter().copied().fold(0.0, f64::max);
        let mut stated = Self::of_error(descriptor, plain, largest);
        for (score, error) in stated.scores.iter_mut().zip(errors) {
            score.0 = *error;
        }
        stated
    }

    /// Returns a model of which only the label is sent: by its exact scores in the clear, with the
    /// errors of their differences, six standard deviations.
    pub(crate) fn of_label(descriptor: &'m ModelDescriptor, plain: PlainScores<'m>, pairs: &[f64]) -> Self {
        Self {
            pairs: pairs.to_vec(),
            ..Self::of_error(descriptor, plain, 0.0)
        }
    }

    /// Returns the largest error of a difference that decides about one of some rows.
    pub(crate) fn decisive(&self, rows: &[Vec<f64>]) -> f64 {
        let of_row = |row: &Vec<f64>| {
            let scores = (self.plain)(row);
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
            let closest = |(one, other): (usize, Option<usize>)| {
                let best = order.get(..2).unwrap_or(&order);
                best.contains(&one) && other.is_none_or(|other| best.contains(&other))
            };
            let mut errors = pairs(scores.len()).zip(&self.pairs);
            errors
                .find(|(pair, _)| closest(*pair))
                .map_or(0.0, |(_, error)| *error)
        };
        rows.iter().map(of_row).fold(0.0, f64::max)
    }

    fn of_error(descriptor: &'m ModelDescriptor, plain: PlainScores<'m>, error: f64) -> Self {
        let scores = descriptor.outputs.iter().map(|output| (error, output.half_range));
        let probability = slope(descriptor.link).map(|slope| slope * error);
        Self {
            descriptor,
            plain,
            scores: scores.collect(),
            smooth: probability.unwrap_or(0.0),
            probability,
            pairs: Vec::new(),
        }
    }

    /// Returns the largest error of a score, six standard deviations, in its own units.
    pub(crate) fn largest(&self) -> f64 {
        self.scores.iter().map(|score| score.0).fold(0.0, f64::max)
    }

    /// Returns the largest error of a probability, if there are any.
    pub(crate) const fn probability(&self) -> Option<f64> {
        self.probability
    }

    /// Returns whether a row's decision is another than that of the scores in the clear, which
    /// isn't close.
    pub(crate) fn is_clearly_other(&self, row: &[f64], ours: &Scores) -> bool {
        let theirs = Scores::new(self.descriptor, (self.plain)(row));
        theirs.decision != ours.decision && !Allowed::new(self, 0.0).is_close(&theirs, self.descriptor)
    }

    /// Returns how many of some rows are decided by less than the errors, and how many there are.
    pub(crate) fn undecided(&self, rows: &[Vec<f64>]) -> [usize; 2] {
        let (descriptor, allowed) = (self.descriptor, Allowed::new(self, 0.0));
        let close = |row: &&Vec<f64>| {
            let scores = Scores::new(descriptor, (self.plain)(row));
            descriptor.task == Task::Classification && allowed.is_close(&scores, descriptor)
        };
        [rows.iter().filter(close).count(), rows.len()]
    }
}

/// Allowed differences between two answers.
pub(super) struct Allowed {
    scores: Vec<f64>,
    /// Those of the differences of pairs of scores, if only the label is sent.
    pairs: Vec<f64>,
    /// That of a probability, without what isotonic calibration adds.
    probabilities: f64,
}

/// A difference between two answers.
pub(super) struct Difference {
    pub(super) what: String,
    pub(super) theirs: String,
    pub(super) ours: String,
}

impl Allowed {
    pub(super) fn new(stated: &Stated<'_>, share: f64) -> Self {
        let scores = stated.scores.iter();
        Self {
            pairs: stated.pairs.clone(),
            probabilities: stated.smooth + share,
            scores: scores
                .map(|(error, half_range)| error + share * half_range)
                .collect(),
        }
    }

    /// Returns whether a decision is closer than the allowed error of the scores.
    pub(super) fn is_close(&self, answer: &Scores, model: &ModelDescriptor) -> bool {
        if self.may_vote_otherwise(&answer.scores, model) {
            return true;
        }
        if !self.pairs.is_empty() {
            return self.is_close_pair(answer);
        }
        match (model.link, answer.scores.as_slice()) {
            // Sums of hard votes alone are exact.
            (Link::Mean, _) => {
                let soft = model.members.iter().any(|member| member.link != Link::Identity);
                soft && closest(&answer.probabilities) <= 2.0 * self.near(answer, model)
            }
            (Link::OneVsOne, scores) => {
                let classes = model.classes.as_ref().map_or(0, Vec::len);
                let errors = self.tie_break_errors(classes);
                closest(&one_vs_one(scores, classes)) <= 2.0 * errors.into_iter().fold(0.0, f64::max)
            }
            (Link::Votes, _) => false,
            (_, [score]) => score.abs() <= self.score(0),
            (_, scores) => closest(scores) <= 2.0 * self.largest(),
        }
    }

    /// Returns whether the class that wins is closer to another than the allowed error of their
    /// difference.
    fn is_close_pair(&self, answer: &Scores) -> bool {
        let (scores, best) = (&answer.scores, answer.index());
        let decides =
            |(one, other): (usize, Option<usize>)| other.is_none() || best == Some(one) || best == other;
        let difference =
            |(one, other): (usize, Option<usize>)| scores[one] - other.map_or(0.0, |other| scores[other]);
        let mut errors = pairs(scores.len()).zip(&self.pairs);
        errors.any(|(pair, error)| decides(pair) && difference(pair).abs() <= *error)
    }

    /// Returns whether a hard vote, that of a model without probabilities or of a pair of classes,
    /// is closer than the allowed error of its scores.
    fn may_vote_otherwise(&self, scores: &[f64], model: &ModelDescriptor) -> bool {
        let close_pair = |(score, allowed): (&f64, &f64)| score.abs() <= *allowed;
        match model.link {
            Link::OneVsOne | Link::Votes => scores.iter().zip(&self.scores).any(close_pair),
            Link::Mean => {
                let mut start = 0;
                model.members.iter().any(|member| {
                    let own = start..(start + member.scores).min(scores.len());
                    start = own.end;
                    let errors = self.scores.get(own.clone()).unwrap_or_default();
                    let allowed = errors.iter().copied().fold(0.0, f64::max);
                    member.link == Link::Identity
                        && match &scores[own] {
                            [score] => score.abs() <= allowed,
                            own => closest(own) <= 2.0 * allowed,
                        }
                })
            }
            _ => false,
        }
    }

    /// Returns the allowed error of each class's tie break among pairs: the slope of
    /// `s / (3 (|s| + 1))` is at most a third.
    fn tie_break_errors(&self, classes: usize) -> Vec<f64> {
        let mut errors = vec![0.0; classes];
        for ((first, second), error) in descriptor::pairs(classes).zip(&self.scores) {
            errors[first] += error / 3.0;
            errors[second] += error / 3.0;
        }
        errors
    }

    fn largest(&self) -> f64 {
        self.scores.iter().copied().fold(0.0, f64::max)
    }

    pub(super) fn number(
        &self,
        what: impl FnOnce() -> String,
        theirs: f64,
        ours: f64,
        allowed: f64,
    ) -> Result<f64, Difference> {
        if allowed.is_infinite() {
            return Ok(0.0);
        }
        let difference = (theirs - ours).abs();
        if difference <= allowed + SINGLE * theirs.abs() {
            return Ok(difference);
        }
        Err(Difference {
            what: what(),
            // Debug format, which writes large and small numbers with an exponent.
            theirs: format!("{theirs:?}"),
            ours: format!("{ours:?}"),
        })
    }

    pub(super) fn score(&self, place: usize) -> f64 {
        self.scores.get(place).copied().unwrap_or(0.0)
    }

    /// Returns the allowed difference of a regression's value.
    pub(super) fn value(&self, place: usize, value: f64, model: &ModelDescriptor) -> f64 {
        match model.link {
            // d exp(s) = exp(s) ds, and the steeper end counts.
            Link::Exp => value.abs() * self.score(place).exp_m1(),
            _ => self.score(place),
        }
    }

    /// Returns the allowed difference of a probability: any, if a hard vote may be another.
    pub(super) fn probability(&self, answer: &Scores, model: &ModelDescriptor) -> f64 {
        if self.may_vote_otherwise(&answer.scores, model) {
            f64::INFINITY
        } else {
            self.near(answer, model)
        }
    }

    /// Returns the allowed difference of a probability, if no hard vote is another.
    fn near(&self, answer: &Scores, model: &ModelDescriptor) -> f64 {
        self.probabilities + isotonic::error_of(&answer.scores, &self.scores, model)
    }

    /// Returns the allowed difference of a class's decision function among pairs.
    pub(super) fn decision(&self, class: usize, answer: &Scores, model: &ModelDescriptor) -> f64 {
        let classes = model.classes.as_ref().map_or(0, Vec::len);
        if self.may_vote_otherwise(&answer.scores, model) {
            f64::INFINITY
        } else {
            self.tie_break_errors(classes).get(class).copied().unwrap_or(0.0) + SINGLE
        }
    }
}

/// Returns the difference between the two largest numbers.
fn closest(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let best = sorted.windows(2).next();
    best.map_or(f64::INFINITY, |best| best[0] - best[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::tests::{classifier, member};
    use blindscore_protocol::descriptor::{Curve, Member};

    /// Returns which of several lists of scores are too close to be compared, if each score may be
    /// off by 0.1 and a probability by 0.01.
    fn close(choice: &Choice, several: &[&[f64]]) -> Vec<bool> {
        let model = choice.model.descriptor();
        let allowed = Allowed {
            pairs: Vec::new(),
            scores: vec![0.1; model.outputs.len()],
            probabilities: 0.01,
        };
        let scores = several.iter().map(|scores| Scores::new(model, scores.to_vec()));
        scores.map(|scores| allowed.is_close(&scores, model)).collect()
    }

    #[test]
    fn decisions_within_the_error_of_the_scores_are_close() {
        let of = |link, scores, classes: &[&str]| classifier(link, scores, classes, Vec::new());
        let sigmoid = of(Link::Sigmoid, 1, &["no", "yes"]);
        assert_eq!(
            close(&sigmoid, &[&[0.09], &[-0.09], &[0.11], &[-0.11]]),
            [true, true, false, false]
        );
        // Both may be off.
        let softmax = of(Link::Softmax, 3, &[]);
        assert_eq!(
            close(&softmax, &[&[1.0, 0.81, -5.0], &[1.0, -5.0, 0.79]]),
            [true, false]
        );
        // A vote that may be another, and three that may not, also where they tie.
        let votes = of(Link::Votes, 3, &["a", "b", "c"]);
        assert_eq!(
            close(&votes, &[&[1.0, 0.09, 1.0], &[1.0, 1.0, 1.0], &[0.5, -2.0, 1.0]]),
            [true, false, false]
        );
        // The sums of a tie's scores may be off by twice as much.
        let pairs = of(Link::OneVsOne, 3, &["a", "b", "c"]);
        assert_eq!(
            close(&pairs, &[&[0.5, -2.0, 1.0], &[0.5, -0.5, 0.5], &[1.0, 1.0, 1.0]]),
            [false, true, false]
        );
    }

    #[test]
    fn averages_are_close_by_their_probabilities_and_hard_votes() {
        let two = |members| classifier(Link::Mean, 2, &["no", "yes"], members);
        let soft = two(vec![member(Link::Sigmoid, 1, 0.5), member(Link::Sigmoid, 1, 0.5)]);
        assert_eq!(
            close(&soft, &[&[1.0, -1.0], &[1.0, -1.01], &[1.0, -0.8]]),
            [true, true, false]
        );
        // Between hard votes alone, a tie is decided by its rule.
        let hard = two(vec![
            member(Link::Identity, 1, 0.5),
            member(Link::Identity, 1, 0.5),
        ]);
        assert_eq!(
            close(&hard, &[&[1.0, -1.0], &[1.0, 0.09], &[1.0, 1.0]]),
            [false, true, false]
        );
    }

    #[test]
    fn steep_curves_are_close_where_they_rise() {
        let step = Curve {
            thresholds: vec![0.0, 0.0],
            probabilities: vec![0.25, 0.75],
        };
        let isotonic = Member {
            curves: vec![step],
            ..member(Link::Isotonic, 1, 1.0)
        };
        let choice = classifier(Link::Mean, 1, &["no", "yes"], vec![isotonic]);
        assert_eq!(
            close(&choice, &[&[0.09], &[-0.09], &[0.11], &[-0.11]]),
            [true, true, false, false]
        );
    }
}
