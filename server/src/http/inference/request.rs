//! The body of an inference request.

use super::{
    CONTENT_TYPE, DATATYPE, INPUT, LENGTH_HEADER, OUTPUT,
    bad::{BadInference, ID_BYTES},
    data::{Blobs, elements},
    wire::{Input, Output, WireRequest},
};
use crate::http::error::ApiError;
use actix_web::http::header::HeaderMap;
use blindscore_protocol::descriptor::MAX_QUERIES;

/// A checked request.
#[derive(Debug)]
pub struct InferRequest<'a> {
    /// Identifier, which the response repeats.
    pub id: Option<String>,
    /// Key named by the parameter `key_id`.
    pub key_id: Option<String>,
    /// Model named in the body, which the protocol doesn't ask for but KServe's client sends.
    pub model_name: Option<String>,
    /// Version named in the body.
    pub model_version: Option<String>,
    /// Whether the tensor is a column (`[n, 1]`) instead of a row (`[n]`).
    pub is_column: bool,
    /// Query blobs.
    pub blobs: Blobs<'a>,
    /// Whether the response should have binary data.
    pub binary: bool,
}

/// Returns the length of the JSON by the request's headers, if binary data may follow it.
pub(in crate::http) fn json_length(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let mut values = headers.get_all(LENGTH_HEADER);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::Malformed(format!(
            "the header {LENGTH_HEADER} is there twice"
        )));
    }
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let length = value
        .to_str()
        .ok()
        .filter(digits)
        .and_then(|text| text.parse().ok());
    length
        .map(Some)
        .ok_or_else(|| ApiError::Malformed(format!("the header {LENGTH_HEADER} is not a length")))
}

impl<'a> InferRequest<'a> {
    /// Parses the body of a request for at most `most` queries. The first `json_length` bytes are
    /// JSON, all if that isn't given.
    ///
    /// # Errors
    /// If anything in it isn't as the protocol says, or asks for what isn't served.
    pub fn parse(body: &'a [u8], json_length: Option<usize>, most: usize) -> Result<Self, BadInference> {
        let most = most.min(MAX_QUERIES);
        let declared = json_length.unwrap_or(body.len());
        let (json, binary) = body
            .split_at_checked(declared)
            .ok_or(BadInference::LengthHeader {
                declared,
                body: body.len(),
            })?;
        let request: WireRequest<'a> = serde_json::from_slice(json)?;
        if let Some(id) = request.id.as_ref().filter(|id| id.len() > ID_BYTES) {
            return Err(BadInference::Id(id.len()));
        }
        let parameters = request.parameters.unwrap_or_default();
        let by_default = parameters.binary_data_output.unwrap_or(false);
        let answer_in_binary = wanted(request.outputs.unwrap_or_default(), by_default)?;
        let input = match <[Input<'a>; 1]>::try_from(request.inputs) {
            Ok([input]) => input,
            Err(inputs) => return Err(BadInference::Inputs(inputs.len())),
        };
        let (count, is_column) = input.check(most)?;
        let binary = json_length.map(|_| binary);
        Ok(Self {
            id: request.id,
            key_id: parameters.key_id,
            model_name: request.model_name,
            model_version: request.model_version,
            is_column,
            blobs: input.blobs(count, is_column, most, binary)?,
            binary: answer_in_binary,
        })
    }
}

/// Returns whether the response is wanted in binary.
fn wanted(outputs: Vec<Output>, by_default: bool) -> Result<bool, BadInference> {
    let count = outputs.len();
    let mut binary = by_default;
    for Output { name, parameters } in outputs {
        if name != OUTPUT {
            return Err(BadInference::NoOutput(name));
        }
        binary = parameters
            .and_then(|parameters| parameters.binary_data)
            .unwrap_or(by_default);
    }
    if count > 1 {
        return Err(BadInference::Outputs(count));
    }
    Ok(binary)
}

impl<'a> Input<'a> {
    /// Checks name, datatype and shape. Returns the number of elements and whether they are a
    /// column.
    fn check(&self, most: usize) -> Result<(usize, bool), BadInference> {
        if self.name != INPUT {
            return Err(BadInference::NoInput(self.name.clone()));
        }
        if self.datatype != DATATYPE {
            return Err(BadInference::Datatype(self.datatype.clone()));
        }
        let (count, is_column) = match self.shape[..] {
            [count] => (count, false),
            [count, 1] => (count, true),
            _ => return Err(BadInference::Shape(self.shape.clone())),
        };
        match usize::try_from(count).unwrap_or(usize::MAX) {
            0 => Err(BadInference::Empty),
            found if found > most => Err(BadInference::TooMany { limit: most, found }),
            count => Ok((count, is_column)),
        }
    }

