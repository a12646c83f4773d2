//! OpenAPI description, generated from the handlers.

use super::{access::Access, health, keys, metrics, models, score, service::Service};
use actix_web::{HttpResponse, web};
use blindscore_protocol::problem::Problem;
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        OpenApi as Description,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// Error responses that every path under `/v1` and `/score` may give.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum Refusal {
    /// The request is malformed.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// A valid token is needed.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// Something broke on the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The server is overloaded or unavailable: `Retry-After` says when to try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Error responses to requests with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum BodyRefusal {
    /// The body stopped arriving, or arrived too slowly.
    #[response(status = 408, content_type = "application/problem+json")]
    TimedOut(Problem),
    /// Parameters, format or model are no longer served.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(Problem),
    /// Neither raw bytes nor JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// The tenant exceeded a limit: `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/problem+json")]
    RateLimited(Problem),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Blindscore",
        description = "Scores models on data that stays encrypted.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        models::list,
        models::get,
        keys::put,
        keys::get,
        keys::head,
        keys::delete,
        score::score,
        score::score_default,
        health::alive,
        health::ready,
        metrics::metrics,
    ),
    components(schemas(Problem)),
    modifiers(&Tokens)
)]
struct Api;

/// Adds the security scheme for bearer tokens.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut Description) {
        if let Some(components) = &mut api.components {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
            components.add_security_scheme("token", SecurityScheme::Http(bearer));
        }
    }
}

/// Serves `/openapi.json` and `/swagger.json`. Security is only described on servers with tokens.
async fn describe(service: web::Data<Service>) -> HttpResponse {
    let mut api = Api::openapi();
    if let Access::Anyone = service.access {
        api.components
            .iter_mut()
            .for_each(|components| components.security_schemes.clear());
        for path in api.paths.paths.values_mut() {
            let operations = [
                &mut path.get,
                &mut path.put,
                &mut path.post,
                &mut path.delete,
                &mut path.head,
            ];
            for operation in operations.into_iter().flatten() {
                operation.security = None;
            }
        }
    }
    HttpResponse::Ok().json(api)
}

/// Registers both paths of the description.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    for path in ["/openapi.json", "/swagger.json"] {
        config.service(
            web::resource(path)
                .route(super::routes::get().to(describe))
                .default_service(super::routes::only("GET, HEAD")),
        );
    }
}
