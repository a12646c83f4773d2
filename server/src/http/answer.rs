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

    /// Reserves memory for the response to a request: `bytes` bytes of blobs, encoded as `form`.
    pub(super) async fn reserve(
        &self,
        tenant: &Tenant,
        request: &HttpRequest,
        form: Form,
        bytes: usize,
    ) -> Result<Reserved, ApiError> {
        let reader = Arc::new(Reader {
            connection: request.conn_data::<Arc<Watch>>().cloned(),
            written: AtomicBool::new(false),
        });
        let place = self.0.take(tenant, form.encoded(bytes), reader.clone()).await;
        let place = place.ok_or(ApiError::Busy {
            what: "too many answers wait to be read",
            retry_after: IDLE_AFTER,
        })?;
        Ok(Reserved { place, reader })
    }
}

/// Encoding of response blobs in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Raw blobs, concatenated.
    Raw,
    /// A JSON array of base64 strings.
    Array,
    /// A JSON object with that array as `data`.
    Object,
}

impl Form {
    /// Returns the text before, between and after the blobs.
    fn around(self) -> [&'static str; 3] {
        match self {
            Self::Raw => ["", "", ""],
            Self::Array => ["[\"", "\",\"", "\"]"],
            Self::Object => ["{\"data\":[\"", "\",\"", "\"]}"],
        }
    }

    /// Returns the encoded length of a blob of `len` bytes.
    fn encoded(self, len: usize) -> usize {
        match self {
            Self::Raw => len,
            Self::Array | Self::Object => len.div_ceil(3) * 4,
        }
    }

    fn len(self, blobs: &VecDeque<Vec<u8>>) -> usize {
        let [before, between, after] = self.around();
        let text: usize = blobs.iter().map(|blob| self.encoded(blob.len())).sum();
        before.len() + text + between.len() * (blobs.len() - 1) + after.len()
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
            form,
            size: form.len(&blobs),
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
            let left = self.blobs.iter().map(|blob| self.form.encoded(blob.len()));
            self.reserved.place.shrink_to(left.sum::<usize>() + piece.len());
        }
        Some(piece)
    }

    /// Returns the next blob, encoded, with the text around it.
    fn next_blob(&mut self) -> Option<Bytes> {
        let blob = self.blobs.pop_front()?;
        let [before, between, after] = self.form.around();
        let start = if self.first { before } else { between };
        let end = if self.blobs.is_empty() { after } else { "" };
        self.first = false;
        Some(match self.form {
            Form::Raw => blob.into(),
            Form::Array | Form::Object => {
                let mut text = String::with_capacity(start.len() + self.form.encoded(blob.len()) + end.len());
                text.push_str(start);
                STANDARD.encode_string(&blob, &mut text);
                text.push_str(end);
                text.into()
            }
        })
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
