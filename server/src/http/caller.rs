//! The sender of a request, as handlers get it.

use super::error::ApiError;
use crate::tenants::{Access, Caller};
use actix_web::{
    FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web::Data,
};
use std::future::{Ready, ready};

/// A handler that takes a caller as an argument serves only those that the server knows.
impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = match request.app_data::<Data<Access>>() {
            Some(access) => access.caller(bearer(request)).map_err(ApiError::from),
            None => Err(ApiError::Unauthorized),
        };
        if let Ok(caller) = &caller {
            // For the request log.
            request.extensions_mut().insert(caller.tenant.clone());
        }
        ready(caller)
    }
}

/// Returns the token of `Authorization: Bearer TOKEN`.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request
        .headers()
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
