//! Which column of a CSV file is which feature.

use crate::args::PredictArgs;
use anyhow::{bail, ensure};
use blindscore_protocol::descriptor::Inputs;
use csv::StringRecord;
use std::collections::{HashMap, HashSet};

/// Where the features stand in a line, and what people call them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// For each feature of the model, its place in a line.
    pub(crate) features: Vec<usize>,
    /// For each feature, the name of its column.
    pub(crate) names: Vec<String>,
    /// Place of the column that goes into the output.
    pub(crate) id: Option<usize>,
}

impl Columns {
    /// All columns in order, `count` of them.
    pub(crate) fn without_header(count: usize, inputs: &Inputs) -> anyhow::Result<Self> {
        ensure!(
            count == inputs.count,
            "the model takes {} features, the first line has {count} columns",
            inputs.count
        );
        let called = |index| match inputs.name(index) {
            Some(name) => name.to_owned(),
            None => (index + 1).to_string(),
        };
        Ok(Self {
            features: (0..count).collect(),
            names: (0..count).map(called).collect(),
            id: None,
        })
    }

    /// By name, if the model has names; else in order.
    pub(crate) fn from_header(
        header: &StringRecord,
        inputs: &Inputs,
        args: &PredictArgs,
    ) -> anyhow::Result<Self> {
        let mut places = HashMap::new();
        for (place, name) in header.iter().enumerate() {
            if places.insert(name, place).is_some() {
                bail!("the header has two columns named {name:?}");
            }
        }
        let id = take(&mut places, args.id.iter())?.pop();
        take(&mut places, args.ignore.iter())?;

        let named: Option<Vec<&str>> = (0..inputs.count).map(|index| inputs.name(index)).collect();
        let features = match named {
            Some(names) => by_name(&names, &places)?,
            None => {
                let mut rest: Vec<usize> = places.into_values().collect();
                rest.sort_unstable();
                ensure!(
                    rest.len() == inputs.count,
                    "the model takes {} features, without names, the header has {} columns for them; --id and --ignore name \
                     columns that are none",
                    inputs.count,
                    rest.len()
                );
                rest
            }
        };
        let names = features.iter().map(|&place| header[place].to_owned()).collect();
        Ok(Self { features, names, id })
    }
}

/// Takes columns out of those that may be features; gives their places.
fn take<'a>(
    places: &mut HashMap<&str, usize>,
    names: impl Iterator<Item = &'a String>,
) -> anyhow::Result<Vec<usize>> {
    let place = |name: &String| match places.remove(name.trim()) {
        Some(place) => Ok(place),
        None => bail!("the header has no other column named {name:?}"),
    };
    names.map(place).collect()
}

fn by_name(names: &[&str], places: &HashMap<&str, usize>) -> anyhow::Result<Vec<usize>> {
    let missing: Vec<&str> = names
        .iter()
        .filter(|name| !places.contains_key(*name))
        .copied()
        .collect();
    let known: HashSet<&str> = names.iter().copied().collect();
    let mut unknown: Vec<&str> = places
        .keys()
        .filter(|name| !known.contains(*name))
        .copied()
        .collect();
    unknown.sort_unstable_by_key(|name| places[name]);
    if missing.is_empty() && unknown.is_empty() {
        return Ok(names.iter().map(|name| places[name]).collect());
    }
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!("columns are missing: {}", missing.join(", ")));
    }
    if !unknown.is_empty() {
        problems.push(format!(
            "the model has no features named: {} (--ignore leaves columns out)",
            unknown.join(", ")
        ));
    }
    bail!("{}", problems.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_found_by_name() {
        let places = HashMap::from([("b", 0), ("a", 2)]);
        assert_eq!(by_name(&["a", "b"], &places).unwrap(), [2, 0]);
        let error = by_name(&["a", "c", "d"], &places).unwrap_err().to_string();
        assert!(error.contains("columns are missing: c, d;"), "{error}");
        assert!(error.contains("no features named: b (--ignore"), "{error}");
    }
}
