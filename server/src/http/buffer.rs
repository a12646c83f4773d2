//! Memory of a request body that is arriving.

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;
use std::io;

/// Bodies longer than this many bytes get pages of their own, which go back to the system with the
/// body. An allocator would keep a large part of them for later.
const MAPPED_BYTES: usize = 1 << 20;
/// The buffer grows to this multiple of the bytes that have arrived.
const GROWTH: usize = 4;
/// Smallest buffer, in bytes.
const FIRST_BYTES: usize = 16 << 10;

/// A body of at most a known number of bytes. Its memory grows with the bytes received: announcing
/// a length costs the server nothing.
pub(super) struct Buffer {
    longest: usize,
    memory: Memory,
}

enum Memory {
    Heap(BytesMut),
    Pages(Pages),
}

/// Pages for the longest body, of which the system provides those that were written.
struct Pages {
    map: MmapMut,
    len: usize,
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

impl Buffer {
    /// Creates an empty buffer for at most `longest` bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self {
            longest,
            memory: Memory::Heap(BytesMut::new()),
        }
    }

    /// Returns the number of bytes received.
    pub(super) fn len(&self) -> usize {
        match &self.memory {
            Memory::Heap(bytes) => bytes.len(),
            Memory::Pages(pages) => pages.len,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// If there are more than the longest body has, or the system has no memory.
    pub(super) fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        let len = self.len() + piece.len();
        if len > self.longest {
            return Err(io::Error::other("the body is longer than announced"));
        }
        if let Memory::Heap(bytes) = &mut self.memory {
            if len <= MAPPED_BYTES {
                if len > bytes.capacity() {
                    let wanted = (GROWTH * len)
                        .max(FIRST_BYTES)
                        .min(self.longest)
                        .min(MAPPED_BYTES);
                    bytes.reserve(wanted - bytes.len());
                }
                bytes.extend_from_slice(piece);
                return Ok(());
            }
            let mut map = MmapMut::map_anon(self.longest)?;
            map[..bytes.len()].copy_from_slice(bytes);
            let len = bytes.len();
            self.memory = Memory::Pages(Pages { map, len });
        }
        if let Memory::Pages(pages) = &mut self.memory {
            pages.map[pages.len..len].copy_from_slice(piece);
            pages.len = len;
        }
        Ok(())
    }

    /// Returns the whole body.
    pub(super) fn freeze(self) -> Bytes {
        match self.memory {
            Memory::Heap(bytes) => bytes.freeze(),
            Memory::Pages(pages) => Bytes::from_owner(pages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_any_length_arrive_whole() {
        for longest in [
            0,
            1,
            MAPPED_BYTES - 1,
            MAPPED_BYTES,
            MAPPED_BYTES + 1,
            5 * MAPPED_BYTES + 3,
        ] {
            let sent: Vec<u8> = (0..longest).map(|place| (place % 251) as u8).collect();
            for piece in [1 + longest / 3, 7_919, longest.max(1)] {
                let mut buffer = Buffer::new(longest);
                for piece in sent.chunks(piece) {
                    buffer.push(piece).unwrap();
                }
                assert_eq!(buffer.len(), longest);
                assert!(buffer.push(b"x").is_err(), "{longest} bytes were announced");
                assert_eq!(buffer.freeze(), sent);
            }
        }
    }

    #[test]
    fn memory_grows_with_what_arrives() {
        let mut buffer = Buffer::new(1 << 40);
        buffer.push(b"x").unwrap();
        match &buffer.memory {
            Memory::Heap(bytes) => assert!(bytes.capacity() <= 2 * FIRST_BYTES),
            Memory::Pages(_) => panic!("a byte needs no pages"),
        }
    }
}
