//! JSON of unknown content.
//!
//! Encodings are read through it, because derived readers of their many types would take a third of
//! the WebAssembly.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// A JSON value.
#[derive(Debug)]
pub(super) enum Any {
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Any>),
    Object(Object),
}

/// A JSON object, whose fields are taken one by one.
#[derive(Debug, Default)]
pub(super) struct Object(Vec<(String, Any)>);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything but null")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Any, E> {
        Ok(Any::Number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Any, E> {
        Ok(Any::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Any, E> {
        Ok(Any::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Any::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut fields: Vec<(String, Any)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Any>()? {
            // No part of an encoding has more fields.
            if fields.len() == 8 || fields.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format!("the field {name:?} is one too many")));
            }
            fields.push((name, value));
        }
        Ok(Any::Object(Object(fields)))
    }
}

impl Any {
    pub(super) fn object(self) -> Result<Object, String> {
        match self {
            Self::Object(object) => Ok(object),
            _ => Err("expected an object".into()),
        }
    }

    pub(super) fn list(self) -> Result<Vec<Self>, String> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err("expected a list".into()),
        }
    }

    pub(super) fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err("expected a text".into()),
        }
    }

    pub(super) fn number(self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err("expected a number".into()),
        }
    }

    /// Returns a whole number of at most 32 bits.
    pub(super) fn count(self) -> Result<u32, String> {
        let number = self.number()?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            Ok(number as u32)
        } else {
            Err(format!("{number:?} is not a whole number from 0 to 2^32 - 1"))
        }
    }

    pub(super) fn numbers(self) -> Result<Vec<f64>, String> {
        self.each(Self::number)
    }

    pub(super) fn texts(self) -> Result<Vec<String>, String> {
        self.each(Self::text)
    }

    /// Reads each element of a list.
    pub(super) fn each<T>(self, read: impl Fn(Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        self.list()?.into_iter().map(read).collect()
    }
}

impl Object {
    /// Takes the only field.
    pub(super) fn only(mut self) -> Result<(String, Any), String> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err("expected an object with one field".into()),
        }
    }

    /// Takes a field, if it is there.
    pub(super) fn optional(&mut self, name: &str) -> Option<Any> {
        let place = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Takes a field and reads it.
    pub(super) fn field<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Any) -> Result<T, String>,
    ) -> Result<T, String> {
        let value = self
            .optional(name)
            .ok_or_else(|| format!("missing field `{name}`"))?;
        read(value).map_err(|problem| format!("`{name}`: {problem}"))
    }

    /// Takes a truth value, false if it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.optional(name) {
            None => Ok(false),
            Some(Any::Bool(flag)) => Ok(flag),
            Some(_) => Err(format!("`{name}`: expected true or false")),
        }
    }

    /// Refuses fields that nothing has taken.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "unknown field {:?}",
                name.chars().take(60).collect::<String>()
            )),
        }
    }
}
