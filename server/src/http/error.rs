use super::{budget, pool::NotRun, prepared::PrepareError};
use crate::{engine::ScoreError, keystore::StoreError};
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use blindscore_protocol::{
    ids::{KeyId, ModelId},
    params::ParameterSetId,
    problem::{Problem, ProblemCode},
    wire::{FORMAT_VERSION, WireError},
};
use chrono::{DateTime, Utc};
use std::{sync::Arc, time::Duration};

/// Media type of every error response (RFC 9457).
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// When a store that failed may be asked again: no one knows when it will be back.
const FAILED_RETRY: Duration = Duration::from_secs(10);

/// Everything a request can fail with. Its text is what the client reads; causes inside the server are logged instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// JSON of the wrong shape, a bad header or path.
    #[error("{0}")]
    Malformed(String),
    /// An upload that isn't a public key.
    #[error("{0}")]
    MalformedKey(WireError),
    /// No token, or none that is valid.
    #[error("a valid token is needed: Authorization: Bearer TOKEN")]
    Unauthorized,
    /// The token is valid, but not for this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// A name that isn't this server's.
    #[error(
        "this server is not known as {0:?}; its operator may add the name with --allowed-hosts, or make tokens"
    )]
    HostNotAllowed(String),
    /// No such path.
    #[error("no resource has this path")]
    NotFound,
    /// No such model.
    #[error("no model of this name is served; GET /v1/models lists those that are")]
    ModelNotFound,
    /// A version of a model that there was.
    #[error("this version is no longer served, version {newest} is")]
    ModelRetired {
        /// What is served under the plain name.
        newest: u32,
    },
    /// Never uploaded, removed or expired.
    #[error("key {0} is not stored: it was never uploaded, was removed or has expired")]
    KeyNotFound(KeyId),
    /// Another method is needed.
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    /// The upload isn't what its path says.
    #[error("the body's SHA-256 is {actual}, the path says {named}")]
    KeyHashMismatch {
        /// Id in the path.
        named: KeyId,
        /// Hash of what arrived.
        actual: KeyId,
    },
    /// Made under parameters this server doesn't know.
    #[error("parameter set {0} is not served")]
    ParametersRetired(ParameterSetId),
    /// Written in a version of the wire format that is not served.
    #[error(
        "format version {found} is not served, only {FORMAT_VERSION}: update the {older}",
        older = if *found < FORMAT_VERSION { "client" } else { "server" }
    )]
    FormatUnsupported {
        /// Version in the blob.
        found: u16,
    },
    /// Encrypted for another version of the model.
    #[error("the query is for model {query}, this is now {served}")]
    ModelChanged {
        /// What the query was made for.
        query: ModelId,
        /// What is served under the name.
        served: ModelId,
    },
    /// Longer than the longest valid request.
    #[error("the body may be at most {limit} bytes")]
    TooLong {
        /// Largest body accepted here.
        limit: usize,
    },
    /// More queries than one request may have.
    #[error("one request may carry at most {limit} queries, not {found}")]
    TooMany {
        /// Largest number accepted.
        limit: usize,
        /// How many there were.
        found: usize,
    },
    /// A body of another type.
    #[error("this path takes {0}")]
    UnsupportedMediaType(&'static str),
    /// A blob that isn't a whole query for this model.
    #[error("query {index}: {cause}")]
    MalformedCiphertext {
        /// Position in the request, from 0.
        index: usize,
        /// What is wrong with it.
        cause: CiphertextError,
    },
    /// Encrypted for another key than the one named.
    #[error("query {index} is for key {query}, the request names {named}")]
    KeyMismatch {
        /// Position in the request, from 0.
        index: usize,
        /// Key in the query.
        query: KeyId,
        /// Key the request names.
        named: KeyId,
    },
    /// The body didn't arrive in time.
    #[error("{0}")]
    TimedOut(String),
    /// The store failed.
    #[error("{}", store_detail(.0))]
    Store(#[from] StoreError),
    /// A key could not be loaded; several requests may have waited for it.
    #[error("{}", prepare_detail(.0))]
    Prepare(Arc<PrepareError>),
    /// The tenant has asked for too much.
    #[error("too many queries were sent; the limit is for each tenant")]
    RateLimited(Duration),
    /// The tenant's queries for this model and day are spent.
    #[error(
        "a tenant may send {limit} queries a day to this model, {left} are left; there are more from {} on",
        budget::rfc3339(*again)
    )]
    BudgetSpent {
        /// Queries a day.
        limit: u64,
        /// What is left of them.
        left: u64,
        /// When the next day begins.
        again: DateTime<Utc>,
        /// How long that is from now.
        wait: Duration,
    },
    /// Queries can't be counted, so none may be scored.
    #[error("the server can't count queries at the moment")]
    CountsUnavailable,
    /// Which tokens are valid isn't known.
    #[error("the server can't read which tokens are valid; its log has the details")]
    TokensUnreadable,
    /// Too much is being done already.
    #[error("{what}")]
    Busy {
        /// Of what there is too much.
        what: &'static str,
        /// When there will be less, by what is known now.
        retry_after: Duration,
    },
    /// A thread panicked.
    #[error("an internal error; the server's log has the details")]
    Lost,
    /// No randomness, so nothing may be encrypted.
    #[error("an internal error; the server's log has the details")]
    Score(#[from] ScoreError),
    /// A status that the framework chose.
    #[error("{}", .0.canonical_reason().unwrap_or("the request failed"))]
    Framework(StatusCode),
}

