//! Routes by method.

use super::error::ApiError;
use actix_web::{HttpResponse, Route, guard, web};

/// Returns a route for GET and HEAD.
pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Returns a route that refuses all other methods, naming the supported `methods`.
pub(super) fn only(methods: &'static str) -> Route {
    web::to(move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(methods)) })
}
