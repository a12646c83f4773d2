//! Routes of the HTTP service.

use super::{
    handlers::{health, keys, metrics, models, score, site},
    methods::{get, only},
    openapi,
};
use actix_web::web::{self, ServiceConfig};

/// Registers every path, and the page.
pub(super) fn all(config: &mut ServiceConfig, web_dir: Option<&std::path::Path>) {
    config
        .service(
            web::resource("/v1/models")
                .route(get().to(models::list))
                .default_service(only("GET, HEAD")),
        )
        .service(
            web::resource("/v1/models/{model}")
                .route(get().to(models::get))
                .default_service(only("GET, HEAD")),
        )
        .service(
            web::resource("/v1/models/{model}/score")
                .route(web::post().to(score::score))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/v1/keys/{key_id}")
                .route(web::put().to(keys::put))
                .route(web::get().to(keys::get))
                .route(web::head().to(keys::head))
                .route(web::delete().to(keys::delete))
                .default_service(only(keys::METHODS)),
        )
        .service(
            web::resource("/score")
                .route(web::post().to(score::score_default))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/healthz")
                .route(get().to(health::alive))
                .default_service(only("GET, HEAD")),
        )
        .service(
            web::resource("/readyz")
                .route(get().to(health::ready))
                .default_service(only("GET, HEAD")),
        );
    config.service(
        web::resource("/metrics")
            .route(get().to(metrics::metrics))
            .default_service(only("GET, HEAD")),
    );
    config.configure(openapi::routes);
    match web_dir {
        Some(directory) => site::from_directory(config, directory),
        None => site::built_in(config),
    }
}
