//! A library's JSON: access to its fields, and refusals in its name.

use crate::ImportError;
use serde_json::Value;

/// A library whose files are read, by its name.
#[derive(Clone, Copy)]
pub(crate) struct Format(pub(crate) &'static str);

impl Format {
    /// Refuses a model, because of something that is not served.
    pub(crate) fn refuse<T>(self, words: impl AsRef<str>) -> Result<T, ImportError> {
        Err(ImportError::Graph(format!(
            "the {} model can't be served: {}",
            self.0,
            words.as_ref()
        )))
    }

    /// Returns the error for a part that is not as the library writes it.
    pub(crate) fn malformed(self, what: &str) -> ImportError {
        ImportError::Graph(format!(
            "not a model of {}, or of another version: {what} is missing or malformed",
            self.0
        ))
    }

    /// Returns a field of an object.
    pub(crate) fn field<'j>(self, json: &'j Value, name: &str) -> Result<&'j Value, ImportError> {
        json.get(name).ok_or_else(|| self.malformed(name))
    }

    /// Returns a field that is a text.
    pub(crate) fn text<'j>(self, json: &'j Value, name: &str) -> Result<&'j str, ImportError> {
        self.field(json, name)?
            .as_str()
            .ok_or_else(|| self.malformed(name))
    }

    /// Returns a field that is a list.
    pub(crate) fn list<'j>(self, json: &'j Value, name: &str) -> Result<&'j [Value], ImportError> {
        let list = self.field(json, name)?.as_array();
        list.map(Vec::as_slice).ok_or_else(|| self.malformed(name))
    }

    /// Returns a field that is a finite number.
    pub(crate) fn number(self, json: &Value, name: &str) -> Result<f64, ImportError> {
        finite(self.field(json, name)?).ok_or_else(|| self.malformed(name))
    }

    /// Returns a field that is a place in a list.
    pub(crate) fn place(self, json: &Value, name: &str) -> Result<usize, ImportError> {
        place(self.field(json, name)?).ok_or_else(|| self.malformed(name))
    }

    /// Returns a field that is a list of finite numbers.
    pub(crate) fn numbers(self, json: &Value, name: &str) -> Result<Vec<f64>, ImportError> {
        let numbers = self.list(json, name)?.iter().map(finite).collect::<Option<_>>();
        numbers.ok_or_else(|| self.malformed(name))
    }

    /// Returns a field that is a list of texts; none without the field.
    pub(crate) fn texts(self, json: &Value, name: &str) -> Result<Vec<String>, ImportError> {
        if json.get(name).is_none_or(Value::is_null) {
            return Ok(Vec::new());
        }
        let texts = self.list(json, name)?.iter();
        let texts = texts.map(|text| text.as_str().map(str::to_owned));
        texts.collect::<Option<_>>().ok_or_else(|| self.malformed(name))
    }
}

/// Returns a finite number.
pub(crate) fn finite(json: &Value) -> Option<f64> {
    json.as_f64().filter(|number| number.is_finite())
}

/// Returns a place in a list.
pub(crate) fn place(json: &Value) -> Option<usize> {
    usize::try_from(json.as_u64()?).ok()
}
