//! Trees of LightGBM, from the text of `save_model` and the JSON of `dump_model`.

mod dumped;
mod saved;

pub(super) use dumped::read as read_json;
pub(super) use saved::read as read_text;

use super::{Decision, Ensemble, Format, Grower, Missing, Part, Source, grow::Recoded};
use crate::{ImportError, quoted};
use blindscore_protocol::{
    descriptor::{FEATURES, Link, OUTPUTS, Task},
    encoding::Categories,
};
use serde_json::Value;

const FORMAT: Format = Format("LightGBM");

/// Largest magnitude of the numbers that LightGBM takes for 0: 1e-35 in single precision.
const ZERO: f64 = 1.000_000_018_002_509_5e-35;
/// What the JSON has for infinity.
const LARGEST: f64 = 1e300;

/// What is around the trees.
struct Header<'f> {
    /// The objective and its parameters, as in the file.
    objective: Option<&'f str>,
    /// Number of scores, each of which has one tree of an iteration.
    outputs: usize,
    /// Whether the trees are averaged.
    averaged: bool,
    /// Names of the columns.
    names: Vec<String>,
    /// Whether each column is one of categories.
    categories: Vec<bool>,
    /// Categories of a data frame's columns that have some.
    pandas: Value,
}

/// What becomes of missing numbers at a decision.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MissingType {
    /// They are 0.
    None,
    /// They and 0 take a branch of their own.
    Zero,
    /// They take a branch of their own.
    Nan,
}

/// Trees under construction.
struct Model {
    link: Link,
    task: Task,
    /// Factor of the leaves.
    scale: f64,
    outputs: usize,
    /// Whether missing numbers of each column have branches of their own.
    own: Vec<bool>,
    trees: Vec<(Vec<Option<Part>>, usize)>,
}

impl Model {
    fn new(header: &Header<'_>, trees: usize) -> Result<Self, ImportError> {
        let (link, task, sigmoid) = objective(header.objective, header.outputs)?;
        let (features, outputs) = (header.names.len(), header.outputs);
        if !FEATURES.contains(&features) || !OUTPUTS.contains(&outputs) || !trees.is_multiple_of(outputs) {
            return Err(FORMAT.malformed("the number of features, classes or trees"));
        }
        let averaged = if header.averaged {
            (trees / outputs).max(1) as f64
        } else {
            1.0
        };
        Ok(Self {
            link,
            task,
            scale: sigmoid / averaged,
            outputs,
            own: vec![false; features],
            trees: Vec::new(),
        })
    }

    /// Returns a leaf.
    fn leaf(&self, value: f64) -> Part {
        Part::Leaf(vec![value * self.scale])
    }

    /// Returns a decision between numbers.
    fn split(
        &mut self,
        column: usize,
        threshold: f64,
        missing: (MissingType, bool),
        branches: [usize; 2],
    ) -> Result<Part, ImportError> {
        let own = self.own.get_mut(column);
        let own = own.ok_or_else(|| FORMAT.malformed("split_feature"))?;
        let threshold = if threshold >= LARGEST {
            // The last bin has no upper end, so that only missing numbers take the other branch.
            // LightGBM writes such a threshold and larger ones as this one (`Common::AvoidInf`).
            LARGEST
        } else if threshold.abs() > ZERO {
            threshold
        } else if threshold < 0.0 {
            (-ZERO).next_down()
        } else {
            ZERO
        };
        let zero_is_left = 0.0 <= threshold;
        let missing = match missing {
            (MissingType::None, _) => zero_is_left,
            (MissingType::Nan, is_left) => {
                *own = true;
                is_left
            }
            // A branch of its own that is no other than that of 0 changes nothing.
            (MissingType::Zero, is_left) if is_left == zero_is_left => is_left,
            (MissingType::Zero, _) => {
                return FORMAT.refuse(
                    "it takes zeros for missing values: fit it without zero_as_missing, with missing values as NaN",
                );
            }
        };
        Ok(Part::Split {
            column,
            decision: Decision::AtMost { threshold, missing },
            branches,
        })
    }

