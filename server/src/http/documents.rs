//! Responses about the models, serialized once and shared by all requests.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IfNoneMatch},
};
use blindscore_engine::model::Registry;
use blindscore_protocol::descriptor::{CheckedDescriptor, ModelDescriptor};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};
use utoipa::ToSchema;

/// Response of `GET /v1/models`.
#[derive(Serialize, ToSchema)]
pub(super) struct Listing<'a> {
    /// Descriptors: that of the default model, then the others by name.
    #[schema(value_type = Vec<ModelDescriptor>)]
    models: Vec<&'a CheckedDescriptor>,
}

/// Responses about the models, serialized once per registry.
pub(super) struct Documents {
    pub(super) listing: Document,
    /// Descriptors by the names that models are served under.
    pub(super) descriptors: HashMap<String, Document>,
}

/// JSON with an `ETag` derived from its bytes.
pub(super) struct Document {
    json: Bytes,
    tag: EntityTag,
}

impl Documents {
    /// Serializes the descriptors in `registry`.
    pub(super) fn of(registry: &Registry) -> serde_json::Result<Self> {
        let default = registry.default_model();
        let others = registry.iter().filter(|model| !Arc::ptr_eq(model, default));
        // Clients take the first model unless they are told another.
        let models = [default].into_iter().chain(others);
        let models = models.map(|model| model.descriptor()).collect();
        let descriptors = registry.all().map(|model| {
            let descriptor = model.descriptor();
            Ok((descriptor.name.clone(), Document::of(descriptor)?))
        });
        Ok(Self {
            listing: Document::of(&Listing { models })?,
            descriptors: descriptors.collect::<serde_json::Result<_>>()?,
        })
    }
}

impl Document {
    fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        let json = serde_json::to_vec(value)?;
        let digest = Sha256::digest(&json);
        Ok(Self {
            tag: EntityTag::new_strong(hex::encode(&digest[..16])),
            json: json.into(),
        })
    }

    /// Responds with 200, or with 304 and no body if the client already has this version.
    pub(super) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let known = match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&self.tag)),
            Err(_) => false,
        };
        let mut response = if known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response.insert_header((ETAG, self.tag.to_string()));
        response.insert_header((CACHE_CONTROL, "no-cache"));
        if known {
            return response.finish();
        }
        response.content_type("application/json").body(self.json.clone())
    }
}
