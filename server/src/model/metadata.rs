//! What the model files of all kinds have in common: strings in the header, and tensors of numbers.

use super::ModelError;
use blindscore_protocol::descriptor::{ImageShape, Inputs, Link};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::HashMap, str::FromStr};

/// Shape and values of a tensor of numbers without NaN or infinities.
pub(super) fn numbers(
    tensors: &SafeTensors<'_>,
    name: &'static str,
) -> Result<(Vec<usize>, Vec<f64>), ModelError> {
    let tensor: TensorView<'_> = tensors.tensor(name)?;
    let values: Vec<f64> = match tensor.dtype() {
        Dtype::F64 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect(),
        Dtype::F32 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect(),
        Dtype::I8 => tensor.data().iter().map(|&b| f64::from(b as i8)).collect(),
        Dtype::I16 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(i16::from_le_bytes(*b)))
            .collect(),
        Dtype::I32 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(i32::from_le_bytes(*b)))
            .collect(),
        other => {
            return Err(ModelError::field(
                name,
                format!("has type {other:?}, not F64, F32, I32, I16 or I8"),
            ));
        }
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ModelError::field(
            name,
            format!("value {index} is {}", values[index]),
        )),
        None => Ok((tensor.shape().to_vec(), values)),
    }
}

/// The strings in a file's header.
pub(super) struct Metadata(HashMap<String, String>);

impl Metadata {
    pub(super) fn read(file: &[u8]) -> Result<Self, ModelError> {
        let (_, header) = SafeTensors::read_metadata(file)?;
        Ok(Self(header.metadata().clone().unwrap_or_default()))
    }

    /// The model's name, which stands in URLs.
    pub(super) fn name(&self) -> Result<String, ModelError> {
        let name = self.get("name")?;
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(ModelError::field(
                "name",
                format!("{name:?} is not made of a-z, 0-9 and '-'"),
            ));
        }
        Ok(name.to_owned())
    }

    pub(super) fn inputs(&self, count: usize) -> Result<Inputs, ModelError> {
        Ok(Inputs {
            count,
            min: self.number("input_min")?,
            max: self.number("input_max")?,
            levels: self.number("input_levels")?,
            image: self.image()?,
        })
    }

    /// A label for each output.
    pub(super) fn labels(&self, outputs: usize) -> Result<Vec<String>, ModelError> {
        let labels: Vec<String> = self.json("labels")?;
        if labels.len() != outputs {
            return Err(ModelError::field(
                "labels",
                format!("{} labels for {outputs} outputs", labels.len()),
            ));
        }
        Ok(labels)
    }

    pub(super) fn link(&self) -> Result<Link, ModelError> {
        serde_json::from_value(self.get("link")?.into())
            .map_err(|_| ModelError::field("link", "is not softmax, sigmoid or identity"))
    }

    pub(super) fn accuracy(&self) -> Result<Option<f64>, ModelError> {
        self.0
            .contains_key("accuracy")
            .then(|| self.number("accuracy"))
            .transpose()
    }

    pub(super) fn get(&self, name: &'static str) -> Result<&str, ModelError> {
        let value = self
            .0
            .get(name)
            .ok_or_else(|| ModelError::field(name, "is missing from the metadata"))?;
        Ok(value)
    }

    pub(super) fn number<T: FromStr>(&self, name: &'static str) -> Result<T, ModelError> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|_| ModelError::field(name, format!("{text:?} is not such a number")))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<T, ModelError> {
        serde_json::from_str(self.get(name)?).map_err(|error| ModelError::field(name, error.to_string()))
    }

    fn flag(&self, name: &'static str) -> Result<bool, ModelError> {
        match self.0.get(name).map(String::as_str) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(ModelError::field(name, format!("{text:?} is not true or false"))),
        }
    }

    fn image(&self) -> Result<Option<ImageShape>, ModelError> {
        let Some(text) = self.0.get("image") else {
            return Ok(None);
        };
        let sides = text
            .split_once('x')
            .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width, height)) => Ok(Some(ImageShape {
                width,
                height,
                deskew: self.flag("deskew")?,
            })),
            None => Err(ModelError::field(
                "image",
                format!("{text:?} is not WIDTHxHEIGHT"),
            )),
        }
    }
}
