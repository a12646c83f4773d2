//! Errors as clients of the protocol read them: JSON with a member `error`.

use actix_web::{
    body::BoxBody,
    dev::ServiceResponse,
    http::header::{CONTENT_TYPE, HeaderValue},
};
use blindscore_protocol::problem::Problem;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// Error of a path under `/v2`: a problem document with what the protocol asks for in addition.
///
/// Its media type is `application/json`: KServe's client reads no other.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InferenceError {
    /// What was wrong, the same as `detail`.
    error: String,
    #[serde(flatten)]
    problem: Problem,
}

/// Returns whether the protocol has this path.
pub(in crate::http) fn owns(path: &str) -> bool {
    path.strip_prefix("/v2")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds `error` to the problem document that a response has, if it has one.
pub(in crate::http) fn with_error(mut response: ServiceResponse) -> ServiceResponse {
    let problem = response.response_mut().extensions_mut().remove::<Problem>();
    let Some(problem) = problem else {
        return response;
    };
    let error = InferenceError {
        error: problem.detail.clone(),
        problem,
    };
    let Ok(json) = serde_json::to_vec(&error) else {
        return response;
    };
    response.map_body(|head, _| {
        let json_type = HeaderValue::from_static("application/json");
        head.headers_mut().insert(CONTENT_TYPE, json_type);
        BoxBody::new(json)
    })
}

/// Error responses of all paths under `/v2` that need a token, as the OpenAPI description lists
/// them.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) enum Failure {
    /// The request is malformed.
    #[response(status = 400, content_type = "application/json")]
    Malformed(InferenceError),
    /// A valid token is needed.
    #[response(status = 401, content_type = "application/json")]
    Unauthorized(InferenceError),
    /// No such model or version, or the key is not stored.
    #[response(status = 404, content_type = "application/json")]
    Missing(InferenceError),
    /// Version, parameters or format are no longer served.
    #[response(status = 410, content_type = "application/json")]
    Gone(InferenceError),
    /// Something broke on the server.
    #[response(status = 500, content_type = "application/json")]
    Internal(InferenceError),
    /// The server is overloaded or unavailable: `Retry-After` says when to try again.
    #[response(status = 503, content_type = "application/json")]
    Unavailable(InferenceError),
}

/// Further error responses of inference.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) enum InferFailure {
    /// The body stopped arriving, or arrived too slowly.
    #[response(status = 408, content_type = "application/json")]
    TimedOut(InferenceError),
    /// The body is too long, or has too many queries.
    #[response(status = 413, content_type = "application/json")]
    TooLong(InferenceError),
    /// Neither JSON nor JSON with binary data, or compressed.
    #[response(status = 415, content_type = "application/json")]
    UnsupportedMediaType(InferenceError),
    /// Not complete queries for this model, or queries for another key.
    #[response(status = 422, content_type = "application/json")]
    Unprocessable(InferenceError),
    /// The tenant exceeded a limit: `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/json")]
    RateLimited(InferenceError),
}

/// Error response of a server that can't work.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) enum NotReady {
    /// The key store, the tokens or the counts of queries are unavailable.
    #[response(status = 503, content_type = "application/json")]
    Unavailable(InferenceError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_protocols_paths_are_its_own() {
        assert!(["/v2", "/v2/", "/v2/x"].into_iter().all(owns));
        assert!(!["/v1/models", "/v20", "/", "/x/v2"].into_iter().any(owns));
    }
}
