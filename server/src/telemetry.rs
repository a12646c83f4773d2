//! What Prometheus can ask this process. Names and labels never have a key, a token or a query in them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests answered, by `route`, `method` and `status`.
pub const REQUESTS: &str = "blindscore_requests_total";
/// Time from a request's head to its answer, by `route`.
pub const REQUEST_SECONDS: &str = "blindscore_request_seconds";
/// Queries scored, by `model`.
pub const QUERIES: &str = "blindscore_queries_total";
/// Time that requests waited for their turn to be scored.
pub const QUEUE_SECONDS: &str = "blindscore_queue_seconds";
/// Time that scoring took, by `model`; a request may have several queries.
pub const SCORE_SECONDS: &str = "blindscore_score_seconds";
/// Time from reading a key in the store until it is ready.
pub const KEY_LOAD_SECONDS: &str = "blindscore_key_load_seconds";
/// Requests whose key was ready, by `found` (`true` or `false`).
pub const KEY_CACHE: &str = "blindscore_key_cache_requests_total";
/// Operations of the store that failed, by `kind`.
pub const STORE_ERRORS: &str = "blindscore_store_errors_total";
/// Times that the folder of models had changed and could not be served.
pub const MODEL_ERRORS: &str = "blindscore_model_errors_total";
/// Queries that wait or are scored now.
pub const QUEUED: &str = "blindscore_queued_queries";
/// Time that what is queued will take, as expected.
pub const QUEUED_SECONDS: &str = "blindscore_queued_seconds";
/// Memory that ready keys hold.
pub const KEY_MEMORY: &str = "blindscore_key_memory_bytes";
/// How often the file of tokens couldn't be read.
pub const TOKEN_ERRORS: &str = "blindscore_token_errors_total";
/// Memory that uploads, queries and answers hold.
pub const BODY_MEMORY: &str = "blindscore_body_memory_bytes";

/// From a linear model's score to a request that waited till its deadline.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Starts counting.
///
/// # Errors
/// If the process counts already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
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
        "Changes of the models' folder that could not be served"
    );
    describe_counter!(TOKEN_ERRORS, "Times that the tokens could not be read");
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
