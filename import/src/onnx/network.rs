//! Graphs of networks with hidden layers.
//!
//! Hidden units take the place of features of their own: what comes after them is read as a linear
//! model of their values.

use super::{
    Graph, ImportError, Uses,
    ensemble::FIRST,
    hidden::{Hidden, Unit},
    kinds,
    linear::Linear,
    operators, outputs,
    plan::Unused,
    proto::NodeProto,
    value::Value,
};
use crate::{
    layers::{FloatNetwork, HiddenUnit},
    quoted,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Most hidden layers.
const MOST_LAYERS: usize = 4;
/// Most hidden units of a layer.
const MOST_IN_LAYER: usize = 512;
/// Most hidden units of a network, which follows from the other bounds.
const MOST_UNITS: usize = 2_048;
const _: () = assert!(MOST_LAYERS * MOST_IN_LAYER <= MOST_UNITS);

impl Graph {
    /// Returns the network with hidden layers that the graph represents; `None` if it has no hidden
    /// units, so that [`Self::fitted`] or [`Self::ensemble`] reads it.
    ///
    /// # Errors
    /// If it has hidden units, and something that isn't served. The error names the operator or the
    /// output.
    pub(crate) fn network(&self) -> Result<Option<FloatNetwork>, ImportError> {
        let uses = self.uses()?;
        let nodes: Vec<&NodeProto> = self.used_nodes(&uses).collect();
        let is_certain = nodes.iter().any(|node| operators::is_activation(node));
        // Functions that are also steps of the public part, or make answers.
        if !is_certain && (!kinds::has_functions_between_maps(&nodes) || self.read(&uses).is_ok()) {
            return Ok(None);
        }
        let is_usual = nodes.iter().any(|node| kinds::is_usual_in_networks(node));
        let other_kind = kinds::of_network(&nodes);
        match self.layered(&uses, inner(&nodes)) {
            Ok(network) => Ok(Some(network)),
            // Another kind of model, such as a Gaussian process, which has words of its own.
            Err(_) if !is_certain && (other_kind.is_some() || !is_usual) => Ok(None),
            Err(error) => Err(match other_kind {
                Some(kind) if error.is_of_graph() => kind.found_in(&error),
                _ => in_network(error),
            }),
        }
    }

    fn layered(&self, uses: &Uses<'_>, inner: HashSet<String>) -> Result<FloatNetwork, ImportError> {
        let hidden = Hidden::new(inner);
        let (mut values, inputs) = self.evaluated(uses, None, Some(&hidden))?;
        for output in &self.graph.output {
            if let Some(Value::Units(units)) = values.get(&output.name) {
                let scores = units.as_answer(&hidden).map_err(|why| {
                    ImportError::Graph(format!("the model's output {:?} is{why}", output.name))
                })?;
                values.replace(&output.name, Value::Scores(scores));
            }
        }
        let (mut fitted, linear) = outputs::answers(&self.graph, &values, self.by_skl2onnx)?;
        let (units, sources) = hidden.into_units();
        let read = |place: usize| fitted.coef.iter().any(|row| row[place] != 0.0);
        let places = linear.support().iter().enumerate();
        let read: Vec<usize> = places
            .filter(|(place, _)| read(*place))
            .map(|(_, slot)| *slot)
            .collect();
        let order = ordered(&units, &read)?;
        let unit_slots = order.iter().map(|(_, index)| *index);
        let features: BTreeSet<usize> = unit_slots
            .flat_map(|index| units[index].terms.iter().map(|term| term.0))
            .chain(read.iter().copied())
            .filter(|slot| *slot < FIRST)
            .collect();
        let features: Vec<usize> = features.into_iter().collect();
        let sources = sources.into_iter().chain(linear.sources().iter().cloned());
        let scaled = Linear::of_forms(&[], sources.collect());
        let planned = inputs.plan.finish(&features, inputs.named, Unused::Dropped);
        let count = planned.features.len();
        let features: HashMap<usize, usize> = planned.features.iter().copied().zip(0..).collect();
        fitted.unused = inputs.unused;
        outputs::publish(&mut fitted, &scaled, planned)?;
        // Places of the units among those that are kept.
        let places: HashMap<usize, usize> = order.iter().map(|(_, index)| FIRST + index).zip(0..).collect();
        let spread = |terms: &[(usize, f64)], places: &HashMap<usize, usize>, count: usize| {
            let mut row = vec![0.0; count];
            for (slot, weight) in terms {
                if let Some(place) = places.get(slot) {
                    row[*place] = *weight;
                }
            }
            row
        };
        let rows: Vec<Vec<(usize, f64)>> = fitted
            .coef
            .iter()
            .map(|row| {
                linear
                    .support()
                    .iter()
                    .copied()
                    .zip(row.iter().copied())
                    .collect()
            })
            .collect();
        let outputs = rows.iter().map(|row| spread(row, &places, order.len())).collect();
        fitted.coef = rows.iter().map(|row| spread(row, &features, count)).collect();
        let hidden_unit = |(layer, index): &(usize, usize)| {
            let Unit { terms, offset, curve } = &units[*index];
            let reads_features = terms.iter().any(|term| term.0 < FIRST);
            HiddenUnit {
                layer: *layer,
                features: if reads_features {
                    spread(terms, &features, count)
                } else {
                    Vec::new()
                },
                units: terms
                    .iter()
                    .filter_map(|(slot, weight)| Some((*places.get(slot)?, *weight)))
                    .collect(),
                offset: *offset,
                curve: curve.clone(),
            }
        };
        Ok(FloatNetwork {
            units: order.iter().map(hidden_unit).collect(),
            outputs,
            fitted,
        })
    }
}

/// Returns an error in words about networks rather than about linear models.
fn in_network(error: ImportError) -> ImportError {
    match error {
        ImportError::Unsupported {
            operator,
            node,
            why,
            hint,
        } => {
            let node = match node.as_str() {
                "" => String::new(),
                node => format!(" (node {})", quoted(node)),
            };
            let hint = hint.map_or_else(String::new, |hint| format!(" {hint}."));
            ImportError::Graph(format!(
                "{operator}{node} is not supported{why}.{hint} Networks of fully connected layers with any activation between them are served"
            ))
        }
        error => error,
    }
}

/// Returns the layers and the indices of the units that outputs depend on, those of earlier layers
/// first. `read` are the slots that outputs read.
fn ordered(units: &[Unit], read: &[usize]) -> Result<Vec<(usize, usize)>, ImportError> {
    let index = |slot: &usize| slot.checked_sub(FIRST);
    let mut needed = vec![false; units.len()];
    read.iter()
        .filter_map(index)
        .for_each(|index| needed[index] = true);
    let mut layers = vec![0; units.len()];
    // Units read those that were planted before them.
    for (place, unit) in units.iter().enumerate() {
        let before = unit.terms.iter().filter_map(|(slot, _)| index(slot));
        layers[place] = before.map(|index| layers[index] + 1).max().unwrap_or(0);
    }
    for (place, unit) in units.iter().enumerate().rev() {
        if needed[place] {
            let before = unit.terms.iter().filter_map(|(slot, _)| index(slot));
            before.for_each(|index| needed[index] = true);
        }
    }
    let mut order: Vec<(usize, usize)> = (0..units.len())
        .filter(|place| needed[*place])
        .map(|place| (layers[place], place))
        .collect();
    order.sort_unstable();
    let refuse = |words: String| Err(ImportError::Graph(words));
    let Some((last, _)) = order.last() else {
        return refuse(
            "the model's outputs depend on none of its hidden units: what is left is a linear model. Export that by itself".into(),
        );
    };
    if *last >= MOST_LAYERS {
        return refuse(format!(
            "the network has {} hidden layers; at most {MOST_LAYERS} are allowed. Train one with fewer, wider layers",
            last + 1
        ));
    }
    for layer in order.chunk_by(|one, other| one.0 == other.0) {
        if layer.len() > MOST_IN_LAYER {
            return refuse(format!(
                "hidden layer {} of the network has {} units; at most {MOST_IN_LAYER} are allowed in one",
                layer[0].0 + 1,
                layer.len()
            ));
        }
    }
    Ok(order)
}

/// Returns the tensors that linear maps depend on.
fn inner(nodes: &[&NodeProto]) -> HashSet<String> {
    let mut inner: HashSet<String> = HashSet::new();
    for node in nodes.iter().rev() {
        if kinds::is_linear_map(node) || node.output.iter().any(|name| inner.contains(name)) {
            inner.extend(node.input.iter().cloned());
        }
    }
    inner.remove("");
    inner
}
