use super::{
    error::ApiError,
    estimate::Estimate,
    pace::Pace,
    room::{Guest, Place, Room, State},
};
use crate::keystore::Tenant;
use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use blindscore_protocol::OCTET_STREAM;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long nothing may arrive in the middle of a body.
const STALL: Duration = Duration::from_secs(10);
/// A body of which nothing has arrived for this long gives way to others.
const IDLE: Duration = Duration::from_secs(2);
/// Bodies longer than this are uploads of long keys.
const LARGE: usize = 1 << 20;
/// Memory is taken for this many times what has arrived.
const AHEAD: usize = 4;
/// And for this much at least.
const FIRST: usize = 16 << 10;

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

/// Room for request bodies of a kind that are arriving or in use.
pub(super) struct Bodies {
    room: Arc<Room>,
    /// What there may be too many of.
    full: &'static str,
    /// How long large ones take lately: after that time there is room again.
    taking: Estimate,
}

/// A request's body; its room is given back on drop.
pub(super) struct Body {
    /// All of it.
    pub(super) bytes: Bytes,
    _place: Place,
}

/// A body on its way.
struct Arriving {
    progress: Mutex<Progress>,
    leave: Notify,
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
            leave: Notify::new(),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Guest for Arriving {
    fn state(&self) -> State {
        self.with(|progress| {
            let idle = progress.last.elapsed();
            if progress.complete {
                State::Working
            } else if idle >= IDLE || progress.pace.is_slow() {
                State::Idle(idle.max(progress.pace.elapsed()))
            } else {
                State::Moving
            }
        })
    }

    fn leave(&self) {
        self.leave.notify_one();
    }
}

impl Bodies {
    /// Room for `bytes` bytes.
    pub(super) fn new(bytes: usize, full: &'static str) -> Self {
        Self {
            room: Room::new(bytes),
            full,
            taking: Estimate::new(Duration::from_secs(2)),
        }
    }

    /// Bytes held now, and promised to bodies that are arriving.
    pub(super) fn held(&self) -> usize {
        self.room.taken()
    }

    /// Reads a body of at most `limit` bytes and shows each piece to `on_piece` as it arrives.
    ///
    /// A body known to be too long, or for which there is no room, is refused at once, without reading the rest.
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
        // A body of unknown length may be as long as is allowed.
        let longest = declared.map_or(limit, |declared| declared as usize);
        let arriving = Arc::new(Arriving::start());
        let place = self.room.take(tenant, longest, arriving.clone()).await;
        let place = place.ok_or_else(|| self.full())?;
        // It may have waited for its place.
        arriving.with(|progress| {
            progress.pace = Pace::start();
            progress.last = Instant::now();
        });
        let bytes = tokio::select! {
            bytes = collect(&arriving, payload, limit, longest, on_piece) => bytes?,
            () = arriving.leave.notified() => return Err(self.full()),
        };
        let elapsed = arriving.with(|progress| progress.pace.elapsed());
        place.shrink_to(bytes.len());
        if bytes.len() > LARGE {
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
    let mut body = BytesMut::new();
    loop {
        let patience = arriving.with(|progress| progress.pace.left()).min(STALL);
        let Ok(piece) = tokio::time::timeout(patience, payload.next()).await else {
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
        let piece = piece.map_err(|error| ApiError::Malformed(format!("the body broke off: {error}")))?;
        let len = body.len() + piece.len();
        if len > limit {
            return Err(ApiError::TooLong { limit });
        }
        arriving.with(|progress| {
            progress.pace.moved(piece.len());
            progress.last = Instant::now();
        });
        on_piece(&piece);
        if len > body.capacity() {
            // As much as has come, a few times over: what a client announces costs nothing.
            let wanted = (AHEAD * len).max(FIRST).min(longest).max(len);
            body.reserve(wanted - body.len());
        }
        body.extend_from_slice(&piece);
    }
}
