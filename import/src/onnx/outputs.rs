//! Meaning of a graph's outputs for a model: labels, scores, or probabilities. Any other output is
//! refused by name.

use super::{
    decider::Decider,
    heads::Heads,
    inputs::Inputs,
    linear::Linear,
    plan::{Planned, Unused},
    value::{Held, HeldStep, Label, Scores, Value},
    values::Values,
};
use crate::onnx::proto::{GraphProto, ValueInfoProto};
use crate::{Answer, Fitted, ImportError, listed};
use blindscore_protocol::descriptor::{FEATURES, Link, OUTPUTS, Task};
use std::{collections::HashSet, rc::Rc};

/// Outputs of a graph by meaning, in the graph's order.
#[derive(Default)]
struct Outputs<'a> {
    scores: Vec<(&'a str, &'a Scores)>,
    labels: Vec<(&'a str, &'a Label)>,
    held: Vec<(&'a str, &'a Held)>,
    /// Names of the outputs that have both probabilities of each of several models.
    sequences: Vec<&'a str>,
    /// Names of the outputs with scores that are logarithms of their probabilities.
    logs: Vec<&'a str>,
    /// Names of the outputs with the opposite signs of a machine's scores.
    machines: Vec<&'a str>,
    /// Probabilities and scores of several models.
    combined: Vec<(&'a str, Answer, Decider)>,
    /// Names of the outputs whose columns a ZipMap names.
    zipped: HashSet<&'a str>,
}

/// Returns the model whose answers the outputs are. skl2onnx gives labels for every classifier, so
/// raw scores alone are values.
pub(super) fn explain(
    graph: &GraphProto,
    values: &Values<'_>,
    inputs: Inputs,
    by_skl2onnx: bool,
) -> Result<Fitted, ImportError> {
    let (mut fitted, linear) = answers(graph, values, by_skl2onnx)?;
    fitted.unused = inputs.unused;
    let planned = inputs
        .plan
        .finish(linear.support(), inputs.named, Unused::Dropped);
    let (support, count) = (linear.support(), planned.features.len());
    for row in &mut fitted.coef {
        let mut spread = vec![0.0; count];
        for (slot, weight) in support.iter().zip(row.iter()) {
            spread[planned.features.partition_point(|other| other < slot)] = *weight;
        }
        *row = spread;
    }
    publish(&mut fitted, &linear, planned)?;
    Ok(fitted)
}

/// Adds the public part to a model. `scaled` is made of the columns whose scalers tell their
/// ranges.
pub(super) fn publish(fitted: &mut Fitted, scaled: &Linear, planned: Planned) -> Result<(), ImportError> {
    check_features(planned.features.len())?;
    fitted.assumed = Some(scaled.assumed());
    let bounded = |feature: usize| {
        let (least, most) = planned.intervals[feature];
        (least.is_finite() && most.is_finite()).then_some((least, most))
    };
    fitted.ranges = scaled.ranges(&planned.features, |slot| {
        bounded(planned.features.binary_search(&slot).ok()?)
    });
    fitted.intervals = planned.intervals;
    fitted.groups = planned.groups;
    fitted.features = planned.names;
    fitted.unused.extend(planned.unused);
    fitted.encoding = planned.encoding;
    Ok(())
}

/// Returns the model whose answers the outputs are, without its public part, and its scores.
pub(super) fn answers(
    graph: &GraphProto,
    values: &Values<'_>,
    by_skl2onnx: bool,
) -> Result<(Fitted, Rc<Linear>), ImportError> {
    let outputs = Outputs::read(graph, values)?;
    let (fitted, linear) = match outputs.combined(graph)? {
        Some(combined) => combined,
        None => outputs.single(graph, by_skl2onnx)?,
    };
    check_count(fitted.coef.len())?;
    Ok((fitted, linear))
}

/// Returns whether names are 0, 1, 2, ...
fn is_counted(names: &[String]) -> bool {
    names
        .iter()
        .enumerate()
        .all(|(place, name)| *name == place.to_string())
}

fn check_features(features: usize) -> Result<(), ImportError> {
    if FEATURES.contains(&features) {
        return Ok(());
    }
    Err(ImportError::Graph(format!(
        "the model's weights take {features} numbers of each record, after its public part; {} to {} are allowed",
        FEATURES.start(),
        FEATURES.end()
    )))
}

