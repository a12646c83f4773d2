//! What a tensor of the graph is, as a function of the features.

use super::{attributes::Constant, linear::Linear};
use crate::import::{Fitted, ImportError};
use blindscore_protocol::descriptor::{Link, Task};
use std::ops::Range;

/// One of the features, scaled and shifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    /// Position of the feature.
    pub(super) feature: usize,
    /// Factor.
    pub(super) scale: f64,
    /// What is added after it.
    pub(super) offset: f64,
    /// What did that last.
    pub(super) scaling: Scaling,
}

/// What scaled the features last: it tells where their values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Nothing.
    None,
    /// To mean 0 and standard deviation 1, as by StandardScaler.
    Standard,
    /// To 0 to 1, as by MinMaxScaler.
    Unit,
}

/// Features, each in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
}

impl Columns {
    pub(super) fn identity(features: Range<usize>) -> Self {
        let column = |feature| Column {
            feature,
            scale: 1.0,
            offset: 0.0,
            scaling: Scaling::None,
        };
        Self {
            columns: features.map(column).collect(),
        }
    }

    /// The same columns, all scaled in one way.
    pub(super) fn scaled_as(mut self, scaling: Scaling) -> Self {
        for column in &mut self.columns {
            column.scaling = scaling;
        }
        self
    }
}

/// Scores, and what was made of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    pub(super) linear: Linear,
    /// None for raw scores.
    pub(super) link: Option<Link>,
    /// Labels of the outputs, if the operator had them.
    pub(super) labels: Option<Vec<String>>,
    /// The two classes between which the only score decides.
    pub(super) classes: Option<[String; 2]>,
}

/// What a tensor is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// The same whatever the features.
    Constant(Constant),
    /// The features, each by itself.
    Features(Columns),
    /// Scores or probabilities.
    Scores(Scores),
    /// Of two columns of probabilities, the second one.
    SecondClass(Linear),
    /// The sum of probabilities of one-against-the-rest models.
    Sum(Linear),
    /// Decisions; with the labels among which they were made, if those are known.
    Label(Option<Vec<String>>),
}

impl Value {
    pub(super) fn scores(&self) -> Option<&Scores> {
        match self {
            Self::Scores(scores) => Some(scores),
            _ => None,
        }
    }
}

impl Scores {
    pub(super) fn raw(linear: Linear) -> Self {
        Self {
            linear,
            link: None,
            labels: None,
            classes: None,
        }
    }

    /// The model of `count` features that these scores are.
    pub(super) fn fitted(
        &self,
        count: usize,
        features: Option<Vec<String>>,
        labels: Option<Vec<String>>,
    ) -> Result<Fitted, ImportError> {
        let rows = self.linear.coef.len();
        let labels = self.labels.clone().or(labels);
        if let Some(labels) = &labels
            && self.classes.is_none()
            && labels.len() != rows
        {
            return Err(ImportError::Graph(format!(
                "the model has {} labels for {rows} outputs",
                labels.len()
            )));
        }
        let padded = |row: &Vec<f64>| {
            let mut row = row.clone();
            row.resize(count, 0.0);
            row
        };
        let link = self.link.unwrap_or(Link::Identity);
        let classes = match (link, rows) {
            // One sigmoid is a binary classifier; frameworks count its classes so.
            (Link::Sigmoid, 1) if self.classes.is_none() => Some(["0", "1"].map(str::to_owned)),
            _ => self.classes.clone(),
        };
        // A machine that decides without probabilities has names for its scores, a regression has none.
        let named = classes.is_some() || labels.is_some();
        let task = Task::implied(link, rows, classes.is_some())
            .filter(|task| *task != Task::Regression || !named)
            .unwrap_or(if named {
                Task::Classification
            } else {
                Task::Regression
            });
        Ok(Fitted {
            features,
            ranges: self.linear.ranges(count),
            labels: if classes.is_some() { None } else { labels },
            task,
            classes,
            link,
            // Features at the end may have been dropped.
            coef: self.linear.coef.iter().map(padded).collect(),
            intercept: self.linear.intercept.clone(),
        })
    }
}
