//! `/v1/models`: descriptors of the served models.

use super::{access::Caller, error::ApiError, openapi::Refusal, service::Service};
use crate::model::Registry;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IfNoneMatch},
    web,
};
use blindscore_protocol::{descriptor::ModelDescriptor, problem::Problem};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Response of `GET /v1/models`.
#[derive(Serialize, ToSchema)]
pub(super) struct Listing<'a> {
    /// Descriptors, sorted by name.
    #[schema(value_type = Vec<ModelDescriptor>)]
    models: Vec<&'a ModelDescriptor>,
}

/// Lists the served models.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    security(("token" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "ETag that the client has")),
    responses(
        (status = 200, description = "All models", body = Listing<'static>),
        (status = 304, description = "Not modified"),
        Refusal,
    )
)]
pub(super) async fn list(service: web::Data<Service>, _caller: Caller, request: HttpRequest) -> HttpResponse {
    service.models().documents.listing.answer(&request)
}

/// Returns the descriptor of one model.
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    tag = "models",
    security(("token" = [])),
    params(
        ("model" = String, Path, description = "Its name, or `name@version`", example = "mnist-linear"),
        ("If-None-Match" = Option<String>, Header, description = "ETag that the client has"),
    ),
    responses(
        (status = 200, description = "The model", body = ModelDescriptor),
        (status = 304, description = "Not modified"),
        (status = 410, description = "A version that is no longer served", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such model", body = Problem, content_type = "application/problem+json"),
        Refusal,
    )
)]
pub(super) async fn get(
    service: web::Data<Service>,
    _caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let models = service.models();
    let name = &models.named(&request)?.descriptor().name;
    let document = models.documents.descriptors.get(name);
    Ok(document.ok_or(ApiError::ModelNotFound)?.answer(&request))
}

/// Responses about the models, serialized once per registry.
pub(super) struct Documents {
    listing: Document,
    /// Descriptors by the names that models are served under.
    descriptors: HashMap<String, Document>,
}

/// JSON with an `ETag` derived from its bytes.
struct Document {
    json: Bytes,
    tag: EntityTag,
}

impl Documents {
    /// Serializes the descriptors in `registry`.
    pub(super) fn of(registry: &Registry) -> serde_json::Result<Self> {
        let models = registry.iter().map(|model| model.descriptor()).collect();
        let descriptors = registry.all().map(|model| {
            let descriptor = model.descriptor();
            Ok((descriptor.name.clone(), Document::of(descriptor)?))
        });
        Ok(Self {
            listing: Document::of(&Listing { models })?,
            descriptors: descriptors.collect::<serde_json::Result<_>>()?,
        })
    }
}

impl Document {
    fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        let json = serde_json::to_vec(value)?;
        let digest = Sha256::digest(&json);
        Ok(Self {
            tag: EntityTag::new_strong(hex::encode(&digest[..16])),
            json: json.into(),
        })
    }

    /// Responds with 200, or with 304 and no body if the client already has this version.
    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let known = match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&self.tag)),
            Err(_) => false,
        };
        let mut response = if known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response.insert_header((ETAG, self.tag.to_string()));
        response.insert_header((CACHE_CONTROL, "no-cache"));
        if known {
            return response.finish();
        }
        response.content_type("application/json").body(self.json.clone())
    }
}
