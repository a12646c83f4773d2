//! Comparison of the model to be served with the file it was made from, and with the caller's own
//! predictions.

use super::{
    Answer, BOUND, Calibration, Choice, Fitted, ImportError, bound,
    choice::slope,
    isotonic,
    onnx::Graph,
    quoted,
    reference::{Elements, NotRun, Reference},
};
use blindscore_client::{Cell, Scores, one_vs_one};
use blindscore_engine::model::Model;
use blindscore_protocol::descriptor::{Inputs, Link, ModelDescriptor, Task, pairs};

/// Most rows compared.
pub(crate) const MOST_ROWS: usize = 500;
/// Rows drawn if there are no examples.
const DRAWN: usize = 200;
/// Tolerance for single precision, as a share of a score or its range.
const SINGLE: f64 = 1e-5;

/// Result of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Compared rows, all of which agree.
    pub rows: usize,
    /// Largest difference of a score or a probability.
    pub largest: f64,
    /// Rows among these whose decision was too close to be compared.
    pub close: usize,
}

/// A model, and the errors that are stated for it.
pub struct Stated<'m> {
    pub(crate) model: &'m Model,
    /// For each score, its largest error, and half of its range.
    scores: Vec<(f64, f64)>,
    /// Largest error of a probability, if there are any.
    probability: Option<f64>,
    /// That without what isotonic calibration adds.
    smooth: f64,
}

impl Choice {
    /// Returns the model with its stated errors.
    pub fn stated(&self) -> Stated<'_> {
        let scores = self.predicted.iter();
        Stated {
            model: &self.model,
            scores: scores.map(|output| (bound(output), output.half_range)).collect(),
            probability: self.probability_error(),
            smooth: self.smooth_error(),
        }
    }
}

impl<'m> Stated<'m> {
    /// Returns an ensemble of trees with its stated errors.
    pub(crate) fn of_trees(model: &'m Model) -> Self {
        Self::of_error(model, BOUND * model.descriptor().score_error)
    }

    /// Returns a model as if it had no error.
    pub(crate) fn exact(model: &'m Model) -> Self {
        Self::of_error(model, 0.0)
    }

