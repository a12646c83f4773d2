//! Errors of the HTTP API, and the problem documents that clients get for them.

use crate::{
    keystore::KeyStoreError,
    objects::StoreError,
    scoring::{NotRun, NotScored, PrepareError},
    tenants::{BudgetError, Denied, RateError},
};
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use blindscore_engine::{ScoreError, model::ModelError};
use blindscore_protocol::{
    ids::{KeyId, ModelId},
    name::ModelAddress,
    params::ParameterSetId,
    problem::{Problem, ProblemCode},
    wire::{FORMAT_VERSION, WireError},
};
use std::{sync::Arc, time::Duration};

/// Media type of every error response (RFC 9457).
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// `Retry-After` of a store that failed: nobody knows when it will be back.
const FAILED_RETRY: Duration = Duration::from_secs(10);

/// Everything that a request can fail with. The message is sent to the client; internal causes are
/// logged instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Malformed JSON, header or path.
    #[error("{0}")]
    Malformed(String),
    /// The upload isn't an evaluation key.
    #[error("{0}")]
    MalformedKey(WireError),
    /// The token is missing or invalid.
    #[error("a valid token is needed: Authorization: Bearer TOKEN")]
    Unauthorized,
    /// The token is valid but doesn't allow this request.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The `Host` header names another server.
    #[error(
        "this server is not known as {0:?}; its operator may add the name with --allowed-hosts, or make tokens"
    )]
    HostNotAllowed(String),
    /// No route has this path.
    #[error("no resource has this path")]
    NotFound,
    /// No model has this name.
    #[error("no model of this name is served; GET /v1/models lists those that are")]
    ModelNotFound,
    /// The model exists, but never had this version.
    #[error("the model has no such version; GET /v2/models/{{model}} lists its versions")]
    VersionNotFound,
    /// The model exists, but this version of it is no longer served.
    #[error("this version is no longer served; the current version is {newest}")]
    ModelRetired {
        /// Version served under the plain name.
        newest: u32,
    },
    /// Another model of this name and version is served.
    #[error("{0} already exists and is a different model: publish without a version to get the next one")]
    ModelExists(ModelAddress),
    /// A model was published, and is gone.
    #[error("{0} was published, and then removed by someone else")]
    ModelGone(ModelAddress),
    /// The uploaded model can't be served.
    #[error("{0}")]
    ModelRefused(ModelError),
    /// The location of the models can't be read or written.
    #[error("{0}")]
    Models(String),
    /// A file in the location of the models can't be served.
    #[error("{0}")]
    ModelsBroken(String),
    /// The key was never uploaded, was removed or has expired.
    #[error("key {0} is not stored: it was never uploaded, was removed or has expired")]
    KeyNotFound(KeyId),
    /// The path doesn't support this method.
    #[error("this path accepts only {0}")]
    MethodNotAllowed(&'static str),
    /// The uploaded bytes don't hash to the id in the path.
    #[error("the body's SHA-256 is {actual}, the path says {named}")]
    KeyHashMismatch {
        /// Key id in the path.
        named: KeyId,
        /// SHA-256 of the uploaded bytes.
        actual: KeyId,
    },
    /// No served model uses this parameter set.
    #[error("parameter set {0} is not served")]
    ParametersRetired(ParameterSetId),
    /// The version of the wire format isn't served.
    #[error(
        "format version {found} is not served, only {FORMAT_VERSION}: update the {older}",
        older = if *found < FORMAT_VERSION { "client" } else { "server" }
    )]
    FormatUnsupported {
        /// Format version of the blob.
        found: u16,
    },
    /// The query was encrypted for another version of the model.
    #[error("the query is for model {query}, this is now {served}")]
    ModelChanged {
        /// Model that the query was encrypted for.
        query: ModelId,
        /// Model that is served under this name.
        served: ModelId,
    },
    /// The body is longer than any valid request.
    #[error("the body may be at most {limit} bytes")]
    TooLong {
        /// Largest accepted body in bytes.
        limit: usize,
    },
    /// The request carries too many queries.
    #[error("one request may carry at most {limit} queries, not {found}")]
    TooMany {
        /// Largest accepted number of queries.
        limit: usize,
        /// Number of queries in the request.
        found: usize,
    },
    /// The path doesn't accept this media type.
    #[error("this path accepts only {0}")]
    UnsupportedMediaType(&'static str),
    /// A blob isn't a complete query for this model.
    #[error("query {index}: {cause}")]
    MalformedCiphertext {
        /// Position in the request, from 0.
        index: usize,
        /// Why the blob was rejected.
        cause: CiphertextError,
    },
    /// The query was encrypted for another key than the request names.
    #[error("query {index} is for key {query}, the request names {named}")]
    KeyMismatch {
        /// Position in the request, from 0.
        index: usize,
        /// Key that the query was encrypted for.
        query: KeyId,
        /// Key that the request names.
        named: KeyId,
    },
    /// The body didn't arrive in time.
    #[error("{0}")]
    TimedOut(String),
    /// The tenant has reached its limit of keys.
    #[error("{0} keys are stored; remove one before the next upload")]
    KeyQuota(u64),
    /// The key store failed.
    #[error("{}", store_detail(.0))]
    Store(#[from] StoreError),
    /// A key could not be loaded. Shared, since several requests may have waited for it.
    #[error("{}", prepare_detail(.0))]
    Prepare(Arc<PrepareError>),
    /// The tenant exceeded its rate limit, and should wait this long.
    #[error("too many queries were sent; the limit is for each tenant")]
    RateLimited(Duration),
    /// The tenant has used up its queries for this model and day, or they can't be counted.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The valid tokens aren't known.
    #[error("the server can't read which tokens are valid; its log has the details")]
    TokensUnreadable,
    /// The server is overloaded.
    #[error("{what}")]
    Busy {
        /// Message that names the exhausted resource.
        what: &'static str,
        /// Estimated time until it is available again.
        retry_after: Duration,
    },
    /// The scoring threads gave no result.
    #[error("an internal error; the server's log has the details")]
    NotRun(NotRun),
    /// The engine failed: no randomness, or a key of another parameter set.
    #[error("an internal error; the server's log has the details")]
    Score(ScoreError),
    /// A part of the server failed for this reason.
    #[error("an internal error; the server's log has the details")]
    Internal(&'static str),
    /// Error status set by the framework.
    #[error("{}", .0.canonical_reason().unwrap_or("the request failed"))]
    Framework(StatusCode),
}

/// Why a query's bytes were rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CiphertextError {
    /// The text isn't valid base64.
    #[error("not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The blob isn't a query for this model.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl ApiError {
    /// Returns the stable code of the problem.
    pub(super) fn code(&self) -> ProblemCode {
        match self {
            Self::Malformed(_) => ProblemCode::MalformedRequest,
            Self::MalformedKey(_) => ProblemCode::MalformedKey,
            Self::Unauthorized => ProblemCode::Unauthorized,
            Self::Forbidden(_) => ProblemCode::Forbidden,
            Self::HostNotAllowed(_) => ProblemCode::HostNotAllowed,
            Self::NotFound => ProblemCode::NotFound,
            Self::ModelNotFound | Self::VersionNotFound | Self::ModelGone(_) => ProblemCode::ModelNotFound,
            Self::KeyNotFound(_) => ProblemCode::KeyNotFound,
            Self::MethodNotAllowed(_) => ProblemCode::MethodNotAllowed,
            Self::KeyHashMismatch { .. } => ProblemCode::KeyHashMismatch,
            Self::ParametersRetired(_) => ProblemCode::ParametersRetired,
            Self::FormatUnsupported { .. } => ProblemCode::FormatUnsupported,
            Self::ModelRetired { .. } => ProblemCode::ModelRetired,
            Self::ModelChanged { .. } => ProblemCode::ModelChanged,
            Self::ModelExists(_) => ProblemCode::ModelExists,
            Self::ModelRefused(_) => ProblemCode::ModelRefused,
            Self::Models(_) => ProblemCode::ModelsUnavailable,
            Self::ModelsBroken(_) => ProblemCode::ModelsBroken,
            Self::TooLong { .. } | Self::TooMany { .. } => ProblemCode::PayloadTooLarge,
            Self::UnsupportedMediaType(_) => ProblemCode::UnsupportedMediaType,
            Self::MalformedCiphertext { .. } => ProblemCode::MalformedCiphertext,
            Self::KeyMismatch { .. } => ProblemCode::KeyMismatch,
            Self::TimedOut(_) => ProblemCode::RequestTimeout,
            Self::KeyQuota(_) => ProblemCode::QuotaExceeded,
            Self::Store(error) => store_code(error),
            Self::Prepare(error) => match &**error {
                PrepareError::Absent => ProblemCode::KeyNotFound,
                PrepareError::Store(error) => store_code(error),
                PrepareError::NotRun(error) => not_run_code(error),
            },
            Self::NotRun(error) => not_run_code(error),
            Self::RateLimited(_) => ProblemCode::RateLimited,
            Self::Budget(BudgetError::Spent { .. }) => ProblemCode::QueryBudgetSpent,
            Self::TokensUnreadable | Self::Budget(BudgetError::Uncounted) => ProblemCode::StoreUnavailable,
            Self::Busy { .. } => ProblemCode::Overloaded,
            Self::Score(_) | Self::Internal(_) => ProblemCode::Internal,
            Self::Framework(status) => framework_code(*status),
        }
    }

    /// Logs causes that only the operator should see.
    fn log_cause(&self) {
        match self {
            Self::Store(cause) => tracing::error!(%cause, "the key store failed"),
            Self::Prepare(cause) => tracing::error!(%cause, "a key could not be loaded"),
            Self::NotRun(cause) => tracing::error!(%cause, "a request failed"),
            Self::Score(cause) => tracing::error!(%cause, "a request failed"),
            Self::Internal(cause) => tracing::error!(cause, "a request failed"),
            Self::Models(cause) | Self::ModelsBroken(cause) => {
                tracing::error!(cause, "the models can't be changed")
            }
            _ => {}
        }
    }

    /// Returns the whole seconds after which the same request may succeed.
    fn retry_after(&self) -> Option<u64> {
        let wait = match self {
            Self::RateLimited(wait) | Self::Budget(BudgetError::Spent { wait, .. }) => *wait,
            Self::Busy { retry_after, .. } => *retry_after,
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => FAILED_RETRY,
            _ => return None,
        };
        Some(wait.as_secs_f64().ceil().max(1.0) as u64)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.log_cause();
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(PROBLEM_JSON);
        if let Self::MethodNotAllowed(allowed) = self {
            response.insert_header((ALLOW, *allowed));
        }
        if let Self::Unauthorized = self {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after() {
            response.insert_header((RETRY_AFTER, seconds));
        }
        let problem = Problem::new(self.code(), self.to_string());
        let mut response = response.json(&problem);
        // For paths whose protocol has a form of its own for errors.
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken => Self::Unauthorized,
            Denied::NotOperator => Self::Forbidden("an operator's token is needed"),
            Denied::NotMonitor => Self::Forbidden("a token for monitoring or an operator's is needed"),
            Denied::TokensUnreadable => Self::TokensUnreadable,
        }
    }
}

impl From<RateError> for ApiError {
    fn from(error: RateError) -> Self {
        match error {
            RateError::Exceeded(wait) => Self::RateLimited(wait),
            RateError::NeverPossible { burst, found } => Self::TooMany { limit: burst, found },
        }
    }
}

impl From<KeyStoreError> for ApiError {
    fn from(error: KeyStoreError) -> Self {
        match error {
            KeyStoreError::Quota(limit) => Self::KeyQuota(limit),
            KeyStoreError::Store(error) => Self::Store(error),
        }
    }
}

impl From<NotScored> for ApiError {
    fn from(error: NotScored) -> Self {
        match error {
            NotScored::QueueFull(full) => Self::Busy {
                what: "the scoring queue is full",
                retry_after: full.retry_after,
            },
            NotScored::Late(retry_after) => Self::Busy {
                what: "the request could not be scored before its deadline",
                retry_after,
            },
            NotScored::NoKey(id) => Self::KeyNotFound(id),
            NotScored::OtherParameters(set) => Self::ParametersRetired(set),
            NotScored::Key(error) => Self::Prepare(error),
            NotScored::NotRun(error) => Self::NotRun(error),
            NotScored::Engine(error) => Self::Score(error),
        }
    }
}

fn not_run_code(error: &NotRun) -> ProblemCode {
    match error {
        NotRun::Late | NotRun::Stopped => ProblemCode::Overloaded,
        NotRun::Panicked | NotRun::TooLarge => ProblemCode::Internal,
    }
}

fn store_code(error: &StoreError) -> ProblemCode {
    match error {
        StoreError::Full(_) => ProblemCode::StoreFull,
        _ => ProblemCode::StoreUnavailable,
    }
}

fn store_detail(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full(_) => "the key store has no room for another key",
        _ => "the key store does not answer",
    }
}

fn prepare_detail(error: &PrepareError) -> &'static str {
    match error {
        PrepareError::Store(error) => store_detail(error),
        PrepareError::Absent => "the key is not stored",
        PrepareError::NotRun(_) => "an internal error; the server's log has the details",
    }
}

/// Returns the code closest to a status that was set by the framework instead of this program.
fn framework_code(status: StatusCode) -> ProblemCode {
    match status {
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ProblemCode::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemCode::UnsupportedMediaType,
        status if status.is_client_error() => ProblemCode::MalformedRequest,
        _ => ProblemCode::Internal,
    }
}
