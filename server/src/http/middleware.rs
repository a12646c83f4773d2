//! Middleware for every response: security headers, a request id, a log line, and a problem
//! document in place of the framework's bare errors.

use super::{
    error::{ApiError, PROBLEM_JSON},
    inference,
    methods::known,
    trace,
};
use crate::{telemetry, tenants::Tenant};
use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use metrics::{counter, histogram};
use opentelemetry::{context::FutureExt, trace::TraceContextExt};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{Instrument, field::Empty};

const SECURITY_HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Wraps every route.
pub(super) async fn wrap(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = request_id();
    let method = request.method().clone();
    let span = tracing::info_span!("request", id, trace_id = Empty);
    let traced = trace::begin(&request, &id);
    let answer = next.call(request).instrument(span.clone());
    let answer = match &traced {
        None => answer.await,
        Some(context) => {
            let trace_id = context.span().span_context().trace_id();
            span.record("trace_id", tracing::field::display(trace_id));
            answer.with_context(context.clone()).await
        }
    };
    let mut response = match answer {
        Ok(response) => with_problem(response.map_into_boxed_body()),
        Err(error) => {
            let status = error.as_response_error().status_code();
            if let Some(context) = &traced {
                trace::answered(context, status, None);
            }
            return Err(ApiError::Framework(status).into());
        }
    };
    if inference::owns(response.request().path()) {
        response = inference::with_error(response);
    }
    // The pattern instead of the path, since a path may contain a key id.
    let route = response
        .request()
        .match_pattern()
        .unwrap_or_else(|| "-".to_owned());
    let took = started.elapsed();
    count(&method, &route, response.status(), took);
    let tenant = response
        .request()
        .extensions()
        .get::<Tenant>()
        .map(Tenant::to_string);
    let _entered = span.enter();
    tracing::info!(
        %method,
        route,
        tenant,
        status = response.status().as_u16(),
        ms = took.as_secs_f64() * 1e3,
        "answered"
    );
    add_headers(response.headers_mut(), &id);
    if let Some(context) = traced {
        trace::answered(&context, response.status(), tenant.as_deref());
        response = trace::sending(context, response);
    }
    Ok(response)
}

/// Counts a request. Only methods that some route has become labels.
fn count(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let method = known(method).unwrap_or("other").to_owned();
    let status = status.as_str().to_owned();
    counter!(telemetry::REQUESTS, "route" => route.to_owned(), "method" => method, "status" => status)
        .increment(1);
    histogram!(telemetry::REQUEST_SECONDS, "route" => route.to_owned()).record(took);
}

/// Replaces the body of an error that isn't a problem document yet. Failed conditional and range
/// requests for the page's files are left as they are: their statuses mean something to browsers.
fn with_problem(response: ServiceResponse) -> ServiceResponse {
    let status = response.status();
    if matches!(
        status,
        StatusCode::NOT_ACCEPTABLE | StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE
    ) {
        return response;
    }
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == PROBLEM_JSON.as_bytes());
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (request, bare) = response.into_parts();
    let mut problem = ApiError::Framework(status).error_response();
    if let Some(allow) = bare.headers().get(ALLOW) {
        problem.headers_mut().insert(ALLOW, allow.clone());
    }
    ServiceResponse::new(request, problem)
}

fn add_headers(headers: &mut HeaderMap, id: &str) {
    for (name, value) in SECURITY_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Returns a request id: a prefix of this process and a counter.
fn request_id() -> String {
    static PROCESS: LazyLock<u32> = LazyLock::new(|| RandomState::new().hash_one(0) as u32);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{:08x}-{:x}", *PROCESS, COUNTER.fetch_add(1, Ordering::Relaxed))
}
