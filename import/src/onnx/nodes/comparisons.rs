//! Comparisons of numbers with constants: truth values, and the numbers of bins.

use super::{Node, shapes::LABELS_BY_SCORES};
use crate::{
    ImportError,
    onnx::{
        column::{Column, Columns},
        value::{Held, HeldStep, Value},
    },
};
use blindscore_protocol::{
    descriptor::Link,
    encoding::{Side, Step},
};

impl Node<'_> {
    /// Tells which values are missing (MissingIndicator).
    pub(super) fn missing(&self, columns: &Columns) -> Result<Value, ImportError> {
        let of = self.slots(columns)?.into_iter().collect();
        self.truths(self.step(Step::Missing { of })?, false)
    }

    /// Returns truth values, or their opposites.
    #[allow(clippy::unnecessary_wraps)]
    fn truths(&self, slots: Vec<usize>, opposite: bool) -> Result<Value, ImportError> {
        let mut columns = Columns::plain(slots, true);
        if opposite {
            columns.columns.iter_mut().for_each(negate);
        }
        Ok(Value::Features(columns.into()))
    }

    /// Returns the opposites of truth values.
    pub(super) fn not(&self, columns: &Columns) -> Result<Value, ImportError> {
        if !columns.integers || columns.columns.iter().any(|column| !column.whole) {
            return self.refuse(self.what_it_gets());
        }
        let mut columns = columns.clone();
        columns.columns.iter_mut().for_each(negate);
        Ok(Value::Features(columns.into()))
    }

    /// Compares each column with a constant (Binarizer, KBinsDiscretizer).
    pub(super) fn compared(&self, operator: &str, left: &Value, right: &Value) -> Result<Value, ImportError> {
        let (value, constant, swapped) = match (left, right) {
            (value, Value::Constant(constant)) => (value, constant, false),
            (Value::Constant(constant), value) => (value, constant, true),
            _ => return self.refuse(self.what_it_gets()),
        };
        let (slots, rounded) = self.compared_slots(value)?;
        let (slots, edges) = self.spread(slots, constant)?;
        // Whether the result is 1 for numbers above the edge, and where a number equal to it
        // belongs.
        let (above, equal) = match (operator, swapped) {
            ("Less", false) | ("Greater", true) => (false, Side::Above),
            ("LessOrEqual", false) | ("GreaterOrEqual", true) => (false, Side::Below),
            ("Greater", false) | ("Less", true) => (true, Side::Below),
            ("GreaterOrEqual", false) | ("LessOrEqual", true) => (true, Side::Above),
            _ => return self.refuse(self.what_it_gets()),
        };
        let mut results = Vec::with_capacity(slots.len());
        for (slot, edge) in slots.into_iter().zip(edges) {
            let edge = if rounded.contains(&slot) {
                before_rounding(edge, equal)
            } else {
                edge
            };
            results.extend(self.step(Step::Bins {
                of: slot as u32,
                edges: vec![edge],
                equal,
                missing: None,
            })?);
        }
        self.truths(results, !above)
    }

    /// Returns the slots of numbers that are compared, and those among them that are rounded
    /// before.
    fn compared_slots(&self, value: &Value) -> Result<(Vec<usize>, Vec<usize>), ImportError> {
        let Value::Features(columns) = value else {
            return Ok((self.numbers(value)?, Vec::new()));
        };
        if columns.vector {
            return self.refuse(self.what_it_gets());
        }
        let (rounded, others): (Vec<&Column>, Vec<&Column>) = columns
            .columns
            .iter()
            .filter(|column| column.is_plain())
            .partition(|column| column.rounded);
        for column in others {
            self.context.plan.keep_exact(column.slot);
        }
        let rounded = rounded.into_iter().map(|column| column.slot).collect();
        Ok((self.unrounded(columns)?, rounded))
    }

    /// Compares with a threshold: 1 above it, else 0.
    pub(super) fn binarizer(&self, value: &Value) -> Result<Value, ImportError> {
        let threshold = self.attributes().float("threshold", 0.0);
        // Scores with names are those of a classifier, of several labels (RidgeClassifier).
        if let Value::Scores(scores) = value
            && scores.names.is_some()
        {
            return self.refuse(LABELS_BY_SCORES);
        }
        // Labels of a classifier of several (MLPClassifier).
        if let Value::Scores(scores) = value
            && scores.link == Some(Link::Sigmoid)
            && threshold == 0.5
            && !scores.vector
            && scores.is_whole()
        {
            return Ok(Value::Held(Held {
                linear: scores.linear.clone(),
                step: HeldStep::Held,
            }));
        }
        let mut results = Vec::new();
        for slot in self.numbers(value)? {
            results.extend(self.step(Step::Bins {
                of: slot as u32,
                edges: vec![threshold],
                equal: Side::Below,
                missing: None,
            })?);
        }
        Ok(Self::results(results))
    }

    /// Returns the number of the bin that each row is in, which skl2onnx writes as the place of the
    /// first edge above the number, with a one after the last edge.
    pub(super) fn first_true(&self, columns: &Columns) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let axis = attributes.int("axis", 0);
        let first = attributes.int("select_last_index", 0) == 0;
        let Some((last, below)) = columns.columns.split_last() else {
            return self.refuse(self.what_it_gets());
        };
        let mut found = None;
        let mut edges = Vec::new();
        for column in below {
            let Some((step, _)) = self.context.plan.step_of(column.slot) else {
                return self.refuse(self.what_it_gets());
            };
            match &*step {
                Step::Bins {
                    of,
                    edges: one,
                    equal,
                    missing: None,
                } if one.len() == 1
                    && (column.scale, column.offset) == (-1.0, 1.0)
                    && found.is_none_or(|known| known == (*of, *equal)) =>
                {
                    found = Some((*of, *equal));
                    edges.push(one[0]);
                }
                _ => return self.refuse(self.what_it_gets()),
            }
        }
        let rising = edges.windows(2).all(|pair| pair[0] < pair[1]);
        match found {
            Some((of, equal))
                if rising && first && last.constant() == Some(1.0) && self.along_rows(Some(&[axis])) =>
            {
                let bin = self.step(Step::Bins {
                    of,
                    edges,
                    equal,
                    missing: None,
                })?;
                Ok(Value::Features(
                    Columns {
                        vector: attributes.int("keepdims", 1) == 0,
                        ..Columns::plain(bin, true)
                    }
                    .into(),
                ))
            }
            _ => self.refuse(format!("{} along axis {axis}", self.what_it_gets())),
        }
    }
}

