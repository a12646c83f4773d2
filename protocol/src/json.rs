//! JSON of unknown content.
//!
//! Descriptors are read through it, because derived readers of their many types would take a third
//! of the WebAssembly.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use std::{collections::HashSet, fmt};

/// A JSON value.
#[derive(Debug)]
pub enum Json {
    /// Nothing, as good as a missing field.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number without sign, point or exponent. Larger ones than 2^53 may be exact only here.
    Whole(u64),
    /// Json number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A JSON object, whose fields are taken one by one.
#[derive(Debug)]
pub struct Object(Vec<(String, Json)>);

/// Collects fields whose names differ.
impl FromIterator<(String, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if !seen.insert(name.clone()) {
                let name = shown(&name);
                return Err(A::Error::custom(format!("the field {name} is there twice")));
            }
            fields.push((name, value));
        }
        Ok(Json::Object(Object(fields)))
    }
}

impl Json {
    pub(crate) fn object(self) -> Result<Object, String> {
        match self {
            Self::Object(object) => Ok(object),
            _ => Err("expected an object".into()),
        }
    }

    pub(crate) fn list(self) -> Result<Vec<Self>, String> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err("expected a list".into()),
        }
    }

    pub(crate) fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err("expected a text".into()),
        }
    }

    pub(crate) fn number(self) -> Result<f64, String> {
        match self {
            Self::Whole(number) => Ok(number as f64),
            Self::Number(number) => Ok(number),
            _ => Err("expected a number".into()),
        }
    }

    /// Returns a whole number from 0 to `most`.
    pub(crate) fn whole(self, most: u64) -> Result<u64, String> {
        /// 2^64.
        const END: f64 = 18_446_744_073_709_551_616.0;
        let whole = match self {
            Self::Whole(number) => Some(number),
            Self::Number(number) if number.fract() == 0.0 && (0.0..END).contains(&number) => {
                Some(number as u64)
            }
            other => other.number().map(|_| None)?,
        };
        whole
            .filter(|number| *number <= most)
            .ok_or_else(|| format!("expected a whole number from 0 to {most}"))
    }

    /// Returns a whole number of at most 32 bits.
    pub(crate) fn count(self) -> Result<u32, String> {
        self.whole(u32::MAX.into()).map(|count| count as u32)
    }

    /// Returns a whole number that can be a size here.
    pub(crate) fn size(self) -> Result<usize, String> {
        self.whole(usize::MAX as u64).map(|size| size as usize)
    }

    pub(crate) fn flag(self) -> Result<bool, String> {
        match self {
            Self::Bool(flag) => Ok(flag),
            _ => Err("expected true or false".into()),
        }
    }

    pub(crate) fn numbers(self) -> Result<Vec<f64>, String> {
        self.each(Self::number)
    }

    pub(crate) fn texts(self) -> Result<Vec<String>, String> {
        self.each(Self::text)
    }

    /// Reads each element of a list.
    pub(crate) fn each<T>(self, read: impl Fn(Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        self.list()?.into_iter().map(read).collect()
    }
}

impl Object {
    /// Takes the only field.
    pub(crate) fn only(mut self) -> Result<(String, Json), String> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err("expected an object with one field".into()),
        }
    }

    /// Takes a field, if it is there and not null.
    fn take(&mut self, name: &str) -> Option<Json> {
        let place = self.0.iter().position(|(other, _)| other == name)?;
        match self.0.swap_remove(place).1 {
            Json::Null => None,
            value => Some(value),
        }
    }

    /// Takes a field and reads it, if it is there.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let value = self.take(name).map(read).transpose();
        value.map_err(|problem| format!("`{name}`: {problem}"))
    }

    /// Takes a field and reads it.
    pub(crate) fn field<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json) -> Result<T, String>,
    ) -> Result<T, String> {
        self.optional(name, read)?
            .ok_or_else(|| format!("missing field `{name}`"))
    }

    /// Takes a truth value, false if it is not there.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, String> {
        Ok(self.optional(name, Json::flag)?.unwrap_or(false))
    }

    /// Refuses fields that nothing has taken.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("unknown field {}", shown(name))),
        }
    }
}

/// Quotes the start of a text for a message.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}
