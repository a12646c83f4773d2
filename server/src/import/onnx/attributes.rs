//! Attributes and constant tensors of ONNX files.

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, tensor_proto::DataType};

/// Values that a constant may have: more than the largest weight matrix.
const MOST_VALUES: usize = 64_000_000;

/// A constant tensor of numbers or strings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    /// Its shape.
    pub(super) shape: Vec<usize>,
    /// Its values, row by row; empty for strings.
    pub(super) numbers: Vec<f64>,
    /// Its strings, or its integers as text: what labels are made of.
    pub(super) texts: Vec<String>,
}

impl Constant {
    /// Reads a tensor; the error says what is wrong with it.
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
            other => return Err(format!("has type {other:?}")),
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
    (
        values.iter().map(|&v| v as f64).collect(),
        values.iter().map(i64::to_string).collect(),
    )
}

fn fixed<T, const L: usize>(raw: &[u8], read: impl Fn([u8; L]) -> T) -> Result<Vec<T>, String> {
    match raw.as_chunks() {
        (chunks, []) => Ok(chunks.iter().map(|chunk| read(*chunk)).collect()),
        _ => Err(format!("has {} bytes of data", raw.len())),
    }
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An operator's name, with its domain where that isn't ONNX's own.
pub(super) fn operator(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

/// A node's attributes by name, with the defaults of the ONNX specification left to the caller.
pub(super) struct Attributes<'a>(pub(super) &'a NodeProto);

impl<'a> Attributes<'a> {
    fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.get(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f64) -> f64 {
        self.get(name).map_or(default, |attribute| f64::from(attribute.f))
    }

    pub(super) fn floats(&self, name: &str) -> Vec<f64> {
        self.get(name).map_or_else(Vec::new, |attribute| {
            attribute.floats.iter().map(|&v| f64::from(v)).collect()
        })
    }

    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.get(name)
            .map_or_else(|| default.to_owned(), |attribute| utf8(&attribute.s))
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.get(name)?.t.as_ref()
    }

    /// `classlabels_strings` or `classlabels_ints`, as text.
    pub(super) fn class_labels(&self) -> Vec<String> {
        let strings = self
            .get("classlabels_strings")
            .map_or(&[][..], |attribute| &attribute.strings);
        let ints = self
            .get("classlabels_ints")
            .map_or(&[][..], |attribute| &attribute.ints);
        strings
            .iter()
            .map(|text| utf8(text))
            .chain(ints.iter().map(i64::to_string))
            .collect()
    }
}
