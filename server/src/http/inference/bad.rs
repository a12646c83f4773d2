//! Reasons to refuse the body of an inference request.

use super::{CONTENT_TYPE, DATATYPE, INPUT, LENGTH_HEADER, OUTPUT};
use crate::http::error::ApiError;

/// Longest `id` of a request, in bytes. It is sent back.
pub(super) const ID_BYTES: usize = 1000;
/// Longest message about a request, in characters: serde's messages repeat what they refuse.
const MESSAGE_CHARS: usize = 500;

/// Reason why a body is no inference request for a model of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadInference {
    /// The header is longer than the body.
    #[error("{LENGTH_HEADER} is {declared}, but the body has {body} bytes")]
    LengthHeader {
        /// Length in the header.
        declared: usize,
        /// Length of the body.
        body: usize,
    },
    /// No JSON, or JSON of another shape.
    #[error("the JSON is no inference request that is served here: {0}")]
    Json(#[from] serde_json::Error),
    /// The id is too long.
    #[error("id has {0} bytes, {ID_BYTES} are allowed")]
    Id(usize),
    /// No input, or several.
    #[error("a request has one input, {INPUT}, not {0}")]
    Inputs(usize),
    /// The input has another name.
    #[error("the model has the input {INPUT}, none named {0:?}")]
    NoInput(String),
    /// The model has no such output.
    #[error("the model has the output {OUTPUT}, none named {0:?}")]
    NoOutput(String),
    /// The output is requested more than once.
    #[error("the output {OUTPUT} is requested {0} times")]
    Outputs(usize),
    /// The input has another datatype.
    #[error("{INPUT} has the datatype {DATATYPE}, not {0:?}")]
    Datatype(String),
    /// The shape isn't that of a list.
    #[error("{INPUT} has the shape [n] or [n, 1], not {0:?}")]
    Shape(Vec<u64>),
    /// The shape has no elements.
    #[error("the shape of {INPUT} says that it is empty: there is nothing to score")]
    Empty,
    /// There are too many queries.
    #[error("one request may carry at most {limit} queries, not {found}")]
    TooMany {
        /// Largest accepted number.
        limit: usize,
        /// Number of queries in the request.
        found: usize,
    },
    /// Shape and data differ.
    #[error("the shape of {INPUT} says {shape} elements, its data has {found}")]
    Count {
        /// Elements by the shape.
        shape: usize,
        /// Elements in the data.
        found: usize,
    },
    /// Rows in the data don't follow the shape.
    #[error("the data of {INPUT} is nested in another way than its shape says")]
    Nesting,
    /// The input has no data or two kinds of it.
    #[error("{INPUT} has either data or the parameter binary_data_size, not {0}")]
    Sources(&'static str),
    /// The strings are said to be something else than base64.
    #[error(
        "content_type has to be {CONTENT_TYPE} with strings in data, and absent with binary data; it is {0:?}"
    )]
    ContentType(String),
    /// Binary data without the header that says where they begin.
    #[error("{INPUT} has binary data: the header {LENGTH_HEADER} has to say where the JSON ends")]
    NoLengthHeader,
    /// The binary data have another length.
    #[error("binary_data_size of {INPUT} is {declared}, but {found} bytes follow the JSON")]
    BinarySize {
        /// Length in the JSON.
        declared: u64,
        /// Number of bytes after the JSON.
        found: usize,
    },
    /// Bytes follow the JSON that belong to no input.
    #[error("{0} bytes follow the JSON, but no input has binary data")]
    Trailing(usize),
    /// The binary data end before an element.
    #[error("the binary data end before element {index} of {count}")]
    NoElement {
        /// Position of the element, from 0.
        index: usize,
        /// Number of elements.
        count: usize,
    },
    /// An element is longer than the rest of the binary data.
    #[error("element {index} declares {declared} bytes, but {left} are left")]
    ElementTooLong {
        /// Position of the element, from 0.
        index: usize,
        /// Length in front of the element.
        declared: u32,
        /// Bytes left after it.
        left: usize,
    },
    /// The binary data go on after the last element.
    #[error("{left} bytes follow the {count} elements of the binary data")]
    AfterElements {
        /// Number of elements.
        count: usize,
        /// Number of bytes after them.
        left: usize,
    },
}

impl From<BadInference> for ApiError {
    fn from(error: BadInference) -> Self {
        match error {
            BadInference::TooMany { limit, found } => Self::TooMany { limit, found },
            error => Self::Malformed(error.to_string().chars().take(MESSAGE_CHARS).collect()),
        }
    }
}
