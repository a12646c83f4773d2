//! `POST /v1/models/{model}/score` and `POST /score`.

use super::{
    body::{self, MediaType},
    error::ApiError,
    prepared::PrepareError,
    queries::{self, JsonRequest},
    service::{Service, parse_key_id},
};
use crate::{engine::ScoreError, model::Model};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, ids::KeyId, wire::Query};
use rayon::prelude::*;
use serde::Serialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// JSON answer of `POST /v1/models/{model}/score`.
#[derive(Serialize)]
struct JsonResponse {
    data: Vec<String>,
}

/// Response blobs and where the time went.
struct Scored {
    blobs: Vec<Vec<u8>>,
    queue: Duration,
    key: Duration,
    score: Duration,
}

/// `POST /v1/models/{model}/score`: raw queries give raw responses, JSON gives JSON.
pub(super) async fn score(
    service: web::Data<Service>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let model = service.model(&request)?;
    match MediaType::of(&request) {
        Some(MediaType::OctetStream) => {
            let key = named_key(&request)?;
            let body = body::read(&request, payload, queries::raw_limit(model), |_| ()).await?;
            let queries = queries::from_raw(&body, model, key)?;
            let scored = answer(&service, model, key, queries).await?;
            Ok(scored
                .head()
                .content_type(OCTET_STREAM)
                .body(scored.blobs.concat()))
        }
        Some(MediaType::Json) => {
            let scored = answer_json(&service, model, &request, payload).await?;
            Ok(scored.head().json(JsonResponse {
                data: scored.base64(),
            }))
        }
        None => Err(ApiError::UnsupportedMediaType(
            "application/octet-stream or application/json",
        )),
    }
}

/// `POST /score`: JSON in, a JSON array out, on the default model.
pub(super) async fn score_default(
    service: web::Data<Service>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if MediaType::of(&request) != Some(MediaType::Json) {
        return Err(ApiError::UnsupportedMediaType("application/json"));
    }
    let model = service.models.default_model();
    let scored = answer_json(&service, model, &request, payload).await?;
    Ok(scored.head().json(scored.base64()))
}

async fn answer_json(
    service: &Service,
    model: &Arc<Model>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Scored, ApiError> {
    let body = body::read(request, payload, queries::json_limit(model), |_| ()).await?;
    let JsonRequest { key_id, data } = serde_json::from_slice(&body)
        .map_err(|error| ApiError::Malformed(format!("the JSON is not a score request: {error}")))?;
    let key = parse_key_id(&key_id, "key_id")?;
    let queries = queries::from_base64(&data, model, key)?;
    answer(service, model, key, queries).await
}

/// Scores checked queries on the pool.
async fn answer(
    service: &Service,
    model: &Arc<Model>,
    key: KeyId,
    queries: Vec<Query>,
) -> Result<Scored, ApiError> {
    let admission = service.pool.admit(queries.len())?;
    let asked = Instant::now();
    let ready = service
        .prepared
        .get(key, &service.keys, &service.pool)
        .await
        .map_err(|error| match *error {
            PrepareError::Absent => ApiError::KeyNotFound(key),
            _ => ApiError::SharedStore(error),
        })?;
    if ready.prepared.set().id() != model.set().id() {
        return Err(ApiError::ParametersRetired(ready.prepared.set().id()));
    }
    let key_time = asked.elapsed();
    let model = model.clone();
    let done = service
        .pool
        .run(move || {
            let _place = admission;
            let engine = model.engine();
            queries
                .par_iter()
                .map(|query| Ok(engine.score(query, &ready.prepared)?.to_blob()))
                .collect::<Result<Vec<_>, ScoreError>>()
        })
        .await?;
    Ok(Scored {
        blobs: done.value?,
        queue: done.waited,
        key: key_time,
        score: done.ran,
    })
}

impl Scored {
    /// 200, with the times in milliseconds in `Server-Timing`.
    fn head(&self) -> HttpResponseBuilder {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let timing = format!(
            "queue;dur={:.3}, key;dur={:.3}, score;dur={:.3}",
            milliseconds(self.queue),
            milliseconds(self.key),
            milliseconds(self.score)
        );
        let mut response = HttpResponse::Ok();
        response.insert_header(("server-timing", timing));
        response
    }

    fn base64(&self) -> Vec<String> {
        self.blobs.iter().map(|blob| STANDARD.encode(blob)).collect()
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
