//! OpenAPI description, generated from the handlers.

use super::{
    handlers::{
        health,
        inference::{infer, metadata},
        keys, metrics, models, publishing, score,
    },
    methods::{get, only},
};
use crate::tenants::Access;
use actix_web::{HttpResponse, web};
use blindscore_protocol::problem::Problem;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Description,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

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
        publishing::put,
        publishing::delete,
        keys::put,
        keys::get,
        keys::head,
        keys::delete,
        score::score,
        score::score_default,
        health::alive,
        health::ready,
        metrics::metrics,
        metadata::server,
        metadata::live,
        metadata::ready,
        metadata::model,
        metadata::model_version,
        metadata::model_ready,
        metadata::version_ready,
        infer::infer,
        infer::infer_version,
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
async fn describe(access: web::Data<Access>) -> HttpResponse {
    let mut api = Api::openapi();
    if let Access::Anyone = **access {
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
                .route(get().to(describe))
                .default_service(only("GET, HEAD")),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::descriptor::MAX_QUERIES;

    #[test]
    fn the_largest_request_is_the_one_that_is_accepted() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        let data = &api["components"]["schemas"]["JsonRequest"]["properties"]["data"];
        assert_eq!(data["maxItems"], MAX_QUERIES);
        let body = &api["paths"]["/v1/models/{model}/score"]["post"]["requestBody"];
        assert_eq!(body["description"], format!("Up to {MAX_QUERIES} queries"));
    }
}
