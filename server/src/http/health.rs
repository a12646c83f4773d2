//! Whether the process runs, and whether it can do its work.

use super::{error::ApiError, service::Service};
use actix_web::{HttpResponse, web::Data};

/// `/healthz`: the process runs.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// `/readyz`: the process can do its work, that is, the key store can be written and read.
pub(super) async fn ready(service: Data<Service>) -> Result<HttpResponse, ApiError> {
    service.keys.check().await?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}
