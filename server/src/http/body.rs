//! Request bodies: memory limits, upload speed, and what happens to slow clients.

use super::{
    buffer::Buffer,
    error::ApiError,
    pace::Pace,
    room::{Holder, Place, Room, State},
};
use crate::{scoring::Estimate, tenants::Tenant, traces};
use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use blindscore_protocol::OCTET_STREAM;
use bytes::Bytes;
use futures_util::StreamExt;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Longest silence allowed in the middle of a body.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A body of which nothing has arrived for this long gives way to others.
const IDLE_AFTER: Duration = Duration::from_secs(2);
/// Bodies longer than this many bytes are uploads of networks' evaluation keys.
const LARGE_BODY_BYTES: usize = 1 << 20;
/// Bytes of a body after which other connections of the same thread get a turn.
const TURN_BYTES: usize = 64 << 10;

/// Encoding of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// Raw bytes (`application/octet-stream`).
    OctetStream,
    /// JSON (`application/json`).
    Json,
}

impl MediaType {
    /// Reads the request's `Content-Type`. Parameters such as a charset are ignored; a request
    /// without the header has raw bytes.
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

/// Memory budget for request bodies of one kind, while they arrive and while they are in use.
pub(super) struct Bodies {
    room: Arc<Room>,
    /// Message for requests that are refused when the budget is spent.
    full: &'static str,
    /// Recent upload time of large bodies: memory becomes free after about that time.
    taking: Estimate,
}

/// A complete request body; its memory is returned to the budget on drop.
pub(super) struct Body {
    /// Content of the whole body.
    pub(super) bytes: Bytes,
    _place: Place,
}

/// A body that is still arriving.
struct Arriving {
    progress: Mutex<Progress>,
    evicted: Notify,
}

struct Progress {
    pace: Pace,
    last: Instant,
    complete: bool,
}

impl Arriving {
    fn start() -> Self {
        Self {
            progress: Mutex::new(Progress {
                pace: Pace::start(),
                last: Instant::now(),
                complete: false,
            }),
            evicted: Notify::new(),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Holder for Arriving {
    fn state(&self) -> State {
        self.with(|progress| {
            let idle = progress.last.elapsed();
            if progress.complete {
                State::Working
            } else if idle >= IDLE_AFTER || progress.pace.is_slow() {
                State::Idle(idle.max(progress.pace.elapsed()))
            } else {
                State::Moving
            }
        })
    }

    fn evict(&self) {
        self.evicted.notify_one();
    }
}

impl Bodies {
    /// Creates a budget of `bytes` bytes, with the message for refused requests.
    pub(super) fn new(bytes: usize, full: &'static str) -> Self {
        Self {
            room: Room::new(bytes),
            full,
            taking: Estimate::new(Duration::from_secs(2)),
        }
    }

    /// Returns the bytes in use, and those promised to bodies that are still arriving.
    pub(super) fn held(&self) -> usize {
        self.room.taken()
    }

    /// Reads a body of at most `limit` bytes, and passes each piece to `on_piece` as it arrives.
    ///
    /// Refuses a body at once, without reading the rest, if it is known to be too long or there is
    /// no memory for it.
    pub(super) async fn read(
        &self,
        tenant: &Tenant,
        request: &HttpRequest,
        payload: web::Payload,
        limit: usize,
        on_piece: impl FnMut(&[u8]),
    ) -> Result<Body, ApiError> {
        let declared = match request.headers().get(CONTENT_LENGTH) {
            None => None,
            Some(value) => Some(
                value
                    .to_str()
                    .ok()
                    .and_then(|text| text.parse::<u64>().ok())
                    .ok_or_else(|| ApiError::Malformed("Content-Length is not a number".into()))?,
            ),
        };
        if declared.is_some_and(|declared| declared > limit as u64) {
            return Err(ApiError::TooLong { limit });
        }
        // A body of unknown length may be as long as the limit.
        let longest = declared.map_or(limit, |declared| declared as usize);
        let body = self.arrive(tenant, payload, limit, longest, on_piece);
        traces::span("read body", body).await
    }

    /// Reads a body that should have at most `longest` bytes.
    async fn arrive(
        &self,
        tenant: &Tenant,
        payload: web::Payload,
        limit: usize,
        longest: usize,
        on_piece: impl FnMut(&[u8]),
    ) -> Result<Body, ApiError> {
        let arriving = Arc::new(Arriving::start());
        let place = self.room.take(tenant, longest, arriving.clone()).await;
        let place = place.ok_or_else(|| self.full())?;
        // The wait for a place doesn't count as slowness.
        arriving.with(|progress| {
            progress.pace = Pace::start();
            progress.last = Instant::now();
        });
        let bytes = tokio::select! {
            bytes = collect(&arriving, payload, limit, longest, on_piece) => bytes?,
            () = arriving.evicted.notified() => return Err(self.full()),
        };
        let elapsed = arriving.with(|progress| progress.pace.elapsed());
        place.shrink_to(bytes.len());
        if bytes.len() > LARGE_BODY_BYTES {
            self.taking.learn(elapsed);
        }
        Ok(Body { bytes, _place: place })
    }

    fn full(&self) -> ApiError {
        ApiError::Busy {
            what: self.full,
            retry_after: self.taking.get(),
        }
    }
}

async fn collect(
    arriving: &Arriving,
    mut payload: web::Payload,
    limit: usize,
    longest: usize,
    mut on_piece: impl FnMut(&[u8]),
) -> Result<Bytes, ApiError> {
    let mut body = Buffer::new(longest);
    let mut turn = 0;
    loop {
        let timeout = arriving.with(|progress| progress.pace.left()).min(STALL_TIMEOUT);
        let Ok(piece) = tokio::time::timeout(timeout, payload.next()).await else {
            return Err(ApiError::TimedOut(format!(
                "the body arrives too slowly: {} bytes within {} s",
                body.len(),
                arriving.with(|progress| progress.pace.elapsed()).as_secs()
            )));
        };
        let Some(piece) = piece else {
            arriving.with(|progress| progress.complete = true);
            return Ok(body.freeze());
        };
        let piece = piece.map_err(|error| ApiError::Malformed(format!("the body was cut off: {error}")))?;
        let len = body.len() + piece.len();
        if len > limit {
            return Err(ApiError::TooLong { limit });
        }
        arriving.with(|progress| {
            progress.pace.moved(piece.len());
            progress.last = Instant::now();
        });
        on_piece(&piece);
        body.push(&piece)
            .map_err(|error| ApiError::Malformed(format!("the body can't be read: {error}")))?;
        turn += piece.len();
        if turn >= TURN_BYTES {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}