fn check_count(outputs: usize) -> Result<(), ImportError> {
    if OUTPUTS.contains(&outputs) {
        return Ok(());
    }
    Err(ImportError::Graph(format!(
        "the model has {outputs} outputs or more; at most {} are allowed",
        OUTPUTS.end()
    )))
}

/// Returns the error for two outputs that don't belong to one model.
fn two(one: &str, other: &str) -> ImportError {
    ImportError::Graph(format!(
        "the model's outputs {one:?} and {other:?} are not of the same scores; a model that is served has one answer. Export one of them \
         by itself"
    ))
}

impl<'a> Outputs<'a> {
    fn read(graph: &'a GraphProto, values: &'a Values<'_>) -> Result<Self, ImportError> {
        let zips = graph.node.iter().filter(|node| node.op_type == "ZipMap");
        let mut outputs = Self {
            zipped: zips
                .flat_map(|node| node.output.iter().map(String::as_str))
                .collect(),
            ..Self::default()
        };
        for output in &graph.output {
            let name = output.name.as_str();
            match values.get(name) {
                Some(Value::Scores(scores)) => outputs.scores.push((name, scores)),
                Some(Value::MachineScores(scores)) => {
                    outputs.machines.push(name);
                    outputs.scores.push((name, scores));
                }
                Some(Value::Sequence(scores)) => {
                    outputs.sequences.push(name);
                    outputs.scores.push((name, scores));
                }
                Some(Value::LogSoftmax(scores)) => {
                    outputs.logs.push(name);
                    outputs.scores.push((name, scores));
                }
                Some(Value::Label(label)) => outputs.labels.push((name, label)),
                Some(Value::Average(average)) => {
                    let all = (0..average.classes).collect();
                    outputs.combined.push((
                        name,
                        Answer::Probabilities(all),
                        Decider::Average(average.clone()),
                    ));
                }
                Some(Value::Pairs(pairs)) => {
                    outputs
                        .combined
                        .push((name, Answer::OneVsOne, Decider::Pairs(pairs.clone())));
                }
                Some(Value::PairScores(pairs)) => {
                    let opposite = (0..pairs.linear.len()).map(|place| (place, -1.0)).collect();
                    outputs
                        .combined
                        .push((name, Answer::Scores(opposite), Decider::Pairs(pairs.clone())));
                }
                Some(Value::Held(held)) if held.step == HeldStep::Held => outputs.held.push((name, held)),
                Some(value) => {
                    return Err(ImportError::Graph(format!(
                        "the model's output {name:?} is {}, not an answer: export the model without it",
                        value.kind()
                    )));
                }
                None => {
                    return Err(ImportError::Graph(format!(
                        "the model's output {name:?} is given by none of its nodes"
                    )));
                }
            }
        }
        Ok(outputs)
    }

