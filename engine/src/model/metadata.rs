//! Common parts of all model files: strings in the header, and tensors of numbers.

use super::{ModelError, Salt};
use blindscore_protocol::{
    descriptor::{Answer, Feature, ImageShape, Inputs, Link, Member, NormBound, Task},
    encoding::Encoding,
    name::ModelName,
    params::{LinearParams, ParameterSet},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{collections::HashMap, str::FromStr};

/// Largest header of a file, in bytes: long names for the most features, and as much again.
pub const MOST_HEADER: u64 = 4 << 20;
/// Most values of a tensor: more than the largest weight matrix of a linear model or a projection
/// network.
const MOST_VALUES: usize = 20_000_000;

/// Parses the tensors of a file. Checks the header's length first, because a parsed header takes
/// many times as much memory.
pub fn tensors(file: &[u8]) -> Result<SafeTensors<'_>, ModelError> {
    if let Some(length) = file.first_chunk().copied().map(u64::from_le_bytes)
        && length > MOST_HEADER
        && length < file.len() as u64
    {
        return Err(ModelError::Safetensors(format!(
            "its header has {length} bytes; at most {MOST_HEADER} are allowed"
        )));
    }
    Ok(SafeTensors::deserialize(file)?)
}

/// Returns shape and values of a tensor of numbers. Refuses NaN and infinities.
pub fn numbers(tensors: &SafeTensors<'_>, name: &'static str) -> Result<(Vec<usize>, Vec<f64>), ModelError> {
    let tensor: TensorView<'_> = tensors
        .tensor(name)
        .map_err(|_| ModelError::field(name, "is missing: there is no such tensor"))?;
    let count = tensor.shape().iter().product::<usize>();
    if count > MOST_VALUES {
        return Err(ModelError::field(
            name,
            format!("has {count} values; at most {MOST_VALUES} are allowed"),
        ));
    }
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

/// Returns a tensor of `count` numbers.
pub(super) fn vector(
    tensors: &SafeTensors<'_>,
    name: &'static str,
    count: usize,
) -> Result<Vec<f64>, ModelError> {
    match numbers(tensors, name)? {
        (shape, values) if shape == [count] => Ok(values),
        (shape, _) => Err(ModelError::field(
            name,
            format!("has shape {shape:?}, not [{count}]"),
        )),
    }
}

/// What files of all kinds say alike in their headers.
pub(super) struct Described<'m> {
    pub salt: &'m Salt,
    pub name: &'m ModelName,
    pub title: &'m str,
    pub labels: &'m [String],
    pub task: Task,
    pub classes: Option<&'m [String]>,
    pub link: Link,
    pub encoding: Option<&'m Encoding>,
    pub accuracy: Option<f64>,
}

impl Described<'_> {
    /// Returns the entries of the header.
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        // Strings and lists of strings always have a JSON form.
        let list = |texts: &[String]| Value::from(texts).to_string();
        let mut entries = vec![
            ("name", self.name.to_string()),
            ("title", self.title.to_owned()),
            ("labels", list(self.labels)),
            ("task", self.task.name().to_owned()),
            ("link", self.link.name().to_owned()),
        ];
        entries.extend(self.classes.map(|classes| ("classes", list(classes))));
        if *self.salt != Salt::none() {
            entries.push((Salt::ENTRY, self.salt.as_str().to_owned()));
        }
        let encoding = self
            .encoding
            .and_then(|encoding| serde_json::to_string(encoding).ok());
        entries.extend(encoding.map(|encoding| ("encoding", encoding)));
        entries.extend(self.accuracy.map(|accuracy| ("accuracy", accuracy.to_string())));
        entries
    }
}

