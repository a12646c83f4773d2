use super::error::ApiError;
use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use blindscore_protocol::OCTET_STREAM;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::time::Duration;

/// How long a body may take to arrive, besides what its length takes at `SLOWEST`.
const PATIENCE: Duration = Duration::from_secs(30);
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

/// Reads a body of at most `limit` bytes and shows each piece to `on_piece` as it arrives.
///
/// A body known to be too long is refused at once, without reading the rest.
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
    on_piece: impl FnMut(&[u8]),
) -> Result<Bytes, ApiError> {
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
    let arrival = collect(payload, limit, declared as usize, on_piece);
    // A body of unknown length may be as long as is allowed.
    let len = if declared == 0 { limit } else { declared as usize };
    let patience = PATIENCE + Duration::from_secs((len / SLOWEST) as u64);
    tokio::time::timeout(patience, arrival).await.map_err(|_| {
        ApiError::Malformed(format!("the body did not arrive within {} s", patience.as_secs()))
    })?
}

async fn collect(
    mut payload: web::Payload,
    limit: usize,
    declared: usize,
    mut on_piece: impl FnMut(&[u8]),
) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::with_capacity(declared);
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| ApiError::Malformed(format!("the body broke off: {error}")))?;
        if body.len() + piece.len() > limit {
            return Err(ApiError::TooLong { limit });
        }
        on_piece(&piece);
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
