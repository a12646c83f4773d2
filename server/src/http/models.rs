//! `/v1/models`: what is served.

use super::{access::Caller, error::ApiError, openapi::Refusal, service::Service};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IfNoneMatch},
    web,
};
use blindscore_protocol::{descriptor::ModelDescriptor, problem::Problem};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// Answer of `GET /v1/models`.
#[derive(Serialize, ToSchema)]
pub(super) struct Listing<'a> {
    /// By name.
    #[schema(value_type = Vec<ModelDescriptor>)]
    models: Vec<&'a ModelDescriptor>,
}

/// What is served.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    security(("token" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "ETag that the client has")),
    responses(
        (status = 200, description = "Every model", body = Listing<'static>),
        (status = 304, description = "As the client has it"),
        Refusal,
    )
)]
pub(super) async fn list(service: web::Data<Service>, _caller: Caller, request: HttpRequest) -> HttpResponse {
    let models = service.models();
    let models = models.iter().map(|model| model.descriptor()).collect();
    tagged_json(&request, &Listing { models })
}

/// One model.
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
        (status = 304, description = "As the client has it"),
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
    Ok(tagged_json(&request, service.model(&request)?.descriptor()))
}

/// JSON with an `ETag` made from its bytes; 304 without a body if the client has it.
fn tagged_json(request: &HttpRequest, value: &impl Serialize) -> HttpResponse {
    let Ok(json) = serde_json::to_vec(value) else {
        tracing::error!("a descriptor has no JSON form");
        return HttpResponse::InternalServerError().finish();
    };
    let digest = Sha256::digest(&json);
    let tag = EntityTag::new_strong(hex::encode(&digest[..16]));
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut response = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((ETAG, tag.to_string()));
    response.insert_header((CACHE_CONTROL, "no-cache"));
    if known {
        return response.finish();
    }
    response.content_type("application/json").body(json)
}
