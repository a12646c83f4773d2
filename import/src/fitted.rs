//! A fitted linear model, as read from a file.

use blindscore_protocol::descriptor::{Link, Task};

/// A fitted linear model and the other content of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Names of the features, if the file has them.
    pub features: Option<Vec<String>>,
    /// Names of columns that the file knows but does not use.
    pub unused: Vec<String>,
    /// Range of each feature, given in the file or implied by its scaler.
    pub ranges: Option<Vec<(f64, f64)>>,
    /// Assumption behind these ranges.
    pub assumed: Option<&'static str>,
    /// One label per output, if the file has them.
    pub labels: Option<Vec<String>>,
    /// Accuracy on a test set, as a share, if the file states it.
    pub accuracy: Option<f64>,
    /// Purpose of the scores, if the file states it.
    pub task: Option<Task>,
    /// Classes between which a single output decides, if it does.
    pub classes: Option<[String; 2]>,
    /// Link function from scores to probabilities.
    pub link: Link,
    /// Whether the link is only the usual one, because the file does not state it.
    pub assumed_link: bool,
    /// One row of weights per output, for features before any scaling.
    pub coef: Vec<Vec<f64>>,
    /// One intercept per output.
    pub intercept: Vec<f64>,
    /// Meaning of each output of the file's graph, in the graph's order.
    pub answers: Vec<Answer>,
}

/// Meaning of a graph's output for the model made from it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Class decided for.
    Label,
    /// For each of several labels, whether it holds.
    Held,
    /// Probabilities, by index.
    Probabilities(Vec<usize>),
    /// Scores, by index, each with a factor.
    Scores(Vec<(usize, f64)>),
}

impl Fitted {
    /// Creates a model of scores and a link, with nothing else known.
    pub fn new(link: Link, coef: Vec<Vec<f64>>, intercept: Vec<f64>) -> Self {
        Self {
            features: None,
            unused: Vec::new(),
            ranges: None,
            assumed: None,
            labels: None,
            accuracy: None,
            task: None,
            classes: None,
            link,
            assumed_link: false,
            coef,
            intercept,
            answers: Vec::new(),
        }
    }

    /// Returns the number of features.
    pub fn count(&self) -> usize {
        self.coef.first().map_or(0, Vec::len)
    }
}
