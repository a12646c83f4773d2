//! Files of the demo page, from a folder or embedded in the program.

use crate::http::methods::{get, only};
use actix_files::Files;
#[cfg(not(feature = "page"))]
use actix_web::HttpResponse;
use actix_web::{
    Error, Scope,
    body::MessageBody,
    dev::{RequestHead, ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, HeaderValue},
    middleware::{Compress, Next, from_fn},
    web::{self, ServiceConfig},
};
use std::path::Path;

/// Serves everything under `directory`, with `index.html` at `/`.
pub(crate) fn from_directory(config: &mut ServiceConfig, directory: &Path) {
    let root = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    // The target of a symbolic link is served only if it lies within the folder.
    let within = move |path: &Path, _: &RequestHead| {
        let found = root.join(path).canonicalize();
        found.is_ok_and(|found| found.starts_with(&root))
    };
    let site: Scope<_> = web::scope("")
        .wrap(from_fn(cache_policy))
        .wrap(Compress::default())
        .service(
            Files::new("/", directory)
                .index_file("index.html")
                .path_filter(within),
        );
    config.service(site);
}

/// Serves the page that is embedded in the program.
#[cfg(feature = "page")]
pub(crate) fn built_in(config: &mut ServiceConfig) {
    for file in embedded::files() {
        let resource = web::resource(file.path())
            .wrap(from_fn(cache_policy))
            .wrap(Compress::default())
            .route(get().to(move |request| std::future::ready(file.answer(&request))))
            .default_service(only("GET, HEAD"));
        config.service(resource);
    }
}

/// Serves a short text about the API, in builds without the page.
#[cfg(not(feature = "page"))]
pub(crate) fn built_in(config: &mut ServiceConfig) {
    const ABOUT: &str = "\
Blindscore: scores models on data that stays encrypted.

GET  /v1/models                 what is served
PUT  /v1/keys/{key_id}          upload a public key
POST /v1/models/{model}/score   encrypted query in, encrypted scores out
";
    let about = || async {
        HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body(ABOUT)
    };
    config.service(
        web::resource("/")
            .route(get().to(about))
            .default_service(only("GET, HEAD")),
    );
}

#[cfg(feature = "page")]
mod embedded {
    use actix_web::{
        HttpRequest, HttpResponse,
        http::header::{ETAG, IF_NONE_MATCH},
    };
    use bytes::Bytes;
    use rust_embed::RustEmbed;
    use std::borrow::Cow;

    #[derive(RustEmbed)]
    #[folder = "../web/dist"]
    struct Page;

    /// An embedded file of the page.
    #[derive(Clone)]
    pub(crate) struct File {
        name: Cow<'static, str>,
        mime: String,
        etag: String,
        content: Bytes,
    }

    pub(crate) fn files() -> impl Iterator<Item = File> {
        Page::iter().filter_map(|name| {
            let file = Page::get(&name)?;
            Some(File {
                mime: file.metadata.mimetype().to_owned(),
                // Weak, since the same content may be sent compressed.
                etag: format!("W/\"{}\"", hex::encode(file.metadata.sha256_hash())),
                content: match file.data {
                    Cow::Borrowed(content) => Bytes::from_static(content),
                    Cow::Owned(content) => content.into(),
                },
                name,
            })
        })
    }

    impl File {
        pub(crate) fn path(&self) -> String {
            match &*self.name {
                "index.html" => "/".to_owned(),
                name => format!("/{name}"),
            }
        }

        pub(crate) fn answer(&self, request: &HttpRequest) -> HttpResponse {
            let known = request.headers().get(IF_NONE_MATCH);
            if known.is_some_and(|etag| etag.as_bytes() == self.etag.as_bytes()) {
                return HttpResponse::NotModified()
                    .insert_header((ETAG, self.etag.as_str()))
                    .finish();
            }
            HttpResponse::Ok()
                .content_type(self.mime.as_str())
                .insert_header((ETAG, self.etag.as_str()))
                .body(self.content.clone())
        }
    }
}

/// Sets caching: files under `/assets/` carry a hash in their names and never change, others are
/// revalidated each time.
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
