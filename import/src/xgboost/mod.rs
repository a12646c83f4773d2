//! Models of XGBoost: what linear boosters and trees have in common, and linear boosters.

mod linear;

pub(crate) use linear::read as linear;

use crate::{ImportError, quoted, trees::Format};
use blindscore_protocol::descriptor::{FEATURES, Link, OUTPUTS, Task};
use serde_json::Value;

/// The library, for refusals.
pub(crate) const FORMAT: Format = Format("XGBoost");

/// What the objective makes of a margin.
#[derive(Clone, Copy)]
pub(crate) struct Objective {
    pub(crate) link: Link,
    pub(crate) task: Task,
    /// Margin of a base score, which XGBoost gives in the units of the predictions.
    margin: fn(f64) -> f64,
}

/// What is around the booster.
pub(crate) struct Learner {
    pub(crate) objective: Objective,
    /// Number of columns.
    pub(crate) features: usize,
    /// Number of margins.
    pub(crate) outputs: usize,
    /// Names of the columns, if the file has them.
    pub(crate) names: Option<Vec<String>>,
    /// Margin before the booster's, for each output.
    pub(crate) base: Vec<f64>,
}

impl Learner {
    /// Reads the `learner` of a file.
    pub(crate) fn read(learner: &Value) -> Result<Self, ImportError> {
        let objective = objective(FORMAT.text(FORMAT.field(learner, "objective")?, "name")?)?;
        let parameters = FORMAT.field(learner, "learner_model_param")?;
        let features = count(parameters, "num_feature")?;
        if !FEATURES.contains(&features) {
            return FORMAT.refuse(format!(
                "it has {features} features; {} to {} are allowed",
                FEATURES.start(),
                FEATURES.end()
            ));
        }
        let outputs = match objective.link {
            Link::Softmax => count(parameters, "num_class")?,
            _ if parameters.get("num_target").is_some() => count(parameters, "num_target")?,
            _ => 1,
        };
        let (least, what) = match objective.link {
            Link::Softmax => (2, "classes"),
            _ => (1, "targets"),
        };
        if outputs < least || !OUTPUTS.contains(&outputs) {
            return FORMAT.refuse(format!(
                "it has {outputs} {what}; {least} to {} are allowed",
                OUTPUTS.end()
            ));
        }
        let mut base = base_scores(parameters)?;
        if let &[shared] = base.as_slice() {
            base = vec![shared; outputs];
        }
        if base.len() != outputs {
            return Err(FORMAT.malformed("base_score"));
        }
        base.iter_mut()
            .for_each(|score| *score = (objective.margin)(*score));
        if base.iter().any(|base| !base.is_finite()) {
            return FORMAT.refuse("its base_score is out of the range of its predictions");
        }
        Ok(Self {
            objective,
            features,
            outputs,
            names: names(learner, features)?,
            base,
        })
    }
}

impl Objective {
    /// Returns the two classes that one margin decides between, and the labels of several.
    pub(crate) fn classes(self, outputs: usize) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let counted = |classes: usize| Some((0..classes).map(|class| class.to_string()).collect());
        match (self.link, self.task) {
            (Link::Softmax, _) => (None, counted(outputs)),
            (_, Task::Classification) if outputs == 1 => (counted(2), None),
            _ => (None, None),
        }
    }
}

fn objective(name: &str) -> Result<Objective, ImportError> {
    /// Nearest to 0 and 1 that XGBoost lets the base score of a probability be.
    const LEAST: f64 = 1e-6;
    let objective = |link, task, margin| Ok(Objective { link, task, margin });
    match name {
        "reg:squarederror" | "reg:linear" | "reg:squaredlogerror" | "reg:absoluteerror"
        | "reg:pseudohubererror" | "reg:quantileerror" => {
            objective(Link::Identity, Task::Regression, |score| score)
        }
        "binary:logistic" | "reg:logistic" => objective(Link::Sigmoid, Task::Classification, |score| {
            let score = score.clamp(LEAST, 1.0 - LEAST);
            (score / (1.0 - score)).ln()
        }),
        "binary:logitraw" => objective(Link::Identity, Task::Classification, |score| score),
        // The file has margins.
        "multi:softprob" | "multi:softmax" => objective(Link::Softmax, Task::Classification, |score| score),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => objective(Link::Exp, Task::Regression, f64::ln),
        other => FORMAT.refuse(format!(
            "its objective is {}. Served are reg:squarederror, reg:squaredlogerror, reg:absoluteerror, reg:pseudohubererror, \
             reg:quantileerror, reg:logistic, binary:logistic, binary:logitraw, multi:softprob, multi:softmax, count:poisson, reg:gamma and \
             reg:tweedie",
            quoted(other)
        )),
    }
}

/// Returns the names of the features, if the file has them.
fn names(learner: &Value, features: usize) -> Result<Option<Vec<String>>, ImportError> {
    let names = FORMAT.texts(learner, "feature_names")?;
    match names.len() {
        0 => Ok(None),
        count if count == features => Ok(Some(names)),
        count => FORMAT.refuse(format!(
            "it has names for {count} features, and {features} features"
        )),
    }
}

/// Returns the base scores: a number as text, or in brackets one for each output.
fn base_scores(parameters: &Value) -> Result<Vec<f64>, ImportError> {
    let text = FORMAT.text(parameters, "base_score")?.trim_matches(['[', ']']);
    let score = |text: &str| text.trim().parse().ok().filter(|score: &f64| score.is_finite());
    let scores: Option<Vec<f64>> = text.split(',').map(score).collect();
    scores.ok_or_else(|| FORMAT.malformed("base_score"))
}

/// Returns a count, which XGBoost writes as text.
pub(crate) fn count(json: &Value, name: &str) -> Result<usize, ImportError> {
    FORMAT
        .text(json, name)?
        .parse()
        .map_err(|_| FORMAT.malformed(name))
}
/// Bytes in which a mark is looked for, from the start of a file.
const SEARCHED: usize = 1_000_000;

/// Returns whether a file is a linear booster in another format than JSON.
pub(crate) fn is_linear_booster(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(SEARCHED)];
    let has = |text: &str| start.windows(text.len()).any(|found| found == text.as_bytes());
    start.starts_with(b"{L") && has("gradient_booster") && has("gblinear")
}
