//! Bodies of the Open Inference Protocol's inference requests.
//!
//! A zero byte, which JSON can't contain, stands for the end of the JSON: binary data follow it.

use blindscore_server::http::{Blobs, InferRequest};

/// Queries that one request may carry.
const MOST: usize = 5;
/// Bytes of an element's length.
const PREFIX_BYTES: usize = 4;

pub(crate) fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0);
    let (body, length) = match end {
        Some(end) => ([&data[..end], &data[end + 1..]].concat(), Some(end)),
        None => (data.to_vec(), None),
    };
    if let Ok(request) = InferRequest::parse(&body, length, MOST) {
        let count = request.blobs.len();
        assert!((1..=MOST).contains(&count), "{request:?}");
        match request.blobs {
            Blobs::Base64(_) => assert!(length.is_none_or(|length| length == body.len())),
            Blobs::Binary(blobs) => {
                let bytes: usize = blobs.iter().map(|blob| PREFIX_BYTES + blob.len()).sum();
                assert_eq!(length.map(|length| length + bytes), Some(body.len()), "{blobs:?}");
            }
        }
    }
    // Headers lie, too.
    let length = length.unwrap_or(body.len());
    for lie in [0, length.wrapping_sub(1), length + 1, body.len() + 1, usize::MAX] {
        let _ = InferRequest::parse(&body, Some(lie), MOST);
    }
}
