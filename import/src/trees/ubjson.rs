//! Universal binary JSON, as far as XGBoost writes it (<https://ubjson.org>, draft 12).

use crate::ImportError;
use serde_json::{Map, Number, Value};

/// Deepest nesting, as for JSON.
const MOST_DEPTH: usize = 100;
/// Most values of a file: decoded, each takes some tens of bytes.
const MOST_VALUES: usize = 16_000_000;

/// Decodes a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ImportError> {
    let mut reader = Reader {
        rest: bytes,
        // Each value takes a byte or more.
        left: bytes.len().min(MOST_VALUES),
    };
    let value = reader.marker().and_then(|marker| reader.value(marker, 0));
    match value {
        Some(value) if reader.rest.is_empty() => Ok(value),
        _ if reader.left == 0 && bytes.len() > MOST_VALUES => Err(ImportError::Options(format!(
            "it has more than {MOST_VALUES} values: fit fewer or smaller trees"
        ))),
        _ => Err(ImportError::Options(
            "it is not universal binary JSON as XGBoost writes it: save the model as JSON, with booster.save_model(\"model.json\")".into(),
        )),
    }
}

/// What is left of a file.
struct Reader<'a> {
    rest: &'a [u8],
    /// Number of values that may follow.
    left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Returns the next marker that isn't padding.
    fn marker(&mut self) -> Option<u8> {
        loop {
            match self.array()? {
                [b'N'] => {}
                [marker] => return Some(marker),
            }
        }
    }

    /// Returns whether the next byte is this one, and passes it then.
    fn passed(&mut self, marker: u8) -> bool {
        let found = self.rest.first() == Some(&marker);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn integer(&mut self, marker: u8) -> Option<i64> {
        Some(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return None,
        })
    }

    fn length(&mut self) -> Option<usize> {
        let marker = self.marker()?;
        usize::try_from(self.integer(marker)?).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn value(&mut self, marker: u8, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        if depth > MOST_DEPTH {
            return None;
        }
        Some(match marker {
            b'Z' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'S' => Value::String(self.text()?),
            b'C' => Value::String(char::from(self.array::<1>()?[0]).to_string()),
            b'd' => float(f64::from(f32::from_be_bytes(self.array()?))),
            b'D' => float(f64::from_be_bytes(self.array()?)),
            b'[' => Value::Array(self.list(depth)?),
            b'{' => Value::Object(self.object(depth)?),
            other => Value::Number(self.integer(other)?.into()),
        })
    }

    /// Returns the type and the number of a container's values, as far as they are given.
    fn header(&mut self) -> Option<(Option<u8>, Option<usize>)> {
        let kind = if self.passed(b'$') {
            Some(self.array::<1>()?[0])
        } else {
            None
        };
        let count = if self.passed(b'#') {
            Some(self.length()?)
        } else {
            None
        };
        // A type without a number of values has no end.
        (kind.is_none() || count.is_some()).then_some((kind, count))
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Value>> {
        let (kind, count) = self.header()?;
        let mut list = Vec::new();
        while count.is_none_or(|count| list.len() < count) {
            if count.is_none() && self.passed(b']') {
                break;
            }
            let marker = match kind {
                Some(kind) => kind,
                None => self.marker()?,
            };
            list.push(self.value(marker, depth + 1)?);
        }
        Some(list)
    }

    fn object(&mut self, depth: usize) -> Option<Map<String, Value>> {
        let (kind, count) = self.header()?;
        let mut object = Map::new();
        let mut read = 0;
        while count.is_none_or(|count| read < count) {
            if count.is_none() && self.passed(b'}') {
                break;
            }
            let name = self.text()?;
            let marker = match kind {
                Some(kind) => kind,
                None => self.marker()?,
            };
            let value = self.value(marker, depth + 1)?;
            object.insert(name, value);
            read += 1;
        }
        Some(object)
    }
}

/// Returns a number; JSON has none that are not finite.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn long(length: i64) -> Vec<u8> {
        [&b"L"[..], &length.to_be_bytes()].concat()
    }

    #[test]
    fn values_are_read_in_all_their_types() {
        let bytes = [
            &b"{"[..],
            &long(1),
            b"a[$d#",
            &long(2),
            &1.5f32.to_be_bytes(),
            &(-0.25f32).to_be_bytes(),
            &long(1),
            b"b[i\x01I\x01\x00l\x00\x01\x00\x00U\xffD",
            &0.1f64.to_be_bytes(),
            b"TFZS",
            &long(2),
            b"xy]",
            &long(1),
            b"c{}}",
        ]
        .concat();
        assert_eq!(
            parse(&bytes).unwrap(),
            json!({ "a": [1.5, -0.25], "b": [1, 256, 65536, 255, 0.1, true, false, null, "xy"], "c": {} })
        );
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn sizes_and_depths_are_bounded() {
        let many = [&b"[$Z#"[..], &long(i64::MAX)].concat();
        for bytes in [
            many,
            vec![b'['; 200],
            [&b"[$d#"[..], &long(1 << 40)].concat(),
            [&b"S"[..], &long(-1)].concat(),
            [&b"S"[..], &long(1 << 40), b"x"].concat(),
            b"[$d".to_vec(),
            b"ZZ".to_vec(),
            b"?".to_vec(),
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
    }
}
