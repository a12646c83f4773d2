//! Computed numbers that lie on the edge of a bin: the last digit decides, and it isn't known.

use super::{Calibration, compare::MOST_ROWS};
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::encoding::{Encoding, Step};
use std::collections::BTreeMap;

/// Relative distance of what may be equal: some roundings to single precision.
const NEAR: f64 = 2.0 * f32::EPSILON as f64;

/// Returns words about a row whose computed number is as good as on the edge of a bin, if there is
/// one. scikit-learn, the file and a client round the number each in their own way.
pub(super) fn first_on_edge(encoding: &Encoding, data: &Calibration) -> Option<String> {
    for (place, step) in encoding.steps.iter().enumerate() {
        for (slot, edges) in decided(step) {
            let Some(terms) = terms(encoding, slot) else {
                continue;
            };
            if let Some((row, edge)) = on_edge(encoding, place, slot, &terms, &edges, data) {
                return Some(format!(
                    "row {} of --calibrate is on the edge {edge} of a bin of {}, a computed number, whose last digit decides and differs from \
                     program to program. Put KBinsDiscretizer or Binarizer before the step that computes it, such as a scaler; trees need no scaler",
                    row + 1,
                    name(encoding, slot)
                ));
            }
        }
    }
    None
}

/// Returns whether a number is computed by a step, and so has a last digit that differs from
/// program to program.
pub(super) fn is_computed(encoding: &Encoding, slot: usize) -> bool {
    terms(encoding, slot).is_some()
}

/// Returns the slots that a step compares with numbers, and these numbers.
fn decided(step: &Step) -> Vec<(usize, Vec<f64>)> {
    match step {
        Step::Bins { of, edges, .. } | Step::Thermometer { of, edges, .. } => {
            vec![(*of as usize, edges.clone())]
        }
        Step::Leaves { decisions } => {
            let mut edges: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
            for decision in decisions {
                edges
                    .entry(decision.of as usize)
                    .or_default()
                    .push(decision.threshold);
            }
            edges.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Returns a row whose number in a slot is as good as equal to an edge, and the edge. The number is
/// computed by the steps before `place`, from `terms`.
fn on_edge(
    encoding: &Encoding,
    place: usize,
    slot: usize,
    terms: &[(usize, f64)],
    edges: &[f64],
    data: &Calibration,
) -> Option<(usize, f64)> {
    let mut features: Vec<usize> = terms.iter().map(|term| term.0).chain([slot]).collect();
    features.sort_unstable();
    features.dedup();
    let encoder = Encoder::of(&Encoding {
        columns: encoding.columns.clone(),
        steps: encoding.steps[..place].to_vec(),
        features: features.iter().copied().collect(),
    });
    data.sample(MOST_ROWS).find_map(|row| {
        let record: Vec<Cell<'_>> = data.record(row);
        let numbers = encoder.encode(&record).ok()?;
        let of = |slot: usize| numbers[features.partition_point(|other| *other < slot)];
        let number = of(slot);
        let size = terms
            .iter()
            .map(|(slot, weight)| (weight * of(*slot)).abs())
            .sum::<f64>();
        let allowed = NEAR * (size + number.abs());
        let edge = edges.iter().find(|edge| (number - **edge).abs() <= allowed)?;
        Some((row, *edge))
    })
}

/// Returns the slots that a number is computed from, each with a factor, or `None` if it is exact:
/// a column's, perhaps filled in, or a count.
fn terms(encoding: &Encoding, slot: usize) -> Option<Vec<(usize, f64)>> {
    let (step, place) = encoding.step_of(slot)?;
    match step {
        Step::Impute { of, .. } | Step::Clip { of, .. } => terms(encoding, of.iter().nth(place)?),
        Step::Missing { .. }
        | Step::Bins { .. }
        | Step::Thermometer { .. }
        | Step::Leaves { .. }
        | Step::OneHot { .. }
        | Step::Lookup { .. }
        | Step::Counts { .. }
        | Step::Hashed { .. } => None,
        Step::Affine { of, scale, offset }
            if scale.get(place) == Some(&1.0) && offset.get(place) == Some(&0.0) =>
        {
            terms(encoding, of.iter().nth(place)?)
        }
        Step::Affine { of, scale, .. } => Some(vec![(of.iter().nth(place)?, *scale.get(place)?)]),
        Step::Sums { of, weights, .. } => Some(of.iter().zip(weights.get(place)?.iter().copied()).collect()),
        Step::Products { .. }
        | Step::Apply { .. }
        | Step::Power { .. }
        | Step::YeoJohnson { .. }
        | Step::Piecewise { .. }
        | Step::Splines { .. }
        | Step::Normalise { .. } => Some(Vec::new()),
    }
}

fn name(encoding: &Encoding, slot: usize) -> String {
    let one = Encoding {
        columns: encoding.columns.clone(),
        steps: encoding.steps.clone(),
        features: [slot].into_iter().collect(),
    };
    one.describe(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibration::Wanted,
        table::{Table, TableOptions},
    };
    use blindscore_protocol::encoding::{Column, ColumnKind, Side};
    use std::io::Cursor;

    /// Returns the words about rows of ages that are scaled, and then in a bin above or below -0.4.
    fn words(scaled: bool, rows: &str) -> Option<String> {
        let column = Column {
            name: Some("age".into()),
            kind: ColumnKind::Number,
            single: false,
        };
        let scale = Step::Affine {
            of: [0].into_iter().collect(),
            scale: vec![0.1],
            offset: vec![-3.7],
        };
        let bins = Step::Bins {
            of: u32::from(scaled),
            edges: vec![if scaled { -0.4 } else { 33.0 }],
            equal: Side::Above,
            missing: None,
        };
        let steps = if scaled { vec![scale, bins] } else { vec![bins] };
        let encoding = Encoding {
            columns: vec![column],
            features: [steps.len()].into_iter().collect(),
            steps,
        };
        let encoder = Encoder::of(&encoding);
        let wanted = Wanted {
            encoder: &encoder,
            unused: &[],
        };
        let options = TableOptions::default();
        let source = Box::new(Cursor::new(format!("age\n{rows}").into_bytes()));
        let table = Table::read(source, &options, Some(&["age"]), Some(1), false).unwrap();
        let data = Calibration::parse(table, wanted, Some(&["age"]), &options).unwrap();
        first_on_edge(&encoding, &data)
    }

    #[test]
    fn rows_on_an_edge_of_a_computed_number_are_found() {
        // 33 / 10 - 3.7 is not quite -0.4.
        let found = words(true, "41\n33\n").unwrap();
        assert!(
            found.contains("row 2 ") && found.contains("age, scaled"),
            "{found}"
        );
        assert_eq!(words(true, "41\n33.001\n"), None);
        // A column's own numbers are what they are.
        assert_eq!(words(false, "41\n33\n"), None);
    }
}
