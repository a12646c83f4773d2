//! Operators on averages of several models' probabilities and on hard votes (BaggingClassifier,
//! VotingClassifier, CalibratedClassifierCV).

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        averages::{Average, HardVotes, Part},
        column::Columns,
        constant::Constant,
        decider::Decider,
        kinds,
        proto::tensor_proto::DataType,
        value::{Label, LabelElement, Scores, Value},
    },
};
use blindscore_protocol::descriptor::{Link, OUTPUTS};

impl Node<'_> {
    /// Evaluates an operator on averages or on hard votes; `None` if it isn't one.
    pub(super) fn of_averages(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        let value = match (operator, self.operands.as_slice()) {
            ("Sum" | "Add", operands) if operands.iter().all(|value| is_probability(value)) => {
                self.average_of(operands, 1.0)?
            }
            ("Mul" | "Div", [value, Value::Constant(by)]) if is_probability(value) => {
                self.weighted(operator, value, by)?
            }
            ("Mul", [Value::Constant(by), value]) if is_probability(value) => {
                self.weighted(operator, value, by)?
            }
            ("Mul", [Value::Constant(_), Value::Scores(one)])
                if one.link.is_some() && one.link != Some(Link::Exp) && one.len() == 1 && !one.vector =>
            {
                return Err(kinds::CALIBRATED_PROBABILITIES.refused_at(self.node));
            }
            ("ReduceMean", [Value::Layers(layers), ..])
                if layers.iter().all(|scores| scores.link.is_some()) =>
            {
                self.mean_of_probabilities(layers)?
            }
            ("ArgMax", [Value::Average(average)]) => {
                self.largest(average.classes, Decider::Average(average.clone()))?
            }
            ("ZipMap", [Value::Average(average)]) => {
                let names = Some(self.zipped_names(average.classes)?);
                let average = Average::clone(average);
                Value::Average(Average { names, ..average }.into())
            }
            ("Cast", [value @ Value::Average(_)]) if self.is_to_float() => (*value).clone(),
            ("Cast", [value @ Value::HardVotes(HardVotes { compared: true, .. })]) if self.is_to_float() => {
                (*value).clone()
            }
            ("Concat", [Value::HardVotes(_), ..]) => self.layered_labels()?,
            (
                "Equal",
                [
                    Value::Constant(names),
                    value @ (Value::HardVotes(_) | Value::Label(_)),
                ]
                | [
                    value @ (Value::HardVotes(_) | Value::Label(_)),
                    Value::Constant(names),
                ],
            ) => self.is_class(value, names)?,
            ("ReduceSum", [Value::HardVotes(votes), ..]) => self.counted(votes)?,
            (
                "Where",
                [
                    Value::HardVotes(votes),
                    Value::Features(one),
                    Value::Features(zero),
                ],
            ) => self.hard_vote(votes, one, zero)?,
            ("Where", [Value::HardVotes(_), ..]) => {
                return Err(kinds::WEIGHTED_VOTES.refused_at(self.node));
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// Returns the sum of probabilities, times a factor.
    fn average_of(&self, operands: &[&Value], factor: f64) -> Result<Value, ImportError> {
        let scores = |value: &&Value| match value {
            Value::Average(average) => average.len(),
            Value::Scores(scores) => scores.len(),
            _ => 0,
        };
        self.check_outputs(operands.iter().map(scores).sum())?;
        let average = |value: &&Value| match value {
            Value::Average(average) => Some(Average::clone(average)),
            Value::Scores(scores) => Average::of(scores),
            _ => None,
        };
        let averages: Option<Vec<Average>> = operands.iter().map(average).collect();
        self.average(averages.and_then(Average::sum).map(|sum| sum.scaled(factor)))
    }

    /// Refuses more scores than a model may have, before they are copied.
    pub(super) fn check_outputs(&self, scores: usize) -> Result<(), ImportError> {
        if scores > *OUTPUTS.end() {
            return self.refuse(format!(
                " of models with {scores} scores together; at most {} are allowed",
                OUTPUTS.end()
            ));
        }
        Ok(())
    }

    fn average(&self, average: Option<Average>) -> Result<Value, ImportError> {
        let Some(average) = average else {
            return self.refuse(self.what_it_gets());
        };
        self.context.work.take(&[average.size() / size_of::<f64>()])?;
        self.check_weights(average.len(), average.support())?;
        // The average of one model is that model (`CalibratedClassifierCV(ensemble=False)`).
        if let [
            Part {
                linear,
                link: link @ (Link::Sigmoid | Link::Softmax | Link::OneVsRest),
                weight: 1.0,
                ..
            },
        ] = average.parts.as_slice()
        {
            let linear = match link {
                Link::Sigmoid => linear.with_opposite().into(),
                _ => linear.clone(),
            };
            return Ok(Value::Scores(Scores {
                names: average.names,
                ..Scores::new(linear, Some(*link))
            }));
        }
        Ok(Value::Average(average.into()))
    }

    fn weighted(&self, operator: &str, value: &Value, by: &Constant) -> Result<Value, ImportError> {
        let columns = match value {
            Value::Average(average) => average.classes,
            Value::Scores(scores) => scores.len(),
            _ => 0,
        };
        let numbers = by.broadcast(columns).unwrap_or_default();
        let factor = match (operator, numbers.first()) {
            ("Mul", Some(&number)) => number,
            ("Div", Some(&number)) if number != 0.0 => 1.0 / number,
            _ => return self.refuse(self.what_it_gets()),
        };
        if !factor.is_finite() || numbers.iter().any(|number| *number != numbers[0]) {
            return self.refuse(" of probabilities by other numbers than one weight");
        }
        self.average_of(&[value], factor)
    }

    /// Takes the mean of several models' probabilities (BaggingClassifier).
    fn mean_of_probabilities(&self, layers: &[Scores]) -> Result<Value, ImportError> {
        self.check_model_axis()?;
        self.check_outputs(layers.iter().map(Scores::len).sum())?;
        let averages: Option<Vec<Average>> = layers.iter().map(Average::of).collect();
        let sum = averages.and_then(Average::sum);
        self.average(sum.map(|sum| sum.scaled(1.0 / layers.len() as f64)))
    }

    /// Checks that an operator reduces the first axis, that of models, and drops it.
    pub(super) fn check_model_axis(&self) -> Result<(), ImportError> {
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

    /// Returns the class with the largest number in each row, the first of several.
    pub(super) fn largest(&self, classes: usize, decider: Decider) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let axis = attributes.int("axis", 0);
        if !self.along_rows(Some(&[axis])) {
            return self.refuse(format!("{} along axis {axis}", self.what_it_gets()));
        }
        if attributes.int("select_last_index", 0) != 0 {
            return self.refuse(" of the last one of several that are equal");
        }
        Ok(Value::Label(Label {
            decider,
            names: (0..classes).map(|index| index.to_string()).collect(),
            element: LabelElement::Integer,
            column: attributes.int("keepdims", 1) != 0,
        }))
    }

    /// Returns the names that a ZipMap gives to the columns.
    pub(super) fn zipped_names(&self, columns: usize) -> Result<Vec<String>, ImportError> {
        let names = self.class_names("classlabels_int64s")?;
        if names.len() != columns {
            return self.refuse(format!(" of {} names for {columns} columns", names.len()));
        }
        Ok(names)
    }

    /// Puts the labels of several models in layers.
    fn layered_labels(&self) -> Result<Value, ImportError> {
        let mut parts: Vec<&Vec<Label>> = Vec::new();
        for value in &self.operands {
            match value {
                Value::HardVotes(votes) if votes.layered && !votes.compared => parts.push(&votes.labels),
                _ => return self.refuse(self.what_it_gets()),
            }
        }
        if self.attributes().int("axis", i64::MAX) != 0 {
            return self.refuse(self.what_it_gets());
        }
        let scores = |label: &Label| {
            if label.names.len() == 2 {
                1
            } else {
                label.names.len()
            }
        };
        self.check_outputs(parts.iter().flat_map(|labels| labels.iter()).map(scores).sum())?;
        Ok(Value::HardVotes(HardVotes {
            labels: parts.into_iter().flatten().cloned().collect(),
            compared: false,
            layered: true,
        }))
    }

    /// Compares labels with the names of all classes, which gives a column for each.
    fn is_class(&self, value: &Value, names: &Constant) -> Result<Value, ImportError> {
        let (labels, layered) = match value {
            Value::Label(label) if label.column => (vec![label.clone()], false),
            Value::HardVotes(votes) if !votes.compared => (votes.labels.clone(), votes.layered),
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
        Ok(Value::HardVotes(HardVotes {
            labels,
            compared: true,
            layered,
        }))
    }

    /// Counts the votes of several models (BaggingClassifier of models without probabilities).
    fn counted(&self, votes: &HardVotes) -> Result<Value, ImportError> {
        if !votes.compared || !votes.layered {
            return self.refuse(self.what_it_gets());
        }
        self.check_model_axis()?;
        let votes: Option<Vec<Average>> = votes.labels.iter().map(Average::hard_vote).collect();
        self.average(votes.and_then(Average::sum))
    }

    /// Returns 1 for the class that a model decides for, else 0 (VotingClassifier).
    fn hard_vote(&self, votes: &HardVotes, one: &Columns, zero: &Columns) -> Result<Value, ImportError> {
        let all = |columns: &Columns, classes: usize, number: f64| {
            let is = columns
                .columns
                .iter()
                .all(|column| column.constant() == Some(number));
            columns.len() == classes && !columns.vector && is
        };
        match votes.labels.as_slice() {
            [label]
                if votes.compared
                    && !votes.layered
                    && all(one, label.names.len(), 1.0)
                    && all(zero, label.names.len(), 0.0) =>
            {
                match Average::hard_vote(label) {
                    Some(vote) => self.average(Some(vote)),
                    None => Err(kinds::NESTED_VOTES.refused_at(self.node)),
                }
            }
            _ => Err(kinds::WEIGHTED_VOTES.refused_at(self.node)),
        }
    }

    pub(super) fn is_to_float(&self) -> bool {
        [DataType::Float as i64, DataType::Double as i64].contains(&self.attributes().int("to", 0))
    }
}

/// Returns whether a value is probabilities of all classes, or a sum of such.
fn is_probability(value: &Value) -> bool {
    match value {
        Value::Average(_) => true,
        Value::Scores(scores) => Average::may_be(scores),
        _ => false,
    }
}
