//! Operators on the numbers of a record that aren't linear: they become steps of the public part.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        column::{Column, Columns},
        constant::Constant,
        ensemble::Forests,
        repair::LARGEST_MAGNITUDE,
        value::{Grid, RowNorm, Value},
    },
};
use blindscore_protocol::encoding::{Function, Norm, Slots, Step};

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
    pub(super) fn unrounded(&self, columns: &Columns) -> Result<Vec<usize>, ImportError> {
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
            Value::Scores(scores) if Forests::gave(&scores.linear) => {
                self.refuse(match self.context.hidden {
                    Some(_) => " on what hidden units give",
                    None => " on what decision trees give",
                })
            }
            // The first layer stays secret: only scikit-learn's steps before it are public.
            Value::Scores(_) if self.context.hidden.is_some() && !self.context.by_skl2onnx => {
                self.refuse(" on what a layer of the network gives")
            }
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

    /// Adds a step whose lists and numbers are a file's own.
    pub(super) fn checked_step(&self, step: Step) -> Result<Vec<usize>, ImportError> {
        match step.problem() {
            None => self.step(step),
            Some(problem) => self.refuse(format!(", whose step in the public part {problem}")),
        }
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

    /// Pairs columns with the numbers of a constant, as ONNX broadcasts them: one column is
    /// repeated for several numbers.
    pub(super) fn spread(
        &self,
        slots: Vec<usize>,
        constant: &Constant,
    ) -> Result<(Vec<usize>, Vec<f64>), ImportError> {
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
