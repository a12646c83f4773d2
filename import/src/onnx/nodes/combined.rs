//! Operators on classifiers that combine several linear models.

use super::Node;
use crate::onnx::proto::tensor_proto::DataType;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        column::Columns,
        combined::{Ballots, Decider, Ensemble, Pairs, Part, Votes},
        constant::Constant,
        linear::Linear,
        value::{HeldStep, Label, LabelElement, Scores, Value},
    },
};
use blindscore_protocol::descriptor::{Link, OUTPUTS};
use std::rc::Rc;

impl Node<'_> {
    /// Evaluates an operator on averages of probabilities or on votes; `None` if it isn't one.
    pub(super) fn of_several(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        let value = match (operator, self.operands.as_slice()) {
            ("Sum" | "Add", operands) if operands.iter().any(|value| is_probability(value)) => {
                return self.ensemble_sum(operands);
            }
            ("Mul" | "Div", [value, Value::Constant(by)]) if is_probability(value) => {
                return self.ensemble_scaled(operator, value, by);
            }
            ("Mul", [Value::Constant(by), value]) if is_probability(value) => {
                return self.ensemble_scaled(operator, value, by);
            }
            ("ReduceMean", [Value::Layers(layers), ..])
                if layers.iter().all(|scores| scores.link.is_some()) =>
            {
                self.mean_of_probabilities(layers)?
            }
            ("ArgMax", [Value::Ensemble(ensemble)]) => {
                self.largest(ensemble.classes, Decider::Ensemble(ensemble.clone()))?
            }
            ("ArgMax", [Value::Pairs(pairs)]) => {
                self.largest(pairs.classes, Decider::Pairs(pairs.clone()))?
            }
            ("ZipMap", [Value::Ensemble(ensemble)]) => {
                let names = self.zipped_names(ensemble.classes)?;
                Value::Ensemble(
                    Ensemble {
                        names: Some(names),
                        ..Ensemble::clone(ensemble)
                    }
                    .into(),
                )
            }
            ("ZipMap", [value @ Value::Pairs(pairs)]) => {
                self.zipped_names(pairs.classes)?;
                (*value).clone()
            }
            ("ZipMap", [Value::PairScores(pairs)]) => {
                return self.refuse(format!(
                    " of the names of {} classes for {} scores of their pairs: export the model with options={{\"zipmap\": False}}",
                    pairs.classes,
                    pairs.linear.len()
                ));
            }
            ("Concat", [Value::Ballots(_), ..]) => self.ballots_beside()?,
            (
                "Equal",
                [
                    Value::Constant(names),
                    value @ (Value::Ballots(_) | Value::Label(_)),
                ],
            )
            | (
                "Equal",
                [
                    value @ (Value::Ballots(_) | Value::Label(_)),
                    Value::Constant(names),
                ],
            ) => self.is_class(value, names)?,
            ("ReduceSum", [Value::Ballots(ballots), ..]) => self.counted(ballots)?,
            (
                "Where",
                [
                    Value::Ballots(ballots),
                    Value::Features(one),
                    Value::Features(zero),
                ],
            ) => {
                let all = |columns: &Columns, number: f64| {
                    columns.len() == classes_of(ballots)
                        && columns
                            .columns
                            .iter()
                            .all(|column| column.constant() == Some(number))
                };
                match ballots.labels.as_slice() {
                    [label] if ballots.compared && !ballots.layered && all(one, 1.0) && all(zero, 0.0) => {
                        match Ensemble::vote(label) {
                            Some(vote) => Value::Ensemble(vote.into()),
                            None => return self.refuse(self.what_it_gets()),
                        }
                    }
                    _ => return self.refuse(self.what_it_gets()),
                }
            }
            (
                "Cast",
                [
                    value @ (Value::Ballots(_)
                    | Value::Ensemble(_)
                    | Value::PairScores(_)
                    | Value::Votes(_)
                    | Value::Pairs(_)),
                ],
            ) if self.is_to_float() => (*value).clone(),
            ("Less", [Value::PairScores(pairs), Value::Constant(zero)]) if zero.numbers == [0.0] => {
                Value::Votes(Votes::of(&pairs.linear))
            }
            // Pairs have the opposite sign of the operator's scores.
            ("Neg", [Value::PairScores(pairs)]) => Value::Scores(Scores::raw(pairs.linear.clone())),
            ("Neg", [Value::Votes(votes)]) => Value::Votes(votes.clone().moved(-1.0, 0.0)),
            ("Add", [Value::Votes(votes), Value::Constant(one)])
            | ("Add", [Value::Constant(one), Value::Votes(votes)]) => match one.numbers.as_slice() {
                [number] => Value::Votes(votes.clone().moved(1.0, *number)),
                _ => return self.refuse(self.what_it_gets()),
            },
            ("Sum" | "Concat", [Value::Votes(_), ..]) => self.votes_joined(operator == "Concat")?,
            (
                "ArrayFeatureExtractor",
                [
                    value @ (Value::Votes(_) | Value::Held(_)),
                    Value::Constant(places),
                ],
            ) => self.votes_of(value, places)?,
            ("Abs", [Value::Scores(scores)]) if scores.link.is_none() && !scores.vector => Value::Share {
                scores: scores.clone(),
                plus: 0.0,
                times: 1.0,
            },
            ("Add", [Value::Share { scores, plus, times }, Value::Constant(by)]) if by.numbers.len() == 1 => {
                Value::Share {
                    scores: scores.clone(),
                    plus: plus + by.numbers[0],
                    times: *times,
                }
            }
            ("Mul", [Value::Share { scores, plus, times }, Value::Constant(by)]) if by.numbers.len() == 1 => {
                Value::Share {
                    scores: scores.clone(),
                    plus: plus * by.numbers[0],
                    times: times * by.numbers[0],
                }
            }
            (
                "Div",
                [
                    Value::Scores(scores),
                    Value::Share {
                        scores: same,
                        plus: 3.0,
                        times: 3.0,
                    },
                ],
            ) if scores == same => Value::Confidence(scores.clone()),
            ("Add", [Value::Votes(votes), Value::Confidence(sums)]) => match votes.decide(&sums.linear) {
                Some(pairs) => Value::Pairs(pairs),
                None => return self.refuse(self.what_it_gets()),
            },
            ("Gather", [Value::Shape(_), Value::Constant(place)])
                if place.numbers == [0.0] && self.attributes().int("axis", 0) == 0 =>
            {
                Value::Rows
            }
            ("Concat", [Value::Rows, Value::Constant(rest)]) if rest.numbers == [-1.0] => Value::RowsByAny,
            ("Reshape", [value @ Value::Scores(scores), Value::RowsByAny]) if !scores.vector => {
                (*value).clone()
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn ensemble(&self, value: &Value) -> Result<Ensemble, ImportError> {
        let ensemble = match value {
            Value::Ensemble(ensemble) => Some(Ensemble::clone(ensemble)),
            Value::Scores(scores) => Ensemble::of(scores),
            _ => None,
        };
        match ensemble {
            Some(ensemble) => Ok(ensemble),
            None => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns an ensemble as a value, within the limit on scores.
    fn of_ensemble(&self, ensemble: Option<Ensemble>) -> Result<Value, ImportError> {
        let Some(ensemble) = ensemble else {
            return self.refuse(self.what_it_gets());
        };
        let scores: usize = ensemble.parts.iter().map(|part| part.linear.len()).sum();
        if scores > *OUTPUTS.end() {
            return self.refuse(format!(
                " of models with {scores} scores together; at most {} are allowed",
                OUTPUTS.end()
            ));
        }
        self.context.work.take(&[ensemble.size() / size_of::<f64>()])?;
        // The average of one model is that model (`CalibratedClassifierCV(ensemble=False)`).
        if let [
            Part {
                linear,
                link: link @ (Link::Sigmoid | Link::Softmax | Link::OneVsRest),
                weight: 1.0,
            },
        ] = ensemble.parts.as_slice()
        {
            let linear = match link {
                Link::Sigmoid => linear.with_opposite().into(),
                _ => linear.clone(),
            };
            return Ok(Value::Scores(Scores::new(linear, Some(*link))));
        }
        Ok(Value::Ensemble(ensemble.into()))
    }

    fn ensemble_sum(&self, operands: &[&Value]) -> Result<Option<Value>, ImportError> {
        // Guards and complements of single probabilities are read elsewhere.
        if operands.iter().any(|value| !is_probability(value)) {
            return Ok(None);
        }
        let parts: Vec<Ensemble> = operands
            .iter()
            .map(|value| self.ensemble(value))
            .collect::<Result<_, _>>()?;
        self.of_ensemble(Ensemble::sum(parts)).map(Some)
    }

    fn ensemble_scaled(
        &self,
        operator: &str,
        value: &Value,
        by: &Constant,
    ) -> Result<Option<Value>, ImportError> {
        let factor = match (operator, by.numbers.as_slice()) {
            ("Mul", [number]) if number.is_finite() => *number,
            ("Div", [number]) if number.is_finite() && *number != 0.0 => 1.0 / number,
            _ => return self.refuse(self.what_it_gets()),
        };
        let ensemble = self.ensemble(value)?.scaled(factor);
        self.of_ensemble(Some(ensemble)).map(Some)
    }

    /// Takes the mean of several models' probabilities (BaggingClassifier).
    fn mean_of_probabilities(&self, layers: &[Scores]) -> Result<Value, ImportError> {
        self.check_layers_axis()?;
        let parts: Option<Vec<Ensemble>> = layers.iter().map(Ensemble::of).collect();
        let sum = parts.and_then(Ensemble::sum);
        self.of_ensemble(sum.map(|sum| sum.scaled(1.0 / layers.len() as f64)))
    }

    /// Checks that an operator reduces the axis of models, and drops it.
    pub(super) fn check_layers_axis(&self) -> Result<(), ImportError> {
        let axes = self.axes(1)?;
        if axes.as_deref() != Some(&[0]) || self.attributes().int("keepdims", 1) != 0 {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        Ok(())
    }

    /// Returns the class with the largest number.
    fn largest(&self, classes: usize, decider: Decider) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let axis = attributes.int("axis", 0);
        if !self.along_rows(Some(&[axis])) || attributes.int("select_last_index", 0) != 0 {
            return self.refuse(format!("{} along axis {axis}", self.what_it_gets()));
        }
        Ok(Value::Label(Label {
            decider,
            names: (0..classes).map(|index| index.to_string()).collect(),
            element: LabelElement::Integer,
        }))
    }

    fn zipped_names(&self, classes: usize) -> Result<Vec<String>, ImportError> {
        match self
            .attributes()
            .class_names("classlabels_strings", "classlabels_int64s")
        {
            Ok(Some(names)) if names.len() == classes => Ok(names),
            Ok(Some(names)) => self.refuse(format!(" of {} names for {classes} columns", names.len())),
            Ok(None) => self.refuse(" without names of classes"),
            Err(why) => self.refuse(why),
        }
    }

    /// Puts labels of several models in layers.
    fn ballots_beside(&self) -> Result<Value, ImportError> {
        let mut labels = Vec::new();
        for value in &self.operands {
            match value {
                Value::Ballots(ballots) if ballots.layered && !ballots.compared => {
                    labels.extend(ballots.labels.iter().cloned());
                }
                _ => return self.refuse(self.what_it_gets()),
            }
        }
        if self.attributes().int("axis", i64::MAX) != 0 {
            return self.refuse(self.what_it_gets());
        }
        Ok(Value::Ballots(Ballots {
            labels,
            compared: false,
            layered: true,
        }))
    }

    /// Compares labels with the names of all classes, which gives a column for each.
    fn is_class(&self, value: &Value, names: &Constant) -> Result<Value, ImportError> {
        let (labels, layered) = match value {
            Value::Label(label) => (vec![label.clone()], false),
            Value::Ballots(ballots) if !ballots.compared => (ballots.labels.clone(), ballots.layered),
            _ => return self.refuse(self.what_it_gets()),
        };
        let rank_fits = match names.shape.as_slice() {
            [1, _] => !layered,
            [1, 1, _] => layered,
            _ => false,
        };
        if !rank_fits || labels.iter().any(|label| label.names != names.texts) {
            return self.refuse(" of labels and other classes than theirs");
        }
        Ok(Value::Ballots(Ballots {
            labels,
            compared: true,
            layered,
        }))
    }

    /// Counts the votes of several models (BaggingClassifier of models without probabilities).
    fn counted(&self, ballots: &Ballots) -> Result<Value, ImportError> {
        if !ballots.compared || !ballots.layered {
            return self.refuse(self.what_it_gets());
        }
        self.check_layers_axis()?;
        let votes: Option<Vec<Ensemble>> = ballots.labels.iter().map(Ensemble::vote).collect();
        self.of_ensemble(votes.and_then(Ensemble::sum))
    }

    fn is_to_float(&self) -> bool {
        [DataType::Float as i64, DataType::Double as i64].contains(&self.attributes().int("to", 0))
    }

    fn votes_joined(&self, beside: bool) -> Result<Value, ImportError> {
        let votes: Option<Vec<&Votes>> = self
            .operands
            .iter()
            .map(|value| match value {
                Value::Votes(votes) => Some(votes),
                _ => None,
            })
            .collect();
        let axis = self.attributes().int("axis", 1);
        match votes.and_then(|votes| Votes::joined(&votes, beside)) {
            Some(votes) if !beside || self.along_rows(Some(&[axis])) => {
                self.context.work.take(&[votes.size() / size_of::<f64>()])?;
                Ok(Value::Votes(votes))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns some of the votes.
    fn votes_of(&self, value: &Value, places: &Constant) -> Result<Value, ImportError> {
        let votes = match value {
            Value::Votes(votes) => Some(votes.clone()),
            Value::Held(held) if held.step == HeldStep::Held => {
                self.context.work.take(&[held.linear.len(), held.linear.len()])?;
                Some(Votes::of(&held.linear))
            }
            _ => None,
        };
        let places: Vec<usize> = self
            .integers(places)?
            .into_iter()
            .map(|place| usize::try_from(place).unwrap_or(usize::MAX))
            .collect();
        match votes.and_then(|votes| votes.select(&places)) {
            Some(votes) => Ok(Value::Votes(votes)),
            None => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns labels of a support vector machine between more than two classes, and the scores of
    /// its pairs.
    pub(super) fn pairs_of_classes(&self, pairs: Linear, names: Vec<String>) -> Vec<Value> {
        let pairs = Pairs {
            linear: Rc::new(pairs),
            classes: names.len(),
            link: Link::Votes,
        };
        let label = Label {
            decider: Decider::Pairs(pairs.clone()),
            names,
            element: self.label_element(),
        };
        vec![Value::Label(label), Value::PairScores(pairs)]
    }
}

/// Returns whether a value is probabilities of all classes, or a sum of such.
fn is_probability(value: &Value) -> bool {
    match value {
        Value::Ensemble(_) => true,
        Value::Scores(scores) => Ensemble::of(scores).is_some(),
        _ => false,
    }
}

fn classes_of(ballots: &Ballots) -> usize {
    ballots.labels.first().map_or(0, |label| label.names.len())
}
