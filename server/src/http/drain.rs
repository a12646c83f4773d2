//! Middleware against request bodies that never end and responses that nobody reads.
//!
//! When a handler responds before it has read a chunked body to its end, and drops it, actix goes
//! on reading and discarding it for as long as the client sends. If the body is still alive when
//! the response has been written, actix closes the connection instead, after a moment in which the
//! client can read the response. So this middleware ties the life of the request's body to that of
//! the response's.
//!
//! It also tells the connection when a request begins, when its handler wants more of the body and
//! when its response has been written; nothing else is read in between. And it passes responses on
//! in pieces no longer than a write: otherwise a client that reads nothing would make the
//! connection hold a whole response of any length.

use super::connection::{Expected, InProgress, Watch};
use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE},
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

/// Most bytes of a response that the connection gets at a time.
pub(super) const PIECE_BYTES: usize = 16 << 10;

/// Middleware around everything else.
pub(super) async fn wrap(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let payload = request.take_payload();
    let expected = match &payload {
        Payload::None => Expected::Nothing,
        _ => body_length(request.headers()),
    };
    let in_progress = request
        .conn_data::<Arc<Watch>>()
        .map(|watch| Rc::new(InProgress::begin(watch, expected)));
    let shared = match payload {
        Payload::None => None,
        payload => {
            let shared = SharedBody {
                payload: Rc::new(RefCell::new(payload)),
                in_progress: in_progress.clone(),
            };
            request.set_payload(Payload::Stream {
                payload: Box::pin(shared.clone()),
            });
            Some(shared)
        }
    };
    // The response to an error has no body to wait for: it is written before anything is read.
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| {
        BoxBody::new(Answer {
            body,
            piece: Bytes::new(),
            _request_body: shared,
            _in_progress: in_progress,
        })
    }))
}

/// Returns the length of the body that the HTTP library expects behind these headers. It refuses
/// requests with two lengths, or with one that isn't a number.
fn body_length(headers: &HeaderMap) -> Expected {
    let declared = headers.get(CONTENT_LENGTH);
    if headers.contains_key(UPGRADE) {
        // Whatever else they say, the library may hand on everything.
        Expected::Endless
    } else if headers.contains_key(TRANSFER_ENCODING) {
        Expected::Chunks
    } else if let Some(count) = declared.and_then(|value| value.to_str().ok()?.parse().ok()) {
        Expected::Bytes(count)
    } else {
        Expected::Endless
    }
}

/// Request body, shared by its handler and its response.
#[derive(Clone)]
struct SharedBody {
    payload: Rc<RefCell<Payload>>,
    in_progress: Option<Rc<InProgress>>,
}

impl Stream for SharedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        if polled.is_pending()
            && let Some(in_progress) = &self.in_progress
        {
            in_progress.watch().want_more();
        }
        polled
    }
}

/// Response body that keeps the request's body alive.
struct Answer {
    body: BoxBody,
    /// Rest of the last piece of the body.
    piece: Bytes,
    _request_body: Option<SharedBody>,
    _in_progress: Option<Rc<InProgress>>,
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
        if self.piece.is_empty() {
            match Pin::new(&mut self.body).poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => self.piece = piece,
                other => return other,
            }
        }
        let len = self.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(self.piece.split_to(len))))
    }
}
