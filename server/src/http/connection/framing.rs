//! Where a request ends: as much HTTP/1.1 framing as it takes to read one request at a time.
//!
//! The HTTP library has the last word on every byte: it gets all of them in order. Where it sees a
//! boundary elsewhere, as in some malformed requests, it gets them late or waits in vain, and the
//! request times out.

/// Finds the end of request headers (RFC 9112, section 2.1): an empty line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Headers(Line);

/// What the current line holds so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Nothing, and no line came before it: empty lines before a request are skipped.
    #[default]
    First,
    /// Text.
    Text,
    /// Nothing, after a line of text.
    Empty,
}

impl Headers {
    /// Returns whether there was more than empty lines.
    pub(crate) fn has_begun(&self) -> bool {
        self.0 != Line::First
    }

    /// Returns how many of the next bytes belong to the headers, and whether they end there.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            self.0 = match (byte, self.0) {
                (b'\n', Line::Empty) => return (index + 1, true),
                (b'\n', Line::Text) => Line::Empty,
                (b'\n' | b'\r', line) => line,
                _ => Line::Text,
            };
        }
        (bytes.len(), false)
    }
}

/// Length of a request's body, from its headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The request has no body.
    #[default]
    Nothing,
    /// The body has this many bytes.
    Bytes(u64),
    /// The body is chunked.
    Chunks,
    /// The body ends with the connection.
    Endless,
}

/// Finds the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A body of known length, and how many of its bytes are still to come.
    Sized(u64),
    /// Chunked transfer coding (RFC 9112, section 7.1), and the position in it.
    Chunked(Chunks),
    /// A body that ends with the connection.
    Endless,
}

/// Position within a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// In the digits of a chunk's size, which is this so far.
    Size(u64),
    /// After the digits of this size, in the rest of their line: a chunk extension.
    Extension(u64),
    /// In a chunk's data. The number of bytes still to come includes the line end after the data.
    Data(u64),
    /// In the trailer. The flag says whether the current line is empty so far.
    Trailer(bool),
    /// After the end of the body.
    Done,
    /// In bytes that aren't chunked coding, or in a chunk of 16 exabytes or more.
    Broken,
}

impl Body {
    /// Starts a body of this length.
    pub(crate) fn new(expected: Expected) -> Self {
        match expected {
            Expected::Nothing => Self::Sized(0),
            Expected::Bytes(count) => Self::Sized(count),
            Expected::Chunks => Self::Chunked(Chunks::Size(0)),
            Expected::Endless => Self::Endless,
        }
    }

    /// Returns how many of the next bytes belong to the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Sized(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                taken
            }
            Self::Chunked(chunks) => chunks.take(bytes),
            Self::Endless => bytes.len(),
        }
    }

    /// Returns whether the end was seen.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Sized(0) | Self::Chunked(Chunks::Done))
    }
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            match self {
                Self::Done => return at,
                Self::Broken => return bytes.len(),
                Self::Data(left) => {
                    let count = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    at += count;
                    *left -= count as u64;
                    if *left == 0 {
                        *self = Self::Size(0);
                    }
                }
                _ => {
                    *self = self.after(bytes[at]);
                    at += 1;
                }
            }
        }
        at
    }

    /// Returns the position behind one byte outside of the data.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\n') if size == 0 => Self::Trailer(true),
            // The data, and a line end of two bytes.
            (Self::Size(size) | Self::Extension(size), b'\n') => {
                size.checked_add(2).map_or(Self::Broken, Self::Data)
            }
            (Self::Size(size), byte) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                let size = size
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit.into()));
                size.map_or(Self::Broken, Self::Size)
            }
            (Self::Size(size), b';' | b' ' | b'\t' | b'\r') => Self::Extension(size),
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::Trailer(true), b'\n') => Self::Done,
            (Self::Trailer(_), b'\n') => Self::Trailer(true),
            (Self::Trailer(empty), b'\r') => Self::Trailer(empty),
            (Self::Trailer(_), _) => Self::Trailer(false),
            _ => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(bytes: &[u8]) -> (usize, bool) {
        Headers::default().take(bytes)
    }

    #[test]
    fn headers_end_at_the_first_empty_line() {
        assert_eq!(headers(b"GET / HTTP/1.1\r\na: b\r\n\r\nnext"), (24, true));
        assert_eq!(headers(b"GET / HTTP/1.1\n\nnext"), (16, true));
        assert_eq!(headers(b"\r\n\n\r\nGET / HTTP/1.1\n\r\nnext"), (22, true));
        assert_eq!(headers(b"GET / HTTP/1.1\r\na: b\r\n\r"), (23, false));
        assert_eq!(headers(b"\r\n\r\n\r\n"), (6, false));
        let mut headers = Headers::default();
        headers.take(b"\r\n\n");
        assert!(!headers.has_begun());
        headers.take(b"G");
        assert!(headers.has_begun());
    }

    #[test]
    fn chunked_bodies_end_after_the_trailer() {
        let body = b"5;x=\"y\"\r\nhello\r\n0A\r\n0123456789\r\n0\r\nsum: 1\r\n\r\n";
        let mut whole = Body::new(Expected::Chunks);
        assert_eq!(whole.take(&[&body[..], b"GET"].concat()), body.len());
        assert!(whole.is_complete());
        assert_eq!(whole.take(b"GET"), 0);
        for bad in [
            &b"x"[..],
            b"-1\r\n",
            b"ffffffffffffffff\r\n",
            b"10000000000000000\r\n",
        ] {
            let mut body = Body::new(Expected::Chunks);
            assert_eq!(body.take(bad), bad.len());
            assert_eq!(body, Body::Chunked(Chunks::Broken));
            assert_eq!((body.take(b"0\r\n\r\nrest"), body.is_complete()), (9, false));
        }
    }

    proptest! {
        #[test]
        fn pieces_are_cut_where_the_whole_is(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..5),
            cuts in prop::collection::vec(1usize..40, 1..30),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let len = wire.len();
            wire.extend(b"GET / HTTP/1.1\r\n\r\n");
            let (mut body, mut at) = (Body::new(Expected::Chunks), 0);
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(wire.len());
                at += body.take(&wire[at..end]);
                if at < end {
                    break;
                }
            }
            prop_assert!(body.is_complete());
            prop_assert_eq!(at, len);
        }
    }
}
