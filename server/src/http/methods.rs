//! Routes by method.

use super::error::ApiError;
use actix_web::{HttpResponse, Route, guard, http::Method, web};

/// Returns a route for GET and HEAD.
pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Methods of all routes.
pub(super) const ROUTED: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::POST,
    Method::DELETE,
];

/// Returns the name of a method that some route has, or that browsers ask for other origins with.
/// Clients can send any text as a method.
pub(super) fn known(method: &Method) -> Option<&str> {
    let is_known = ROUTED.contains(method) || method == Method::OPTIONS;
    is_known.then(|| method.as_str())
}

/// Returns a route that refuses all other methods, naming the supported `methods`.
pub(super) fn only(methods: &'static str) -> Route {
    web::to(move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(methods)) })
}
