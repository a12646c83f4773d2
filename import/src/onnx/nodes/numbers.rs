//! Operators on the numbers of a record that aren't linear: they become steps of the public part.

use super::{Node, shapes::LABELS_BY_SCORES};
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        column::{Column, Columns},
        constant::Constant,
        repair::LARGEST_MAGNITUDE,
        value::{Grid, RowNorm, Value},
    },
};
use blindscore_protocol::encoding::{Function, Norm, Side, Slots, Step};

impl Node<'_> {
    /// Returns the slots of columns, each scaled, shifted and rounded as it is.
    pub(super) fn slots(&self, columns: &Columns) -> Result<Vec<usize>, ImportError> {
        let rounded = columns
            .columns
            .iter()
            .filter(|column| column.rounded && column.is_plain());
        rounded.for_each(|column| self.context.plan.make_single(column.slot));
        self.unrounded(columns)
    }

    /// Returns the slots of columns, each scaled and shifted as it is.
    fn unrounded(&self, columns: &Columns) -> Result<Vec<usize>, ImportError> {
        let moved: Vec<&Column> = columns
            .columns
            .iter()
            .filter(|column| !column.is_plain())
            .collect();
        let results = if moved.is_empty() {
            Vec::new()
        } else {
            self.step(Step::Affine {
                of: moved.iter().map(|column| column.slot).collect(),
                scale: moved.iter().map(|column| column.scale).collect(),
                offset: moved.iter().map(|column| column.offset).collect(),
            })?
        };
        let mut results = results.into_iter();
        let slot = |column: &Column| {
            if column.is_plain() {
                Some(column.slot)
            } else {
                results.next()
            }
        };
        Ok(columns.columns.iter().filter_map(slot).collect())
    }

    /// Returns the slots of columns or of scores without a link. Weights of such scores become
    /// public.
    pub(super) fn numbers(&self, value: &Value) -> Result<Vec<usize>, ImportError> {
        match value {
            Value::Features(columns) if !columns.vector => self.slots(columns),
            Value::Scores(scores) if scores.link.is_none() && !scores.vector && !scores.regression => {
                let of: Slots = scores.linear.support().iter().copied().collect();
                self.context.work.take(&[of.len(), scores.len()])?;
                self.step(Step::Sums {
                    of,
                    weights: scores.linear.coef.clone(),
                    offset: scores.linear.intercept.clone(),
                })
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Adds a step to the public part.
    pub(super) fn step(&self, step: Step) -> Result<Vec<usize>, ImportError> {
        self.context.plan.add(step)
    }

    /// Returns results of steps as a matrix of floats.
    pub(super) fn results(slots: Vec<usize>) -> Value {
        Value::Features(Columns::plain(slots, false).into())
    }

    /// Fills in missing values (SimpleImputer).
    pub(super) fn imputer(&self, value: &Value) -> Result<Value, ImportError> {
        let Value::Features(columns) = value else {
            return self.refuse(self.what_it_gets());
        };
        let attributes = self.attributes();
        let floats = attributes.floats("imputed_value_floats");
        let integers = attributes.ints("imputed_value_int64s").unwrap_or_default();
        let values = if integers.is_empty() {
            floats
        } else {
            integers.iter().map(|&value| value as f64).collect()
        };
        let values = match values.as_slice() {
            [value] => vec![*value; columns.len()],
            values if values.len() == columns.len() => values.to_vec(),
            values => {
                return self.refuse(format!(
                    " of {} columns with {} values",
                    columns.len(),
                    values.len()
                ));
            }
        };
        let replaced = match attributes.get("replaced_value_int64") {
            Some(attribute) if columns.integers => attribute.i as f64,
            _ => attributes.float("replaced_value_float", 0.0),
        };
        if !replaced.is_nan() {
            return self.refuse(format!(
                " of the number {replaced}, which stands for a missing value: use missing_values=np.nan, and leave such cells empty"
            ));
        }
        let of = self.slots(columns)?.into_iter().collect();
        Ok(Self::results(self.step(Step::Impute { of, values })?))
    }

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

    /// Returns the slots of numbers that are compared, and those among them that are rounded before.
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

    /// Pairs columns with the numbers of a constant, as ONNX broadcasts them: one column is
    /// repeated for several numbers.
    fn spread(&self, slots: Vec<usize>, constant: &Constant) -> Result<(Vec<usize>, Vec<f64>), ImportError> {
        if let Some(numbers) = constant.broadcast(slots.len()) {
            return Ok((slots, numbers));
        }
        match (slots.as_slice(), constant.shape.as_slice()) {
            (&[slot], [count] | [1, count]) if constant.numbers.len() == *count => {
                Ok((vec![slot; *count], constant.numbers.clone()))
            }
            _ => self.refuse(format!(
                " of {} columns and a constant of shape {:?}",
                slots.len(),
                constant.shape
            )),
        }
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

    /// Divides the numbers of each row by their norm.
    pub(super) fn normalised_row(&self, value: &Value) -> Result<Value, ImportError> {
        let norm = match self.attributes().text("norm", "MAX").as_str() {
            "L1" => Norm::L1,
            "L2" => Norm::L2,
            "MAX" | LARGEST_MAGNITUDE => Norm::Max,
            other => return self.refuse(format!(" by {other}")),
        };
        let of = self.numbers(value)?.into_iter().collect();
        Ok(Self::results(self.step(Step::Normalise { of, norm })?))
    }

    /// Returns the norm of each row's numbers, or its square.
    pub(super) fn row_norm(&self, operator: &str, columns: &Columns) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        if !self.along_rows(axes.as_deref()) || self.attributes().int("keepdims", 1) != 1 {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        Ok(Value::RowNorm(RowNorm {
            slots: self.slots(columns)?,
            norm: if operator == "ReduceL1" {
                Norm::L1
            } else {
                Norm::L2
            },
            squared: operator == "ReduceSumSquare",
        }))
    }

    /// Returns the sum of each row's magnitudes.
    pub(super) fn sum_of_magnitudes(&self, columns: &Columns) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        let magnitude = |column: &Column| {
            let (step, place) = self.context.plan.step_of(column.slot)?;
            match &*step {
                Step::Apply {
                    of,
                    function: Function::Abs,
                } if column.is_plain() => of.iter().nth(place),
                _ => None,
            }
        };
        let slots: Option<Vec<usize>> = columns.columns.iter().map(magnitude).collect();
        match slots {
            Some(slots) if self.along_rows(axes.as_deref()) && self.attributes().int("keepdims", 1) == 1 => {
                Ok(Value::RowNorm(RowNorm {
                    slots,
                    norm: Norm::L1,
                    squared: false,
                }))
            }
            _ => self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            )),
        }
    }

    /// Divides numbers by the norm of their row.
    pub(super) fn by_row_norm(&self, columns: &Columns, norm: &RowNorm) -> Result<Value, ImportError> {
        let slots = self.slots(columns)?;
        if norm.squared || slots != norm.slots {
            return self.refuse(self.what_it_gets());
        }
        let of = slots.into_iter().collect();
        Ok(Self::results(self.step(Step::Normalise { of, norm: norm.norm })?))
    }

    /// Chooses between two numbers by a truth value.
    pub(super) fn chosen(
        &self,
        truth: &Columns,
        held: &Constant,
        not: &Constant,
    ) -> Result<Value, ImportError> {
        let count = truth.len();
        let (Some(held), Some(not), true) = (held.broadcast(count), not.broadcast(count), truth.integers)
        else {
            return self.refuse(self.what_it_gets());
        };
        let mut chosen = truth.clone();
        for ((column, held), not) in chosen.columns.iter_mut().zip(held).zip(not) {
            column.scale *= held - not;
            column.offset = column.offset * (held - not) + not;
        }
        chosen.integers = false;
        Ok(Value::Features(chosen.into()))
    }

    /// Applies a function to each number.
    pub(super) fn applied_function(
        &self,
        function: Function,
        columns: &Columns,
    ) -> Result<Value, ImportError> {
        let of = self.slots(columns)?.into_iter().collect();
        Ok(Self::results(self.step(Step::Apply { of, function })?))
    }

    /// Raises each number to a constant power.
    pub(super) fn power(&self, columns: &Columns, exponents: &Constant) -> Result<Value, ImportError> {
        let (slots, exponents) = self.spread(self.slots(columns)?, exponents)?;
        let small = |exponent: &f64| [1.0, 2.0, 3.0, 4.0].contains(exponent);
        let step = if exponents.iter().all(small) {
            let factors = slots.iter().zip(&exponents);
            Step::Products {
                of: factors
                    .map(|(slot, exponent)| std::iter::repeat_n(*slot, *exponent as usize).collect())
                    .collect(),
            }
        } else {
            Step::Power {
                of: slots.into_iter().collect(),
                exponents,
            }
        };
        Ok(Self::results(self.step(step)?))
    }

    /// Multiplies two columns, element by element.
    pub(super) fn product_of(&self, left: &Columns, right: &Columns) -> Result<Value, ImportError> {
        let (left, right) = (self.slots(left)?, self.slots(right)?);
        let pairs: Vec<Slots> = match (left.as_slice(), right.as_slice()) {
            (left, right) if left.len() == right.len() => {
                let pairs = left.iter().zip(right);
                pairs.map(|(a, b)| [*a, *b].into_iter().collect()).collect()
            }
            (&[one], several) | (several, &[one]) => several
                .iter()
                .map(|other| [one, *other].into_iter().collect())
                .collect(),
            _ => return self.refuse(format!(" of {} and {} columns", left.len(), right.len())),
        };
        Ok(Self::results(self.step(Step::Products { of: pairs })?))
    }

    /// Multiplies all numbers of each row (PolynomialFeatures).
    pub(super) fn product_of_row(&self, value: &Value) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        if !self.along_rows(axes.as_deref()) || self.attributes().int("keepdims", 1) != 1 {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        let factors = self.numbers(value)?;
        if let [only] = factors.as_slice() {
            return Ok(Self::results(vec![*only]));
        }
        let of = vec![factors.into_iter().collect()];
        Ok(Self::results(self.step(Step::Products { of })?))
    }

    /// Cuts numbers off at constant bounds.
    pub(super) fn clipped(&self, columns: &Columns) -> Result<Value, ImportError> {
        let bound = |name: &str, operand: usize, default: f64| match self.operands.get(operand) {
            Some(Value::Constant(constant)) if constant.numbers.len() == 1 => Ok(constant.numbers[0]),
            None | Some(Value::Absent) => Ok(self.attributes().float(name, default)),
            _ => self.refuse(" with bounds that aren't constant"),
        };
        let (min, max) = (bound("min", 1, -1e300)?, bound("max", 2, 1e300)?);
        if min > max {
            return self.refuse(format!(" between {min} and {max}"));
        }
        let of = self.slots(columns)?.into_iter().collect();
        Ok(Self::results(self.step(Step::Clip { of, min, max })?))
    }

    /// Returns a matrix whose rows lie in the last two of three axes.
    pub(super) fn grid(&self, columns: &std::rc::Rc<Columns>, width: usize) -> Value {
        Value::Grid(Grid {
            width,
            columns: columns.clone(),
        })
    }
}

/// Returns an edge that numbers are on the same side of as their roundings to single precision are
/// of `edge`.
fn before_rounding(edge: f64, equal: Side) -> f64 {
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

fn negate(column: &mut Column) {
    column.scale = -column.scale;
    column.offset = 1.0 - column.offset;
}
