//! Routes of the HTTP service.

use super::{
    handlers::{
        health,
        inference::{infer, metadata},
        keys, metrics, models, publishing, score, site,
    },
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
                .route(web::put().to(publishing::put))
                .route(web::delete().to(publishing::delete))
                .default_service(only(publishing::METHODS)),
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
    config.configure(open_inference).configure(openapi::routes);
    match web_dir {
        Some(directory) => site::from_directory(config, directory),
        None => site::built_in(config),
    }
}

/// Registers the paths of the Open Inference Protocol.
fn open_inference(config: &mut ServiceConfig) {
    // The specification has both spellings.
    let server = web::resource(["/v2", "/v2/"]).route(get().to(metadata::server));
    let gets = [
        server,
        web::resource("/v2/health/live").route(get().to(metadata::live)),
        web::resource("/v2/health/ready").route(get().to(metadata::ready)),
        web::resource("/v2/models/{model}").route(get().to(metadata::model)),
        web::resource("/v2/models/{model}/ready").route(get().to(metadata::model_ready)),
        web::resource("/v2/models/{model}/versions/{version}").route(get().to(metadata::model_version)),
        web::resource("/v2/models/{model}/versions/{version}/ready").route(get().to(metadata::version_ready)),
    ];
    for resource in gets {
        config.service(resource.default_service(only("GET, HEAD")));
    }
    let posts = [
        web::resource("/v2/models/{model}/infer").route(web::post().to(infer::infer)),
        web::resource("/v2/models/{model}/versions/{version}/infer")
            .route(web::post().to(infer::infer_version)),
    ];
    for resource in posts {
        config.service(resource.default_service(only("POST")));
    }
}
