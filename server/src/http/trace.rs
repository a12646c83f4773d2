//! The span of a request, by OpenTelemetry's conventions for HTTP, with what the log has of it.
//!
//! Left out are the path, which may contain a key id, the query string, and the host and the
//! method as the client wrote them.

use super::methods::known;
use crate::traces;
use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
};
use bytes::Bytes;
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

/// Returns the attributes of every request to a server at this address.
pub(super) fn everywhere(scheme: &'static str, address: SocketAddr) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("url.scheme", scheme)];
    if !address.ip().is_unspecified() {
        attributes.push(KeyValue::new("server.address", address.ip().to_string()));
        attributes.push(KeyValue::new("server.port", i64::from(address.port())));
    }
    attributes
}

/// Begins the span of a request with this id. Returns the context to serve it in, or `None` if
/// nothing is traced.
pub(super) fn begin(request: &ServiceRequest, id: &str) -> Option<Context> {
    let parent = || match traces::parent(request.headers()) {
        Some(client) => Context::new().with_remote_span_context(client),
        None => Context::new(),
    };
    let describe = || {
        let method = known(request.method());
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.unwrap_or("_OTHER").to_owned()),
            KeyValue::new("blindscore.request_id", id.to_owned()),
        ];
        let mut name = method.unwrap_or("HTTP").to_owned();
        if let Some(route) = request.match_pattern() {
            name = format!("{name} {route}");
            attributes.push(KeyValue::new("http.route", route));
        }
        (name, attributes)
    };
    traces::request(parent, describe)
}

/// Records the response's status and tenant on the request's span, which ends when its last context
/// is dropped.
pub(super) fn answered(context: &Context, status: StatusCode, tenant: Option<&str>) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.set_attribute(KeyValue::new(
        "http.response.status_code",
        i64::from(status.as_u16()),
    ));
    if let Some(tenant) = tenant {
        span.set_attribute(KeyValue::new("blindscore.tenant", tenant.to_owned()));
    }
    if status.is_server_error() {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
}

/// Makes the span of a request, with one for sending the response, last until the response has
/// been written or given up.
pub(super) fn sending(context: Context, response: ServiceResponse) -> ServiceResponse {
    match traces::child(&context, "send response") {
        None => response,
        Some(sending) => response.map_body(|_, body| {
            BoxBody::new(Sending {
                body,
                _sending: sending,
                _request: context,
            })
        }),
    }
}

/// Response body with the spans that last as long. They end in the order of the fields.
struct Sending {
    body: BoxBody,
    _sending: Context,
    _request: Context,
}

impl MessageBody for Sending {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
