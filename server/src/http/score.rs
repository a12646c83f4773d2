//! Scoring: `POST /v1/models/{model}/score` and `POST /score`.

use super::{
    access::Caller,
    answer::{Answer, Form, Reserved},
    body::MediaType,
    error::ApiError,
    openapi::{BodyRefusal, Refusal},
    pool::{NotRun, Width},
    prepared::PrepareError,
    queries::{self, JsonRequest},
    service::{Service, parse_key_id},
};
use crate::{engine::ScoreError, keystore::KeyName, model::Model, telemetry};
use actix_web::{HttpRequest, HttpResponse, web};
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, ids::KeyId, problem::Problem, wire::Query};
use metrics::{counter, histogram};
use rayon::prelude::*;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use utoipa::ToSchema;

const JSON: &str = "application/json";

/// JSON response of `POST /v1/models/{model}/score`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents what [`Form::Object`] writes")]
pub(super) struct JsonResponse {
    /// Response blobs in base64, in the order of the queries.
    data: Vec<String>,
}

/// Response blobs and their timing.
struct Scored {
    blobs: Vec<Vec<u8>>,
    reserved: Reserved,
    queue: Duration,
    key: Duration,
    score: Duration,
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
        (status = 404, description = "No such model, or the key is not stored", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not complete queries for this model, or queries for another key", body = Problem, content_type = "application/problem+json"),
        Refusal,
        BodyRefusal,
    )
)]
pub(super) async fn score(
    service: web::Data<Service>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let model = &service.models().named(&request)?.clone();
    match MediaType::of(&request) {
        Some(MediaType::OctetStream) => {
            let key = named_key(&request)?;
            let limit = queries::raw_limit(model);
            let body = service
                .queries
                .read(&caller.tenant, &request, payload, limit, |_| ());
            let queries = queries::from_raw(&body.await?.bytes, model, key)?;
            let scored = answer(&service, &request, Form::Raw, model, key_of(caller, key), queries).await?;
            Ok(scored.respond(OCTET_STREAM, Form::Raw))
        }
        Some(MediaType::Json) => {
            let scored = answer_json(&service, caller, model, &request, payload).await?;
            Ok(scored.respond(JSON, Form::Object))
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
        (status = 404, description = "No such model, or the key is not stored", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not complete queries for this model, or queries for another key", body = Problem, content_type = "application/problem+json"),
        Refusal,
        BodyRefusal,
    )
)]
pub(super) async fn score_default(
    service: web::Data<Service>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if MediaType::of(&request) != Some(MediaType::Json) {
        return Err(ApiError::UnsupportedMediaType("application/json"));
    }
    let model = &service.models().registry.default_model().clone();
    let scored = answer_json(&service, caller, model, &request, payload).await?;
    Ok(scored.respond(JSON, Form::Array))
}

async fn answer_json(
    service: &Service,
    caller: Caller,
    model: &Arc<Model>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Scored, ApiError> {
    let limit = queries::json_limit(model);
    let body = service
        .queries
        .read(&caller.tenant, request, payload, limit, |_| ());
    let body = body.await?;
    let JsonRequest { key_id, data } = serde_json::from_slice(&body.bytes)
        .map_err(|error| ApiError::Malformed(format!("the JSON is not a score request: {error}")))?;
    let key = parse_key_id(&key_id, "key_id")?;
    let queries = queries::from_base64(&data, model, key)?;
    drop((body, data));
    // The two JSON forms differ by a few bytes only.
    answer(
        service,
        request,
        Form::Object,
        model,
        key_of(caller, key),
        queries,
    )
    .await
}

fn key_of(caller: Caller, id: KeyId) -> KeyName {
    KeyName {
        tenant: caller.tenant,
        id,
    }
}

/// Scores checked queries on the pool.
async fn answer(
    service: &Service,
    request: &HttpRequest,
    form: Form,
    model: &Arc<Model>,
    key: KeyName,
    queries: Vec<Query>,
) -> Result<Scored, ApiError> {
    service.rate.check(&key.tenant, queries.len())?;
    let count = queries.len();
    let asked = Instant::now();
    let deadline = asked + service.deadline;
    let cost = service.costs.of(model.descriptor().id);
    let width = if model.engine().uses_all_threads() || count > 1 {
        Width::All
    } else {
        Width::One
    };
    let expected = cost.get() * u32::try_from(count).unwrap_or(u32::MAX) + service.prepared.cost(&key);
    let admission = service.pool.admit(count, expected)?;
    let bytes = count * model.descriptor().sizes.response;
    let reserved = service.answers.reserve(&key.tenant, request, form, bytes).await?;

    let ready = service.prepared.get(&key, &service.keys, &service.pool);
    let ready = match tokio::time::timeout_at(deadline.into(), ready).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(error)) if matches!(*error, PrepareError::Absent) => {
            return Err(ApiError::KeyNotFound(key.id));
        }
        Ok(Err(error)) => return Err(ApiError::Prepare(error)),
        Err(_) => return Err(late(service)),
    };
    if ready.prepared.set().id() != model.set().id() {
        return Err(ApiError::ParametersRetired(ready.prepared.set().id()));
    }
    let counted = match &service.budget {
        Some(budget) => Some(budget.take(&key.tenant, &model.descriptor().name, count).await?),
        None => None,
    };
    let key_time = asked.elapsed();
    // Work that has begun must also end before the deadline.
    let begun_by = deadline.checked_sub(expected).unwrap_or(asked);
    let scored = service
        .pool
        .run(width, begun_by.max(asked + service.deadline / 2), {
            let model = model.clone();
            move || {
                let _place = admission;
                let engine = model.engine();
                queries
                    .par_iter()
                    .map(|query| Ok(engine.score(query, &ready.prepared)?.to_blob()))
                    .collect::<Result<Vec<_>, ScoreError>>()
            }
        });
    let done = match scored.await {
        Ok(done) => done,
        Err(NotRun::Late) => return Err(late(service)),
        Err(NotRun::Lost) => return Err(ApiError::Lost),
    };
    service.pool.learn(&cost, width, done.ran, count);
    let name = model.descriptor().name.clone();
    histogram!(telemetry::QUEUE_SECONDS).record(done.waited);
    histogram!(telemetry::SCORE_SECONDS, "model" => name.clone()).record(done.ran);
    counter!(telemetry::QUERIES, "model" => name).increment(count as u64);
    let blobs = done.value?;
    if let Some(counted) = counted {
        counted.spend();
    }
    Ok(Scored {
        blobs,
        reserved,
        queue: done.waited,
        key: key_time,
        score: done.ran,
    })
}

/// Error for a queue that turned out longer than estimated on arrival.
fn late(service: &Service) -> ApiError {
    ApiError::Busy {
        what: "the request could not be scored before its deadline",
        retry_after: service.pool.ahead(),
    }
}

impl Scored {
    /// Responds with 200 and the times in milliseconds in `Server-Timing`.
    fn respond(self, content_type: &'static str, form: Form) -> HttpResponse {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let timing = format!(
            "queue;dur={:.3}, key;dur={:.3}, score;dur={:.3}",
            milliseconds(self.queue),
            milliseconds(self.key),
            milliseconds(self.score)
        );
        HttpResponse::Ok()
            .insert_header(("server-timing", timing))
            .content_type(content_type)
            .body(Answer::new(form, self.blobs, self.reserved))
    }
}

fn named_key(request: &HttpRequest) -> Result<KeyId, ApiError> {
    let value = request
        .headers()
        .get(KEY_HEADER)
        .ok_or_else(|| ApiError::Malformed(format!("the header {KEY_HEADER} is missing")))?;
    let text = value
        .to_str()
        .map_err(|_| ApiError::Malformed(format!("the header {KEY_HEADER} is not text")))?;
    parse_key_id(text, &format!("the header {KEY_HEADER}"))
}