    fn of_error(model: &'m Model, error: f64) -> Self {
        let descriptor = model.descriptor();
        let scores = descriptor.outputs.iter().map(|output| (error, output.half_range));
        let probability = slope(descriptor.link).map(|slope| slope * error);
        Self {
            model,
            scores: scores.collect(),
            smooth: probability.unwrap_or(0.0),
            probability,
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

    /// Returns how many of some rows are decided by less than the errors, and how many there are.
    pub(crate) fn undecided(&self, rows: &[Vec<f64>]) -> [usize; 2] {
        let (descriptor, allowed) = (self.model.descriptor(), Allowed::new(self, 0.0));
        let close = |row: &&Vec<f64>| {
            let scores = Scores::new(descriptor, self.model.plain_scores(row));
            descriptor.task == Task::Classification && allowed.is_close(&scores, descriptor)
        };
        [rows.iter().filter(close).count(), rows.len()]
    }
}

/// Allowed differences between two answers.
pub(super) struct Allowed {
    scores: Vec<f64>,
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

    /// Returns whether a hard vote, that of a model without probabilities or of a pair of classes, is
    /// closer than the allowed error of its scores.
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
        for ((first, second), error) in pairs(classes).zip(&self.scores) {
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

/// Runs the file's graph in the clear on rows of `data`, or on rows drawn within the ranges, and
/// compares all its outputs.
///
/// # Errors
/// Outer: an answer differs by more than the stated error. Inner: the reason why the graph can't be
/// run.
pub fn compare(
    graph: &Graph,
    fitted: &Fitted,
    stated: &Stated<'_>,
    data: Option<&Calibration>,
) -> Result<Result<Compared, NotRun>, ImportError> {
    let encoder = fitted.encoder();
    let reference = match Reference::new(graph, &encoder, fitted.features.as_deref()) {
        Ok(reference) => reference,
        Err(why) => return Ok(Err(why)),
    };
    let inputs = &stated.model.descriptor().inputs;
    let drawn: Vec<Vec<f64>>;
    let (records, rows): (Vec<Vec<Cell<'_>>>, Vec<&[f64]>) = match data {
        Some(data) => data
            .sample(MOST_ROWS)
            .map(|row| (data.record(row), data.rows()[row].as_slice()))
            .unzip(),
        None if !encoder.is_plain() => {
            return Ok(Err(NotRun::new("there are no records to compare on")));
        }
        None => {
            drawn = draw(inputs, &reference.whole_columns());
            let record = |row: &Vec<f64>| row.iter().copied().map(Cell::Number).collect();
            (
                drawn.iter().map(record).collect(),
                drawn.iter().map(Vec::as_slice).collect(),
            )
        }
    };
    let resolved: Vec<Vec<Cell<'_>>> = records
        .iter()
        .map(|record| {
            let cells = record.iter().enumerate();
            cells
                .map(|(column, cell)| encoder.resolved(column, cell))
                .collect()
        })
        .collect();
    let answers = match reference.run(&resolved) {
        Ok(answers) => answers,
        Err(why) => return Ok(Err(why)),
    };
    let allowed = Allowed::new(stated, SINGLE);
    let descriptor = stated.model.descriptor();
    let mut compared = Compared {
        rows: rows.len(),
        largest: 0.0,
        close: 0,
    };
    let mut differing = Vec::new();
    for (number, (row, answers)) in rows.iter().zip(&answers).enumerate() {
        let scores = Scores::new(descriptor, stated.model.plain_scores(row));
        let close = descriptor.task == Task::Classification && allowed.is_close(&scores, descriptor);
        compared.close += usize::from(close);
        for (answer, elements) in fitted.answers.iter().zip(answers) {
            match differs(answer, elements, &scores, fitted, descriptor, &allowed, close) {
                Ok(difference) => compared.largest = compared.largest.max(difference),
                Err(difference) => {
                    differing.push((number + 1, difference));
                    break;
                }
            }
        }
    }
    match differing.first() {
        None => Ok(Ok(compared)),
        Some((row, Difference { what, theirs, ours })) => Err(ImportError::Options(format!(
            "the file, run in the clear, and the model made from it differ on {} of {} rows. The first is row {row}: {what} is \
             {theirs} by the file and {ours} by the model. Nothing was written; please report this as a bug",
            differing.len(),
            rows.len(),
        ))),
    }
}

/// Returns the largest difference between an output of the graph and the model's answer.
fn differs(
    answer: &Answer,
    elements: &Elements,
    scores: &Scores,
    fitted: &Fitted,
    descriptor: &ModelDescriptor,
    allowed: &Allowed,
    close: bool,
) -> Result<f64, Difference> {
    let label = |place: usize| {
        descriptor
            .outputs
            .get(place)
            .map_or("", |output| output.label.as_str())
    };
    match (answer, elements) {
        (Answer::Label | Answer::Place, elements) => {
            let theirs = match elements {
                Elements::Texts(texts) => texts.first().cloned().unwrap_or_default(),
                Elements::Numbers(numbers) => numbers.first().map_or_else(String::new, f64::to_string),
            };
            // The file's own names; the caller may have given others.
            let counted = (0..fitted.classes.as_ref().map_or(0, Vec::len)).map(|place| place.to_string());
            let names = match (&fitted.classes, &fitted.labels) {
                (Some(_), _) if *answer == Answer::Place => counted.collect(),
                (Some(classes), _) => classes.clone(),
                (None, Some(labels)) => labels.clone(),
                (None, None) => (0..fitted.coef.len()).map(|place| place.to_string()).collect(),
            };
            let ours = scores
                .index()
                .and_then(|index| names.get(index).cloned())
                .unwrap_or_default();
            // Single precision may break a tie of hard votes in another way than the original.
            let tied = names.iter().position(|name| *name == theirs);
            let tied = tied.is_some_and(|index| scores.is_tied(descriptor, index));
            if close || tied || theirs == ours {
                return Ok(0.0);
            }
            Err(Difference {
                what: "the label".into(),
                theirs,
                ours,
            })
        }
        (Answer::Held, Elements::Numbers(numbers)) => {
            for (place, (holds, score)) in numbers.iter().zip(&scores.scores).enumerate() {
                if (*holds != 0.0) != (*score > 0.0) && score.abs() > allowed.score(place) {
                    return Err(Difference {
                        what: format!("whether {} holds", quoted(label(place))),
                        theirs: (*holds != 0.0).to_string(),
                        ours: (*score > 0.0).to_string(),
                    });
                }
            }
            Ok(0.0)
        }
        (Answer::OneVsOne, Elements::Numbers(numbers))
            if Some(numbers.len()) == descriptor.classes.as_ref().map(Vec::len) =>
        {
            let mut largest = 0f64;
            for (class, (&theirs, ours)) in numbers
                .iter()
                .zip(one_vs_one(&scores.scores, numbers.len()))
                .enumerate()
            {
                let what = || format!("the decision function of class {}", class + 1);
                let difference = allowed.decision(class, scores, descriptor);
                largest = largest.max(allowed.number(what, theirs, ours, difference)?);
            }
            Ok(largest)
        }
        (Answer::Probabilities(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, &theirs) in places.iter().zip(numbers) {
                let ours = scores.probabilities.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("probability {}", place + 1);
                largest = largest.max(allowed.number(
                    what,
                    theirs,
                    ours,
                    allowed.probability(scores, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::Pairs(places), Elements::Numbers(numbers)) if 2 * places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, pair) in places.iter().zip(numbers.chunks_exact(2)) {
                let ours = scores.probabilities.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("the probability of {}", quoted(label(place)));
                largest = largest.max(allowed.number(
                    what,
                    pair[1],
                    ours,
                    allowed.probability(scores, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::LogProbabilities(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, &theirs) in places.iter().zip(numbers) {
                let ours = scores.probabilities.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("probability {}", place + 1);
                largest = largest.max(allowed.number(
                    what,
                    theirs.exp(),
                    ours,
                    allowed.probability(scores, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::Values(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, &theirs) in places.iter().zip(numbers) {
                let ours = scores.values.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("the value of {}", quoted(label(place)));
                largest = largest.max(allowed.number(
                    what,
                    theirs,
                    ours,
                    allowed.value(place, ours, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::Scores(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&(place, factor), &theirs) in places.iter().zip(numbers) {
                let ours = factor * scores.scores.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("the score of {}", quoted(label(place)));
                largest = largest.max(allowed.number(what, theirs, ours, allowed.score(place))?);
            }
            Ok(largest)
        }
        _ => Err(Difference {
            what: "the number of columns".into(),
            theirs: "another".into(),
            ours: descriptor.outputs.len().to_string(),
        }),
    }
}

/// Draws rows within the ranges, always the same ones.
fn draw(inputs: &Inputs, whole: &[bool]) -> Vec<Vec<f64>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut share = move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut row = || {
        let value = |index: usize| {
            let (min, max) = inputs.range(index);
            let value = min + share() * (max - min);
            if whole.get(index).copied().unwrap_or(false) {
                value.round()
            } else {
                value
            }
        };
        (0..inputs.count).map(value).collect()
    };
    (0..DRAWN).map(|_| row()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::tests::{classifier, member};
    use blindscore_protocol::descriptor::{Curve, Member};

    /// Returns which of several lists of scores are too close to be compared, if each score may be off
    /// by 0.1 and a probability by 0.01.
    fn close(choice: &Choice, several: &[&[f64]]) -> Vec<bool> {
        let model = choice.model.descriptor();
        let allowed = Allowed {
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
