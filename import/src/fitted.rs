//! A fitted linear model, as read from a file.

use blindscore_client::Encoder;
use blindscore_protocol::{
    descriptor::{Link, Member, Task},
    encoding::Encoding,
};

/// A fitted linear model and the other content of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Names of a record's columns, if the file has them.
    pub features: Option<Vec<String>>,
    /// Public part: how a record becomes the features, if they are not the record itself.
    pub encoding: Option<Encoding>,
    /// Interval that contains each feature, as far as that follows from the public part; its ends
    /// may be infinite. Empty if nothing is known.
    pub intervals: Vec<(f64, f64)>,
    /// For each feature, the number of its group, if it is one of several whose ranges are best
    /// alike, such as counts of words. Empty if there are none.
    pub groups: Vec<Option<usize>>,
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
    /// Classes, if not each has one output: the two that a single output decides between, or those
    /// of several models or pairs.
    pub classes: Option<Vec<String>>,
    /// Link function from scores to probabilities.
    pub link: Link,
    /// Models whose probabilities are averaged, for the link `mean`.
    pub members: Vec<Member>,
    /// Whether the link is only the usual one, because the file does not state it.
    pub assumed_link: bool,
    /// Whether the file doesn't tell the names of its classes, because its converter leaves them
    /// out.
    pub unnamed: bool,
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
    /// Place of that class among all.
    Place,
    /// For each of several labels, whether it holds.
    Held,
    /// Probabilities, by index.
    Probabilities(Vec<usize>),
    /// Scores, by index, each with a factor.
    Scores(Vec<(usize, f64)>),
    /// Probabilities by index, each after its complement to one.
    Pairs(Vec<usize>),
    /// Logarithms of probabilities, by index.
    LogProbabilities(Vec<usize>),
    /// Values behind a log link, by index.
    Values(Vec<usize>),
    /// For each class, its votes among the pairs and the sum of its scores, as
    /// [`blindscore_client::one_vs_one`] gives them.
    OneVsOne,
}

impl Fitted {
    /// Creates a model of scores and a link, with nothing else known.
    pub fn new(link: Link, coef: Vec<Vec<f64>>, intercept: Vec<f64>) -> Self {
        Self {
            features: None,
            encoding: None,
            intervals: Vec::new(),
            groups: Vec::new(),
            unused: Vec::new(),
            ranges: None,
            assumed: None,
            labels: None,
            accuracy: None,
            task: None,
            classes: None,
            link,
            members: Vec::new(),
            assumed_link: false,
            unnamed: false,
            coef,
            intercept,
            answers: Vec::new(),
        }
    }

    /// Returns the number of features.
    pub fn count(&self) -> usize {
        self.coef.first().map_or(0, Vec::len)
    }

    /// Returns the encoder of the model's records.
    pub fn encoder(&self) -> Encoder {
        match (&self.encoding, &self.features) {
            (Some(encoding), _) => Encoder::of(encoding),
            (None, Some(names)) => Encoder::plain(names.iter().cloned().map(Some)),
            (None, None) => Encoder::plain(vec![None; self.count()]),
        }
    }

    /// Returns the names of the features, which only features that are a record's columns have.
    pub fn feature_names(&self) -> Option<&[String]> {
        self.features.as_deref().filter(|_| self.encoding.is_none())
    }

    /// Gives the columns other names: those of the caller's own files.
    pub(crate) fn rename(&mut self, names: &[String]) {
        self.features = Some(names.to_vec());
        if let Some(encoding) = &mut self.encoding {
            for (column, name) in encoding.columns.iter_mut().zip(names) {
                column.name = Some(name.clone());
            }
        }
    }
}