    /// Returns the model that combines several, and the scores of all of them; `None` if the
    /// outputs are those of one.
    fn combined(&self, graph: &GraphProto) -> Result<Option<(Fitted, Rc<Linear>)>, ImportError> {
        let label = self.label()?;
        let decides = label.filter(|(_, label)| !matches!(label.decider, Decider::Largest(_)));
        let by_label = decides.map(|(name, label)| (name, &label.decider));
        // The decision function shows which rule breaks ties, the scores of pairs don't.
        let shows_rule = |(_, answer, _): &&(&str, Answer, Decider)| *answer == Answer::OneVsOne;
        let by_scores = self.combined.iter().find(shows_rule).or(self.combined.first());
        let by_scores = by_scores.map(|(name, _, decider)| (*name, decider));
        let Some((first, decider)) = by_label.or(by_scores) else {
            return Ok(None);
        };
        let others = self.scores.iter().map(|(name, _)| *name);
        let others = others.chain(self.held.iter().map(|(name, _)| *name));
        let labels = label.filter(|_| decides.is_none()).map(|(name, _)| name);
        let unlike = self.combined.iter().filter(|(_, _, other)| !decider.is_of(other));
        let unlike = unlike.map(|(name, ..)| *name);
        if let Some(other) = others.chain(labels).chain(unlike).next() {
            return Err(two(first, other));
        }
        let classes = decider.classes();
        let zipped = self
            .combined
            .iter()
            .filter(|(name, ..)| self.zipped.contains(name));
        let zipped = zipped.filter_map(|(name, _, decider)| Some((*name, decider.names()?)));
        // skl2onnx gives the places of the classes as the labels of OneVsOneClassifier, and their
        // names in a ZipMap only.
        let placed = matches!(decider, Decider::Pairs(pairs) if pairs.link == Link::OneVsOne)
            && label.is_some_and(|(_, label)| is_counted(&label.names));
        let names = match label {
            Some((one, label)) if !placed => {
                if let Some((other, names)) = zipped.clone().find(|(_, names)| *names != label.names) {
                    return Err(ImportError::Graph(format!(
                        "the model's labels ({one:?}) are called {}, its scores ({other:?}) {}",
                        listed(&label.names),
                        listed(names)
                    )));
                }
                label.names.clone()
            }
            _ => match zipped.map(|(_, names)| names).next().or(decider.names()) {
                Some(names) => names.to_vec(),
                None => (0..classes).map(|class| class.to_string()).collect(),
            },
        };
        let (linear, link, members) = decider.scores()?;
        check_count(linear.len())?;
        let answer = |output: &ValueInfoProto| {
            let own = self.combined.iter().find(|(name, ..)| *name == output.name);
            let labels = if placed { Answer::Place } else { Answer::Label };
            own.map_or(labels, |(_, answer, _)| answer.clone())
        };
        let fitted = Fitted {
            // Models in an average count the classes.
            unnamed: is_counted(&names) && (placed || label.is_none()),
            task: Some(Task::Classification),
            classes: Some(names),
            members,
            answers: graph.output.iter().map(answer).collect(),
            ..Heads::fitted(&linear, Some(link))
        };
        Ok(Some((fitted, linear)))
    }

    /// Returns the model that one linear map and its outputs are.
    fn single(&self, graph: &GraphProto, by_skl2onnx: bool) -> Result<(Fitted, Rc<Linear>), ImportError> {
        let largest = |(name, label): (&'a str, &'a Label)| match &label.decider {
            Decider::Largest(linear) => Some((name, label, linear)),
            _ => None,
        };
        let (label, held) = (self.label()?.and_then(largest), self.held()?);
        let heads = match (self.heads()?, label, held) {
            (Some(heads), _, _) => heads,
            // A support vector machine may give labels only; the scores that decide them are
            // inside.
            (None, Some((_, _, linear)), _) => Heads::of(Scores::raw(linear.clone())),
            (None, None, Some((_, held))) => Heads::of(Scores::new(held.linear.clone(), Some(Link::Sigmoid))),
            (None, None, None) => {
                return Err(ImportError::Graph(
                    "the model gives neither scores nor probabilities".into(),
                ));
            }
        };
        let mut fitted = match (label, held) {
            (Some((name, label, linear)), None) => heads.classifier(name, &label.names, linear)?,
            (None, Some((name, held))) => heads.multilabel(name, held)?,
            (None, None) => match self.machines.first() {
                None => heads.unlabelled()?,
                Some(name) => {
                    return Err(ImportError::Graph(format!(
                        "the model's output {name:?} has the scores of a support vector machine between two classes, to which ONNX gives the \
                         opposite signs: export its labels too"
                    )));
                }
            },
            (Some((label, ..)), Some((held, _))) => return Err(two(label, held)),
        };
        if by_skl2onnx && fitted.task.is_none() && heads.whole.link.is_none() {
            fitted.task = Some(Task::Regression);
        }
        check_count(fitted.coef.len())?;
        fitted.answers = graph
            .output
            .iter()
            .map(|output| self.answer(&output.name, &heads, &fitted))
            .collect();
        Ok((fitted, heads.whole.linear))
    }

    /// Returns the labels, if any. Several outputs of labels must be the same.
    fn label(&self) -> Result<Option<(&'a str, &'a Label)>, ImportError> {
        let Some((&(name, label), rest)) = self.labels.split_first() else {
            return Ok(None);
        };
        match rest
            .iter()
            .find(|(_, other)| other.decider != label.decider || other.names != label.names)
        {
            Some((other, _)) => Err(two(name, other)),
            None => Ok(Some((name, label))),
        }
    }

    fn held(&self) -> Result<Option<(&'a str, &'a Held)>, ImportError> {
        let Some((&(name, held), rest)) = self.held.split_first() else {
            return Ok(None);
        };
        match rest.iter().find(|(_, other)| other.linear != held.linear) {
            Some((other, _)) => Err(two(name, other)),
            None => Ok(Some((name, held))),
        }
    }

