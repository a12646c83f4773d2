//! One model's scores, and what its outputs say of them.

use super::{
    linear::Linear,
    value::{Held, Scores},
};
use crate::{Fitted, ImportError, listed};
use blindscore_protocol::descriptor::{Link, Task};

/// Scores of all heads, side by side.
pub(super) struct Heads {
    pub(super) whole: Scores,
    /// Index of the first column of each output with scores.
    pub(super) starts: Vec<usize>,
    /// Names of the columns, if several outputs are heads of their own.
    pub(super) names: Option<Vec<String>>,
    /// Whether each of these heads has one column.
    pub(super) single: bool,
}

impl Heads {
    pub(super) fn of(whole: Scores) -> Self {
        Self {
            whole,
            starts: Vec::new(),
            names: None,
            single: false,
        }
    }

    /// Returns the score that decides between two classes, if two opposite scores do; `None` for a
    /// softmax.
    pub(super) fn halved(linear: &Linear, link: Option<Link>) -> Option<Linear> {
        match link {
            Some(Link::Softmax | Link::Exp) => None,
            _ => linear.halved(),
        }
    }

    pub(super) fn fitted(linear: &Linear, link: Option<Link>) -> Fitted {
        Fitted::new(
            link.unwrap_or(Link::Identity),
            linear.coef.clone(),
            linear.intercept.clone(),
        )
    }

    /// Returns a model in which one score decides between two classes.
    pub(super) fn between(linear: &Linear, link: Option<Link>, classes: [String; 2]) -> Fitted {
        Fitted {
            task: Some(Task::Classification),
            classes: Some(classes.to_vec()),
            // For two probabilities that add up to one, one-vs-rest is a sigmoid.
            ..Self::fitted(linear, link.map(|_| Link::Sigmoid))
        }
    }

    /// Returns a model with labels.
    pub(super) fn classifier(
        &self,
        name: &str,
        names: &[String],
        linear: &Linear,
    ) -> Result<Fitted, ImportError> {
        let whole = &self.whole;
        if whole.link == Some(Link::Exp) {
            return Err(ImportError::Graph(format!(
                "the model has labels ({name:?}) and values behind a log link: export one of them by itself"
            )));
        }
        if let Some(others) = whole.names.as_ref().filter(|others| others.len() == names.len())
            && others.as_slice() != names
        {
            return Err(ImportError::Graph(format!(
                "the model's labels ({name:?}) are called {}, its scores {}",
                listed(names),
                listed(others)
            )));
        }
        let decides = Self::halved(linear, whole.link);
        let scored = Self::halved(&whole.linear, whole.link)
            .or_else(|| (whole.len() == 1).then(|| Linear::clone(&whole.linear)));
        if let (Some(decides), Some(scored), Ok(classes)) =
            (&decides, scored, <[String; 2]>::try_from(names.to_vec()))
        {
            return if *decides == scored {
                Ok(Self::between(decides, whole.link, classes))
            } else {
                Err(ImportError::Graph(format!(
                    "the model's labels ({name:?}) are not decided by its scores: export one of them by itself"
                )))
            };
        }
        if *linear != *whole.linear {
            return Err(ImportError::Graph(format!(
                "the model's labels ({name:?}) are not decided by its scores: export one of them by itself"
            )));
        }
        if whole.link == Some(Link::Sigmoid) {
            return Err(ImportError::Graph(
                "the model decides for one of several classes, but its probabilities don't add up to one: export its raw scores in their \
                 place, or softmax"
                    .into(),
            ));
        }
        Ok(Fitted {
            task: Some(Task::Classification),
            labels: Some(names.to_vec()),
            ..Self::fitted(&whole.linear, whole.link)
        })
    }

    /// Returns a model that decides for each of several labels whether it holds.
    pub(super) fn multilabel(&self, name: &str, held: &Held) -> Result<Fitted, ImportError> {
        let whole = &self.whole;
        if held.linear != whole.linear || whole.link != Some(Link::Sigmoid) {
            return Err(ImportError::Graph(format!(
                "the model's labels ({name:?}) are not decided by its probabilities: export one of them by itself"
            )));
        }
        Ok(Fitted {
            task: Some(Task::Multilabel),
            labels: whole.names.clone(),
            ..Self::fitted(&whole.linear, whole.link)
        })
    }

    /// Returns a model without labels.
    pub(super) fn unlabelled(&self) -> Result<Fitted, ImportError> {
        let whole = &self.whole;
        let named = whole.names.clone();
        let pair = match named.clone().map(<[String; 2]>::try_from) {
            Some(Ok(pair)) => Some(pair),
            Some(Err(_)) => None,
            // Counted from 0, as in frameworks.
            None if !matches!(whole.link, None | Some(Link::Exp)) => Some(["0", "1"].map(str::to_owned)),
            None => None,
        };
        if let (Some(linear), Some(pair)) = (Self::halved(&whole.linear, whole.link), pair) {
            return Ok(Self::between(&linear, whole.link, pair));
        }
        if whole.link == Some(Link::Sigmoid) && whole.len() == 1 {
            return Ok(Self::between(
                &whole.linear,
                whole.link,
                ["0", "1"].map(str::to_owned),
            ));
        }
        let task = match whole.link {
            // Classes with independent probabilities: the file does not say whether the largest one
            // decides.
            Some(Link::Sigmoid) if named.is_some() => None,
            Some(Link::Sigmoid) => Some(Task::Multilabel),
            Some(Link::Exp) => Some(Task::Regression),
            Some(_) => Some(Task::Classification),
            None if named.is_some() => Some(Task::Classification),
            None if whole.regression || self.single || whole.len() == 1 => Some(Task::Regression),
            None => None,
        };
        Ok(Fitted {
            task,
            labels: named.or_else(|| self.names.clone()),
            ..Self::fitted(&whole.linear, whole.link)
        })
    }
}
