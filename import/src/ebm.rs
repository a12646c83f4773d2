//! Explainable boosting machines, from the JSON that the library `interpret` writes
//! (`model.to_json("model.json", detail="minimal")`).
//!
//! Such a model adds a number for the bin that each feature, or each pair of features, is in (Lou,
//! Caruana, Gehrke, Hooker, "Accurate Intelligible Models with Pairwise Interactions", KDD 2013).
//! Clients find the bins, one-hot; the numbers are the weights.

use crate::{Fitted, ImportError, bounds::MOST_SLOTS, quoted};
use blindscore_protocol::{
    descriptor::{FEATURES, Link, Task},
    encoding::{Categories, Column, ColumnKind, Encoding, Side, Step, Unknown},
};
use serde_json::Value;
use std::collections::HashMap;

/// Most features of a term that are served: pairs.
const MOST_DIMENSIONS: usize = 2;

/// Reads the `ebm` of a file.
pub(crate) fn read(ebm: &Value) -> Result<Fitted, ImportError> {
    let columns = list(ebm, "features")?
        .iter()
        .map(Input::read)
        .collect::<Result<Vec<_>, _>>()?;
    if !FEATURES.contains(&columns.len()) {
        return Err(malformed("features"));
    }
    let outputs = list(ebm, "outputs")?;
    let [output] = outputs.as_slice() else {
        return refuse("it has several outputs: save a model of one");
    };
    let mut model = Additive::new(columns, numbers(ebm.get("intercept"))?);
    for term in list(ebm, "terms")? {
        model.add(term)?;
    }
    model.finish(output)
}

fn refuse<T>(words: impl Into<String>) -> Result<T, ImportError> {
    Err(ImportError::Graph(format!(
        "the explainable boosting machine can't be served: {}",
        words.into()
    )))
}

fn malformed(what: &str) -> ImportError {
    ImportError::Graph(format!(
        "not a model of the library interpret, or of another version: {what} is missing or malformed"
    ))
}

fn list<'j>(json: &'j Value, name: &'static str) -> Result<&'j Vec<Value>, ImportError> {
    json.get(name)
        .and_then(Value::as_array)
        .ok_or_else(|| malformed(name))
}

/// Returns a list of finite numbers, or a single one.
fn numbers(json: Option<&Value>) -> Result<Vec<f64>, ImportError> {
    let number = |json: &Value| json.as_f64().filter(|number| number.is_finite());
    let all: Option<Vec<f64>> = match json {
        Some(Value::Array(list)) => list.iter().map(number).collect(),
        Some(single) => number(single).map(|number| vec![number]),
        None => None,
    };
    all.ok_or_else(|| malformed("a list of numbers"))
}

/// A column of the records, and how it is binned.
struct Input {
    name: String,
    bins: Bins,
}

enum Bins {
    /// Edges for terms of one feature, and for terms of more.
    Numbers(Vec<Vec<f64>>),
    /// Categories and the number of their bin, from 1; likewise for terms of more features.
    Categories(Vec<Vec<(String, usize)>>),
}

impl Input {
    fn read(json: &Value) -> Result<Self, ImportError> {
        let name = json
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| malformed("name"))?;
        let kind = json
            .get("type")
            .and_then(Value::as_str)
            .ok_or_else(|| malformed("type"))?;
        let bins = match kind {
            "continuous" => {
                let levels = list(json, "cuts")?.iter().map(|level| numbers(Some(level)));
                Bins::Numbers(levels.collect::<Result<_, _>>()?)
            }
            "nominal" | "ordinal" => {
                let levels = list(json, "categories")?.iter().map(categories);
                Bins::Categories(levels.collect::<Result<_, _>>()?)
            }
            other => {
                return refuse(format!(
                    "its feature {} is of type {}",
                    quoted(name),
                    quoted(other)
                ));
            }
        };
        let levels = match &bins {
            Bins::Numbers(levels) => levels.len(),
            Bins::Categories(levels) => levels.len(),
        };
        let is_empty = match &bins {
            Bins::Categories(levels) => levels.iter().any(Vec::is_empty),
            Bins::Numbers(_) => false,
        };
        if levels == 0 || is_empty {
            return Err(malformed(&format!(
                "the list of bins of feature {}",
                quoted(name)
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            bins,
        })
    }

    /// Returns the place of the bins for terms of so many features.
    fn level(&self, dimensions: usize) -> usize {
        let levels = match &self.bins {
            Bins::Numbers(levels) => levels.len(),
            Bins::Categories(levels) => levels.len(),
        };
        dimensions.min(levels) - 1
    }

    /// Returns the number of bins that hold values.
    fn count(&self, level: usize) -> usize {
        match &self.bins {
            Bins::Numbers(levels) => levels[level].len() + 1,
            Bins::Categories(levels) => levels[level].iter().map(|(_, bin)| *bin).max().unwrap_or(0),
        }
    }
}

/// Reads the categories of a feature: a list, whose elements may be lists of those in one bin.
fn categories(json: &Value) -> Result<Vec<(String, usize)>, ImportError> {
    let bins = json.as_array().ok_or_else(|| malformed("categories"))?;
    let mut categories = Vec::new();
    for (place, bin) in bins.iter().enumerate() {
        let names = match bin {
            Value::String(name) => vec![name.clone()],
            Value::Array(names) => names
                .iter()
                .map(|name| Some(name.as_str()?.to_owned()))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| malformed("a category's name"))?,
            _ => return Err(malformed("categories")),
        };
        categories.extend(names.into_iter().map(|name| (name, place + 1)));
    }
    Ok(categories)
}

