//! Liveness and readiness probes.

use crate::{
    http::{error::ApiError, refusal::NotReady, state::AppState},
    tenants::Access,
};
use actix_web::{HttpResponse, web::Data};

/// Reports that the process is running.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, description = "The process is running", body = String, content_type = "text/plain"))
)]
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Checks that the tokens can be read, queries be counted, and the key store be read and written.
pub(super) async fn check(state: &AppState, access: &Access) -> Result<(), ApiError> {
    access.check()?;
    if let Some(budget) = &state.budget {
        budget.check()?;
    }
    state.scorer.keys().check().await?;
    Ok(())
}

/// Reports whether the key store can be read and written, the tokens can be read, and queries can
/// be counted.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses(
        (status = 200, description = "Ready", body = String, content_type = "text/plain"),
        NotReady,
    )
)]
pub(crate) async fn ready(state: Data<AppState>, access: Data<Access>) -> Result<HttpResponse, ApiError> {
    check(&state, &access).await?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}
