//! `/v1/keys/{key_id}`: upload, look up and remove public (evaluation) keys.

use super::parse_key_id;
use crate::{
    http::{
        body::{Body, MediaType},
        error::ApiError,
        refusal::{BodyRefusal, KeyRefusal, Refusal, UploadRefusal},
        state::AppState,
    },
    keystore::{KeyName, KeyRecord, Stored},
    tenants::Caller,
    time::rfc3339,
};
use actix_web::{HttpRequest, HttpResponse, web};
use blindscore_protocol::{
    OCTET_STREAM,
    ids::KeyId,
    wire::{EvaluationKey, Header, Kind, WireError},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// HTTP methods that the path supports.
pub(crate) const METHODS: &str = "PUT, GET, HEAD, DELETE";

/// Response to an upload.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt {
    key_id: KeyId,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Response to a lookup.
#[derive(Serialize, ToSchema)]
pub(crate) struct Metadata {
    key_id: KeyId,
    bytes: u64,
    #[schema(format = DateTime)]
    renewed_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Stores a key: 201 if it is new, 200 if the same key was already stored.
#[utoipa::path(
    put,
    path = "/v1/keys/{key_id}",
    tag = "keys",
    security(("token" = [])),
    params(("key_id" = KeyId, Path, description = "SHA-256 of the key's blob, lowercase hexadecimal")),
    request_body(content_type = "application/octet-stream", description = "The public key's blob"),
    responses(
        (status = 200, description = "Already stored", body = Receipt),
        (status = 201, description = "Stored", body = Receipt),
        UploadRefusal,
        Refusal,
        BodyRefusal,
    )
)]
pub(crate) async fn put(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let key = named(&state, caller, &request)?;
    let id = key.id;
    if MediaType::of(&request) != Some(MediaType::OctetStream) {
        return Err(ApiError::UnsupportedMediaType(OCTET_STREAM));
    }
    let mut hash = Sha256::new();
    let limit = state.key_limit();
    let body = state
        .uploads
        .read(&key.tenant, &request, payload, limit, |piece| hash.update(piece));
    let body = body.await?;
    let actual = KeyId::from_digest(&hash.finalize().into());
    if actual != id {
        return Err(ApiError::KeyHashMismatch { named: id, actual });
    }
    let set = Header::peek(&body.bytes, Kind::EvaluationKey).map_err(|error| match error {
        WireError::UnsupportedVersion(found) => ApiError::FormatUnsupported { found },
        error => ApiError::MalformedKey(error),
    })?;
    if !state.uses(set) {
        return Err(ApiError::ParametersRetired(set));
    }
    let body = check(&state, body).await?;
    let (mut response, record) = match state.scorer.keys().put(&key, body.bytes.clone()).await? {
        Stored::New(record) => (HttpResponse::Created(), record),
        Stored::Already(record) => (HttpResponse::Ok(), record),
    };
    Ok(response.json(Receipt {
        key_id: id,
        expires_at: rfc3339(record.expires_at),
    }))
}

/// Validates an uploaded key. Long keys take a while, so few are validated at once. Permit and body
/// stay with the thread that does it: if the client disconnects, it goes on all the same.
async fn check(state: &AppState, body: Body) -> Result<Body, ApiError> {
    let permit = state
        .checks
        .clone()
        .acquire_owned()
        .await
        .map_err(|_| ApiError::Internal("the server is stopping"))?;
    let checked = web::block(move || {
        let _permit = permit;
        EvaluationKey::from_blob(&body.bytes).map(|_| body)
    })
    .await;
    checked
        .map_err(|_| ApiError::Internal("checking a key panicked"))?
        .map_err(ApiError::MalformedKey)
}

/// Returns how long a key is stored; never its bytes.
#[utoipa::path(
    get,
    path = "/v1/keys/{key_id}",
    tag = "keys",
    security(("token" = [])),
    params(("key_id" = KeyId, Path, description = "SHA-256 of the key's blob, lowercase hexadecimal")),
    responses(
        (status = 200, description = "Stored", body = Metadata),
        KeyRefusal,
        Refusal,
    )
)]
pub(crate) async fn get(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let key = named(&state, caller, &request)?;
    let id = key.id;
    let KeyRecord {
        bytes,
        renewed_at,
        expires_at,
        ..
    } = state
        .scorer
        .keys()
        .find(&key)
        .await?
        .ok_or(ApiError::KeyNotFound(id))?;
    Ok(HttpResponse::Ok().json(Metadata {
        key_id: id,
        bytes,
        renewed_at: rfc3339(renewed_at),
        expires_at: rfc3339(expires_at),
    }))
}

/// Checks whether a key is stored.
#[utoipa::path(
    head,
    path = "/v1/keys/{key_id}",
    tag = "keys",
    security(("token" = [])),
    params(("key_id" = KeyId, Path, description = "SHA-256 of the key's blob, lowercase hexadecimal")),
    responses(
        (status = 200, description = "Stored"),
        (status = 400, description = "Not a key id"),
        (status = 401, description = "A valid token is needed"),
        (status = 404, description = "Never uploaded, removed or expired"),
        (status = 429, description = "Rate limit exceeded"),
        (status = 503, description = "The store does not answer"),
    )
)]
pub(crate) async fn head(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    get(state, caller, request).await
}

/// Removes a key; 404 if there was none.
#[utoipa::path(
    delete,
    path = "/v1/keys/{key_id}",
    tag = "keys",
    security(("token" = [])),
    params(("key_id" = KeyId, Path, description = "SHA-256 of the key's blob, lowercase hexadecimal")),
    responses(
        (status = 204, description = "Removed"),
        KeyRefusal,
        Refusal,
    )
)]
pub(crate) async fn delete(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let key = named(&state, caller, &request)?;
    if state.scorer.remove_key(&key).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(ApiError::KeyNotFound(key.id))
    }
}

/// Returns the name of the key in the request's path. Each such request counts toward the tenant's
/// rate limit, since the store has to answer it.
fn named(state: &AppState, caller: Caller, request: &HttpRequest) -> Result<KeyName, ApiError> {
    let text = request.match_info().get("key_id").unwrap_or_default();
    let id = parse_key_id(text, "the path's last part")?;
    state.rate.check(&caller.tenant, 1)?;
    Ok(KeyName {
        tenant: caller.tenant,
        id,
    })
}