/// Checks that scores have a place for each bin, one before them for missing values, and one after
/// them for unknown ones.
fn check_shape(scores: &Value, counts: &[usize]) -> Result<(), ImportError> {
    let Some((count, rest)) = counts.split_first() else {
        return Ok(());
    };
    match scores.as_array() {
        Some(scores) if scores.len() == count + 2 => {
            scores.iter().try_for_each(|scores| check_shape(scores, rest))
        }
        _ => Err(malformed(
            "a term's list of scores, one for each bin and two more,",
        )),
    }
}

/// A model under construction.
struct Additive {
    inputs: Vec<Input>,
    places: HashMap<String, usize>,
    steps: Vec<Step>,
    slots: usize,
    /// Slot of the bin of a column, for terms of so many features.
    bins: HashMap<(usize, usize), usize>,
    features: Vec<usize>,
    /// Weights of the features, one row per output.
    coef: Vec<Vec<f64>>,
    intercept: Vec<f64>,
}

impl Additive {
    fn new(inputs: Vec<Input>, intercept: Vec<f64>) -> Self {
        Self {
            places: inputs.iter().map(|input| input.name.clone()).zip(0..).collect(),
            slots: inputs.len(),
            inputs,
            steps: Vec::new(),
            bins: HashMap::new(),
            features: Vec::new(),
            coef: vec![Vec::new(); intercept.len()],
            intercept,
        }
    }

    fn step(&mut self, step: Step) -> Result<usize, ImportError> {
        let first = self.slots;
        self.slots += step.results();
        if self.slots > MOST_SLOTS {
            return refuse(format!(
                "it has more than {MOST_SLOTS} bins; fit it with smaller max_bins"
            ));
        }
        self.steps.push(step);
        Ok(first)
    }

    /// Returns the slot with the number of a column's bin, from 0. A missing or unknown value has
    /// the number after the last bin.
    fn bin(&mut self, column: usize, level: usize) -> Result<usize, ImportError> {
        if let Some(slot) = self.bins.get(&(column, level)) {
            return Ok(*slot);
        }
        let other = self.inputs[column].count(level) as f64;
        let step = match &self.inputs[column].bins {
            Bins::Numbers(levels) => Step::Bins {
                of: column as u32,
                edges: levels[level].clone(),
                equal: Side::Above,
                missing: Some(other),
            },
            Bins::Categories(levels) => Step::Lookup {
                of: column as u32,
                categories: Categories::Texts(levels[level].iter().map(|(name, _)| name.clone()).collect()),
                values: levels[level].iter().map(|(_, bin)| *bin as f64 - 1.0).collect(),
                unknown: Unknown::Value(other),
            },
        };
        let slot = self.step(step)?;
        self.bins.insert((column, level), slot);
        Ok(slot)
    }

    /// Adds the numbers of one term.
    fn add(&mut self, term: &Value) -> Result<(), ImportError> {
        let names = list(term, "term_features")?;
        let columns: Option<Vec<usize>> = names
            .iter()
            .map(|name| self.places.get(name.as_str()?).copied())
            .collect();
        let columns = columns
            .filter(|columns| !columns.is_empty())
            .ok_or_else(|| malformed("term_features"))?;
        if columns.len() > MOST_DIMENSIONS {
            return refuse(format!(
                "a term has {} features; at most {MOST_DIMENSIONS} are served. Fit it with interactions of pairs only",
                columns.len()
            ));
        }
        let levels: Vec<usize> = columns
            .iter()
            .map(|&column| self.inputs[column].level(columns.len()))
            .collect();
        let counts: Vec<usize> = columns
            .iter()
            .zip(&levels)
            .map(|(&column, &level)| self.inputs[column].count(level))
            .collect();
        // One more for missing and unknown values.
        let cells: usize = counts.iter().map(|count| count + 1).product();
        if cells > MOST_SLOTS {
            return refuse(format!(
                "a term has {cells} bins; fit it with smaller max_interaction_bins"
            ));
        }
        let mut slots = Vec::new();
        for (&column, &level) in columns.iter().zip(&levels) {
            slots.push(self.bin(column, level)?);
        }
        let of = match *slots.as_slice() {
            [slot] => slot,
            // The number of a pair of bins.
            ref pair => self.step(Step::Sums {
                of: pair.iter().copied().collect(),
                weights: vec![vec![counts[1] as f64 + 1.0, 1.0]],
                offset: vec![0.0],
            })?,
        };
        let first = self.step(Step::OneHot {
            of: of as u32,
            categories: Categories::Numbers((0..cells).map(|cell| cell as f64).collect()),
            unknown: Unknown::Refuse,
        })?;
        self.features.extend(first..first + cells);
        let scores = term.get("scores").ok_or_else(|| malformed("scores"))?;
        check_shape(scores, &counts)?;
        for cell in 0..cells {
            let bins = match *counts.as_slice() {
                [_] => vec![cell],
                ref counts => vec![cell / (counts[1] + 1), cell % (counts[1] + 1)],
            };
            let score = self.score(scores, &columns, &bins, &counts)?;
            for (row, score) in self.coef.iter_mut().zip(score) {
                row.push(score);
            }
        }
        Ok(())
    }

