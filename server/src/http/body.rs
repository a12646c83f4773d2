use super::{error::ApiError, estimate::Estimate};
use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use blindscore_protocol::OCTET_STREAM;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a body may take to arrive, besides what its length takes at `SLOWEST`.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing may arrive in the middle of a body.
const STALL: Duration = Duration::from_secs(10);
/// Bodies longer than this are uploads of long keys.
const LARGE: usize = 1 << 20;
/// Bytes a second of the slowest connection that a network's key can be uploaded over.
const SLOWEST: usize = 50_000;

/// How a request's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// Raw bytes.
    OctetStream,
    /// JSON.
    Json,
}

impl MediaType {
    /// From the request's `Content-Type`; parameters such as a charset are ignored, and a body without one is raw bytes.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        if !request.headers().contains_key(CONTENT_TYPE) {
            return Some(Self::OctetStream);
        }
        let essence = request.content_type().trim();
        if essence.eq_ignore_ascii_case(OCTET_STREAM) {
            Some(Self::OctetStream)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// Room for request bodies that are arriving or in use, all together.
pub(super) struct Bodies {
    room: Arc<Semaphore>,
    bytes: usize,
    /// How long large ones take lately: after that time there is room again.
    taking: Estimate,
}

/// A request's body; its room is given back on drop.
pub(super) struct Body {
    /// All of it.
    pub(super) bytes: Bytes,
    /// Counted as it arrives: a slow client holds only what it has sent.
    _room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Room for `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(bytes)),
            bytes,
            taking: Estimate::new(Duration::from_secs(2)),
        }
    }

    /// Bytes held now.
    pub(super) fn held(&self) -> usize {
        self.bytes - self.room.available_permits()
    }

    /// Reads a body of at most `limit` bytes and shows each piece to `on_piece` as it arrives.
    ///
    /// A body known to be too long is refused at once, without reading the rest; so is a large one when there is
    /// little room left, which those that are arriving need.
    pub(super) async fn read(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        limit: usize,
        on_piece: impl FnMut(&[u8]),
    ) -> Result<Body, ApiError> {
        let declared = match request.headers().get(CONTENT_LENGTH) {
            None => 0,
            Some(value) => value
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
                .ok_or_else(|| ApiError::Malformed("Content-Length is not a number".into()))?,
        };
        if declared > limit as u64 {
            return Err(ApiError::TooLong { limit });
        }
        // A body of unknown length may be as long as is allowed.
        let len = if declared == 0 { limit } else { declared as usize };
        let free = self.room.available_permits();
        if free < self.bytes / 4 && len > free / 16 {
            return Err(self.full());
        }
        let started = Instant::now();
        let body = self.collect(payload, limit, declared as usize, on_piece).await?;
        if body.bytes.len() > LARGE {
            self.taking.learn(started.elapsed());
        }
        Ok(body)
    }

    async fn collect(
        &self,
        mut payload: web::Payload,
        limit: usize,
        declared: usize,
        mut on_piece: impl FnMut(&[u8]),
    ) -> Result<Body, ApiError> {
        let mut body = BytesMut::with_capacity(declared);
        let mut room: Option<OwnedSemaphorePermit> = None;
        let started = Instant::now();
        loop {
            let slowest = PATIENCE + Duration::from_secs((body.len() / SLOWEST) as u64);
            let patience = slowest.saturating_sub(started.elapsed()).min(STALL);
            let Ok(piece) = tokio::time::timeout(patience, payload.next()).await else {
                return Err(ApiError::TimedOut(format!(
                    "the body arrives too slowly: {} bytes within {} s",
                    body.len(),
                    started.elapsed().as_secs()
                )));
            };
            let Some(piece) = piece else {
                break;
            };
            let piece = piece.map_err(|error| ApiError::Malformed(format!("the body broke off: {error}")))?;
            if body.len() + piece.len() > limit {
                return Err(ApiError::TooLong { limit });
            }
            let more = self.take(piece.len()).await?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            on_piece(&piece);
            body.extend_from_slice(&piece);
        }
        Ok(Body {
            bytes: body.freeze(),
            _room: room,
        })
    }

    /// Room for some more bytes. Not reading on is what slows the client down when there is none.
    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let count = u32::try_from(bytes).map_err(|_| self.full())?;
        match tokio::time::timeout(STALL, self.room.clone().acquire_many_owned(count)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(self.full()),
        }
    }

    fn full(&self) -> ApiError {
        ApiError::Busy {
            what: "too many uploads are in progress",
            retry_after: self.taking.get(),
        }
    }
}
