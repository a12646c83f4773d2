//! Matching of a CSV file's columns to those of a record.

use crate::args::CsvFile;
use anyhow::{bail, ensure};
use blindscore_protocol::{
    columns::{ColumnError, find_columns},
    descriptor::Inputs,
};
use csv::StringRecord;
use std::collections::{BTreeMap, HashSet};

/// Maximum number of column names in a message.
const SHOWN: usize = 12;

/// Positions of the features in a line, and their names in messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Number of cells in a line.
    pub(crate) count: usize,
    /// Position in a line, for each feature of the model.
    pub(crate) features: Vec<usize>,
    /// Name of the column, for each feature of the model.
    pub(crate) names: Vec<String>,
    /// Positions and names of the columns that are read besides the features.
    pub(crate) beside: Vec<(usize, String)>,
}

impl Columns {
    /// Takes all columns in order, except those that the arguments name by number, from 1.
    pub(crate) fn without_header(count: usize, inputs: &Inputs, csv: CsvFile<'_>) -> anyhow::Result<Self> {
        let mut places: BTreeMap<String, usize> =
            (0..count).map(|place| ((place + 1).to_string(), place)).collect();
        let beside = take(&mut places, csv, "the first line has no other column number")?;
        let mut features: Vec<usize> = places.into_values().collect();
        features.sort_unstable();
        ensure!(
            features.len() == inputs.columns(),
            "the model takes {} features, the first line has {} columns for them; --ignore 1 leaves the first one out{}",
            inputs.columns(),
            features.len(),
            id_hint(csv, "1 takes it")
        );
        let names = inputs.column_names();
        let called = |(index, place): (usize, &usize)| match &names {
            Some(names) => names[index].to_owned(),
            None => (place + 1).to_string(),
        };
        let named = |number: &String| {
            if csv.has_id {
                "id".to_owned()
            } else {
                format!("column {number}")
            }
        };
        Ok(Self {
            count,
            names: features.iter().enumerate().map(called).collect(),
            features,
            beside: beside.into_iter().zip(csv.beside.iter().map(named)).collect(),
        })
    }

    /// Finds columns by name if the model has names, otherwise takes them in order.
    pub(crate) fn from_header(
        header: &StringRecord,
        names: Option<&[&str]>,
        inputs: &Inputs,
        csv: CsvFile<'_>,
    ) -> anyhow::Result<Self> {
        let mut places = BTreeMap::new();
        for (place, name) in header.iter().enumerate() {
            if places.insert(name.trim().to_owned(), place).is_some() {
                bail!("the header has two columns named {:?}", name.trim());
            }
        }
        let beside = take(&mut places, csv, "the header has no other column named")?;
        let mut rest: Vec<usize> = places.into_values().collect();
        rest.sort_unstable();
        let features = match names {
            Some(names) => by_name(names, header, &rest, csv)?,
            None => {
                ensure!(
                    rest.len() == inputs.columns(),
                    "the model takes {} features, without names, the header has {} columns for them: {}; --ignore leaves columns out{}{}",
                    inputs.columns(),
                    rest.len(),
                    listed(header, &rest),
                    id_hint(csv, "takes one"),
                    separated(header)
                );
                rest
            }
        };
        let names = features.iter().map(|&place| header[place].trim().to_owned());
        Ok(Self {
            count: header.len(),
            names: names.collect(),
            features,
            beside: beside
                .into_iter()
                .map(|place| (place, header[place].trim().to_owned()))
                .collect(),
        })
    }
}

/// Returns the part of a message about the option `--id`.
fn id_hint(csv: CsvFile<'_>, takes: &str) -> String {
    if csv.has_id {
        format!(", --id {takes} into the output")
    } else {
        String::new()
    }
}

/// Removes the columns that are not features from `places`. Returns the positions of those that are
/// read all the same.
fn take(places: &mut BTreeMap<String, usize>, csv: CsvFile<'_>, unknown: &str) -> anyhow::Result<Vec<usize>> {
    let mut take = |name: &String| match places.remove(name.trim()) {
        Some(place) => Ok(place),
        None => bail!("{unknown} {name:?}"),
    };
    let beside = csv.beside.iter().map(&mut take).collect::<Result<_, _>>()?;
    for name in &csv.layout.ignore {
        take(name)?;
    }
    Ok(beside)
}

/// Returns the position of each feature among the remaining columns. No column may be left over: it
/// could be a feature under another name.
fn by_name(
    names: &[&str],
    header: &StringRecord,
    rest: &[usize],
    csv: CsvFile<'_>,
) -> anyhow::Result<Vec<usize>> {
    let columns: Vec<&str> = rest.iter().map(|&place| &header[place]).collect();
    // pandas calls the only column of a table without names 0.
    if let ([_], ["0"]) = (names, columns.as_slice()) {
        return Ok(rest.to_vec());
    }
    let found = match find_columns(names, &columns) {
        Ok(found) => found,
        Err(error @ ColumnError::Missing { .. }) => bail!("{error}{}", separated(header)),
        Err(error) => return Err(error.into()),
    };
    let features: Vec<usize> = found.into_iter().map(|place| rest[place]).collect();
    let used: HashSet<usize> = features.iter().copied().collect();
    let unknown: Vec<usize> = rest
        .iter()
        .copied()
        .filter(|place| !used.contains(place))
        .collect();
    if let Some(&first) = unknown.first() {
        let all: Vec<&str> = unknown.iter().map(|&place| header[place].trim()).collect();
        bail!(
            "the model has no features named {}: --ignore '{}' leaves them out{}",
            listed(header, &unknown),
            all.join(","),
            id_hint(csv, &format!("'{}' takes one of them", header[first].trim()))
        );
    }
    Ok(features)
}

fn listed(header: &StringRecord, places: &[usize]) -> String {
    let names = places
        .iter()
        .take(SHOWN)
        .map(|&place| format!("{:?}", header[place].trim()));
    let names = names.collect::<Vec<_>>().join(", ");
    match places.len() {
        count if count > SHOWN => format!("{names} and {} more", count - SHOWN),
        _ => names,
    }
}

/// Returns a hint if a header of one column shows that its columns are separated by something else.
fn separated(header: &StringRecord) -> &'static str {
    match header.get(0) {
        Some(only) if header.len() == 1 && only.trim().contains(['|', ' ', ':']) => {
            "; columns are separated by ',', ';' or tabs, and this header has none: save the file with one of them"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LayoutArgs;
    use std::path::Path;

    #[test]
    fn features_are_found_by_name_also_as_converters_write_it() {
        let layout = LayoutArgs::default();
        let csv = CsvFile {
            path: Path::new("rows.csv"),
            layout: &layout,
            beside: &[],
            has_id: true,
        };
        let find = |names: &[&str], header: &StringRecord, rest: &[usize]| by_name(names, header, rest, csv);
        let header = StringRecord::from(vec!["mean radius", "x", "a"]);
        assert_eq!(find(&["a", "mean_radius"], &header, &[0, 2]).unwrap(), [2, 0]);
        let error = find(&["a", "b"], &header, &[0, 2]).unwrap_err().to_string();
        assert_eq!(error, r#"no column is called "b"; the header has "mean radius""#);
        let error = find(&["a"], &header, &[0, 1, 2]).unwrap_err().to_string();
        assert!(
            error.contains(r#"no features named "mean radius", "x": --ignore 'mean radius,x'"#),
            "{error}"
        );
        let error = find(&["a", "b"], &StringRecord::from(vec!["a|b"]), &[0]).unwrap_err();
        assert!(error.to_string().contains("columns are separated by"), "{error}");
    }
}
