//! Response bodies of scoring requests: long ones are encoded as the client reads them, and their
//! memory is accounted for until it has.

use super::{
    connection::Watch,
    drain::PIECE_BYTES,
    error::ApiError,
    pace::Pace,
    room::{Holder, Place, Room, State},
};
use crate::tenants::Tenant;
use actix_web::{
    HttpRequest,
    body::{BodySize, MessageBody},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// A client that has read nothing for this long gives way to others. A client that reads 250 kB/s
/// may seem to pause for some seconds: the system reports a socket as writable only once much of
/// its buffer is free.
const IDLE_AFTER: Duration = Duration::from_secs(5);

/// Bytes in front of each blob among binary data: its length.
pub(super) const PREFIX_BYTES: usize = 4;

/// Memory budget for responses that clients haven't read yet.
pub(super) struct Answers(Arc<Room>);

/// Memory reserved for one response.
pub(super) struct Reserved {
    place: Place,
    reader: Arc<Reader>,
}

/// Client that will read a response.
struct Reader {
    connection: Option<Arc<Watch>>,
    written: AtomicBool,
}

impl Holder for Reader {
    fn state(&self) -> State {
        if !self.written.load(Ordering::Relaxed) {
            return State::Working;
        }
        match self.connection.as_ref().and_then(|watch| watch.blocked_for()) {
            Some(time) if time >= IDLE_AFTER => State::Idle(time),
            _ => State::Moving,
        }
    }

    fn evict(&self) {
        if let Some(watch) = &self.connection {
            watch.give_up();
        }
    }
}

impl Answers {
    /// Creates a budget of `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Room::new(bytes))
    }

    /// Returns the bytes of responses that wait for their readers or are about to.
    pub(super) fn held(&self) -> usize {
        self.0.taken()
    }

    /// Reserves memory for the response to a request: `count` blobs of `len` bytes, each encoded.
    pub(super) async fn reserve(
        &self,
        tenant: &Tenant,
        request: &HttpRequest,
        encoding: Encoding,
        count: usize,
        len: usize,
    ) -> Result<Reserved, ApiError> {
        let bytes = count * encoding.len(len);
        let reader = Arc::new(Reader {
            connection: request.conn_data::<Arc<Watch>>().cloned(),
            written: AtomicBool::new(false),
        });
        let place = self.0.take(tenant, bytes, reader.clone()).await;
        let place = place.ok_or(ApiError::Busy {
            what: "too many answers wait to be read",
            retry_after: IDLE_AFTER,
        })?;
        Ok(Reserved { place, reader })
    }
}

/// Encoding of a response blob in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The blob.
    Raw,
    /// The blob behind its length in four bytes, the lowest first.
    Prefixed,
    /// Base64.
    Base64,
}

impl Encoding {
    /// Returns the encoded length of a blob of `len` bytes.
    fn len(self, len: usize) -> usize {
        match self {
            Self::Raw => len,
            Self::Prefixed => PREFIX_BYTES + len,
            Self::Base64 => len.div_ceil(3) * 4,
        }
    }
}

/// Response blobs in a body, and the text around them.
#[derive(Debug)]
pub(super) struct Form {
    /// Encoding of each blob.
    pub(super) encoding: Encoding,
    /// Text before the first blob.
    pub(super) before: Cow<'static, str>,
    /// Text between two blobs.
    pub(super) between: &'static str,
    /// Text after the last blob.
    pub(super) after: &'static str,
}

impl Form {
    /// Raw blobs, concatenated.
    pub(super) const RAW: Self = Self::new(Encoding::Raw, "", "", "");
    /// A JSON array of base64 strings.
    pub(super) const ARRAY: Self = Self::new(Encoding::Base64, "[\"", "\",\"", "\"]");
    /// A JSON object with that array as `data`.
    pub(super) const OBJECT: Self = Self::new(Encoding::Base64, "{\"data\":[\"", "\",\"", "\"]}");

    const fn new(
        encoding: Encoding,
        before: &'static str,
        between: &'static str,
        after: &'static str,
    ) -> Self {
        Self {
            encoding,
            before: Cow::Borrowed(before),
            between,
            after,
        }
    }

    fn len(&self, blobs: &VecDeque<Vec<u8>>) -> usize {
        let text: usize = blobs.iter().map(|blob| self.encoding.len(blob.len())).sum();
        self.before.len() + text + self.between.len() * blobs.len().saturating_sub(1) + self.after.len()
    }
}

/// Response body that encodes its blobs as it is written.
pub(super) struct Answer {
    form: Form,
    blobs: VecDeque<Vec<u8>>,
    first: bool,
    /// Encoded bytes of the current blob that are still to be written.
    current: Bytes,
    size: usize,
    /// Reading speed, measured from the first poll on.
    pace: Option<Pace>,
    reserved: Reserved,
}

impl Answer {
    /// Creates a body from at least one blob.
    pub(super) fn new(form: Form, blobs: Vec<Vec<u8>>, reserved: Reserved) -> Self {
        let blobs = VecDeque::from(blobs);
        Self {
            size: form.len(&blobs),
            form,
            blobs,
            first: true,
            current: Bytes::new(),
            pace: None,
            reserved,
        }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        if self.current.is_empty() {
            self.current = self.next_blob()?;
        }
        let piece = self.current.split_to(PIECE_BYTES.min(self.current.len()));
        if self.current.is_empty() {
            let left = self.blobs.iter().map(|blob| self.form.encoding.len(blob.len()));
            self.reserved.place.shrink_to(left.sum::<usize>() + piece.len());
        }
        Some(piece)
    }

    /// Returns the next blob, encoded, with the text around it.
    fn next_blob(&mut self) -> Option<Bytes> {
        let blob = self.blobs.pop_front()?;
        let Form {
            encoding,
            before,
            between,
            after,
        } = &self.form;
        let start = if self.first { &**before } else { between };
        let end = if self.blobs.is_empty() { after } else { "" };
        self.first = false;
        if *encoding == Encoding::Raw && start.is_empty() && end.is_empty() {
            return Some(blob.into());
        }
        let mut body = String::with_capacity(start.len() + encoding.len(blob.len()) + end.len());
        body.push_str(start);
        if *encoding == Encoding::Base64 {
            STANDARD.encode_string(&blob, &mut body);
            body.push_str(end);
            return Some(body.into());
        }
        let mut body = body.into_bytes();
        if *encoding == Encoding::Prefixed {
            // Blobs of 4 GiB and more are far beyond what a response may have.
            let len = u32::try_from(blob.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&len.to_le_bytes());
        }
        body.extend_from_slice(&blob);
        body.extend_from_slice(end.as_bytes());
        Some(body.into())
    }
}

impl MessageBody for Answer {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.reserved.reader.written.store(true, Ordering::Relaxed);
        let pace = self.pace.get_or_insert_with(Pace::start);
        // Earlier pieces have been read, or are in the connection's buffers.
        if pace.left().is_zero() {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        let piece = self.next_piece();
        if let (Some(piece), Some(pace)) = (&piece, &mut self.pace) {
            pace.moved(piece.len());
        }
        Poll::Ready(piece.map(Ok))
    }
}
