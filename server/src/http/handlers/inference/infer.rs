//! Scoring by the Open Inference Protocol.

use super::super::{
    parse_key_id,
    score::{self, answer, key_of, named_key},
};
use crate::{
    http::{
        body::MediaType,
        error::ApiError,
        inference::{
            Answering, Blobs, Failure, InferFailure, InferRequest, LENGTH_HEADER, WireRequest, WireResponse,
            json_length,
        },
        queries,
        state::AppState,
    },
    tenants::Caller,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CONTENT_ENCODING, HeaderName, HeaderValue},
    web,
};
use blindscore_engine::model::Model;
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, ids::KeyId, wire::Query};
use std::sync::Arc;

/// Scores queries: one input `query` of blobs, one output `response` of blobs.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    tag = "open inference protocol",
    security(("token" = [])),
    params(
        ("model" = String, Path, description = "Its name, or `name@version`", example = "mnist-linear"),
        ("Blindscore-Key" = Option<KeyId>, Header, description = "Key, if no parameter names it"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, description = "Length of the JSON, if binary data follow"),
    ),
    request_body(
        content((WireRequest = "application/json"), (Vec<u8> = "application/octet-stream")),
        description = "Up to 64 queries"
    ),
    responses(
        (status = 200, description = "Responses, in the order of the queries", content(
            (WireResponse = "application/json"),
            (Vec<u8> = "application/octet-stream"),
        )),
        Failure,
        InferFailure,
    )
)]
pub(in crate::http) async fn infer(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let model = &state.models().named(&request)?.clone();
    check_headers(&request)?;
    let json_length = json_length(request.headers())?;
    let limit = queries::inference_limit(model, json_length.is_some());
    let body = state
        .queries
        .read(&caller.tenant, &request, payload, limit, |_| ());
    let body = body.await?;
    let (answering, key, queries) = parsed(&request, &body.bytes, json_length, model)?;
    drop(body);
    let encoding = answering.encoding();
    let answered = answer(&state, &request, encoding, model, key_of(caller, key), queries).await?;
    let (form, json_length) = answering.form(answered.blobs())?;
    let Some(length) = json_length else {
        return Ok(answered.respond(score::JSON, form));
    };
    let mut response = answered.respond(OCTET_STREAM, form);
    let name = HeaderName::from_static(LENGTH_HEADER);
    response.headers_mut().insert(name, HeaderValue::from(length));
    Ok(response)
}

/// Scores queries on a version of a model.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/versions/{version}/infer",
    tag = "open inference protocol",
    security(("token" = [])),
    params(
        ("model" = String, Path, description = "Its name", example = "mnist-linear"),
        ("version" = String, Path, description = "Its version", example = "1"),
        ("Blindscore-Key" = Option<KeyId>, Header, description = "Key, if no parameter names it"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, description = "Length of the JSON, if binary data follow"),
    ),
    request_body(
        content((WireRequest = "application/json"), (Vec<u8> = "application/octet-stream")),
        description = "Up to 64 queries"
    ),
    responses(
        (status = 200, description = "Responses, in the order of the queries", content(
            (WireResponse = "application/json"),
            (Vec<u8> = "application/octet-stream"),
        )),
        Failure,
        InferFailure,
    )
)]
pub(in crate::http) async fn infer_version(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    infer(state, caller, request, payload).await
}

/// Refuses media types and encodings that aren't read. Triton's client sends no media type.
fn check_headers(request: &HttpRequest) -> Result<(), ApiError> {
    if MediaType::of(request).is_none() {
        return Err(ApiError::UnsupportedMediaType(
            "application/json or application/octet-stream",
        ));
    }
    match request.headers().get(CONTENT_ENCODING) {
        Some(encoding) if encoding.as_bytes() != b"identity" => {
            Err(ApiError::UnsupportedMediaType("bodies that are not compressed"))
        }
        _ => Ok(()),
    }
}

/// Parses a body into checked queries, their key, and how to answer.
fn parsed(
    request: &HttpRequest,
    body: &[u8],
    json_length: Option<usize>,
    model: &Arc<Model>,
) -> Result<(Answering, KeyId, Vec<Query>), ApiError> {
    let wanted = InferRequest::parse(body, json_length, queries::most(model))?;
    let answering = answering(request, &wanted, model)?;
    let key = key(request, wanted.key_id.as_deref())?;
    let queries = match wanted.blobs {
        Blobs::Base64(texts) => queries::from_base64(&texts, model, key),
        Blobs::Binary(blobs) => queries::from_blobs(&blobs, model, key),
    };
    Ok((answering, key, queries?))
}

/// Returns how to answer, once the model in the body is that in the path.
fn answering(request: &HttpRequest, wanted: &InferRequest<'_>, model: &Model) -> Result<Answering, ApiError> {
    let path = request.match_info().get("model").unwrap_or_default();
    let version = model.descriptor().version;
    if wanted.model_name.as_deref().is_some_and(|name| name != path) {
        return Err(ApiError::Malformed(
            "model_name in the body is not the model in the path".into(),
        ));
    }
    let served = version.map(|version| version.to_string());
    if wanted.model_version.is_some() && wanted.model_version != served {
        return Err(ApiError::Malformed(
            "model_version in the body is not the version that the path leads to".into(),
        ));
    }
    Ok(Answering {
        model: path.to_owned(),
        version,
        id: wanted.id.clone(),
        is_column: wanted.is_column,
        binary: wanted.binary,
    })
}

/// Returns the key that the parameter names, or the header, or both.
fn key(request: &HttpRequest, parameter: Option<&str>) -> Result<KeyId, ApiError> {
    let has_header = request.headers().contains_key(KEY_HEADER);
    let Some(text) = parameter else {
        return match has_header {
            true => named_key(request),
            false => Err(ApiError::Malformed(format!(
                "no key is named: give the parameter key_id, or the header {KEY_HEADER}"
            ))),
        };
    };
    let key = parse_key_id(text, "the parameter key_id")?;
    if has_header && named_key(request)? != key {
        return Err(ApiError::Malformed(format!(
            "the parameter key_id and the header {KEY_HEADER} name different keys"
        )));
    }
    Ok(key)
}