/// Returns numbers as a file has them.
pub(super) fn bytes<'n>(numbers: impl IntoIterator<Item = &'n f64>) -> Vec<u8> {
    numbers
        .into_iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Returns the entries that [`Metadata::inputs`] reads, except for the encoding.
pub(super) fn inputs_entries(inputs: &Inputs) -> Vec<(&'static str, String)> {
    let mut entries = vec![
        ("input_min", inputs.min.to_string()),
        ("input_max", inputs.max.to_string()),
        ("input_levels", inputs.levels.to_string()),
    ];
    if let Some(features) = &inputs.features {
        let names: Option<Vec<_>> = features.iter().map(|feature| feature.name.clone()).collect();
        entries.extend(names.map(|names| ("features", Value::from(names).to_string())));
    }
    if let Some(NormBound { centre, max }) = inputs.norm {
        entries.push(("norm_centre", centre.to_string()));
        entries.push(("norm_max", max.to_string()));
    }
    if let Some(ImageShape {
        width,
        height,
        deskew,
    }) = inputs.image
    {
        entries.push(("image", format!("{width}x{height}")));
        entries.push(("deskew", deskew.to_string()));
    }
    entries
}

/// The tensors of features' own ranges, which [`Metadata::inputs`] reads.
pub(super) struct Ranges([(&'static str, Vec<u8>); 2]);

impl Ranges {
    pub(super) fn of(inputs: &Inputs) -> Option<Self> {
        inputs.features.as_ref()?;
        let (min, max): (Vec<f64>, Vec<f64>) = (0..inputs.count).map(|index| inputs.range(index)).unzip();
        Some(Self([("feature_min", bytes(&min)), ("feature_max", bytes(&max))]))
    }

    pub(super) fn tensors(&self) -> Result<Vec<(&'static str, TensorView<'_>)>, ModelError> {
        let mut tensors = Vec::with_capacity(self.0.len());
        for (name, bytes) in &self.0 {
            let shape = vec![bytes.len() / size_of::<f64>()];
            tensors.push((*name, TensorView::new(Dtype::F64, shape, bytes)?));
        }
        Ok(tensors)
    }
}

/// Strings in a file's header.
pub struct Metadata(HashMap<String, String>);

impl Metadata {
    /// Reads the metadata in the header of a file.
    ///
    /// # Errors
    /// If the file is no safetensors file or its header is too long.
    pub fn read(file: &[u8]) -> Result<Self, ModelError> {
        tensors(file)?;
        let (_, header) = SafeTensors::read_metadata(file)?;
        Ok(Self(header.metadata().clone().unwrap_or_default()))
    }

    /// Returns the model's name, which is part of URLs.
    pub(super) fn name(&self) -> Result<ModelName, ModelError> {
        let name = self.get("name")?;
        name.parse()
            .map_err(|error| ModelError::field("name", format!("{name:?} is {error}")))
    }

    /// Returns ranges, names and levels of the features. One range for all features is in the
    /// metadata, one for each in the tensors `feature_min` and `feature_max`.
    pub(super) fn inputs(&self, tensors: &SafeTensors<'_>, count: usize) -> Result<Inputs, ModelError> {
        let names: Option<Vec<String>> = self.optional_json("features")?;
        if let Some(names) = &names
            && names.len() != count
        {
            let problem = format!("{} names for {count} features", names.len());
            return Err(ModelError::field("features", problem));
        }
        let own = tensors.tensor("feature_min").is_ok();
        let ranges: Vec<(f64, f64)> = if own {
            let [min, max] = [
                vector(tensors, "feature_min", count)?,
                vector(tensors, "feature_max", count)?,
            ];
            min.into_iter().zip(max).collect()
        } else {
            vec![(self.number("input_min")?, self.number("input_max")?); count]
        };
        let features = ranges.iter().enumerate().map(|(index, &(min, max))| Feature {
            name: names.as_ref().map(|names| names[index].clone()),
            min,
            max,
        });
        Ok(Inputs {
            count,
            min: ranges.iter().map(|range| range.0).fold(f64::INFINITY, f64::min),
            max: ranges
                .iter()
                .map(|range| range.1)
                .fold(f64::NEG_INFINITY, f64::max),
            levels: self.number("input_levels")?,
            features: (own || names.is_some()).then(|| features.collect()),
            norm: self.optional("norm_max", |this, _| {
                Ok(NormBound {
                    centre: this.number("norm_centre")?,
                    max: this.number("norm_max")?,
                })
            })?,
            image: self.image()?,
            encoding: self.optional_json("encoding")?,
        })
    }

    /// Returns the parameter set of a linear model.
    pub(super) fn linear_params(&self) -> Result<LinearParams, ModelError> {
        if !self.has("parameter_set") {
            return Ok(LinearParams::N2048);
        }
        let name = self.get("parameter_set")?;
        match ParameterSet::by_name(name).or_else(|| ParameterSet::successor(name)) {
            Some(ParameterSet::Linear(params)) => Ok(params),
            _ => Err(ModelError::field(
                "parameter_set",
                format!("{name:?} is none for linear models"),
            )),
        }
    }

    /// Returns the salt of the id.
    pub(super) fn salt(&self) -> Result<Salt, ModelError> {
        match self.optional(Salt::ENTRY, |this, name| Salt::parse(this.get(name)?))? {
            Some(salt) => Ok(salt),
            None => Ok(Salt::none()),
        }
    }

    /// Returns the purpose of the scores: the entry `task`, or the one that the link implies.
    pub fn task(&self, link: Link, outputs: usize, two_classes: bool) -> Result<Task, ModelError> {
        if self.has("task") {
            return serde_json::from_value(self.get("task")?.into())
                .map_err(|_| ModelError::field("task", "is not classification, multilabel or regression"));
        }
        Task::implied(link, outputs, two_classes).ok_or_else(|| {
            let problem = match link {
                Link::Sigmoid => {
                    "is missing: with one sigmoid, `classes` names the two classes (`import --labels no,yes` does it)"
                }
                _ => "is missing: several scores may be classification or regression (`import` writes it)",
            };
            ModelError::field("task", problem)
        })
    }

    /// Returns the labels of the classes, if not each has one output.
    pub(super) fn classes(&self) -> Result<Option<Vec<String>>, ModelError> {
        self.optional_json("classes")
    }

    /// Returns what of the answer leaves the server.
    pub(super) fn answer(&self) -> Result<Answer, ModelError> {
        if !self.has("answer") {
            return Ok(Answer::Scores);
        }
        match self.get("answer")? {
            answer if answer == Answer::Label.name() => Ok(Answer::Label),
            answer => Err(ModelError::field(
                "answer",
                format!("has {answer:?}, not \"label\""),
            )),
        }
    }

    /// Returns the models whose probabilities are averaged.
    pub(super) fn members(&self) -> Result<Vec<Member>, ModelError> {
        Ok(self.optional_json("members")?.unwrap_or_default())
    }

    /// Returns one label per output.
    pub fn labels(&self, outputs: usize) -> Result<Vec<String>, ModelError> {
        let labels: Vec<String> = self.json("labels")?;
        if labels.len() != outputs {
            return Err(ModelError::field(
                "labels",
                format!("{} labels for {outputs} outputs", labels.len()),
            ));
        }
        Ok(labels)
    }

    /// Returns the link function.
    ///
    /// # Errors
    /// If it is missing or unknown.
    pub fn link(&self) -> Result<Link, ModelError> {
        serde_json::from_value(self.get("link")?.into()).map_err(|_| {
            ModelError::field(
                "link",
                "is not softmax, sigmoid, one-vs-rest, probability, exp, identity, mean, one-vs-one or votes",
            )
        })
    }

    /// Returns the share of a public test set that the model gets right, if the file states it.
    ///
    /// # Errors
    /// If it isn't a number.
    pub fn accuracy(&self) -> Result<Option<f64>, ModelError> {
        self.optional("accuracy", Self::number)
    }

    /// Returns whether the header has this entry.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Parses an entry as JSON, if present.
    pub fn optional_json<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, ModelError> {
        self.optional(name, Self::json)
    }

    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, ModelError>,
    ) -> Result<Option<T>, ModelError> {
        self.has(name).then(|| read(self, name)).transpose()
    }

    pub(super) fn get(&self, name: &'static str) -> Result<&str, ModelError> {
        let value = self
            .0
            .get(name)
            .ok_or_else(|| ModelError::field(name, "is missing from the metadata"))?;
        Ok(value)
    }

    /// Parses an entry.
    ///
    /// # Errors
    /// If it is missing or can't be parsed.
    pub fn number<T: FromStr>(&self, name: &'static str) -> Result<T, ModelError> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|_| ModelError::field(name, format!("{text:?} is not such a number")))
    }

    /// Parses an entry as JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<T, ModelError> {
        serde_json::from_str(self.get(name)?).map_err(|error| ModelError::field(name, error.to_string()))
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ModelError> {
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
