//! Operators that turn scores into probabilities, labels, and names.

use super::Node;
use crate::{
    ImportError, listed,
    onnx::{
        attributes::axes_in_words,
        column::Columns,
        constant::Constant,
        decider::Decider,
        linear::Linear,
        value::{Held, HeldStep, Label, LabelElement, Scores, Value},
    },
};
use blindscore_protocol::{
    descriptor::Link,
    encoding::{Categories, Step, Unknown},
};
use std::rc::Rc;

impl Node<'_> {
    /// Returns labels and scores.
    pub(super) fn linear_classifier(&self) -> Result<Vec<Value>, ImportError> {
        let [value] = self.operands.as_slice() else {
            return self.refuse(self.what_it_gets());
        };
        let attributes = self.attributes();
        let names = self.class_names("classlabels_ints")?;
        let coefficients = attributes.floats("coefficients");
        let rows = coefficients.len() / self.width(value)?.max(1);
        let linear = self.rows(value, &coefficients, &attributes.floats("intercepts"), rows)?;
        let link = match attributes.text("post_transform", "NONE").as_str() {
            "NONE" => None,
            "LOGISTIC" => Some(Link::Sigmoid),
            "SOFTMAX" => Some(Link::Softmax),
            other => return self.refuse(format!(" with post_transform {other}")),
        };
        let linear: Rc<Linear> = match (rows, names.len(), link) {
            (rows, classes, _) if rows == classes && rows > 1 => linear.into(),
            (1, 2, Some(Link::Sigmoid)) => linear.with_opposite().into(),
            (1, 2, _) => {
                return self.refuse(
                    " with one row of coefficients for two classes and no logistic transform, for which runtimes give different \
                     scores",
                );
            }
            (rows, classes, _) => {
                return self.refuse(format!(
                    " with {rows} rows of coefficients and names of {classes} classes"
                ));
            }
        };
        Ok(self.classified(linear, link, names))
    }

    /// Returns the labels of a classifier with one score per class, and its scores or
    /// probabilities.
    pub(super) fn classified(
        &self,
        linear: Rc<Linear>,
        link: Option<Link>,
        names: Vec<String>,
    ) -> Vec<Value> {
        let label = Label {
            decider: Decider::Largest(linear.clone()),
            names: names.clone(),
            element: self.label_element(),
            column: false,
        };
        let scores = Scores {
            names: Some(names),
            ..Scores::new(linear, link)
        };
        vec![Value::Label(label), Value::Scores(scores)]
    }

    /// Returns the element type of a classifier's labels.
    pub(super) fn label_element(&self) -> LabelElement {
        match self.attributes().strings("classlabels_strings") {
            Some(texts) if !texts.is_empty() => LabelElement::Text,
            _ => LabelElement::Integer,
        }
    }

    /// Returns the values of a regression.
    pub(super) fn linear_regressor(&self, value: &Value) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let transform = attributes.text("post_transform", "NONE");
        if transform != "NONE" {
            return self.refuse(format!(" with post_transform {transform}"));
        }
        let Ok(targets) = usize::try_from(attributes.int("targets", 1)) else {
            return self.refuse(" with a negative number of targets");
        };
        let (coefficients, intercepts) = (attributes.floats("coefficients"), attributes.floats("intercepts"));
        let linear = self.rows(value, &coefficients, &intercepts, targets)?;
        Ok(Value::Scores(Scores {
            regression: true,
            ..Scores::raw(linear)
        }))
    }

    pub(super) fn softmax(&self, scores: &Scores) -> Result<Value, ImportError> {
        // Before version 13, all axes from this one on counted as one.
        let default = if self.context.versions.standard < 13 {
            1
        } else {
            -1
        };
        let axis = self.attributes().int("axis", default);
        if scores.link.is_some() || scores.vector || !self.along_rows(Some(&[axis])) {
            return self.refuse(format!("{} along axis {axis}", self.what_it_gets()));
        }
        if scores.len() == 1 {
            return self.refuse(" of one score, which always gives 1: one score needs a sigmoid");
        }
        Ok(Value::Scores(Scores {
            link: Some(Link::Softmax),
            ..scores.clone()
        }))
    }

    pub(super) fn sigmoid(&self, scores: &Scores) -> Result<Value, ImportError> {
        if scores.link.is_some() {
            return self.refuse(self.what_it_gets());
        }
        Ok(Value::Scores(Scores {
            link: Some(Link::Sigmoid),
            regression: false,
            ..scores.clone()
        }))
    }

    /// Divides the probabilities of each row by their sum.
    pub(super) fn normalised(&self, scores: &Scores) -> Result<Value, ImportError> {
        let norm = self.attributes().text("norm", "MAX");
        match scores.link {
            _ if norm != "L1" || scores.vector || !scores.is_whole() || scores.len() == 1 => {
                self.refuse(format!("{} by {norm}", self.what_it_gets()))
            }
            Some(Link::Sigmoid) => Ok(Value::Scores(Scores {
                link: Some(Link::OneVsRest),
                ..scores.clone()
            })),
            // These add up to one already.
            Some(Link::Softmax | Link::OneVsRest | Link::Probability) => Ok(Value::Scores(scores.clone())),
            Some(Link::Identity | Link::Exp | Link::Isotonic | Link::Mean | Link::OneVsOne | Link::Votes)
            | None => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns the logarithm of the sum of the exponentials of each row's scores.
    pub(super) fn log_sum_exp(&self, scores: &Scores) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        if scores.link.is_some() || scores.vector || scores.len() < 2 || !self.along_rows(axes.as_deref()) {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        Ok(Value::LogSumExp(scores.clone()))
    }

    pub(super) fn log_softmax(&self, scores: &Scores) -> Result<Value, ImportError> {
        match self.softmax(scores)? {
            Value::Scores(softmax) => Ok(Value::LogSoftmax(softmax)),
            other => Ok(other),
        }
    }

    /// Returns values behind a log link.
    pub(super) fn exponential(&self, scores: &Scores) -> Result<Value, ImportError> {
        if scores.link.is_some() {
            return self.refuse(self.what_it_gets());
        }
        Ok(Value::Scores(Scores {
            link: Some(Link::Exp),
            regression: true,
            ..scores.clone()
        }))
    }

    /// Adds scores, or takes their mean (VotingRegressor, CategoricalNB).
    pub(super) fn added(&self, operands: &[&Value], mean: bool) -> Result<Value, ImportError> {
        let parts: Option<Vec<&Scores>> = operands
            .iter()
            .map(|value| match value {
                Value::Scores(scores) if scores.link.is_none() && !scores.vector => Some(scores),
                _ => None,
            })
            .collect();
        let Some(parts) = parts.filter(|parts| parts.windows(2).all(|pair| pair[0].len() == pair[1].len()))
        else {
            return self.refuse(self.what_it_gets());
        };
        self.sum_of(&parts, mean)
    }

    fn sum_of(&self, parts: &[&Scores], mean: bool) -> Result<Value, ImportError> {
        let Some(first) = parts.first() else {
            return self.refuse(" of nothing");
        };
        let support = parts.iter().map(|part| part.linear.support().len()).sum();
        let outputs: usize = parts.iter().map(|part| part.len()).sum();
        self.check_weights(outputs, support)?;
        self.context.work.take(&[outputs, first.len(), support + 8])?;
        let linears: Vec<&Linear> = parts.iter().map(|part| &*part.linear).collect();
        let factor = if mean { 1.0 / parts.len() as f64 } else { 1.0 };
        Ok(Value::Scores(Scores {
            regression: parts.iter().all(|part| part.regression),
            ..Scores::raw(Linear::added(&linears, factor))
        }))
    }

    /// Takes the mean of several models' scores (BaggingRegressor).
    pub(super) fn mean_of_layers(&self, layers: &[Scores]) -> Result<Value, ImportError> {
        self.check_model_axis()?;
        if layers.iter().any(|scores| scores.link.is_some()) {
            return self.refuse(" of scores and probabilities of several models");
        }
        self.sum_of(&layers.iter().collect::<Vec<_>>(), true)
    }

    /// Returns the numbers that belong to the categories of a column, one per class: a table with a
    /// row per class and a column per category (CategoricalNB).
    pub(super) fn table_lookup(&self, table: &Constant, columns: &Columns) -> Result<Value, ImportError> {
        let (&[classes, categories], &[_]) = (table.shape.as_slice(), columns.columns.as_slice()) else {
            return self.refuse(self.what_it_gets());
        };
        if table.numbers.len() != classes * categories || categories == 0 || !columns.integers {
            return self.refuse(self.what_it_gets());
        }
        let slots = self.slots(columns)?;
        let one_hot = self.step(Step::OneHot {
            of: slots[0] as u32,
            categories: Categories::Numbers((0..categories).map(|category| category as f64).collect()),
            unknown: Unknown::Refuse,
        })?;
        let rows: Vec<Vec<f64>> = table
            .numbers
            .chunks_exact(categories)
            .map(<[f64]>::to_vec)
            .collect();
        self.check_weights(classes, categories)?;
        let linear = Linear::new(&Columns::plain(one_hot, false).into(), &rows, &vec![0.0; classes]);
        Ok(Value::Swapped(Scores::raw(linear)))
    }

    /// Returns for each of several pairs of labels whether the second one holds
    /// (MultiOutputClassifier).
    pub(super) fn labels_beside(&self, operands: &[&Value]) -> Result<Option<Value>, ImportError> {
        let half = |value: &&Value| match value {
            Value::Label(Label {
                decider: Decider::Largest(linear),
                names,
                ..
            }) if *names == ["0", "1"] => linear.halved(),
            _ => None,
        };
        let Some(halves) = operands.iter().map(half).collect::<Option<Vec<Linear>>>() else {
            return Ok(None);
        };
        let support = halves.iter().map(|linear| linear.support().len()).sum();
        self.check_weights(halves.len(), support)?;
        Ok(Some(Value::Held(Held {
            linear: Linear::stacked(&halves.iter().collect::<Vec<_>>()).into(),
            step: HeldStep::Held,
        })))
    }

    /// Collects the probabilities of several models, each between two classes.
    pub(super) fn sequence(&self, operands: &[&Value]) -> Result<Value, ImportError> {
        let pair = |value: &&Value| match value {
            Value::Scores(scores)
                if matches!(scores.link, Some(Link::Sigmoid | Link::OneVsRest)) && scores.len() == 2 =>
            {
                scores.linear.halved()
            }
            _ => None,
        };
        let Some(halves) = operands.iter().map(pair).collect::<Option<Vec<Linear>>>() else {
            return self.refuse(self.what_it_gets());
        };
        let support = halves.iter().map(|linear| linear.support().len()).sum();
        self.check_weights(halves.len(), support)?;
        let stacked = Linear::stacked(&halves.iter().collect::<Vec<_>>());
        Ok(Value::Sequence(Scores::new(stacked, Some(Link::Sigmoid))))
    }

    /// Divides probabilities by their sum.
    pub(super) fn lp_normalised(&self, scores: &Scores) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let (axis, p) = (attributes.int("axis", -1), attributes.int("p", 2));
        match scores.link {
            Some(Link::Sigmoid)
                if p == 1
                    && self.along_rows(Some(&[axis]))
                    && !scores.vector
                    && scores.is_whole()
                    && scores.len() > 1 =>
            {
                Ok(Value::Scores(Scores {
                    link: Some(Link::OneVsRest),
                    ..scores.clone()
                }))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Sums each row's probabilities into a column.
    pub(super) fn sum(&self, scores: &Scores) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        let keeps = self.attributes().int("keepdims", 1) == 1;
        if scores.link != Some(Link::Sigmoid) || scores.vector || !keeps || !self.along_rows(axes.as_deref())
        {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        Ok(Value::Sum(scores.clone()))
    }

    /// Returns the index of the largest value in each row.
    pub(super) fn argmax(&self, scores: &Scores) -> Result<Value, ImportError> {
        if scores.vector || scores.len() < 2 || !scores.is_whole() {
            return self.refuse(self.what_it_gets());
        }
        // All links keep the order of scores.
        self.largest(scores.len(), Decider::Largest(scores.linear.clone()))
    }

    /// Replaces the indices from ArgMax by names.
    pub(super) fn named(&self, classes: &Constant, label: &Label) -> Result<Value, ImportError> {
        let counted = label
            .names
            .iter()
            .enumerate()
            .all(|(place, name)| *name == place.to_string());
        let rank_fits = matches!(classes.shape.as_slice(), [_] | [1, _]);
        if !counted || !rank_fits || classes.texts.len() != label.names.len() {
            return self.refuse(format!(
                " of {} names for {} classes",
                classes.texts.len(),
                label.names.len()
            ));
        }
        Ok(Value::Label(Label {
            column: false,
            decider: label.decider.clone(),
            names: classes.texts.clone(),
            element: if classes.numbers.is_empty() {
                LabelElement::Text
            } else {
                LabelElement::Integer
            },
        }))
    }

    /// Names the columns.
    pub(super) fn zipped(&self, scores: &Scores) -> Result<Value, ImportError> {
        let names = self.class_names("classlabels_int64s")?;
        if names.len() != scores.len() || scores.vector {
            return self.refuse(format!(" of {} names for {} columns", names.len(), scores.len()));
        }
        if let Some(others) = scores.names.as_ref().filter(|others| **others != names) {
            return self.refuse(format!(
                " calls the classes {}, the classifier before it {}",
                listed(&names),
                listed(others)
            ));
        }
        Ok(Value::Scores(Scores {
            names: Some(names),
            ..scores.clone()
        }))
    }

    /// Evaluates arithmetic on probabilities: complements to one, shares of their sum, or margins
    /// over a half.
    pub(super) fn on_probabilities(
        &self,
        operator: &str,
        left: &Value,
        right: &Value,
    ) -> Result<Value, ImportError> {
        let all = |constant: &Constant, number: f64, columns: usize| {
            constant
                .broadcast(columns)
                .is_some_and(|numbers| numbers.iter().all(|&n| n == number))
        };
        match (operator, left, right) {
            ("Sub", Value::Constant(one), Value::Scores(scores))
                if scores.link == Some(Link::Sigmoid) && all(one, 1.0, scores.len()) && !scores.vector =>
            {
                Ok(Value::Scores(Scores::new(
                    scores.linear.negated(),
                    Some(Link::Sigmoid),
                )))
            }
            ("Sub", Value::Scores(scores), Value::Constant(half))
                if scores.link == Some(Link::Sigmoid) && all(half, 0.5, scores.len()) && !scores.vector =>
            {
                Ok(Value::Held(Held {
                    linear: scores.linear.clone(),
                    step: HeldStep::Margin,
                }))
            }
            ("Sub", Value::Scores(scores), Value::LogSumExp(sum)) if scores == sum => {
                Ok(Value::LogSoftmax(Scores {
                    link: Some(Link::Softmax),
                    ..scores.clone()
                }))
            }
            // scikit-learn guards against probabilities that are all zero, which they never are.
            ("Add", same @ (Value::Scores(_) | Value::Sum(_)), Value::Constant(zero))
            | ("Add", Value::Constant(zero), same @ (Value::Scores(_) | Value::Sum(_)))
                if zero.numbers == [0.0] =>
            {
                Ok(same.clone())
            }
            ("Add", Value::Scores(scores), Value::Constant(one))
            | ("Add", Value::Constant(one), Value::Scores(scores))
                if scores.link == Some(Link::Exp) && all(one, 1.0, scores.len()) && !scores.vector =>
            {
                Ok(Value::OnePlusExp(Scores::raw(scores.linear.negated())))
            }
            ("Div", Value::Constant(one), Value::OnePlusExp(scores)) if all(one, 1.0, scores.len()) => {
                self.sigmoid(scores)
            }
            ("Div", Value::Scores(scores), Value::Sum(sum)) if scores == sum => Ok(Value::Scores(Scores {
                link: Some(Link::OneVsRest),
                ..scores.clone()
            })),
            _ => self.refuse(self.what_it_gets()),
        }
    }
}
