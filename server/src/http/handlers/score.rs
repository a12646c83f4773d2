//! Scoring: `POST /v1/models/{model}/score` and `POST /score`.

use super::parse_key_id;
use crate::{
    http::{
        answer::{Answer, Encoding, Form, Reserved},
        body::MediaType,
        error::ApiError,
        queries::{self, JsonRequest},
        refusal::{BodyRefusal, QueryRefusal, Refusal},
        state::AppState,
    },
    keystore::KeyName,
    scoring::Scored,
    tenants::Caller,
    traces,
};
use actix_web::{HttpRequest, HttpResponse, web};
use blindscore_engine::model::Model;
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, ids::KeyId, wire::Query};
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

pub(super) const JSON: &str = "application/json";

/// JSON response of `POST /v1/models/{model}/score`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents what [`Form::OBJECT`] writes")]
pub(crate) struct JsonResponse {
    /// Response blobs in base64, in the order of the queries.
    data: Vec<String>,
}

/// Scores, and the memory reserved for them.
pub(super) struct Answered {
    scored: Scored,
    reserved: Reserved,
}

/// Scores queries. Concatenated raw queries get raw responses; JSON gets JSON.
#[utoipa::path(
    post,
    path = "/v1/models/{model}/score",
    tag = "scoring",
    security(("token" = [])),
    params(
        ("model" = String, Path, description = "Its name, or `name@version`", example = "mnist-linear"),
        ("Blindscore-Key" = Option<KeyId>, Header, description = "Key of raw queries"),
    ),
    request_body(
        content((JsonRequest = "application/json"), (Vec<u8> = "application/octet-stream")),
        description = "Up to 64 queries"
    ),
    responses(
        (status = 200, description = "Responses, in the order of the queries", content(
            (JsonResponse = "application/json"),
            (Vec<u8> = "application/octet-stream"),
        )),
        QueryRefusal,
        Refusal,
        BodyRefusal,
    )
)]
pub(crate) async fn score(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let model = &state.models().named(&request)?.clone();
    match MediaType::of(&request) {
        Some(MediaType::OctetStream) => {
            let key = named_key(&request)?;
            let limit = queries::raw_limit(model);
            let body = state
                .queries
                .read(&caller.tenant, &request, payload, limit, |_| ());
            let queries = queries::from_raw(&body.await?.bytes, model, key)?;
            let key = key_of(caller, key);
            let answered = answer(&state, &request, Encoding::Raw, model, key, queries).await?;
            Ok(answered.respond(OCTET_STREAM, Form::RAW))
        }
        Some(MediaType::Json) => {
            let answered = answer_json(&state, caller, model, &request, payload).await?;
            Ok(answered.respond(JSON, Form::OBJECT))
        }
        None => Err(ApiError::UnsupportedMediaType(
            "application/octet-stream or application/json",
        )),
    }
}

/// Scores queries on the default model. The request is JSON, the response an array of base64
/// strings.
#[utoipa::path(
    post,
    path = "/score",
    tag = "scoring",
    security(("token" = [])),
    request_body = JsonRequest,
    responses(
        (status = 200, description = "Responses in base64, in the order of the queries", body = Vec<String>),
        QueryRefusal,
        Refusal,
        BodyRefusal,
    )
)]
pub(crate) async fn score_default(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if MediaType::of(&request) != Some(MediaType::Json) {
        return Err(ApiError::UnsupportedMediaType("application/json"));
    }
    let model = &state.models().registry.default_model().clone();
    let answered = answer_json(&state, caller, model, &request, payload).await?;
    Ok(answered.respond(JSON, Form::ARRAY))
}

async fn answer_json(
    state: &AppState,
    caller: Caller,
    model: &Arc<Model>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Answered, ApiError> {
    let limit = queries::json_limit(model);
    let body = state
        .queries
        .read(&caller.tenant, request, payload, limit, |_| ());
    let body = body.await?;
    let JsonRequest { key_id, data } = serde_json::from_slice(&body.bytes)
        .map_err(|error| ApiError::Malformed(format!("the JSON is not a score request: {error}")))?;
    let key = parse_key_id(&key_id, "key_id")?;
    let queries = queries::from_base64(&data, model, key)?;
    drop((body, data));
    answer(
        state,
        request,
        Encoding::Base64,
        model,
        key_of(caller, key),
        queries,
    )
    .await
}

/// Returns the name of a caller's key.
pub(super) fn key_of(caller: Caller, id: KeyId) -> KeyName {
    KeyName {
        tenant: caller.tenant,
        id,
    }
}

/// Scores checked queries.
pub(super) async fn answer(
    state: &AppState,
    request: &HttpRequest,
    encoding: Encoding,
    model: &Arc<Model>,
    key: KeyName,
    queries: Vec<Query>,
) -> Result<Answered, ApiError> {
    let (count, tenant) = (queries.len(), key.tenant.clone());
    traces::note("blindscore.model", || model.descriptor().name.clone());
    traces::note("blindscore.queries", || count as i64);
    state.rate.check(&tenant, count)?;
    let admitted = state.scorer.admit(model, key, count)?;
    let len = model.descriptor().sizes.response;
    let answers = &state.answers;
    let reserved = answers.reserve(&tenant, request, encoding, count, len).await?;
    let ready = admitted.load_key().await?;
    let counted = match &state.budget {
        Some(budget) => Some(budget.take(&tenant, &model.descriptor().name, count).await?),
        None => None,
    };
    let scored = ready.score(queries).await?;
    if let Some(counted) = counted {
        counted.spend();
    }
    Ok(Answered { scored, reserved })
}

impl Answered {
    /// Returns the response blobs, in the order of the queries.
    pub(super) fn blobs(&self) -> &[Vec<u8>] {
        &self.scored.blobs
    }

    /// Responds with 200 and the times in milliseconds in `Server-Timing`.
    pub(super) fn respond(self, content_type: &'static str, form: Form) -> HttpResponse {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let timing = format!(
            "queue;dur={:.3}, key;dur={:.3}, score;dur={:.3}",
            milliseconds(self.scored.queue),
            milliseconds(self.scored.key),
            milliseconds(self.scored.score)
        );
        HttpResponse::Ok()
            .insert_header(("server-timing", timing))
            .content_type(content_type)
            .body(Answer::new(form, self.scored.blobs, self.reserved))
    }
}

/// Returns the key that the header names.
pub(super) fn named_key(request: &HttpRequest) -> Result<KeyId, ApiError> {
    let value = request
        .headers()
        .get(KEY_HEADER)
        .ok_or_else(|| ApiError::Malformed(format!("the header {KEY_HEADER} is missing")))?;
    let text = value
        .to_str()
        .map_err(|_| ApiError::Malformed(format!("the header {KEY_HEADER} is not text")))?;
    parse_key_id(text, &format!("the header {KEY_HEADER}"))
}
