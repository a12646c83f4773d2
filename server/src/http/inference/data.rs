//! Contents of a tensor of blobs: strings in the JSON, or binary data after it.

use super::bad::BadInference;
use crate::http::answer::PREFIX_BYTES;
use blindscore_protocol::descriptor::MAX_QUERIES;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// Blobs of a request, as they came.
#[derive(Debug, PartialEq, Eq)]
pub enum Blobs<'a> {
    /// Texts that should be base64.
    Base64(Vec<Cow<'a, str>>),
    /// Bytes.
    Binary(Vec<&'a [u8]>),
}

impl Blobs<'_> {
    /// Returns the number of blobs.
    pub fn len(&self) -> usize {
        match self {
            Self::Base64(texts) => texts.len(),
            Self::Binary(blobs) => blobs.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The member `data` of a tensor. More elements than any request may have are counted, not kept.
#[derive(Debug)]
pub(super) struct Data<'a> {
    /// The first elements.
    pub(super) texts: Vec<Cow<'a, str>>,
    /// Number of all elements.
    pub(super) count: usize,
    /// Number of those that are alone in a row of their own.
    pub(super) rows: usize,
}

impl<'a> Data<'a> {
    /// Returns the elements, if they are as many and as nested as the shape says.
    pub(super) fn texts(
        self,
        count: usize,
        is_column: bool,
        most: usize,
    ) -> Result<Vec<Cow<'a, str>>, BadInference> {
        if self.count > most {
            return Err(BadInference::TooMany {
                limit: most,
                found: self.count,
            });
        }
        if self.count != count {
            return Err(BadInference::Count {
                shape: count,
                found: self.count,
            });
        }
        // A column may be flat, or a list of rows.
        if self.rows != 0 && !(is_column && self.rows == count) {
            return Err(BadInference::Nesting);
        }
        Ok(self.texts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of blobs in base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Data<'de>, A::Error> {
        let mut data = Data {
            texts: Vec::new(),
            count: 0,
            rows: 0,
        };
        while let Some(Element { text, is_row }) = elements.next_element()? {
            data.count += 1;
            data.rows += usize::from(is_row);
            if data.texts.len() < MAX_QUERIES {
                data.texts.push(text);
            }
        }
        Ok(data)
    }
}

/// One blob: a string, or a row with one string.
struct Element<'a> {
    text: Cow<'a, str>,
    is_row: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor { may_be_row: true })
    }
}

/// The string in a row.
struct Cell<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let element = deserializer.deserialize_any(ElementVisitor { may_be_row: false })?;
        Ok(Self(element.text))
    }
}

struct ElementVisitor {
    may_be_row: bool,
}

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a blob in base64")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Element<'de>, E> {
        Ok(Element {
            text: text.into(),
            is_row: false,
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Element<'de>, E> {
        Ok(Element {
            text: text.to_owned().into(),
            is_row: false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<Element<'de>, A::Error> {
        if !self.may_be_row {
            return Err(Error::custom("a row has no rows"));
        }
        let first: Option<Cell<'de>> = row.next_element()?;
        match (first, row.next_element::<IgnoredAny>()?) {
            (Some(Cell(text)), None) => Ok(Element { text, is_row: true }),
            _ => Err(Error::custom("a row has one blob")),
        }
    }
}

/// Splits binary data into `count` elements, each behind its length.
pub(super) fn elements(mut data: &[u8], count: usize) -> Result<Vec<&[u8]>, BadInference> {
    let mut elements = Vec::new();
    for index in 0..count {
        let (prefix, rest) = data
            .split_first_chunk::<PREFIX_BYTES>()
            .ok_or(BadInference::NoElement { index, count })?;
        let declared = u32::from_le_bytes(*prefix);
        let (element, rest) = usize::try_from(declared)
            .ok()
            .and_then(|len| rest.split_at_checked(len))
            .ok_or(BadInference::ElementTooLong {
                index,
                declared,
                left: rest.len(),
            })?;
        elements.push(element);
        data = rest;
    }
    match data.len() {
        0 => Ok(elements),
        left => Err(BadInference::AfterElements { count, left }),
    }
}
