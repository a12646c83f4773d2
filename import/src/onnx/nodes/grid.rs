//! Operators on tensors with two axes for each row, as of naive Bayes: each of several classes
//! moves, squares and sums the same numbers.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        column::{Column, Columns},
        constant::Constant,
        linear::{Form, Linear},
        value::{Forms, Grid, Scores, Value},
    },
};
use blindscore_protocol::encoding::Step;
use std::{collections::HashMap, rc::Rc};

/// Most numbers of a grid.
const MOST_CELLS: usize = 1 << 20;
/// Bits that a square's centre keeps of the numbers' size. It is public, and made of the means.
const CENTRE_BITS: i32 = 3;

impl Node<'_> {
    /// Evaluates arithmetic of a grid and a constant of shape `[1, several, width]`, with the
    /// constant broadcast or the grid repeated.
    pub(super) fn grid_arithmetic(
        &self,
        operator: &str,
        grid: &Grid,
        constant: &Constant,
        constant_first: bool,
    ) -> Result<Value, ImportError> {
        let (columns, numbers) = self.beside(grid, constant)?;
        let mut moved = Columns {
            columns,
            integers: false,
            vector: false,
        };
        for (column, number) in moved.columns.iter_mut().zip(numbers) {
            let (factor, offset) = self.affine(operator, number, constant_first)?;
            column.scale *= factor;
            column.offset = column.offset * factor + offset;
            column.whole = false;
        }
        Ok(self.grid(&moved.into(), grid.width))
    }

    /// Evaluates arithmetic of sums and a constant.
    pub(super) fn forms_arithmetic(
        &self,
        operator: &str,
        forms: &Forms,
        constant: &Constant,
        constant_first: bool,
    ) -> Result<Value, ImportError> {
        let Some(numbers) = cells(constant, forms.forms.len() / forms.width.max(1), forms.width) else {
            return self.refuse(format!(
                "{} and a constant of shape {:?}",
                self.what_it_gets(),
                constant.shape
            ));
        };
        let mut moved = forms.clone();
        for (form, number) in moved.forms.iter_mut().zip(numbers) {
            let (factor, offset) = self.affine(operator, number, constant_first)?;
            form.terms.iter_mut().for_each(|term| term.1 *= factor);
            form.offset = form.offset * factor + offset;
        }
        Ok(Value::Forms(moved))
    }

    /// Returns an operation with a constant as a factor and a summand.
    fn affine(&self, operator: &str, number: f64, constant_first: bool) -> Result<(f64, f64), ImportError> {
        match (operator, constant_first) {
            ("Add", _) => Ok((1.0, number)),
            ("Sub", false) => Ok((1.0, -number)),
            ("Sub", true) => Ok((-1.0, number)),
            ("Mul", _) => Ok((number, 0.0)),
            ("Div", false) if number != 0.0 => Ok((1.0 / number, 0.0)),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns the numbers of a grid and of a constant, one of each per place.
    fn beside(&self, grid: &Grid, constant: &Constant) -> Result<(Vec<Column>, Vec<f64>), ImportError> {
        let several = grid.columns.len() / grid.width.max(1);
        if let Some(numbers) = cells(constant, several, grid.width) {
            return Ok((grid.columns.columns.clone(), numbers));
        }
        // One row of numbers, for each of several rows of the constant.
        match constant.shape.as_slice() {
            &[1, rows, width] | &[rows, width]
                if several == 1
                    && width == grid.width
                    && rows.saturating_mul(width) <= MOST_CELLS
                    && constant.numbers.len() == rows * width =>
            {
                let columns = grid.columns.columns.iter().copied().cycle().take(rows * width);
                Ok((columns.collect(), constant.numbers.clone()))
            }
            _ => self.refuse(format!(
                "{} and a constant of shape {:?}",
                self.what_it_gets(),
                constant.shape
            )),
        }
    }

    /// Squares the numbers of a grid. The squares that become public are those of numbers around a
    /// centre, the same for all classes: `(s x + o)^2 = s^2 (x - c)^2 + 2 s d x + d^2 - 2 s d c`
    /// with `d = o + s c`.
    pub(super) fn squared(&self, grid: &Grid) -> Result<Value, ImportError> {
        let mut roots: HashMap<usize, Vec<f64>> = HashMap::new();
        for column in grid.columns.columns.iter().filter(|column| column.scale != 0.0) {
            roots
                .entry(column.slot)
                .or_default()
                .push(-column.offset / column.scale);
        }
        let mut slots: Vec<usize> = roots.keys().copied().collect();
        slots.sort_unstable();
        let centres: HashMap<usize, f64> = slots.iter().map(|slot| (*slot, centre(&roots[slot]))).collect();
        let centred = self.step(Step::Affine {
            of: slots.iter().copied().collect(),
            scale: vec![1.0; slots.len()],
            offset: slots.iter().map(|slot| -centres[slot]).collect(),
        })?;
        let squares = self.step(Step::Products {
            of: centred
                .iter()
                .map(|slot| [*slot, *slot].into_iter().collect())
                .collect(),
        })?;
        let squares: HashMap<usize, usize> = slots.iter().copied().zip(squares).collect();
        let square = |column: &Column| {
            let Some((square, c)) = squares.get(&column.slot).zip(centres.get(&column.slot)) else {
                return Form {
                    terms: Vec::new(),
                    offset: column.offset * column.offset,
                };
            };
            let (s, d) = (column.scale, column.offset + column.scale * c);
            Form {
                terms: vec![(*square, s * s), (column.slot, 2.0 * s * d)],
                offset: d * d - 2.0 * s * d * c,
            }
        };
        Ok(Value::Forms(Forms {
            width: grid.width,
            forms: grid.columns.columns.iter().map(square).collect(),
            source: grid.columns.clone(),
        }))
    }

    /// Adds the numbers along the last axis.
    pub(super) fn summed(&self, forms: &Forms) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        if self.attributes().int("keepdims", 1) != 0 || !matches!(axes.as_deref(), Some([2 | -1])) {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        let sums: Vec<Form> = forms
            .forms
            .chunks(forms.width.max(1))
            .map(|row| Form {
                terms: row.iter().flat_map(|form| form.terms.iter().copied()).collect(),
                offset: row.iter().map(|form| form.offset).sum(),
            })
            .collect();
        let slots = 2 * forms.width;
        self.check_weights(sums.len(), slots)?;
        let linear = Linear::of_forms(&sums, vec![forms.source.clone()]);
        Ok(Value::Scores(Scores::raw(linear)))
    }
}

impl Node<'_> {
    /// Splits a grid with one row, or a matrix, into ranges of columns.
    pub(super) fn split(&self) -> Result<Vec<Value>, ImportError> {
        let attributes = self.attributes();
        let axis = attributes.int("axis", 0);
        let sizes = match (attributes.ints("split"), self.operands.get(1)) {
            (Some(sizes), None) => sizes.to_vec(),
            (None, Some(Value::Constant(sizes))) => self.integers(sizes)?,
            _ => return self.refuse(" into parts of sizes that aren't constant"),
        };
        let (columns, is_grid) = match self.operands.first() {
            Some(Value::Grid(grid)) if grid.columns.len() == grid.width && matches!(axis, 2 | -1) => {
                (&grid.columns, true)
            }
            Some(Value::Features(columns)) if !columns.vector && matches!(axis, 1 | -1) => (columns, false),
            _ => return self.refuse(format!("{} along axis {axis}", self.what_it_gets())),
        };
        let mut rest = columns.columns.as_slice();
        let mut parts = Vec::with_capacity(sizes.len().min(columns.len()));
        for size in &sizes {
            let split = usize::try_from(*size).ok().filter(|size| *size > 0);
            let Some((part, others)) = split.and_then(|size| rest.split_at_checked(size)) else {
                return self.refuse(format!(" of {} columns into {sizes:?}", columns.len()));
            };
            rest = others;
            let part: Rc<Columns> = Columns {
                columns: part.to_vec(),
                ..**columns
            }
            .into();
            let width = part.len();
            parts.push(if is_grid {
                self.grid(&part, width)
            } else {
                Value::Features(part)
            });
        }
        if !rest.is_empty() || parts.len() != self.node.output.len() {
            return self.refuse(format!(" of {} columns into {sizes:?}", columns.len()));
        }
        Ok(parts)
    }

    /// Adds the numbers along the last axis of a grid with one row: categories that count as one
    /// (OneHotEncoder with min_frequency or max_categories).
    pub(super) fn added_up(&self, grid: &Grid) -> Result<Value, ImportError> {
        let axes = self.axes(1)?;
        let keeps = self.attributes().int("keepdims", 1) == 1;
        if grid.columns.len() != grid.width || !keeps || !matches!(axes.as_deref(), Some([2 | -1])) {
            return self.refuse(format!(
                "{} {}",
                self.what_it_gets(),
                axes_in_words(axes.as_deref())
            ));
        }
        let columns = &grid.columns.columns;
        let sum = self.step(Step::Sums {
            of: columns.iter().map(|column| column.slot).collect(),
            weights: vec![columns.iter().map(|column| column.scale).collect()],
            offset: vec![columns.iter().map(|column| column.offset).sum()],
        })?;
        Ok(self.grid(&Columns::plain(sum, false).into(), 1))
    }
}

