//! Constant tensors of ONNX files.

use super::attributes::{type_name, utf8};
use crate::onnx::proto::{TensorProto, tensor_proto::DataType};
use blindscore_protocol::descriptor::OUTPUTS;

/// Most values of a constant: more than the largest weight matrix.
const MOST_VALUES: usize = 64_000_000;
/// Most integers that may be names of classes; longer lists are numbers only.
const MOST_NAMES: usize = *OUTPUTS.end();

/// A constant tensor of numbers or strings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    /// Sizes of its axes.
    pub(super) shape: Vec<usize>,
    /// Numeric values, row by row; empty for strings.
    pub(super) numbers: Vec<f64>,
    /// Strings, or integers as text unless there are too many: the source of labels.
    pub(super) texts: Vec<String>,
}

impl Constant {
    /// Returns the number of elements.
    pub(super) fn count(&self) -> usize {
        self.numbers.len().max(self.texts.len())
    }

    /// Returns the numbers as integers, if all of them are whole.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let whole =
            |number: &f64| (number.fract() == 0.0 && number.abs() < 2f64.powi(53)).then_some(*number as i64);
        let whole: Option<Vec<i64>> = self.numbers.iter().map(whole).collect();
        whole.filter(|numbers| numbers.len() == self.count())
    }

    /// Returns the numbers as integers, if all of them are whole. The largest stand for all that
    /// are larger.
    pub(super) fn saturated(&self) -> Option<Vec<i64>> {
        let whole = |number: &f64| (number.fract() == 0.0).then_some(*number as i64);
        let whole: Option<Vec<i64>> = self.numbers.iter().map(whole).collect();
        whole.filter(|numbers| numbers.len() == self.count())
    }

    /// Returns one number per column, as ONNX broadcasts to a matrix of rows. `None` if that would
    /// add columns or differ between rows.
    pub(super) fn broadcast(&self, columns: usize) -> Option<Vec<f64>> {
        match (self.shape.as_slice(), self.numbers.as_slice()) {
            ([] | [1] | [1, 1], &[number]) => Some(vec![number; columns]),
            (&[count] | &[1, count], numbers) if count == columns && numbers.len() == count => {
                Some(numbers.to_vec())
            }
            _ => None,
        }
    }

    /// Creates a tensor of integers.
    pub(super) fn of_integers(shape: Vec<usize>, values: Vec<i64>) -> Self {
        let (numbers, texts) = integers(values);
        Self {
            shape,
            numbers,
            texts,
        }
    }

    /// Decodes a tensor. The error describes the problem.
    pub(super) fn of(tensor: &TensorProto) -> Result<Self, String> {
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or("has a negative dimension")?;
        let count = shape
            .iter()
            .try_fold(1usize, |product, dim| product.checked_mul(*dim))
            .filter(|count| *count <= MOST_VALUES)
            .ok_or("is too large")?;
        let raw = &tensor.raw_data;
        let (numbers, texts) = match DataType::try_from(tensor.data_type).ok() {
            Some(DataType::Float) if raw.is_empty() => (
                tensor.float_data.iter().map(|&v| f64::from(v)).collect(),
                Vec::new(),
            ),
            Some(DataType::Float) => (fixed(raw, |b| f64::from(f32::from_le_bytes(b)))?, Vec::new()),
            Some(DataType::Double) if raw.is_empty() => (tensor.double_data.clone(), Vec::new()),
            Some(DataType::Double) => (fixed(raw, f64::from_le_bytes)?, Vec::new()),
            Some(DataType::Int64) => integers(if raw.is_empty() {
                tensor.int64_data.clone()
            } else {
                fixed(raw, i64::from_le_bytes)?
            }),
            Some(DataType::Int32) => integers(if raw.is_empty() {
                tensor.int32_data.iter().map(|&v| i64::from(v)).collect()
            } else {
                fixed(raw, |b| i64::from(i32::from_le_bytes(b)))?
            }),
            Some(DataType::String) => (
                Vec::new(),
                tensor.string_data.iter().map(|text| utf8(text)).collect(),
            ),
            _ => {
                return Err(format!(
                    "has elements of type {}, which isn't read",
                    type_name(tensor.data_type)
                ));
            }
        };
        if numbers.len().max(texts.len()) != count {
            return Err(format!(
                "has {} values for shape {shape:?}",
                numbers.len().max(texts.len())
            ));
        }
        if let Some(value) = numbers.iter().find(|value| !value.is_finite()) {
            return Err(format!("holds {value}"));
        }
        Ok(Self {
            shape,
            numbers,
            texts,
        })
    }
}

fn integers(values: Vec<i64>) -> (Vec<f64>, Vec<String>) {
    let named = if values.len() > MOST_NAMES { &[] } else { &*values };
    (
        values.iter().map(|&v| v as f64).collect(),
        named.iter().map(i64::to_string).collect(),
    )
}

fn fixed<T, const L: usize>(raw: &[u8], read: impl Fn([u8; L]) -> T) -> Result<Vec<T>, String> {
    match raw.as_chunks() {
        (chunks, []) => Ok(chunks.iter().map(|chunk| read(*chunk)).collect()),
        _ => Err(format!("has {} bytes of data", raw.len())),
    }
}
