//! Operators on the scores of pairs of classes (SVC, OneVsOneClassifier). skl2onnx writes the
//! decision function of `sklearn.multiclass._ovr_decision_function`: votes, and sums of scores that
//! break ties.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        constant::Constant,
        decider::Decider,
        kinds,
        linear::Linear,
        pairs::{PairVotes, Pairs},
        value::{HeldStep, Label, Scores, Value},
    },
};
use blindscore_protocol::descriptor::Link;
use std::rc::Rc;

impl Node<'_> {
    /// Evaluates an operator on scores or votes of pairs; `None` if it isn't one.
    pub(super) fn of_pairs(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        let value = match (operator, self.operands.as_slice()) {
            ("ArgMax", [Value::Pairs(pairs)]) => {
                self.largest(pairs.classes, Decider::Pairs(pairs.clone()))?
            }
            ("ZipMap", [Value::Pairs(pairs)]) => Value::Pairs(Pairs {
                names: Some(self.zipped_names(pairs.classes)?),
                ..pairs.clone()
            }),
            ("ZipMap", [Value::PairScores(pairs)]) => {
                return self.refuse(format!(
                    " of the names of {} classes for {} scores of their pairs: export the model with options={{\"zipmap\": False}}",
                    pairs.classes,
                    pairs.linear.len()
                ));
            }
            ("Cast", [value @ (Value::PairScores(_) | Value::PairVotes(_) | Value::Pairs(_))])
                if self.is_to_float() =>
            {
                (*value).clone()
            }
            ("Less", [Value::PairScores(pairs), Value::Constant(zero)])
                if is_all(zero, pairs.linear.len(), 0.0) =>
            {
                self.pair_votes(&pairs.linear, &(0..pairs.linear.len()).collect::<Vec<_>>())?
            }
            // Pairs have the opposite sign of the operator's scores.
            ("Neg", [Value::PairScores(pairs)]) => Value::Scores(Scores::raw(pairs.linear.clone())),
            ("Neg", [Value::PairVotes(votes)]) => Value::PairVotes(votes.clone().moved(-1.0, 0.0)),
            (
                "Add",
                [Value::PairVotes(votes), Value::Constant(one)]
                | [Value::Constant(one), Value::PairVotes(votes)],
            ) if is_all(one, votes.columns.len(), 1.0) => Value::PairVotes(votes.clone().moved(1.0, 1.0)),
            ("Sum" | "Concat", [Value::PairVotes(_), ..]) => self.pair_votes_joined(operator == "Concat")?,
            ("ArrayFeatureExtractor", [Value::Held(held), Value::Constant(places)])
                if held.step == HeldStep::Held =>
            {
                self.pair_votes(&held.linear, &self.places(places)?)?
            }
            ("ArrayFeatureExtractor", [Value::PairVotes(votes), Value::Constant(places)]) => {
                match votes.select(&self.places(places)?) {
                    Some(votes) => Value::PairVotes(votes),
                    None => return self.refuse(self.what_it_gets()),
                }
            }
            ("Abs", [Value::Scores(scores)]) if scores.link.is_none() && !scores.vector => Value::Magnitude {
                scores: scores.clone(),
                plus: 0.0,
                times: 1.0,
            },
            ("Add", [Value::Magnitude { scores, plus, times }, Value::Constant(by)]) => Value::Magnitude {
                scores: scores.clone(),
                plus: plus + self.only(by, scores.len())?,
                times: *times,
            },
            ("Mul", [Value::Magnitude { scores, plus, times }, Value::Constant(by)]) => {
                let by = self.only(by, scores.len())?;
                Value::Magnitude {
                    scores: scores.clone(),
                    plus: plus * by,
                    times: times * by,
                }
            }
            (
                "Div",
                [
                    Value::Scores(scores),
                    Value::Magnitude {
                        scores: same,
                        plus: 3.0,
                        times: 3.0,
                    },
                ],
            ) if scores == same => Value::TieBreak(scores.clone()),
            ("Add", [Value::PairVotes(votes), Value::TieBreak(sums)]) => self.decided(votes, sums)?,
            ("Gather", [Value::Shape(_), Value::Constant(place)])
                if place.shape.len() < 2
                    && place.numbers == [0.0]
                    && self.attributes().int("axis", 0) == 0 =>
            {
                Value::Rows
            }
            ("Unsqueeze", [Value::Rows, Value::Constant(axes)]) if axes.numbers == [0.0] => Value::Rows,
            ("Concat", [Value::Rows]) if self.attributes().int("axis", 1) == 0 => self.rows_by(&[]),
            ("Concat", [Value::Rows, Value::Constant(rest)])
                if rest.shape == [1] && rest.numbers != [-1.0] && self.attributes().int("axis", 1) == 0 =>
            {
                self.rows_by(&self.integers(rest)?)
            }
            ("Concat", [Value::Rows, Value::Constant(rest)])
                if rest.shape == [1] && rest.numbers == [-1.0] && self.attributes().int("axis", 1) == 0 =>
            {
                Value::RowsByAny
            }
            ("Reshape", [value @ Value::Scores(scores), Value::RowsByAny]) if !scores.vector => {
                (*value).clone()
            }
            ("Reshape", [value @ Value::Features(columns), Value::RowsByAny]) if !columns.vector => {
                (*value).clone()
            }
            ("ArrayFeatureExtractor", [Value::PairScores(pairs), _]) => {
                return self.refuse(format!(
                    " on scores of pairs of {} classes (CalibratedClassifierCV of SVC): use LinearSVC, which has one score for each class",
                    pairs.classes
                ));
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// Returns the shape of as many rows, and of these other axes.
    fn rows_by(&self, rest: &[i64]) -> Value {
        // Of a single axis, the rest are the rows; of more, the first stays as it is.
        let first = if rest.is_empty() { -1 } else { 0 };
        let shape: Vec<i64> = [first].into_iter().chain(rest.iter().copied()).collect();
        Value::Constant(Constant::of_integers(vec![shape.len()], shape))
    }

    /// Returns the votes of some scores.
    fn pair_votes(&self, linear: &Rc<Linear>, places: &[usize]) -> Result<Value, ImportError> {
        self.check_outputs(linear.len().max(places.len()))?;
        self.context.work.take(&[linear.len(), places.len()])?;
        match PairVotes::of(linear, places) {
            Some(votes) => Ok(Value::PairVotes(votes)),
            None => self.refuse(self.what_it_gets()),
        }
    }

    fn pair_votes_joined(&self, beside: bool) -> Result<Value, ImportError> {
        let mut parts: Vec<&PairVotes> = Vec::new();
        for value in &self.operands {
            match value {
                Value::PairVotes(votes) => parts.push(votes),
                _ => return self.refuse(self.what_it_gets()),
            }
        }
        self.check_outputs(parts.iter().map(|votes| votes.columns.len()).sum())?;
        let axis = self.attributes().int("axis", 1);
        let joined = PairVotes::joined(&parts, beside);
        match joined {
            Some(votes) if !beside || self.along_rows(Some(&[axis])) => {
                self.context.work.take(&[votes.size() / size_of::<f64>()])?;
                Ok(Value::PairVotes(votes))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    fn decided(&self, votes: &PairVotes, sums: &Scores) -> Result<Value, ImportError> {
        self.check_outputs(votes.linear.len())?;
        let support = votes.linear.support().len() + 8;
        self.context
            .work
            .take(&[sums.len(), votes.linear.len(), 2 * support])?;
        match votes.decide(&sums.linear) {
            Some(pairs) => Ok(Value::Pairs(pairs)),
            None if sums.len() == 2 => Err(kinds::ONE_PAIR.refused_at(self.node)),
            None => self.refuse(" of votes and sums that aren't those of pairs of classes"),
        }
    }

    /// Returns places among columns.
    fn places(&self, places: &Constant) -> Result<Vec<usize>, ImportError> {
        self.check_outputs(places.numbers.len())?;
        let places = self.integers(places)?;
        Ok(places
            .into_iter()
            .map(|place| usize::try_from(place).unwrap_or(usize::MAX))
            .collect())
    }

    /// Returns the number that a constant has for every column.
    fn only(&self, constant: &Constant, columns: usize) -> Result<f64, ImportError> {
        let numbers = constant.broadcast(columns).unwrap_or_default();
        match numbers.first() {
            Some(first) if numbers.iter().all(|number| number == first) => Ok(*first),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns labels of a support vector machine between more than two classes, and the scores of
    /// its pairs, which are positive for the second class of each.
    pub(super) fn pairs_of_classes(&self, scores: Linear, names: Vec<String>) -> Vec<Value> {
        let pairs = Pairs {
            linear: Rc::new(scores),
            classes: names.len(),
            link: Link::Votes,
            names: None,
        };
        let label = Label {
            decider: Decider::Pairs(pairs.clone()),
            names,
            element: self.label_element(),
            column: false,
        };
        vec![Value::Label(label), Value::PairScores(pairs)]
    }
}

/// Returns whether a constant is this number for every column.
fn is_all(constant: &Constant, columns: usize, number: f64) -> bool {
    let numbers = constant.broadcast(columns);
    numbers.is_some_and(|numbers| numbers.iter().all(|one| *one == number))
}
