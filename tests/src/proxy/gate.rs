//! Intercepts score requests.

use super::{Policy, Proxy, Verdict};
use std::sync::{Mutex, PoisonError};

/// Treatment of a score request.
pub enum Passage {
    /// Passes the request on to the server.
    Forward,
    /// Sends this HTTP response to the client, and nothing to the server.
    Answer(&'static str),
    /// Breaks the connection; from then on, the proxy's address leads to another server.
    Move(String),
}

/// Intercepts score requests.
pub struct Gate(Mutex<Keeper>);

struct Keeper {
    seen: usize,
    decide: Box<dyn FnMut(usize) -> Passage + Send>,
}

impl Gate {
    /// Starts a proxy in front of the server at `upstream`. `decide` is called for every score
    /// request with its number, from 0.
    pub fn before(upstream: &str, decide: impl FnMut(usize) -> Passage + Send + 'static) -> Proxy<Self> {
        let keeper = Keeper {
            seen: 0,
            decide: Box::new(decide),
        };
        Proxy::before(upstream, Self(Mutex::new(keeper)))
    }
}

impl Policy for Gate {
    /// Clients wait for a response before they send another request, so every request starts at the
    /// start of a piece.
    fn on_sent(&self, piece: &[u8]) -> Verdict {
        if !piece.starts_with(b"POST /v1/models/") {
            return Verdict::Pass;
        }
        let mut keeper = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.seen += 1;
        let number = keeper.seen - 1;
        match (keeper.decide)(number) {
            Passage::Forward => Verdict::Pass,
            Passage::Answer(response) => Verdict::Answer(response.as_bytes()),
            Passage::Move(server) => Verdict::Move(server),
        }
    }
}
