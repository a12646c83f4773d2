use super::{
    pool::{Lost, QueueFull},
    prepared::PrepareError,
};
use crate::{engine::ScoreError, keystore::StoreError};
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, RETRY_AFTER},
    },
};
use blindscore_protocol::{
    ids::{KeyId, ModelId},
    params::ParameterSetId,
    problem::{Problem, ProblemCode},
    wire::{FORMAT_VERSION, WireError},
};
use std::sync::Arc;

/// Media type of every error response (RFC 9457).
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a busy server may be asked again.
const BUSY_RETRY_SECONDS: u32 = 1;
/// Seconds after which a server that failed may be asked again.
const FAILED_RETRY_SECONDS: u32 = 10;

/// Everything a request can fail with. Its text is what the client reads; causes inside the server are logged instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// JSON of the wrong shape, a bad header or path.
    #[error("{0}")]
    Malformed(String),
    /// An upload that isn't a public key.
    #[error("{0}")]
    MalformedKey(WireError),
    /// No such path.
    #[error("no resource has this path")]
    NotFound,
    /// No such model.
    #[error("no model of this name is served; GET /v1/models lists those that are")]
    ModelNotFound,
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
    /// The store failed.
    #[error("the key store {}", if .0.is_full() { "has no room for another key" } else { "does not answer" })]
    Store(#[from] StoreError),
    /// The same, met by several requests at once.
    #[error("the key store does not answer")]
    SharedStore(Arc<PrepareError>),
    /// The queue is full.
    #[error("the scoring queue is full")]
    Overloaded(#[from] QueueFull),
    /// A scoring thread panicked.
    #[error("an internal error; the server's log has the details")]
    Lost(#[from] Lost),
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
            Self::NotFound => ProblemCode::NotFound,
            Self::ModelNotFound => ProblemCode::ModelNotFound,
            Self::KeyNotFound(_) => ProblemCode::KeyNotFound,
            Self::MethodNotAllowed(_) => ProblemCode::MethodNotAllowed,
            Self::KeyHashMismatch { .. } => ProblemCode::KeyHashMismatch,
            Self::ParametersRetired(_) => ProblemCode::ParametersRetired,
            Self::FormatUnsupported { .. } => ProblemCode::FormatUnsupported,
            Self::ModelChanged { .. } => ProblemCode::ModelChanged,
            Self::TooLong { .. } | Self::TooMany { .. } => ProblemCode::PayloadTooLarge,
            Self::UnsupportedMediaType(_) => ProblemCode::UnsupportedMediaType,
            Self::MalformedCiphertext { .. } => ProblemCode::MalformedCiphertext,
            Self::KeyMismatch { .. } => ProblemCode::KeyMismatch,
            Self::Store(cause) if cause.is_full() => ProblemCode::StoreFull,
            Self::Store(_) | Self::SharedStore(_) => ProblemCode::StoreUnavailable,
            Self::Overloaded(_) => ProblemCode::Overloaded,
            Self::Lost(_) | Self::Score(_) => ProblemCode::Internal,
            Self::Framework(status) => framework_code(*status),
        }
    }

    /// Writes what only the operator should see to the log.
    fn log_cause(&self) {
        match self {
            Self::Store(cause) => tracing::error!(%cause, "the key store failed"),
            Self::SharedStore(cause) => tracing::error!(%cause, "a key could not be loaded"),
            Self::Lost(cause) => tracing::error!(%cause, "a request failed"),
            Self::Score(cause) => tracing::error!(%cause, "a request failed"),
            _ => {}
        }
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
        match self.code() {
            ProblemCode::Overloaded => response.insert_header((RETRY_AFTER, BUSY_RETRY_SECONDS)),
            ProblemCode::StoreUnavailable | ProblemCode::StoreFull => {
                response.insert_header((RETRY_AFTER, FAILED_RETRY_SECONDS))
            }
            _ => &mut response,
        };
        response.json(Problem::new(self.code(), self.to_string()))
    }
}

/// The code nearest to a status that came from the framework and not from this program.
fn framework_code(status: StatusCode) -> ProblemCode {
    match status {
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemCode::UnsupportedMediaType,
        status if status.is_client_error() => ProblemCode::MalformedRequest,
        _ => ProblemCode::Internal,
    }
}
