//! Metrics for Prometheus. Names and labels never contain a key, a token or a query.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests answered, by `route`, `method` and `status`.
pub(crate) const REQUESTS: &str = "blindscore_requests_total";
/// Time from a request's headers to its response, by `route`.
pub(crate) const REQUEST_SECONDS: &str = "blindscore_request_seconds";
/// Queries scored, by `model`.
pub(crate) const QUERIES: &str = "blindscore_queries_total";
/// Time that requests spent in the scoring queue.
pub(crate) const QUEUE_SECONDS: &str = "blindscore_queue_seconds";
/// Scoring time of a request, by `model`; a request may have several queries.
pub(crate) const SCORE_SECONDS: &str = "blindscore_score_seconds";
/// Time to load a key: from reading it in the store until it is ready.
pub(crate) const KEY_LOAD_SECONDS: &str = "blindscore_key_load_seconds";
/// Scoring requests by `found`: whether their key was in the cache (`true` or `false`).
pub(crate) const KEY_CACHE: &str = "blindscore_key_cache_requests_total";
/// Failed operations of the key store, by `kind`.
pub(crate) const STORE_ERRORS: &str = "blindscore_store_errors_total";
/// Number of times that changed models could not be read or served.
pub(crate) const MODEL_ERRORS: &str = "blindscore_model_errors_total";
/// 1 while the models in their location can't be read or served, and 0 otherwise.
pub(crate) const MODELS_BROKEN: &str = "blindscore_models_broken";
/// Queries that are waiting or being scored.
pub(crate) const QUEUED: &str = "blindscore_queued_queries";
/// Expected time to score all admitted queries.
pub(crate) const QUEUED_SECONDS: &str = "blindscore_queued_seconds";
/// Memory held by prepared keys.
pub(crate) const KEY_MEMORY: &str = "blindscore_key_memory_bytes";
/// Number of times that the tokens could not be read.
pub(crate) const TOKEN_ERRORS: &str = "blindscore_token_errors_total";
/// Spans of traces that the collector never got, by `kind` of the cause.
pub(crate) const LOST_SPANS: &str = "blindscore_lost_spans_total";
/// Failed exchanges of counts with other servers by `kind` (`write` or `read`), and at each
/// exchange, the objects of other servers that can't be read (`object`).
pub(crate) const SHARE_ERRORS: &str = "blindscore_share_errors_total";
/// Memory held by uploads, queries and responses.
pub(crate) const BODY_MEMORY: &str = "blindscore_body_memory_bytes";

/// Histogram buckets in seconds, from a linear model's score to a request that waited until its
/// deadline.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Installs the recorder of metrics.
///
/// # Errors
/// Fails if a recorder is installed already.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, "Requests answered");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time to the answer of a request");
    describe_counter!(QUERIES, "Queries scored");
    describe_histogram!(QUEUE_SECONDS, Unit::Seconds, "Wait of a request for its turn");
    describe_histogram!(SCORE_SECONDS, Unit::Seconds, "Scoring of a request's queries");
    describe_histogram!(KEY_LOAD_SECONDS, Unit::Seconds, "Reading and preparing a key");
    describe_counter!(KEY_CACHE, "Requests by whether their key was ready");
    describe_counter!(STORE_ERRORS, "Operations of the key store that failed");
    describe_counter!(
        MODEL_ERRORS,
        "Times that changed models could not be read or served"
    );
    describe_gauge!(MODELS_BROKEN, "Whether models can't be read or served");
    describe_counter!(TOKEN_ERRORS, "Times that the tokens could not be read");
    describe_counter!(LOST_SPANS, "Spans of traces that the collector never got");
    describe_counter!(SHARE_ERRORS, "Exchanges of counts with other servers that failed");
    describe_gauge!(QUEUED, "Queries that wait or are scored");
    describe_gauge!(QUEUED_SECONDS, Unit::Seconds, "Expected time of what is queued");
    describe_gauge!(KEY_MEMORY, Unit::Bytes, "Memory of ready keys");
    describe_gauge!(
        BODY_MEMORY,
        Unit::Bytes,
        "Memory of uploads, queries and answers on their way"
    );
    Ok(handle)
}
