//! Operators that turn constants into constants.

use super::Node;
use crate::onnx::proto::tensor_proto::DataType;
use crate::{
    ImportError,
    onnx::{constant::Constant, value::Value},
};

impl Node<'_> {
    /// Evaluates an operator on constants only; `None` if it has other operands.
    pub(super) fn constant(&self, operator: &str) -> Result<Option<Constant>, ImportError> {
        let constant = match (operator, self.operands.as_slice()) {
            ("Constant", []) => match self.attributes().tensor("value").map(Constant::of) {
                Some(Ok(constant)) => constant,
                Some(Err(why)) => return self.refuse(format!(": it {why}")),
                None => return self.refuse(" without a tensor"),
            },
            ("Identity", [Value::Constant(constant)]) => (*constant).clone(),
            ("Cast", [Value::Constant(constant)]) => self.cast_constant(constant)?,
            ("Sqrt", [Value::Constant(constant)]) => self.mapped(constant, f64::sqrt)?,
            ("Transpose", [Value::Constant(constant)]) => self.transposed(constant)?,
            ("Reshape", [Value::Constant(constant), Value::Constant(target)]) => {
                self.reshaped_constant(constant, target)?
            }
            ("Exp", [Value::Constant(constant)]) => self.mapped(constant, f64::exp)?,
            ("Log", [Value::Constant(constant)]) => self.mapped(constant, f64::ln)?,
            ("Neg", [Value::Constant(constant)]) => self.mapped(constant, |number| -number)?,
            ("Not", [Value::Constant(constant)]) => {
                self.mapped(constant, |number| f64::from(u8::from(number == 0.0)))?
            }
            ("Reciprocal", [Value::Constant(constant)]) => self.mapped(constant, f64::recip)?,
            ("Add", [Value::Constant(left), Value::Constant(right)]) => {
                self.combined_constants(left, right, |a, b| a + b)?
            }
            ("Sub", [Value::Constant(left), Value::Constant(right)]) => {
                self.combined_constants(left, right, |a, b| a - b)?
            }
            ("Mul", [Value::Constant(left), Value::Constant(right)]) => {
                self.combined_constants(left, right, |a, b| a * b)?
            }
            ("Pow", [Value::Constant(left), Value::Constant(right)]) => {
                self.combined_constants(left, right, f64::powf)?
            }
            ("ReduceSum", [Value::Constant(constant), ..]) => self.summed_constant(constant)?,
            _ => return Ok(None),
        };
        Ok(Some(constant))
    }

    /// Combines two constants of one shape, or one of them with a single number.
    fn combined_constants(
        &self,
        left: &Constant,
        right: &Constant,
        combine: impl Fn(f64, f64) -> f64,
    ) -> Result<Constant, ImportError> {
        let shape = match (left.numbers.len(), right.numbers.len()) {
            _ if left.shape == right.shape => left.shape.clone(),
            (_, 1) => left.shape.clone(),
            (1, _) => right.shape.clone(),
            // A number for each column, repeated for each row.
            (_, columns) if right.shape == [columns] && left.shape.last() == Some(&columns) => {
                left.shape.clone()
            }
            _ => {
                return self.refuse(format!(
                    " of constants of the shapes {:?} and {:?}",
                    left.shape, right.shape
                ));
            }
        };
        let count = left.numbers.len().max(right.numbers.len());
        let number = |constant: &Constant, place: usize| constant.numbers[place % constant.numbers.len()];
        if left.numbers.is_empty() || right.numbers.is_empty() {
            return self.refuse(" of constants that aren't numbers");
        }
        let numbers: Vec<f64> = (0..count)
            .map(|place| combine(number(left, place), number(right, place)))
            .collect();
        self.constant_of(shape, numbers)
    }

    /// Adds the rows of a constant matrix.
    fn summed_constant(&self, constant: &Constant) -> Result<Constant, ImportError> {
        let axes = self.axes(1)?;
        match (constant.shape.as_slice(), axes.as_deref()) {
            (&[rows, columns], Some([0])) if constant.numbers.len() == rows * columns && columns > 0 => {
                let mut sums = vec![0.0; columns];
                for row in constant.numbers.chunks_exact(columns) {
                    sums.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
                }
                let keeps = self.attributes().int("keepdims", 1) == 1;
                self.constant_of(if keeps { vec![1, columns] } else { vec![columns] }, sums)
            }
            _ => self.refuse(format!(" of a constant of shape {:?}", constant.shape)),
        }
    }

    fn constant_of(&self, shape: Vec<usize>, numbers: Vec<f64>) -> Result<Constant, ImportError> {
        if numbers.iter().any(|number| !number.is_finite()) {
            return self.refuse(" of constants that it isn't defined for");
        }
        Ok(Constant {
            shape,
            numbers,
            texts: Vec::new(),
        })
    }

    fn mapped(&self, constant: &Constant, map: impl Fn(f64) -> f64) -> Result<Constant, ImportError> {
        let numbers: Vec<f64> = constant.numbers.iter().map(|&number| map(number)).collect();
        if constant.numbers.is_empty() || numbers.iter().any(|number| !number.is_finite()) {
            return self.refuse(" of a constant that it isn't defined for");
        }
        Ok(Constant {
            numbers,
            texts: Vec::new(),
            ..constant.clone()
        })
    }

    fn cast_constant(&self, constant: &Constant) -> Result<Constant, ImportError> {
        let to = self.attributes().int("to", 0);
        match i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok()) {
            Some(DataType::Float) => self.mapped(constant, |number| f64::from(number as f32)),
            Some(DataType::Double) => self.mapped(constant, |number| number),
            // Keeps the text form, from which labels are made.
            Some(DataType::Int64 | DataType::Int32) => match constant.integers() {
                Some(numbers) => Ok(Constant::of_integers(constant.shape.clone(), numbers)),
                None => self.refuse(" of a constant to a type that it doesn't fit"),
            },
            Some(DataType::Bool) => self.mapped(constant, |number| f64::from(u8::from(number != 0.0))),
            _ => self.refuse(" of a constant to a type that it doesn't fit"),
        }
    }

    fn transposed(&self, constant: &Constant) -> Result<Constant, ImportError> {
        let swapped = self.attributes().ints("perm").is_none_or(|perm| perm == [1, 0]);
        let &[rows, columns] = constant.shape.as_slice() else {
            return self.refuse(format!(" of a constant of shape {:?}", constant.shape));
        };
        if !swapped || constant.numbers.len() != rows * columns {
            return self.refuse(" of a constant, in that order");
        }
        let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        Ok(Constant {
            shape: vec![columns, rows],
            numbers: places.map(|place| constant.numbers[place]).collect(),
            texts: Vec::new(),
        })
    }

    fn reshaped_constant(&self, constant: &Constant, target: &Constant) -> Result<Constant, ImportError> {
        let target = self.integers(target)?;
        let count = constant.count();
        let known: Option<usize> = target
            .iter()
            .filter(|&&dim| dim != -1)
            .try_fold(1usize, |product, &dim| {
                product.checked_mul(usize::try_from(dim).ok()?)
            });
        let open = target.iter().filter(|&&dim| dim == -1).count();
        let rest = match (known, open) {
            (Some(known), 0) if known == count => 1,
            (Some(known), 1) if known > 0 && count.is_multiple_of(known) => count / known,
            // 0 keeps an old dimension, or is none: not needed so far.
            _ => {
                return self.refuse(format!(
                    " of a constant of shape {:?} to {target:?}",
                    constant.shape
                ));
            }
        };
        let dim = |&dim: &i64| usize::try_from(dim).unwrap_or(rest);
        Ok(Constant {
            shape: target.iter().map(dim).collect(),
            ..constant.clone()
        })
    }
}