    /// Returns the scores of all outputs side by side, each once. Raw scores of known probabilities
    /// add nothing.
    fn heads(&self) -> Result<Option<Heads>, ImportError> {
        let mut parts: Vec<(&str, Scores)> = Vec::new();
        let (mut places, mut columns) = (Vec::new(), 0);
        // Probabilities first, because they determine what raw scores belong to.
        let (linked, raw): (Vec<_>, Vec<_>) =
            (0..self.scores.len()).partition(|&index| self.scores[index].1.link.is_some());
        for index in linked.into_iter().chain(raw) {
            let (name, scores) = self.scores[index];
            let known = parts.iter().position(|(_, part)| {
                part.linear == scores.linear
                    && (part.link == scores.link && part.places == scores.places
                        || scores.link.is_none() && part.is_whole())
            });
            let part = known.unwrap_or(parts.len());
            places.push((index, part));
            if known.is_none() {
                // Each part is compared with all parts before it.
                columns += scores.len();
                check_count(columns)?;
                let matrix = Scores {
                    vector: false,
                    ..scores.clone()
                };
                parts.push((name, matrix));
            }
        }
        let Some(((first, _), rest)) = parts.split_first() else {
            return Ok(None);
        };
        let all: Vec<&Scores> = parts.iter().map(|(_, part)| part).collect();
        let whole = match all.as_slice() {
            [only] => (*only).clone(),
            several => match (Scores::beside(several), rest.first()) {
                (Some(whole), _) => whole,
                (None, Some((other, _))) => return Err(two(first, other)),
                (None, None) => return Ok(None),
            },
        };
        if !whole.is_whole() {
            return Err(ImportError::Graph(format!(
                "the model's outputs have {} of the {} probabilities that add up to one: export all of them, in their order",
                whole.len(),
                whole.linear.len()
            )));
        }
        let mut ends = Vec::new();
        for (_, part) in &parts {
            ends.push(ends.last().copied().unwrap_or(0) + part.len());
        }
        let start = |part: usize| ends[part] - parts[part].1.len();
        let mut starts = vec![0; self.scores.len()];
        for (index, part) in places {
            starts[index] = start(part);
        }
        let single = !rest.is_empty() && parts.iter().all(|(_, part)| part.len() == 1);
        // Several columns of one output are numbered after its name. Columns of one softmax are
        // classes, with names of their own.
        let named = single || !rest.is_empty() && whole.independent();
        let column = |(name, part): &(&str, Scores)| -> Vec<String> {
            match part.len() {
                1 => vec![(*name).to_owned()],
                several => (0..several).map(|place| format!("{name}_{place}")).collect(),
            }
        };
        Ok(Some(Heads {
            names: named.then(|| parts.iter().flat_map(column).collect()),
            whole,
            starts,
            single,
        }))
    }

    /// Returns the meaning of an output for the fitted model.
    fn answer(&self, name: &str, heads: &Heads, fitted: &Fitted) -> Answer {
        let Some(index) = self.scores.iter().position(|(other, _)| *other == name) else {
            return if self.held.is_empty() {
                Answer::Label
            } else {
                Answer::Held
            };
        };
        let (_, scores) = self.scores[index];
        let places = heads.starts[index]..heads.starts[index] + scores.len();
        let halved = fitted.coef.len() == 1 && heads.whole.len() == 2;
        if self.sequences.contains(&name) {
            return Answer::Pairs(places.collect());
        }
        if self.logs.contains(&name) {
            return Answer::LogProbabilities(places.collect());
        }
        match (scores.link, fitted.classes.is_some()) {
            (Some(Link::Exp), _) => Answer::Values(places.collect()),
            // A single probability is that of the second class.
            (Some(_), true) if !halved => Answer::Probabilities(vec![1]),
            (Some(_), _) => Answer::Probabilities(places.collect()),
            (None, _) if halved => {
                let sign = if self.machines.contains(&name) { -1.0 } else { 1.0 };
                Answer::Scores(
                    places
                        .map(|place| (0, if place == 0 { -sign } else { sign }))
                        .collect(),
                )
            }
            (None, _) => Answer::Scores(places.map(|place| (place, 1.0)).collect()),
        }
    }
}
