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

/// Error responses about the queries of a scoring request.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum QueryRefusal {
    /// No such model, or the key is not stored.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
    /// Parameters, format or model are no longer served.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// Not complete queries for this model, or queries for another key.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// Error responses about a model in the path.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ModelRefusal {
    /// No such model.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
    /// A version that is no longer served.
    #[response(status = 410, content_type = "application/problem+json")]
    Retired(Problem),
}

/// Error responses to operators who publish a model.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum PublishRefusal {
    /// Not an operator's token, a bundled model, or a server without a location for models.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// The model was published, and then removed by someone else.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
    /// This version is another model, or a stored model can't be served and has to be removed
    /// first.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The model can't be served.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(Problem),
}

/// Error responses to operators who remove a model.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum RemovalRefusal {
    /// Not an operator's token, a bundled model, or a server without a location for models.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// No such model.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
    /// Nothing was removed, because the other models couldn't be served without this one. Or it was
    /// removed, but another stored model can't be served and has to be removed, too.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The tenant exceeded a limit: `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/problem+json")]
    RateLimited(Problem),
}

/// Error responses about a key in the path.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum KeyRefusal {
    /// Never uploaded, removed or expired.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
}

/// Error responses to the upload of a key.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum UploadRefusal {
    /// The tenant's limit of keys is reached.
    #[response(status = 403, content_type = "application/problem+json")]
    QuotaExceeded(Problem),
    /// The bytes don't hash to the id.
    #[response(status = 409, content_type = "application/problem+json")]
    HashMismatch(Problem),
    /// Parameters or format are no longer served.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
}

/// Error responses to callers who may not see data of all tenants.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum MonitorRefusal {
    /// A valid token is needed.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// A token for monitoring or an operator's is needed.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
}

/// Error response of a server that can't work.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum NotReady {
    /// The key store, the tokens or the counts of queries are unavailable.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
