//! The body of an inference response.

use super::{CONTENT_TYPE, DATATYPE, OUTPUT};
use crate::http::{
    answer::{Encoding, Form, PREFIX_BYTES},
    error::ApiError,
};
use serde::Serialize;
use utoipa::ToSchema;

/// End of a response's JSON, from its last member's data on.
const END: &str = "]}]}";

/// What a response says about itself, besides its blobs.
pub(in crate::http) struct Answering {
    /// Model named in the path.
    pub(in crate::http) model: String,
    /// Version of it, if the server keeps versions.
    pub(in crate::http) version: Option<u32>,
    /// Identifier in the request.
    pub(in crate::http) id: Option<String>,
    /// Whether the queries were a column.
    pub(in crate::http) is_column: bool,
    /// Whether the blobs follow the JSON.
    pub(in crate::http) binary: bool,
}

/// Inference response of the Open Inference Protocol. Binary data may follow the JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = InferenceResponse)]
pub(in crate::http) struct WireResponse<'a> {
    model_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model_version: Option<String>,
    /// The request's, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<&'a str>,
    #[schema(inline)]
    outputs: [Output; 1],
}

/// The only output.
#[derive(Serialize, ToSchema)]
struct Output {
    name: &'static str,
    datatype: &'static str,
    /// The shape of the request's input.
    shape: Vec<usize>,
    #[schema(inline)]
    parameters: OutputParameters,
    /// Response blobs in base64, in the order of the queries; absent if they follow the JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    data: Option<[&'static str; 0]>,
}

#[derive(Serialize, ToSchema)]
struct OutputParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    content_type: Option<&'static str>,
    /// Length of the binary data: each blob behind its length in four bytes, the lowest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    binary_data_size: Option<usize>,
}

impl Answering {
    /// Returns how blobs are encoded.
    pub(in crate::http) fn encoding(&self) -> Encoding {
        if self.binary {
            Encoding::Prefixed
        } else {
            Encoding::Base64
        }
    }

    /// Returns the form of a response with these blobs, and the length of its JSON if binary data
    /// follow that.
    pub(in crate::http) fn form(&self, blobs: &[Vec<u8>]) -> Result<(Form, Option<usize>), ApiError> {
        let json = serde_json::to_string(&self.head(blobs))
            .map_err(|_| ApiError::Internal("a response can't be written as JSON"))?;
        if self.binary {
            let length = json.len();
            let form = Form {
                encoding: Encoding::Prefixed,
                before: json.into(),
                between: "",
                after: "",
            };
            return Ok((form, Some(length)));
        }
        let before = json
            .strip_suffix(END)
            .ok_or(ApiError::Internal("a response's JSON has another end"))?;
        let form = Form {
            encoding: Encoding::Base64,
            before: format!("{before}\"").into(),
            between: "\",\"",
            after: "\"]}]}",
        };
        Ok((form, None))
    }

    fn head(&self, blobs: &[Vec<u8>]) -> WireResponse<'_> {
        let bytes = blobs.iter().map(|blob| PREFIX_BYTES + blob.len()).sum();
        WireResponse {
            model_name: &self.model,
            model_version: self.version.map(|version| version.to_string()),
            id: self.id.as_deref(),
            outputs: [Output {
                name: OUTPUT,
                datatype: DATATYPE,
                shape: if self.is_column {
                    vec![blobs.len(), 1]
                } else {
                    vec![blobs.len()]
                },
                parameters: OutputParameters {
                    content_type: (!self.binary).then_some(CONTENT_TYPE),
                    binary_data_size: self.binary.then_some(bytes),
                },
                data: (!self.binary).then_some([]),
            }],
        }
    }
}