fn negate(column: &mut Column) {
    column.scale = -column.scale;
    column.offset = 1.0 - column.offset;
}

/// Returns an edge that numbers are on the same side of as their roundings to single precision are
/// of `edge`.
pub(crate) fn before_rounding(edge: f64, equal: Side) -> f64 {
    let nearest = edge as f32;
    let is_above = match equal {
        Side::Above => f64::from(nearest) >= edge,
        Side::Below => f64::from(nearest) > edge,
    };
    // The least number in single precision that is above the edge, and the one before it.
    let above = if is_above { nearest } else { nearest.next_up() };
    let middle = f64::midpoint(f64::from(above.next_down()), f64::from(above));
    if !middle.is_finite() {
        return edge;
    }
    let rounds_up = middle as f32 == above;
    match equal {
        Side::Above if rounds_up => middle,
        Side::Above => middle.next_up(),
        Side::Below if rounds_up => middle.next_down(),
        Side::Below => middle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_before_rounding_tell_apart_what_those_after_it_do() {
        let one = 1.0f32;
        for edge in [
            0.1f32,
            0.3,
            1.0,
            one.next_up(),
            1e-3,
            -0.7,
            0.0,
            16_777_216.0,
            3.5e37,
        ] {
            for equal in [Side::Above, Side::Below] {
                let exact = before_rounding(f64::from(edge), equal);
                let above = |number: f64, edge: f64| match equal {
                    Side::Above => number >= edge,
                    Side::Below => number > edge,
                };
                let around = [edge.next_down(), edge, edge.next_up()].map(f64::from);
                let middles = around.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
                for number in around.into_iter().chain(middles) {
                    for number in [number.next_down(), number, number.next_up()] {
                        let rounded = f64::from(number as f32);
                        let expected = above(rounded, f64::from(edge));
                        assert_eq!(above(number, exact), expected, "{number} at {edge}, {equal:?}");
                    }
                }
            }
        }
    }
}