/// What can be wrong with a query's bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum CiphertextError {
    /// Not base64.
    #[error("not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not a query for this model.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl ApiError {
    /// The stable code of the problem.
    pub(super) fn code(&self) -> ProblemCode {
        match self {
            Self::Malformed(_) => ProblemCode::MalformedRequest,
            Self::MalformedKey(_) => ProblemCode::MalformedKey,
            Self::Unauthorized => ProblemCode::Unauthorized,
            Self::Forbidden(_) => ProblemCode::Forbidden,
            Self::HostNotAllowed(_) => ProblemCode::HostNotAllowed,
            Self::NotFound => ProblemCode::NotFound,
            Self::ModelNotFound => ProblemCode::ModelNotFound,
            Self::KeyNotFound(_) => ProblemCode::KeyNotFound,
            Self::MethodNotAllowed(_) => ProblemCode::MethodNotAllowed,
            Self::KeyHashMismatch { .. } => ProblemCode::KeyHashMismatch,
            Self::ParametersRetired(_) => ProblemCode::ParametersRetired,
            Self::FormatUnsupported { .. } => ProblemCode::FormatUnsupported,
            Self::ModelRetired { .. } => ProblemCode::ModelRetired,
            Self::ModelChanged { .. } => ProblemCode::ModelChanged,
            Self::TooLong { .. } | Self::TooMany { .. } => ProblemCode::PayloadTooLarge,
            Self::UnsupportedMediaType(_) => ProblemCode::UnsupportedMediaType,
            Self::MalformedCiphertext { .. } => ProblemCode::MalformedCiphertext,
            Self::KeyMismatch { .. } => ProblemCode::KeyMismatch,
            Self::TimedOut(_) => ProblemCode::RequestTimeout,
            Self::Store(error) => store_code(error),
            Self::Prepare(error) => match &**error {
                PrepareError::Absent => ProblemCode::KeyNotFound,
                PrepareError::Store(error) => store_code(error),
                PrepareError::NotRun(NotRun::Late) => ProblemCode::Overloaded,
                PrepareError::NotRun(NotRun::Lost) => ProblemCode::Internal,
            },
            Self::RateLimited(_) => ProblemCode::RateLimited,
            Self::BudgetSpent { .. } => ProblemCode::QueryBudgetSpent,
            Self::TokensUnreadable | Self::CountsUnavailable => ProblemCode::StoreUnavailable,
            Self::Busy { .. } => ProblemCode::Overloaded,
            Self::Lost | Self::Score(_) => ProblemCode::Internal,
            Self::Framework(status) => framework_code(*status),
        }
    }

    /// Writes what only the operator should see to the log.
    fn log_cause(&self) {
        match self {
            Self::Store(StoreError::QuotaReached(_)) => {}
            Self::Store(cause) => tracing::error!(%cause, "the key store failed"),
            Self::Prepare(cause) => tracing::error!(%cause, "a key could not be loaded"),
            Self::Lost => tracing::error!("a thread panicked"),
            Self::Score(cause) => tracing::error!(%cause, "a request failed"),
            _ => {}
        }
    }

    /// When the same request may succeed, in whole seconds.
    fn retry_after(&self) -> Option<u64> {
        let wait = match self {
            Self::RateLimited(wait) | Self::BudgetSpent { wait, .. } => *wait,
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
        response.json(Problem::new(self.code(), self.to_string()))
    }
}

fn store_code(error: &StoreError) -> ProblemCode {
    match error {
        StoreError::QuotaReached(_) => ProblemCode::QuotaExceeded,
        StoreError::Full(_) => ProblemCode::StoreFull,
        _ => ProblemCode::StoreUnavailable,
    }
}

fn store_detail(error: &StoreError) -> String {
    match error {
        StoreError::QuotaReached(limit) => {
            format!("{limit} keys are stored; remove one before the next upload")
        }
        StoreError::Full(_) => "the key store has no room for another key".to_owned(),
        _ => "the key store does not answer".to_owned(),
    }
}

fn prepare_detail(error: &PrepareError) -> String {
    match error {
        PrepareError::Store(error) => store_detail(error),
        PrepareError::Absent => "the key is not stored".to_owned(),
        PrepareError::NotRun(_) => "an internal error; the server's log has the details".to_owned(),
    }
}

/// The code nearest to a status that came from the framework and not from this program.
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