    /// Returns the blobs. `binary` is what follows the JSON, if a header says where that ends.
    fn blobs(
        self,
        count: usize,
        is_column: bool,
        most: usize,
        binary: Option<&'a [u8]>,
    ) -> Result<Blobs<'a>, BadInference> {
        let parameters = self.parameters.unwrap_or_default();
        let served = if self.data.is_some() {
            Some(CONTENT_TYPE)
        } else {
            None
        };
        if let Some(named) = parameters.content_type
            && served != Some(named.as_str())
        {
            return Err(BadInference::ContentType(named));
        }
        match (self.data, parameters.binary_data_size) {
            (None, None) => Err(BadInference::Sources("neither")),
            (Some(_), Some(_)) => Err(BadInference::Sources("both")),
            (Some(data), None) => match binary {
                Some(rest) if !rest.is_empty() => Err(BadInference::Trailing(rest.len())),
                _ => data.texts(count, is_column, most).map(Blobs::Base64),
            },
            (None, Some(declared)) => {
                let binary = binary.ok_or(BadInference::NoLengthHeader)?;
                if declared != binary.len() as u64 {
                    return Err(BadInference::BinarySize {
                        declared,
                        found: binary.len(),
                    });
                }
                elements(binary, count).map(Blobs::Binary)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::data::Data, *};

    const MOST: usize = 3;

    fn request(input: &str, rest: &str) -> String {
        format!(r#"{{"inputs":[{{"name":"query","datatype":"BYTES",{input}}}]{rest}}}"#)
    }

    fn json(text: &str) -> Result<InferRequest<'_>, String> {
        InferRequest::parse(text.as_bytes(), None, MOST).map_err(|error| error.to_string())
    }

    /// Parses a request with binary data, and a `binary_data_size` that is `more` than their
    /// length.
    fn binary(shape: &str, data: &[u8], more: i64) -> Result<Vec<Vec<u8>>, String> {
        let size = data.len() as i64 + more;
        let input = format!(r#""shape":{shape},"parameters":{{"binary_data_size":{size}}}"#);
        let mut body = request(&input, "").into_bytes();
        let length = body.len();
        body.extend_from_slice(data);
        match InferRequest::parse(&body, Some(length), MOST) {
            Ok(InferRequest {
                blobs: Blobs::Binary(blobs),
                ..
            }) => Ok(blobs.into_iter().map(<[u8]>::to_vec).collect()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn both_shapes_and_both_nestings_are_read() {
        for (shape, data, is_column) in [
            ("[2]", r#"["a","b"]"#, false),
            ("[2,1]", r#"["a","b"]"#, true),
            ("[2,1]", r#"[["a"],["\u0062"]]"#, true),
        ] {
            let text = request(&format!(r#""shape":{shape},"data":{data}"#), "");
            let parsed = json(&text).unwrap();
            assert_eq!(parsed.blobs, Blobs::Base64(vec!["a".into(), "b".into()]));
            assert_eq!(parsed.is_column, is_column);
            assert!(!parsed.binary && parsed.id.is_none() && parsed.key_id.is_none());
        }
    }

    #[test]
    fn what_json_asks_for_wrongly_is_named() {
        let one = r#""shape":[1],"data":["a"]"#;
        let all = [
            (request(one, r#","inputs":[]"#), "duplicate field `inputs`"),
            (request(one, r#","sequence":1"#), "unknown field `sequence`"),
            (
                request(one, r#","parameters":{"sequence_id":1}"#),
                "unknown field `sequence_id`",
            ),
            (request(one, r#","id":5"#), "invalid type: integer `5`"),
            (request(one, r#","outputs":[{"name":"x"}]"#), r#"none named "x""#),
            (
                request(one, r#","outputs":[{"name":"response"},{"name":"response"}]"#),
                "2 times",
            ),
            (
                request(r#""shape":[2],"data":["a"]"#, ""),
                "2 elements, its data has 1",
            ),
            (
                request(r#""shape":[1],"data":["a","b"]"#, ""),
                "1 elements, its data has 2",
            ),
            (
                request(r#""shape":[1],"data":[["a"]]"#, ""),
                "nested in another way",
            ),
            (
                request(r#""shape":[2,1],"data":[["a"],"b"]"#, ""),
                "nested in another way",
            ),
            (
                request(r#""shape":[2,1],"data":[["a","b"]]"#, ""),
                "a row has one blob",
            ),
            (
                request(r#""shape":[1,1],"data":[[["a"]]]"#, ""),
                "a row has no rows",
            ),
            (request(r#""shape":[0],"data":[]"#, ""), "nothing to score"),
            (request(r#""shape":[],"data":["a"]"#, ""), "not []"),
            (request(r#""shape":[1,2],"data":["a"]"#, ""), "not [1, 2]"),
            (
                request(r#""shape":[-1],"data":["a"]"#, ""),
                "invalid value: integer `-1`",
            ),
            (
                request(r#""shape":[4],"data":["a"]"#, ""),
                "at most 3 queries, not 4",
            ),
            (
                request(r#""shape":[1],"data":[1]"#, ""),
                "expected a blob in base64",
            ),
            (request(r#""shape":[1]"#, ""), "not neither"),
            (
                request(
                    r#""shape":[1],"data":["a"],"parameters":{"binary_data_size":5}"#,
                    "",
                ),
                "not both",
            ),
            (
                request(r#""shape":[1],"parameters":{"binary_data_size":0}"#, ""),
                "has to say where the JSON ends",
            ),
            (
                request(
                    r#""shape":[1],"data":["a"],"parameters":{"content_type":"str"}"#,
                    "",
                ),
                r#"it is "str""#,
            ),
            (r#"{"inputs":[]}"#.to_owned(), "not 0"),
            (
                r#"{"inputs":[{"name":"x","datatype":"BYTES","shape":[1]}]}"#.to_owned(),
                r#"none named "x""#,
            ),
            (
                r#"{"inputs":[{"name":"query","datatype":"FP32","shape":[1]}]}"#.to_owned(),
                r#"not "FP32""#,
            ),
        ];
        for (text, words) in all {
            let error = json(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let long = "x".repeat(ID_BYTES + 1);
        let error = json(&request(one, &format!(r#","id":"{long}""#))).unwrap_err();
        assert!(error.contains("1001 bytes"), "{error}");
    }

    #[test]
    fn elements_past_the_limit_are_counted_and_not_kept() {
        let text = format!("[{}]", vec![r#""""#; 100_000].join(","));
        let data: Data<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((data.count, data.texts.len()), (100_000, 64));
    }

    #[test]
    fn binary_data_have_exactly_the_declared_lengths() {
        let two = b"\x02\0\0\0ab\0\0\0\0";
        assert_eq!(binary("[2]", two, 0).unwrap(), [&b"ab"[..], b""]);
        assert_eq!(binary("[2,1]", two, 0).unwrap().len(), 2);
        for (shape, data, more, words) in [
            (
                "[2]",
                &two[..],
                1,
                "binary_data_size of query is 11, but 10 bytes",
            ),
            ("[2]", two, -1, "binary_data_size of query is 9, but 10 bytes"),
            ("[1]", two, 0, "4 bytes follow the 1 elements"),
            ("[3]", two, 0, "end before element 2 of 3"),
            ("[2]", &two[..9], 0, "end before element 1 of 2"),
            ("[1]", &two[..5], 0, "declares 2 bytes, but 1 are left"),
            (
                "[1]",
                b"\xff\xff\xff\xffab",
                0,
                "declares 4294967295 bytes, but 2",
            ),
            ("[18446744073709551615]", two, 0, "at most 3 queries"),
        ] {
            let error = binary(shape, data, more).unwrap_err();
            assert!(error.contains(words), "{shape} {data:?}: {error}");
        }
        let body = request(r#""shape":[1],"data":["a"]"#, "") + "rest";
        let error = InferRequest::parse(body.as_bytes(), Some(body.len() - 4), MOST).unwrap_err();
        assert!(matches!(error, BadInference::Trailing(4)), "{error}");
        let error = InferRequest::parse(body.as_bytes(), Some(usize::MAX), MOST).unwrap_err();
        assert!(matches!(error, BadInference::LengthHeader { .. }), "{error}");
    }

    #[test]
    fn the_output_decides_its_form_before_the_request_does() {
        let one = r#""shape":[1],"data":["a"]"#;
        for (rest, binary) in [
            (r#","parameters":{"binary_data_output":true}"#, true),
            (
                r#","parameters":{"binary_data_output":true},"outputs":[{"name":"response"}]"#,
                true,
            ),
            (
                r#","parameters":{"binary_data_output":true},
                  "outputs":[{"name":"response","parameters":{"binary_data":false}}]"#,
                false,
            ),
            (
                r#","outputs":[{"name":"response","parameters":{"binary_data":true}}]"#,
                true,
            ),
            (r#","outputs":[],"parameters":null,"id":null"#, false),
        ] {
            assert_eq!(json(&request(one, rest)).unwrap().binary, binary, "{rest}");
        }
    }
}
