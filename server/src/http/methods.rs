//! Routes by method.

use super::error::ApiError;
use actix_web::{HttpResponse, Route, guard, http::Method, web};

/// Returns a route for GET and HEAD.
pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Returns the name of a method that some route has. Clients can send any text as a method.
pub(super) fn known(method: &Method) -> Option<&str> {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
    ];
    methods.contains(method).then(|| method.as_str())
}

/// Returns a route that refuses all other methods, naming the supported `methods`.
pub(super) fn only(methods: &'static str) -> Route {
    web::to(move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(methods)) })
}
