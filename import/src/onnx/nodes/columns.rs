//! Operators on the columns of a matrix: arithmetic by column, selection, and concatenation.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        column::{Column, Columns, Scaling},
        constant::Constant,
        linear::Linear,
        value::{Scores, Texts, Value},
    },
};
use blindscore_protocol::descriptor::FEATURES;

/// Most columns of a model, in which a feature may be repeated.
const MOST_COLUMNS: usize = 4 * *FEATURES.end();

impl Node<'_> {
    /// Returns the number of columns of features or raw scores.
    pub(super) fn width(&self, value: &Value) -> Result<usize, ImportError> {
        match value {
            Value::Features(columns) if !columns.vector => Ok(columns.len()),
            Value::Scores(scores) if scores.link.is_none() && !scores.vector => Ok(scores.len()),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Evaluates arithmetic with a constant, element by element.
    pub(super) fn arithmetic(
        &self,
        operator: &str,
        left: &Value,
        right: &Value,
    ) -> Result<Value, ImportError> {
        let (value, constant, constant_first) = match (left, right) {
            (Value::Constant(constant), value) => (value, constant, true),
            (value, Value::Constant(constant)) => (value, constant, false),
            _ => return self.on_probabilities(operator, left, right),
        };
        match value {
            Value::Grid(grid) => return self.grid_arithmetic(operator, grid, constant, constant_first),
            Value::Forms(forms) => return self.forms_arithmetic(operator, forms, constant, constant_first),
            _ => {}
        }
        let columns = match value {
            Value::Features(columns) if !columns.integers && !columns.vector => columns.len(),
            Value::Features(_) => {
                return self.refuse(" on whole numbers, for which it rounds: cast them to float before");
            }
            Value::Scores(scores) if scores.link.is_none() => scores.len(),
            _ => return self.on_probabilities(operator, left, right),
        };
        let vector = matches!(value, Value::Scores(scores) if scores.vector);
        let Some(numbers) = constant
            .broadcast(columns)
            .filter(|_| !vector || constant.shape.len() < 2)
        else {
            return self.refuse(format!(
                " of {columns} columns and a constant of shape {:?}",
                constant.shape
            ));
        };
        // Each number x becomes x * factor + offset.
        let (factors, offsets, scaling) = match (operator, constant_first) {
            ("Add", _) => (vec![1.0; columns], numbers, Scaling::Interval),
            ("Sub", false) => (
                vec![1.0; columns],
                numbers.iter().map(|n| -n).collect(),
                Scaling::Standard,
            ),
            ("Sub", true) => (vec![-1.0; columns], numbers, Scaling::Standard),
            ("Mul", _) => (numbers, vec![0.0; columns], Scaling::Interval),
            ("Div", false) if !numbers.contains(&0.0) => (
                numbers.iter().map(|n| 1.0 / n).collect(),
                vec![0.0; columns],
                Scaling::Standard,
            ),
            ("Div", false) => return self.refuse(" by zero"),
            _ => return self.refuse(" of a constant by the features or scores: only by a constant is"),
        };
        self.moved(value, &factors, &offsets, scaling)
    }

    /// Returns each column times its factor, plus its offset.
    fn moved(
        &self,
        value: &Value,
        factors: &[f64],
        offsets: &[f64],
        scaling: Scaling,
    ) -> Result<Value, ImportError> {
        match value {
            Value::Features(columns) => {
                let mut moved = Columns::clone(columns);
                for ((column, factor), offset) in moved.columns.iter_mut().zip(factors).zip(offsets) {
                    column.scale *= factor;
                    column.offset = column.offset * factor + offset;
                }
                moved.integers = false;
                Ok(Value::Features(moved.scaled_as(scaling).into()))
            }
            Value::Scores(scores) if scores.link.is_none() => Ok(Value::Scores(Scores {
                linear: scores.linear.scaled(factors, offsets).into(),
                names: None,
                ..scores.clone()
            })),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns the opposites.
    pub(super) fn negated(&self, value: &Value) -> Result<Value, ImportError> {
        let columns = self.width(value)?;
        self.moved(
            value,
            &vec![-1.0; columns],
            &vec![0.0; columns],
            Scaling::Standard,
        )
    }

    pub(super) fn scaler(&self, value: &Value) -> Result<Value, ImportError> {
        let columns = self.width(value)?;
        let each = |name: &str| {
            let numbers = self.attributes().floats(name);
            match numbers.len() {
                1 => Ok(vec![numbers[0]; columns]),
                count if count == columns => Ok(numbers),
                count => self.refuse(format!(" of {columns} columns and {count} numbers as {name:?}")),
            }
        };
        let (offset, scale) = (each("offset")?, each("scale")?);
        let moved: Vec<f64> = offset
            .iter()
            .zip(&scale)
            .map(|(offset, scale)| -offset * scale)
            .collect();
        if moved.iter().chain(&scale).any(|number| !number.is_finite()) {
            return self.refuse(" with numbers that aren't finite");
        }
        self.moved(value, &scale, &moved, Scaling::Standard)
    }

    /// Standardises by the running mean and variance of the training (`BatchNorm1d` in evaluation
    /// mode).
    pub(super) fn batch_normalised(
        &self,
        value: &Value,
        parameters: &[&Value],
    ) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        if attributes.int("training_mode", 0) != 0 {
            return self.refuse(" in training mode: export the model in evaluation mode (model.eval())");
        }
        let columns = self.width(value)?;
        let whole = matches!(value, Value::Features(columns) if columns.integers);
        let numbers: Option<Vec<&[f64]>> = parameters
            .iter()
            .map(|parameter| match parameter {
                Value::Constant(constant) if constant.shape == [columns] => Some(constant.numbers.as_slice()),
                _ => None,
            })
            .collect();
        let Some([gain, bias, mean, variance]) = numbers
            .as_deref()
            .and_then(|numbers| <[&[f64]; 4]>::try_from(numbers).ok())
        else {
            return self.refuse(format!("{} of {columns} columns", self.what_it_gets()));
        };
        let epsilon = attributes.float("epsilon", 1e-5);
        let factors: Vec<f64> = gain
            .iter()
            .zip(variance)
            .map(|(gain, variance)| gain / (variance + epsilon).sqrt())
            .collect();
        let offsets: Vec<f64> = (0..columns)
            .map(|column| bias[column] - mean[column] * factors[column])
            .collect();
        if whole || factors.iter().chain(&offsets).any(|number| !number.is_finite()) {
            return self.refuse(self.what_it_gets());
        }
        // Gain and bias move what five deviations would be, so ranges don't follow.
        self.moved(value, &factors, &offsets, Scaling::None)
    }

    /// Selects some of the columns: `[places]` in skl2onnx.
    pub(super) fn extract(&self, value: &Value, places: &Constant) -> Result<Value, ImportError> {
        let places: Vec<i64> = self.integers(places)?;
        self.select(value, &places)
    }

    pub(super) fn gather(&self, value: &Value, places: &Constant) -> Result<Value, ImportError> {
        let axis = self.attributes().int("axis", 0);
        if let (Value::Grid(grid), 2 | -1, &[_]) = (value, axis, places.shape.as_slice())
            && grid.columns.len() == grid.width
        {
            let row = Value::Features(grid.columns.clone());
            return match self.select(&row, &self.integers(places)?)? {
                Value::Features(columns) => {
                    let width = columns.len();
                    Ok(self.grid(&columns, width))
                }
                other => Ok(other),
            };
        }
        if !self.along_rows(Some(&[axis])) || places.shape.len() != 1 {
            return self.refuse(format!("{} along axis {axis}", self.what_it_gets()));
        }
        let columns = i64::try_from(self.any_width(value)?).unwrap_or(i64::MAX);
        let places = self.integers(places)?;
        let from_end = |place: &i64| if *place < 0 { place + columns } else { *place };
        self.select(value, &places.iter().map(from_end).collect::<Vec<_>>())
    }

    /// Selects a range of columns.
    pub(super) fn slice(&self, value: &Value) -> Result<Value, ImportError> {
        let columns = i64::try_from(self.any_width(value)?).unwrap_or(i64::MAX);
        let list =
            |name: &str, operand: usize| match (self.attributes().ints(name), self.operands.get(operand)) {
                (Some(numbers), None) => Ok(Some(numbers.to_vec())),
                // An open end is the largest integer.
                (None, Some(Value::Constant(constant))) => match constant.saturated() {
                    Some(numbers) => Ok(Some(numbers)),
                    None => self.refuse(" by numbers that aren't whole"),
                },
                (None, None | Some(Value::Absent)) => Ok(None),
                _ => self.refuse(" with bounds that aren't constant"),
            };
        let (starts, ends, axes, steps) = (
            list("starts", 1)?,
            list("ends", 2)?,
            list("axes", 3)?,
            list("steps", 4)?,
        );
        match (
            starts.as_deref(),
            ends.as_deref(),
            axes.as_deref(),
            steps.as_deref(),
        ) {
            (Some(&[start]), Some(&[end]), Some([1 | -1]), None | Some([1])) => {
                let place = |bound: i64| {
                    if bound < 0 {
                        bound.saturating_add(columns)
                    } else {
                        bound
                    }
                    .clamp(0, columns)
                };
                let places: Vec<i64> = (place(start)..place(end)).collect();
                self.select(value, &places)
            }
            _ => self.refuse(format!(
                "{} {}, with these bounds: only a range of columns in steps of one is",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            )),
        }
    }

    fn any_width(&self, value: &Value) -> Result<usize, ImportError> {
        match value {
            Value::Features(columns) if !columns.vector => Ok(columns.len()),
            Value::Texts(texts) if !texts.vector => Ok(texts.slots.len()),
            Value::Scores(scores) if !scores.vector => Ok(scores.len()),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    fn select(&self, value: &Value, places: &[i64]) -> Result<Value, ImportError> {
        let width = self.any_width(value)?;
        let chosen: Option<Vec<usize>> = places
            .iter()
            .take(MOST_COLUMNS)
            .map(|&place| usize::try_from(place).ok().filter(|place| *place < width))
            .collect();
        let chosen = chosen.filter(|chosen| !chosen.is_empty() && chosen.len() == places.len());
        if let (Value::Scores(_), Some(chosen)) = (value, &chosen) {
            self.check_weights(chosen.len(), self.support(value))?;
        }
        let selected = chosen.and_then(|chosen| match value {
            Value::Features(columns) => {
                let selected = Columns {
                    columns: chosen.iter().map(|&place| columns.columns[place]).collect(),
                    ..**columns
                };
                Some(Value::Features(selected.into()))
            }
            Value::Texts(texts) => Some(Value::Texts(Texts {
                slots: chosen.iter().map(|&place| texts.slots[place]).collect(),
                vector: false,
            })),
            Value::Scores(scores) => scores.select(&chosen).map(Value::Scores),
            _ => None,
        });
        match selected {
            Some(selected) => Ok(selected),
            None => self.refuse(format!(
                ": it takes the columns {:?} of {width}, counted from 0, and they are not all there: the converter wrote a file that \
                 can't be run",
                &places[..places.len().min(12)]
            )),
        }
    }

    /// Concatenates columns side by side.
    pub(super) fn concat(&self, operands: &[&Value]) -> Result<Value, ImportError> {
        let axis = self.attributes().get("axis").map(|attribute| attribute.i);
        if let (Some(0), Some(layers)) = (axis, layers(operands)) {
            return Ok(Value::Layers(layers));
        }
        if let (Some(2 | -1), Some(grid)) = (axis, self.grids_beside(operands)?) {
            return Ok(grid);
        }
        if !matches!(axis, Some(1 | -1)) {
            return self.refuse(" along the rows");
        }
        if let Some(held) = self.labels_beside(operands)? {
            return Ok(held);
        }
        // Scores without weights are constants, such as the ones that skl2onnx puts behind bins.
        let constants: Vec<Option<Value>> = operands.iter().map(|value| constant_columns(value)).collect();
        let mixed = operands.iter().zip(&constants);
        let mixed: Vec<&Value> = mixed
            .map(|(value, constant)| constant.as_ref().unwrap_or(value))
            .collect();
        if let Some(features) = self.features_beside(&mixed)? {
            let integers = features.iter().all(|part| part.integers);
            if !integers && features.iter().any(|part| part.integers) {
                return self.refuse(" of whole numbers and others");
            }
            return Ok(Value::Features(joined(&features, integers).into()));
        }
        if let Some(texts) = texts_beside(operands) {
            return Ok(Value::Texts(texts));
        }
        // Columns beside scores, such as those of a PCA, are scores too.
        let raw = |value: &&Value| match value {
            Value::Scores(scores) => scores.link.is_none(),
            Value::Features(_) => true,
            _ => false,
        };
        let mixed: Vec<Value>;
        let mut operands = operands.to_vec();
        if operands.iter().all(raw) {
            for value in &operands {
                self.check_weights(self.support(value), self.support(value))?;
            }
            let scores = |value: &&Value| match value {
                Value::Features(columns) if !columns.vector && !columns.integers => {
                    Value::Scores(Scores::raw(Linear::identity(columns)))
                }
                other => (*other).clone(),
            };
            mixed = operands.iter().map(scores).collect();
            operands = mixed.iter().collect();
        }
        let operands = operands.as_slice();
        let parts: Option<Vec<&Scores>> = operands
            .iter()
            .map(|value| match value {
                Value::Scores(scores) => Some(scores),
                _ => None,
            })
            .collect();
        let support = operands.iter().map(|value| self.support(value)).sum();
        self.check_weights(parts.iter().flatten().map(|part| part.len()).sum(), support)?;
        match parts.as_deref().and_then(Scores::beside) {
            Some(scores) => Ok(Value::Scores(scores)),
            None => self.refuse(self.what_it_gets()),
        }
    }

    /// Concatenates grids with one row each along their last axis.
    fn grids_beside(&self, operands: &[&Value]) -> Result<Option<Value>, ImportError> {
        let mut columns = Vec::new();
        for value in operands {
            match value {
                Value::Grid(grid) if grid.columns.len() == grid.width => {
                    columns.extend_from_slice(&grid.columns.columns);
                }
                _ => return Ok(None),
            }
        }
        if columns.len() > MOST_COLUMNS {
            return self.refuse(format!(" of {} columns", columns.len()));
        }
        let width = columns.len();
        let joined = Columns {
            columns,
            integers: false,
            vector: false,
        };
        Ok(Some(self.grid(&joined.into(), width)))
    }

    /// Concatenates features of any type, with as many columns each as `inputdimensions` says.
    pub(super) fn vectorised(&self, operands: &[&Value]) -> Result<Value, ImportError> {
        let Some(features) = self.features_beside(operands)? else {
            return self.refuse(self.what_it_gets());
        };
        let widths = features
            .iter()
            .map(|part| i64::try_from(part.len()).unwrap_or(i64::MAX));
        if let Some(dimensions) = self.attributes().ints("inputdimensions")
            && !widths.eq(dimensions.iter().copied())
        {
            return self.refuse(format!(" of {dimensions:?} columns"));
        }
        Ok(Value::Features(joined(&features, false).into()))
    }

    /// Returns the columns of several parts, if all of them are features.
    fn features_beside<'v>(&self, operands: &[&'v Value]) -> Result<Option<Vec<&'v Columns>>, ImportError> {
        let parts: Option<Vec<&Columns>> = operands
            .iter()
            .map(|value| match value {
                Value::Features(columns) if !columns.vector => Some(&**columns),
                _ => None,
            })
            .collect();
        let count: usize = parts.iter().flatten().map(|part| part.len()).sum();
        if count > MOST_COLUMNS {
            return self.refuse(format!(" of {count} columns"));
        }
        Ok(parts.filter(|parts| !parts.is_empty()))
    }
}

fn joined(parts: &[&Columns], integers: bool) -> Columns {
    let columns: Vec<Column> = parts
        .iter()
        .flat_map(|part| part.columns.iter().copied())
        .collect();
    Columns {
        columns,
        integers,
        vector: false,
    }
}

/// Returns scores as columns, if they are constants.
fn constant_columns(value: &Value) -> Option<Value> {
    let Value::Scores(scores) = value else {
        return None;
    };
    let zero = scores.linear.coef.iter().flatten().all(|weight| *weight == 0.0);
    if scores.link.is_some() || scores.vector || !zero {
        return None;
    }
    let column = |offset: &f64| Column {
        scale: 0.0,
        offset: *offset,
        ..Column::of(0, false)
    };
    let columns = Columns {
        columns: scores.linear.intercept.iter().map(column).collect(),
        integers: false,
        vector: false,
    };
    Some(Value::Features(columns.into()))
}

/// Returns the scores of several models, if all operands are such.
fn layers(parts: &[&Value]) -> Option<Vec<Scores>> {
    let mut layers: Vec<Scores> = Vec::new();
    for part in parts {
        match part {
            Value::Layers(more) => layers.extend(more.iter().cloned()),
            _ => return None,
        }
    }
    let alike = layers.windows(2).all(|pair| pair[0].len() == pair[1].len());
    (alike && !layers.is_empty()).then_some(layers)
}

/// Returns the columns of several parts, if all of them are texts.
fn texts_beside(parts: &[&Value]) -> Option<Texts> {
    let mut slots = Vec::new();
    for part in parts {
        match part {
            Value::Texts(texts) if !texts.vector => slots.extend(&texts.slots),
            _ => return None,
        }
    }
    Some(Texts { slots, vector: false })
}
