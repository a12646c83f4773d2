//! `/v1/keys/{key_id}`: upload, look up and remove public keys.

use super::{
    body::{self, MediaType},
    error::ApiError,
    service::{Service, parse_key_id},
};
use crate::keystore::{KeyRecord, Stored};
use actix_web::{HttpRequest, HttpResponse, web};
use blindscore_protocol::{
    OCTET_STREAM,
    ids::KeyId,
    wire::{Header, Kind, PublicKey, WireError},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Methods of the path.
pub(super) const METHODS: &str = "PUT, GET, HEAD, DELETE";

/// Answer to an upload.
#[derive(Serialize)]
struct Receipt {
    key_id: KeyId,
    expires_at: String,
}

/// What a lookup tells.
#[derive(Serialize)]
struct Metadata {
    key_id: KeyId,
    bytes: u64,
    created_at: String,
    expires_at: String,
}

/// `PUT`: stores a key. 201 if it is new, 200 if the same key was there.
pub(super) async fn put(
    service: web::Data<Service>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let named = key_id(&request)?;
    if MediaType::of(&request) != Some(MediaType::OctetStream) {
        return Err(ApiError::UnsupportedMediaType(OCTET_STREAM));
    }
    let mut hash = Sha256::new();
    let blob = body::read(&request, payload, service.key_limit(), |piece| hash.update(piece)).await?;
    let actual = KeyId::from_digest(&hash.finalize().into());
    if actual != named {
        return Err(ApiError::KeyHashMismatch { named, actual });
    }
    let set = Header::peek(&blob, Kind::PublicKey).map_err(|error| match error {
        WireError::UnsupportedVersion(found) => ApiError::FormatUnsupported { found },
        error => ApiError::MalformedKey(error),
    })?;
    if !service.uses(set) {
        return Err(ApiError::ParametersRetired(set));
    }
    PublicKey::from_blob(&blob).map_err(ApiError::MalformedKey)?;
    let (mut response, record) = match service.keys.put(named, blob).await? {
        Stored::New(record) => (HttpResponse::Created(), record),
        Stored::Already(record) => (HttpResponse::Ok(), record),
    };
    Ok(response.json(Receipt {
        key_id: named,
        expires_at: rfc3339(record.expires_at),
    }))
}

/// `GET` and `HEAD`: whether a key is stored and until when; never its bytes.
pub(super) async fn get(service: web::Data<Service>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = key_id(&request)?;
    let KeyRecord {
        bytes,
        created_at,
        expires_at,
        ..
    } = service.keys.find(id).await?.ok_or(ApiError::KeyNotFound(id))?;
    Ok(HttpResponse::Ok().json(Metadata {
        key_id: id,
        bytes,
        created_at: rfc3339(created_at),
        expires_at: rfc3339(expires_at),
    }))
}

/// `DELETE`: removes a key; 404 if there was none.
pub(super) async fn delete(
    service: web::Data<Service>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id = key_id(&request)?;
    let present = service.keys.find(id).await?;
    service.keys.remove(id).await?;
    service.prepared.forget(id).await;
    match present {
        Some(_) => Ok(HttpResponse::NoContent().finish()),
        None => Err(ApiError::KeyNotFound(id)),
    }
}

fn key_id(request: &HttpRequest) -> Result<KeyId, ApiError> {
    let text = request.match_info().get("key_id").unwrap_or_default();
    parse_key_id(text, "the path's last part")
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
