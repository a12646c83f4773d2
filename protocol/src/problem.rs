//! Error codes of the HTTP API, as RFC 9457 problem details.

use serde::{Deserialize, Serialize};

/// Action that a client can take after a problem.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Recovery {
    /// Upload the public key (again), then repeat the request.
    UploadKey,
    /// Fetch the model's descriptor again, encrypt anew, then repeat.
    RefreshModel,
    /// Repeat later; `Retry-After` says when.
    Retry,
    /// Repeating the same request can't succeed.
    None,
}

impl Recovery {
    /// Returns what may help after a response that says no more than its status, such as a proxy's.
    pub const fn of_status(status: u16) -> Self {
        if status >= 500 || status == 429 {
            Self::Retry
        } else {
            Self::None
        }
    }
}

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $recovery:ident, $title:literal;)*) => {
        /// Stable, machine-readable code of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl ProblemCode {
            /// Every code, for documentation and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the code as it appears in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// Returns the HTTP status that goes with the code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// Returns the action that the client can take.
            pub const fn recovery(self) -> Recovery {
                match self { $(Self::$variant => Recovery::$recovery),* }
            }

            /// Returns a one-line title for people, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

problem_codes! {
    /// JSON of the wrong shape, invalid base64, or a bad header or path.
    MalformedRequest = "malformed_request", 400, None, "The request is malformed";
    /// The uploaded key is not a whole public key of a supported format.
    MalformedKey = "malformed_key", 400, None, "The public key is malformed";
    /// No valid token came with the request.
    Unauthorized = "unauthorized", 401, None, "A valid token is needed";
    /// The token is valid, but doesn't allow this request.
    Forbidden = "forbidden", 403, None, "This is not allowed";
    /// The request addresses the server by a name that is not one of its own.
    HostNotAllowed = "host_not_allowed", 403, None, "The server doesn't go by this name";
    /// The tenant has reached its key quota.
    QuotaExceeded = "quota_exceeded", 403, None, "No more keys may be stored";
    /// The path doesn't exist.
    NotFound = "not_found", 404, None, "There is nothing here";
    /// The model doesn't exist.
    ModelNotFound = "model_not_found", 404, RefreshModel, "The model does not exist";
    /// The key is not stored: never uploaded, removed or expired.
    KeyNotFound = "key_not_found", 404, UploadKey, "The key is not stored here";
    /// The path exists, but doesn't take this method.
    MethodNotAllowed = "method_not_allowed", 405, None, "The method is not allowed here";
    /// The body didn't arrive in time.
    RequestTimeout = "request_timeout", 408, Retry, "The request took too long to arrive";
    /// The uploaded bytes don't hash to the key id in the path.
    KeyHashMismatch = "key_hash_mismatch", 409, UploadKey, "The key's hash is not its id";
    /// Another model of this name and version is served.
    ModelExists = "model_exists", 409, None, "This version is another model";
    /// The location of the models holds a file that can't be served.
    ModelsBroken = "models_broken", 409, None, "A stored model can't be served";
    /// The key or query belongs to parameters that are no longer served.
    ParametersRetired = "parameters_retired", 410, RefreshModel, "The parameters are no longer served";
    /// The blob is in a version of the wire format that is not served.
    FormatUnsupported = "format_unsupported", 410, RefreshModel, "The format version is not served";
    /// The requested version of the model is no longer served.
    ModelRetired = "model_retired", 410, RefreshModel, "This version of the model is no longer served";
    /// The query was made for another version of the model.
    ModelChanged = "model_changed", 410, RefreshModel, "The query was made for another version of the model";
    /// The body is larger than the largest valid request.
    PayloadTooLarge = "payload_too_large", 413, None, "The request is too large";
    /// The body is neither raw bytes nor JSON.
    UnsupportedMediaType = "unsupported_media_type", 415, None, "The media type is not supported";
    /// The query blob is incomplete, or of another kind, version or length.
    MalformedCiphertext = "malformed_ciphertext", 422, None, "The ciphertext is malformed";
    /// The model file is malformed, or the server can't serve it.
    ModelRefused = "model_refused", 422, None, "The model can't be served";
    /// The query was encrypted with another key than the one named.
    KeyMismatch = "key_mismatch", 422, None, "The query was encrypted for another key";
    /// The tenant has exceeded its rate limit.
    RateLimited = "rate_limited", 429, Retry, "Too many requests";
    /// The tenant has used up its daily queries to this model.
    QueryBudgetSpent = "query_budget_spent", 429, Retry, "The day's queries are spent";
    /// Something broke on the server.
    Internal = "internal", 500, Retry, "The server failed";
    /// The key store can't be reached.
    StoreUnavailable = "store_unavailable", 503, Retry, "The key store is unavailable";
    /// The key store answers, but has no room for another key.
    StoreFull = "store_full", 503, Retry, "The key store is full";
    /// The location of the models can't be reached.
    ModelsUnavailable = "models_unavailable", 503, Retry, "The models can't be changed";
    /// The queue is too long.
    Overloaded = "overloaded", 503, Retry, "The server is busy";
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for ProblemCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let codes = Self::ALL.iter().map(|code| code.as_str());
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(codes))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for ProblemCode {}

/// Body of every error response, `application/problem+json`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// URN that names the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// Title of the code ([`ProblemCode::title`]).
    pub title: String,
    /// HTTP status of the response.
    pub status: u16,
    /// Description of what was wrong with this request.
    pub detail: String,
    /// Stable, machine-readable code.
    pub code: ProblemCode,
    /// Action that the client can take.
    pub recovery: Recovery,
}

impl Problem {
    /// Creates a problem with the details of this occurrence.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:blindscore:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            recovery: code.recovery(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_json_says() {
        for &code in ProblemCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            let problem = Problem::new(code, "why");
            let text = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        }
    }
}
