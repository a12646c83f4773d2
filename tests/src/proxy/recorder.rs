//! Records requests.

use super::{Policy, Proxy, Verdict};
use std::sync::{Mutex, PoisonError};

/// Records everything that clients send.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<u8>>);

impl Recorder {
    /// Starts a recording proxy in front of the server at `upstream`.
    pub fn before(upstream: &str) -> Proxy<Self> {
        Proxy::before(upstream, Self::default())
    }

    /// Returns everything sent to the server so far, headers and bodies.
    pub fn sent(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Policy for Recorder {
    /// Records a piece before it is passed on, so that a client with a response finds its request
    /// recorded.
    fn on_sent(&self, piece: &[u8]) -> Verdict {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend_from_slice(piece);
        Verdict::Pass
    }
}
