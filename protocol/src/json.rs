//! JSON of unknown content.
//!
//! Descriptors are read through it: derived readers of their many types would be large in
//! WebAssembly, which has no parser of JSON either, and gets its values from the host.

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
    pub(crate) fn each<T>(self, read: fn(Self) -> Result<T, String>) -> Result<Vec<T>, String> {
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
}

/// Fields of an object while it is read.
///
/// Reading goes on after a problem, with a fallback in the place of what can't be read: an early
/// return from every field would take 2 kB more of the compressed WebAssembly.
pub(crate) struct Fields {
    object: Object,
    problem: Option<String>,
}

impl Object {
    /// Reads the object with `read`, and ignores fields that it doesn't take.
    ///
    /// # Errors
    /// The first problem with a field.
    pub(crate) fn read_known<T>(self, read: impl FnOnce(&mut Fields) -> T) -> Result<T, String> {
        let mut fields = Fields {
            object: self,
            problem: None,
        };
        let value = read(&mut fields);
        fields.problem.map_or(Ok(value), Err)
    }

    /// Reads the object with `read`, which must take all of its fields.
    ///
    /// # Errors
    /// The first problem with a field, or that there is one too many.
    pub(crate) fn read<T>(self, read: impl FnOnce(&mut Fields) -> T) -> Result<T, String> {
        self.read_known(|fields| {
            let value = read(fields);
            fields.refuse_others();
            value
        })
    }
}

impl Fields {
    fn refuse_others(&mut self) {
        if let Some((name, _)) = self.object.0.first() {
            self.refuse(format!("unknown field {}", shown(name)));
        }
    }

    /// Refuses the object for a problem, if it is the first.
    #[cold]
    pub(crate) fn refuse(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    #[cold]
    fn refuse_field(&mut self, name: &str, problem: &str) {
        self.refuse(format!("`{name}`: {problem}"));
    }

    #[cold]
    fn refuse_without(&mut self, name: &str) {
        self.refuse(format!("missing field `{name}`"));
    }

    /// Takes a field and reads it, if it is there.
    pub(crate) fn optional<T>(&mut self, name: &str, read: fn(Json) -> Result<T, String>) -> Option<T> {
        let value = read(self.object.take(name)?);
        value.map_err(|problem| self.refuse_field(name, &problem)).ok()
    }

    /// Takes a field and reads it.
    pub(crate) fn field<T: Default>(&mut self, name: &str, read: fn(Json) -> Result<T, String>) -> T {
        self.field_or(name, read, T::default())
    }

    /// Takes a field and reads it; a type without a default needs a fallback.
    pub(crate) fn field_or<T>(&mut self, name: &str, read: fn(Json) -> Result<T, String>, fallback: T) -> T {
        self.optional(name, read).unwrap_or_else(|| {
            self.refuse_without(name);
            fallback
        })
    }

    /// Takes a truth value, false if it is not there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.optional(name, Json::flag).unwrap_or(false)
    }
}

/// Quotes the start of a text for a message.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}