/// Returns one number of a constant per place of a grid, as ONNX broadcasts.
fn cells(constant: &Constant, several: usize, width: usize) -> Option<Vec<f64>> {
    let numbers = &constant.numbers;
    match constant.shape.as_slice() {
        [] | [1] | [1, 1] | [1, 1, 1] => Some(vec![*numbers.first()?; several * width]),
        &[1, rows, columns] | &[rows, columns] if (rows, columns) == (several, width) => {
            (numbers.len() == several * width).then(|| numbers.clone())
        }
        &[columns] | &[1, columns] | &[1, 1, columns] if columns == width && numbers.len() == width => {
            Some(numbers.iter().copied().cycle().take(several * width).collect())
        }
        _ => None,
    }
}

/// Returns a number amid others, with few bits.
fn centre(numbers: &[f64]) -> f64 {
    let mean = numbers.iter().sum::<f64>() / numbers.len().max(1) as f64;
    let widest = numbers
        .iter()
        .map(|number| (number - mean).abs())
        .fold(0.0, f64::max);
    let size = widest.max(mean.abs() / 64.0);
    if !(size > 0.0 && size.is_finite()) {
        return 0.0;
    }
    let unit = 2f64.powi(size.log2().floor() as i32 - CENTRE_BITS + 2);
    (mean / unit).round() * unit
}
