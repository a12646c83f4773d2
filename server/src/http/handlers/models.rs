//! `/v1/models`: descriptors of the served models.

use crate::{
    http::{
        documents::Listing,
        error::ApiError,
        refusal::{ModelRefusal, Refusal},
        state::AppState,
    },
    tenants::Caller,
};
use actix_web::{HttpRequest, HttpResponse, web};
use blindscore_protocol::descriptor::ModelDescriptor;

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
pub(crate) async fn list(state: web::Data<AppState>, _caller: Caller, request: HttpRequest) -> HttpResponse {
    state.models().documents.listing.answer(&request)
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
        ModelRefusal,
        Refusal,
    )
)]
pub(crate) async fn get(
    state: web::Data<AppState>,
    _caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let models = state.models();
    let name = &models.named(&request)?.descriptor().name;
    let document = models.documents.descriptors.get(name);
    Ok(document.ok_or(ApiError::ModelNotFound)?.answer(&request))
}
