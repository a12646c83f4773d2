//! The demo page's files, where the server was given some.

use actix_files::Files;
use actix_web::{
    Error, HttpResponse, Scope,
    body::MessageBody,
    dev::{HttpServiceFactory, ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, HeaderValue},
    middleware::{Compress, Next, from_fn},
    web,
};
use std::path::Path;

const ABOUT: &str = "\
Blindscore: scores models on data that stays encrypted.

GET  /v1/models                 what is served
PUT  /v1/keys/{key_id}          upload a public key
POST /v1/models/{model}/score   encrypted query in, encrypted scores out
";

/// Everything under `directory`, with `index.html` at `/`.
pub(super) fn files(directory: &Path) -> impl HttpServiceFactory + use<> {
    let site: Scope<_> = web::scope("")
        .wrap(from_fn(cache_policy))
        .wrap(Compress::default())
        .service(Files::new("/", directory).index_file("index.html"));
    site
}

/// `/` where there is no page: what this is.
pub(super) async fn about() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(ABOUT)
}

/// Files under `/assets/` carry a hash in their names and never change; others are asked for again each time.
async fn cache_policy(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let hashed = request.path().starts_with("/assets/");
    let mut response = next.call(request).await?;
    if !response.status().is_client_error() {
        let policy = if hashed {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static(policy));
    }
    Ok(response)
}
