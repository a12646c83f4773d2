//! `/metrics`: the process's metrics for Prometheus.

use crate::{
    http::{error::ApiError, refusal::MonitorRefusal, state::AppState},
    telemetry,
    tenants::Caller,
};
use actix_web::{HttpResponse, web::Data};
use metrics::gauge;

/// Returns the counters, gauges and histograms of this process.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    security(("token" = [])),
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
        MonitorRefusal,
    )
)]
pub(crate) async fn metrics(state: Data<AppState>, caller: Caller) -> Result<HttpResponse, ApiError> {
    caller.must_monitor()?;
    gauge!(telemetry::QUEUED).set(state.scorer.queued() as f64);
    gauge!(telemetry::QUEUED_SECONDS).set(state.scorer.ahead().as_secs_f64());
    gauge!(telemetry::KEY_MEMORY).set(state.scorer.key_bytes() as f64);
    for (what, bytes) in [
        ("upload", state.uploads.held()),
        ("model", state.publishing.held()),
        ("query", state.queries.held()),
        ("answer", state.answers.held()),
    ] {
        gauge!(telemetry::BODY_MEMORY, "body" => what).set(bytes as f64);
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics.render()))
}
