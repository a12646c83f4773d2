//! Attributes of the nodes of ONNX files.

use super::OWN;
use crate::bounds::MOST_NAME;
use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto, tensor_proto::DataType};

/// Returns an operator's name, with its domain unless that is the default one.
pub(super) fn operator(node: &NodeProto) -> String {
    /// Longest name in characters; no ONNX operator's is longer.
    const MOST: usize = 80;
    let name = match node.domain.as_str() {
        "" | "ai.onnx" | OWN => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    };
    name.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

/// A node's attributes by name. The caller provides the defaults of the ONNX specification.
pub(super) struct Attributes<'a>(pub(super) &'a NodeProto);

impl<'a> Attributes<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.get(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f64) -> f64 {
        self.get(name).map_or(default, |attribute| f64::from(attribute.f))
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.get(name).map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn strings(&self, name: &str) -> Option<Vec<String>> {
        let attribute = self.get(name)?;
        Some(attribute.strings.iter().map(|text| utf8(text)).collect())
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

    /// Returns the names of classes: strings, or integers as text. `None` if there are none; the
    /// error describes the problem with them.
    pub(super) fn class_names(&self, strings: &str, ints: &str) -> Result<Option<Vec<String>>, &'static str> {
        let strings = self.strings(strings).filter(|names| !names.is_empty());
        let ints = self.ints(ints).filter(|names| !names.is_empty());
        if strings.iter().flatten().any(|name| name.len() > MOST_NAME) {
            return Err(" with a name of a class that has more than 1,000 bytes");
        }
        match (strings, ints) {
            (Some(_), Some(_)) => Err(" with two lists of classes"),
            (Some(names), None) => Ok(Some(names)),
            (None, Some(numbers)) => Ok(Some(numbers.iter().map(i64::to_string).collect())),
            (None, None) => Ok(None),
        }
    }
}

/// Returns ONNX's name for the type of a tensor's elements.
pub(crate) fn type_name(kind: i32) -> String {
    match DataType::try_from(kind) {
        Ok(kind) => format!("{kind:?}").to_lowercase(),
        Err(_) => format!("number {kind}, which ONNX doesn't have"),
    }
}

/// Describes a list of axes.
pub(crate) fn axes_in_words(axes: Option<&[i64]>) -> String {
    match axes {
        None => "without axes".into(),
        Some([axis]) => format!("along axis {axis}"),
        Some(axes) => format!("along the axes {axes:?}"),
    }
}

/// Decodes a string of the file.
pub(super) fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
