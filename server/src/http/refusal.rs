//! Error responses of handlers, as the OpenAPI description lists them.

use blindscore_protocol::problem::Problem;
use utoipa::IntoResponses;

/// Error responses that every path under `/v1` and `/score` may give.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum Refusal {
    /// The request is malformed.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// A valid token is needed.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// Something broke on the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The server is overloaded or unavailable: `Retry-After` says when to try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Error responses to requests with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum BodyRefusal {
    /// The body stopped arriving, or arrived too slowly.
    #[response(status = 408, content_type = "application/problem+json")]
    TimedOut(Problem),
    /// Parameters, format or model are no longer served.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(Problem),
    /// Neither raw bytes nor JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// The tenant exceeded a limit: `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/problem+json")]
    RateLimited(Problem),
}
