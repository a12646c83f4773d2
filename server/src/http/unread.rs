//! Keeps an unread request body from being read for ever.
//!
//! When a handler answers without having read a chunked body to its end, and drops it, actix goes on reading and
//! discarding it for as long as the client sends. If the body is still alive when the answer has been written, it
//! closes the connection instead, after a moment in which the client can read the answer. So this middleware ties
//! the life of the request's body to that of the response's. It also tells the connection when a request begins and when its answer has been
//! written, since what arrives in between is no head of another one.

use super::connection::{InProgress, Watch};
use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    middleware::Next,
};
use bytes::Bytes;
use futures_util::Stream;
use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

/// Middleware around everything that may read a body.
pub(super) async fn wrap(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let in_progress = request.conn_data::<Arc<Watch>>().map(InProgress::begin);
    let payload = request.take_payload();
    let shared = match payload {
        Payload::None => None,
        payload => {
            let shared = SharedBody(Rc::new(RefCell::new(payload)));
            request.set_payload(Payload::Stream {
                payload: Box::pin(shared.clone()),
            });
            Some(shared)
        }
    };
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| {
        BoxBody::new(Answer {
            body,
            _request_body: shared,
            _in_progress: in_progress,
        })
    }))
}

/// A request's body, for its handler and its response.
#[derive(Clone)]
struct SharedBody(Rc<RefCell<Payload>>);

impl Stream for SharedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// A response's body, with the request's.
struct Answer {
    body: BoxBody,
    _request_body: Option<SharedBody>,
    _in_progress: Option<InProgress>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
