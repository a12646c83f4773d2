//! Parsing of request bodies into queries that can be scored.

use super::{
    answer::PREFIX_BYTES,
    error::{ApiError, CiphertextError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_engine::model::Model;
use blindscore_protocol::{
    ids::KeyId,
    wire::{HEADER_BYTES, Header, Kind, Query, WireError},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// JSON bytes around a base64 string: quotes, comma, line break and indentation.
const JSON_PER_QUERY: usize = 32;
/// JSON bytes besides the queries: key id, names and braces.
const JSON_ENVELOPE: usize = 1024;

/// JSON bytes of an inference request besides its queries, with every character of its id escaped.
const INFERENCE_ENVELOPE: usize = 8 << 10;

/// Scoring request as JSON.
#[derive(Deserialize, ToSchema)]
pub(super) struct JsonRequest {
    /// Key that the queries were encrypted for.
    #[schema(value_type = KeyId)]
    pub(super) key_id: String,
    /// Query blobs in base64.
    #[schema(min_items = 1, max_items = 64)]
    pub(super) data: Vec<String>,
}

/// Returns the largest number of queries in a request to `model`.
pub(super) fn most(model: &Model) -> usize {
    model.descriptor().queries_per_request()
}

/// Returns the length of the longest valid raw body.
pub(super) fn raw_limit(model: &Model) -> usize {
    most(model) * query_len(model)
}

/// Returns the length of the longest valid JSON body.
pub(super) fn json_limit(model: &Model) -> usize {
    JSON_ENVELOPE + most(model) * (query_len(model).div_ceil(3) * 4 + JSON_PER_QUERY)
}

/// Splits a raw body into queries and checks each of them.
pub(super) fn from_raw(body: &[u8], model: &Model, key: KeyId) -> Result<Vec<Query>, ApiError> {
    if body.is_empty() {
        return Err(malformed(0, WireError::Truncated(0)));
    }
    body.chunks(query_len(model))
        .enumerate()
        .map(|(index, blob)| parse(index, blob, &body[index * query_len(model)..], model, key))
        .collect()
}

/// Parses and checks each blob as a query.
pub(super) fn from_blobs(blobs: &[&[u8]], model: &Model, key: KeyId) -> Result<Vec<Query>, ApiError> {
    let parse = |(index, blob): (usize, &&[u8])| parse(index, blob, blob, model, key);
    blobs.iter().enumerate().map(parse).collect()
}

/// Decodes the queries of a JSON request and checks each of them.
pub(super) fn from_base64(
    data: &[impl AsRef<str>],
    model: &Model,
    key: KeyId,
) -> Result<Vec<Query>, ApiError> {
    if data.is_empty() {
        return Err(ApiError::Malformed(
            "data is empty: there is nothing to score".into(),
        ));
    }
    if data.len() > most(model) {
        return Err(ApiError::TooMany {
            limit: most(model),
            found: data.len(),
        });
    }
    data.iter()
        .enumerate()
        .map(|(index, text)| {
            let blob = STANDARD
                .decode(text.as_ref())
                .map_err(|error| malformed(index, error))?;
            parse(index, &blob, &blob, model, key)
        })
        .collect()
}

/// Returns the length of the longest valid inference request, whose JSON may have a long id.
/// `binary` says whether the queries follow the JSON.
pub(super) fn inference_limit(model: &Model, binary: bool) -> usize {
    let queries = if binary {
        raw_limit(model) + most(model) * PREFIX_BYTES
    } else {
        json_limit(model)
    };
    INFERENCE_ENVELOPE + queries
}

fn query_len(model: &Model) -> usize {
    model.descriptor().sizes.query
}

/// Parses one query. `rest` is the body from the query's first byte on, for queries whose length
/// isn't this model's.
fn parse(index: usize, blob: &[u8], rest: &[u8], model: &Model, key: KeyId) -> Result<Query, ApiError> {
    let descriptor = model.descriptor();
    let query = Query::from_blob(
        blob,
        model.parameters().query_format(),
        descriptor.sent_features(),
    )
    .map_err(|error| {
        match (error, whole_query_of_another_form(rest)) {
            (WireError::UnsupportedVersion(found), _) => ApiError::FormatUnsupported { found },
            // A new version of a model may have another query length and other parameters.
            (_, Some(header)) if header.model != descriptor.id => ApiError::ModelChanged {
                query: header.model,
                served: descriptor.id,
            },
            (WireError::WrongParameterSet(set), _) => ApiError::ParametersRetired(set),
            (error, _) => malformed(index, error),
        }
    })?;
    if query.model != descriptor.id {
        return Err(ApiError::ModelChanged {
            query: query.model,
            served: descriptor.id,
        });
    }
    if query.key != key {
        return Err(ApiError::KeyMismatch {
            index,
            query: query.key,
            named: key,
        });
    }
    Ok(query)
}

/// Returns the header of the intact query at the start of `bytes`, whatever its length and
/// parameters. A changed model may have others; its old clients should learn of the change instead
/// of being told that their queries are damaged.
fn whole_query_of_another_form(bytes: &[u8]) -> Option<Header> {
    let params = Header::peek(bytes, Kind::Query).ok()?;
    let len = usize::try_from(Header::declared_len(bytes)?).ok()?;
    let blob = bytes.get(..len.checked_add(HEADER_BYTES)?)?;
    let (header, _) = Header::open(blob, Kind::Query, params, len).ok()?;
    Some(header)
}

fn malformed(index: usize, cause: impl Into<CiphertextError>) -> ApiError {
    ApiError::MalformedCiphertext {
        index,
        cause: cause.into(),
    }
}