    /// Returns the numbers of one cell, one per output. In the file, bin 0 is that of missing
    /// values, and the last one that of unknown ones.
    fn score(
        &self,
        scores: &Value,
        columns: &[usize],
        bins: &[usize],
        counts: &[usize],
    ) -> Result<Vec<f64>, ImportError> {
        let at = |other: fn(usize) -> usize| {
            let mut found = scores;
            for (bin, count) in bins.iter().zip(counts) {
                let place = if bin == count { other(*count) } else { bin + 1 };
                found = found.get(place).ok_or_else(|| malformed("scores"))?;
            }
            let found = numbers(Some(found))?;
            if found.len() == self.intercept.len() {
                Ok(found)
            } else {
                Err(malformed("scores"))
            }
        };
        let missing = at(|_| 0)?;
        let is_other = bins.iter().zip(counts).any(|(bin, count)| bin == count);
        let has_categories = columns
            .iter()
            .any(|&column| matches!(self.inputs[column].bins, Bins::Categories(_)));
        if is_other && has_categories && at(|count| count + 1)? != missing {
            return refuse(format!(
                "it tells missing and unknown categories of {} apart: fill in missing ones before it is fitted",
                quoted(&self.inputs[columns[0]].name)
            ));
        }
        Ok(missing)
    }

    fn finish(self, output: &Value) -> Result<Fitted, ImportError> {
        let text = |name: &str| output.get(name).and_then(Value::as_str).unwrap_or_default();
        let classes: Option<Vec<String>> = output.get("classes").and_then(Value::as_array).map(|classes| {
            let name = |class: &Value| class.as_str().map_or_else(|| class.to_string(), str::to_owned);
            classes.iter().map(name).collect()
        });
        let rows = self.coef.len();
        let (link, task) = match (text("task"), text("link")) {
            ("classification", "logit") if rows == 1 => (Link::Sigmoid, Task::Classification),
            ("classification", "mlogit") if rows > 1 => (Link::Softmax, Task::Classification),
            ("regression", "identity") => (Link::Identity, Task::Regression),
            ("regression", "log") => (Link::Exp, Task::Regression),
            (task, link) => return refuse(format!("it is for {task} with the link {link}")),
        };
        let columns = self.inputs.iter().map(|input| Column {
            name: Some(input.name.clone()),
            kind: match input.bins {
                Bins::Numbers(_) => ColumnKind::Number,
                Bins::Categories(_) => ColumnKind::Category,
            },
            single: false,
        });
        let count = self.features.len();
        if !FEATURES.contains(&count) {
            return refuse(format!(
                "it has {count} bins, and at most {} are served: fit it with smaller max_bins or max_interaction_bins, or fewer interactions",
                FEATURES.end()
            ));
        }
        let mut fitted = Fitted::new(link, self.coef, self.intercept);
        fitted.features = Some(self.inputs.iter().map(|input| input.name.clone()).collect());
        fitted.encoding = Some(Encoding {
            columns: columns.collect(),
            steps: self.steps,
            features: self.features.into_iter().collect(),
        });
        fitted.intervals = vec![(0.0, 1.0); count];
        fitted.ranges = Some(fitted.intervals.clone());
        fitted.task = Some(task);
        match (rows, classes) {
            (1, Some(classes)) if task == Task::Classification => {
                if classes.len() != 2 {
                    return Err(malformed("classes"));
                }
                fitted.classes = Some(classes);
            }
            (_, Some(classes)) if task == Task::Classification => fitted.labels = Some(classes),
            _ if task == Task::Classification => return Err(malformed("classes")),
            _ => {}
        }
        Ok(fitted)
    }
}
