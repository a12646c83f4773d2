//! Tensors of numbers or text.

use super::{NotRun, not_run, type_name};
use crate::onnx::proto::{TensorProto, tensor_proto::DataType};

/// A tensor of the reference interpreter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    shape: Vec<usize>,
    elements: Elements,
    kind: DataType,
}

/// Elements of a tensor, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elements {
    /// Numbers of any type.
    Numbers(Vec<f64>),
    /// Text elements.
    Texts(Vec<String>),
}

/// Shape that two tensors broadcast to, and the index of every element in both.
pub(super) type Pairs = (Vec<usize>, Vec<(usize, usize)>);

/// Returns the number of elements of a shape, or `None` on overflow.
fn product(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
}

impl Tensor {
    pub(super) const fn numbers(shape: Vec<usize>, numbers: Vec<f64>, kind: DataType) -> Self {
        Self {
            shape,
            elements: Elements::Numbers(numbers),
            kind,
        }
    }

    pub(super) const fn texts(shape: Vec<usize>, texts: Vec<String>) -> Self {
        Self {
            shape,
            elements: Elements::Texts(texts),
            kind: DataType::String,
        }
    }

    /// Decodes a tensor of the file.
    pub(super) fn of(proto: &TensorProto) -> Result<Self, NotRun> {
        let shape: Vec<usize> = proto
            .dims
            .iter()
            .filter_map(|&dim| usize::try_from(dim).ok())
            .collect();
        let raw = proto.raw_data.as_slice();
        let Ok(kind) = DataType::try_from(proto.data_type) else {
            return not_run("a constant of an unknown type");
        };
        if kind == DataType::String {
            let texts = proto
                .string_data
                .iter()
                .map(|text| String::from_utf8_lossy(text).into_owned());
            return Ok(Self::texts(shape, texts.collect()));
        }
        let numbers: Vec<f64> = match (kind, raw.is_empty()) {
            (DataType::Float, true) => proto.float_data.iter().map(|&value| f64::from(value)).collect(),
            (DataType::Float, false) => raw
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
            (DataType::Double, true) => proto.double_data.clone(),
            (DataType::Double, false) => raw
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes))
                .collect(),
            (DataType::Int64, true) => proto.int64_data.iter().map(|&value| value as f64).collect(),
            (DataType::Int64, false) => raw
                .as_chunks()
                .0
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes) as f64)
                .collect(),
            (DataType::Int32, true) => proto.int32_data.iter().map(|&value| f64::from(value)).collect(),
            (DataType::Int32, false) => raw
                .chunks_exact(4)
                .map(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
            _ => {
                return not_run(format!("a constant of type {}", type_name(proto.data_type)));
            }
        };
        if product(&shape) != Some(numbers.len()) {
            return not_run("a constant that is cut off");
        }
        Ok(Self::numbers(shape, numbers, kind))
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) const fn kind(&self) -> DataType {
        self.kind
    }

    pub(super) fn count(&self) -> usize {
        match &self.elements {
            Elements::Numbers(numbers) => numbers.len(),
            Elements::Texts(texts) => texts.len(),
        }
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn size(&self) -> u64 {
        let bytes = match &self.elements {
            Elements::Numbers(numbers) => size_of_val(&**numbers),
            Elements::Texts(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
        };
        bytes as u64
    }

    pub(super) const fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Returns the elements, which must be numbers.
    pub(super) fn as_numbers(&self) -> Result<&[f64], NotRun> {
        match &self.elements {
            Elements::Numbers(numbers) => Ok(numbers),
            Elements::Texts(_) => not_run("text in the place of numbers"),
        }
    }

    /// Returns the numbers as dimensions, axes or indices.
    pub(super) fn as_integers(&self) -> Result<Vec<i64>, NotRun> {
        Ok(self.as_numbers()?.iter().map(|&number| number as i64).collect())
    }

    pub(super) const fn is_integer(&self) -> bool {
        !matches!(self.kind, DataType::Float | DataType::Double | DataType::String)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.as_numbers()
            .is_ok_and(|numbers| numbers.iter().all(|number| number.fract() == 0.0))
    }

    /// Returns the same elements in another shape.
    pub(super) fn in_shape(&self, shape: Vec<usize>) -> Result<Self, NotRun> {
        if product(&shape) != Some(self.count()) {
            return not_run(format!("{:?} doesn't fit {shape:?}", self.shape));
        }
        Ok(Self {
            shape,
            ..self.clone()
        })
    }

    /// Returns the elements at `places`.
    pub(super) fn pick(&self, shape: Vec<usize>, places: &[usize]) -> Self {
        let elements = match &self.elements {
            Elements::Numbers(numbers) => {
                Elements::Numbers(places.iter().map(|&place| numbers[place]).collect())
            }
            Elements::Texts(texts) => {
                Elements::Texts(places.iter().map(|&place| texts[place].clone()).collect())
            }
        };
        Self {
            shape,
            elements,
            kind: self.kind,
        }
    }

    /// Maps each number separately.
    pub(super) fn map(&self, kind: DataType, map: impl Fn(f64) -> f64) -> Result<Self, NotRun> {
        let numbers = self.as_numbers()?.iter().map(|&number| map(number)).collect();
        Ok(Self::numbers(self.shape.clone(), numbers, kind))
    }

    /// Returns the number of rows of a vector or matrix.
    pub(super) fn rows(&self) -> Option<usize> {
        match *self.shape.as_slice() {
            [rows] | [rows, _] => Some(rows),
            _ => None,
        }
    }

    /// Returns the elements of one row.
    pub(super) fn row(&self, row: usize) -> Elements {
        let width = self.shape.get(1).copied().unwrap_or(1);
        let places: Vec<usize> = (row * width..(row + 1) * width).collect();
        self.pick(vec![width], &places).elements
    }

    /// Returns the numbers of rows and columns of a matrix.
    pub(super) fn matrix(&self) -> Result<(usize, usize), NotRun> {
        match *self.shape.as_slice() {
            [rows, columns] => Ok((rows, columns)),
            _ => not_run(format!("shape {:?} in the place of a matrix", self.shape)),
        }
    }

    /// Resolves an axis, counted from the end if negative.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, NotRun> {
        let rank = self.shape.len() as i64;
        let place = if axis < 0 { axis + rank } else { axis };
        match usize::try_from(place) {
            Ok(place) if place < self.shape.len() => Ok(place),
            _ => not_run(format!("axis {axis} of shape {:?}", self.shape)),
        }
    }

    /// Returns the sizes before an axis, along it, and after it.
    pub(super) fn around(&self, axis: usize) -> (usize, usize, usize) {
        let before = self.shape[..axis].iter().product();
        let after = self.shape[axis + 1..].iter().product();
        (before, self.shape[axis], after)
    }

    /// Pairs the elements of two tensors whose shapes broadcast to one.
    pub(super) fn broadcast(&self, other: &Self) -> Result<Pairs, NotRun> {
        let rank = self.shape.len().max(other.shape.len());
        let padded = |shape: &[usize]| [vec![1; rank - shape.len()], shape.to_vec()].concat();
        let (left, right) = (padded(&self.shape), padded(&other.shape));
        let mut shape = Vec::with_capacity(rank);
        for (&l, &r) in left.iter().zip(&right) {
            if l != r && l != 1 && r != 1 {
                return not_run(format!("shapes {:?} and {:?}", self.shape, other.shape));
            }
            shape.push(if l == 1 { r } else { l });
        }
        let count: usize = shape.iter().product();
        let place = |sizes: &[usize], index: usize| {
            let (mut rest, mut step, mut place) = (index, 1, 0);
            for (&size, &whole) in sizes.iter().zip(&shape).rev() {
                if size != 1 {
                    place += rest % whole * step;
                }
                step *= size;
                rest /= whole;
            }
            place
        };
        let pairs = (0..count)
            .map(|index| (place(&left, index), place(&right, index)))
            .collect();
        Ok((shape, pairs))
    }
}