    /// Returns the ensemble.
    fn finish(self, header: Header<'_>) -> Result<Ensemble, ImportError> {
        let mut grower = Grower::default();
        for (place, (parts, root)) in self.trees.into_iter().enumerate() {
            let added = grower.add(parts, root, Some(place % self.outputs));
            added.or_else(|why| FORMAT.refuse(why))?;
        }
        let recoded = recoded(&header)?;
        // LightGBM makes up names of columns that have none.
        let made_up = |(place, name): (usize, &String)| *name == format!("Column_{place}");
        let unnamed = header.names.iter().enumerate().all(made_up);
        let source = |((name, recoded), own): ((String, Option<Recoded>), bool)| Source {
            name: (!unnamed).then_some(name),
            single: false,
            missing: if own { Missing::Own } else { Missing::Filled(0.0) },
            recoded,
        };
        let sources = header.names.into_iter().zip(recoded).zip(self.own);
        let sources = sources.map(source).collect();
        let mut ensemble = grower
            .finish(sources, vec![0.0; self.outputs], self.link, self.task)
            .or_else(|why| FORMAT.refuse(why))?;
        let counted = |classes: usize| Some((0..classes).map(|class| class.to_string()).collect());
        match self.link {
            Link::Sigmoid => ensemble.classes = counted(2),
            Link::Softmax => ensemble.labels = counted(self.outputs),
            _ => {}
        }
        Ok(ensemble)
    }
}

/// Returns the link and the purpose of the scores, and a factor of them.
fn objective(text: Option<&str>, outputs: usize) -> Result<(Link, Task, f64), ImportError> {
    let mut words = text.unwrap_or_default().split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    let (mut sigmoid, mut root) = (1.0, false);
    for word in words {
        match word.split_once(':') {
            Some(("sigmoid", number)) => {
                let number = number.parse().ok().filter(|number: &f64| number.is_finite());
                sigmoid = number.ok_or_else(|| FORMAT.malformed("objective"))?;
            }
            None if word == "sqrt" => root = true,
            _ => {}
        }
    }
    if root {
        return FORMAT.refuse(
            "it is fitted to square roots (reg_sqrt): fit it without, to roots that you take yourself",
        );
    }
    let found = match name {
        "binary" | "cross_entropy" => (Link::Sigmoid, Task::Classification, sigmoid),
        "multiclass" => (Link::Softmax, Task::Classification, 1.0),
        "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => {
            (Link::Identity, Task::Regression, 1.0)
        }
        "poisson" | "gamma" | "tweedie" => (Link::Exp, Task::Regression, 1.0),
        "multiclassova" => {
            return FORMAT.refuse(
                "its objective is multiclassova, whose probabilities don't add up to one: use the objective multiclass",
            );
        }
        "" | "custom" => {
            return FORMAT.refuse(
                "its objective is your own, of which the file doesn't say what it makes of scores: use one of LightGBM's",
            );
        }
        other => {
            return FORMAT.refuse(format!(
                "its objective is {}. Served are binary, cross_entropy, multiclass, regression, regression_l1, huber, fair, quantile, mape, \
                 poisson, gamma and tweedie",
                quoted(other)
            ));
        }
    };
    match (found.0, outputs) {
        (Link::Softmax, 2..) | (Link::Sigmoid | Link::Identity | Link::Exp, 1) => Ok(found),
        _ => Err(FORMAT.malformed("num_tree_per_iteration")),
    }
}

/// Returns the categories of a data frame's columns, which LightGBM counts.
fn recoded(header: &Header<'_>) -> Result<Vec<Option<Recoded>>, ImportError> {
    let mut lists = header.pandas.as_array().into_iter().flatten();
    let mut all = Vec::with_capacity(header.names.len());
    let count = header.pandas.as_array().map_or(0, Vec::len);
    let columns = header
        .categories
        .iter()
        .filter(|is_category| **is_category)
        .count();
    if count != 0 && count != columns {
        return FORMAT.refuse(format!(
            "it has categories of {count} columns of a data frame, and {columns} columns that it takes for such: give it a data frame without \
             columns of one category, and leave categorical_feature out"
        ));
    }
    for is_category in &header.categories {
        let list = if *is_category { lists.next() } else { None };
        all.push(list.map(categories).transpose()?);
    }
    Ok(all)
}

fn categories(list: &Value) -> Result<Recoded, ImportError> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Option<Vec<String>> = list.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    let numbers: Option<Vec<f64>> = list.iter().map(super::format::finite).collect();
    let categories = match (texts, numbers) {
        (Some(texts), _) if !texts.is_empty() => Categories::Texts(texts),
        (_, Some(numbers)) if !numbers.is_empty() => Categories::Numbers(numbers),
        _ => {
            return FORMAT.refuse(
                "it has a column whose categories are neither texts nor numbers: make them texts before it is fitted",
            );
        }
    };
    Ok(Recoded {
        categories,
        // As pandas and LightGBM have it: in no set.
        other: -1.0,
    })
}
