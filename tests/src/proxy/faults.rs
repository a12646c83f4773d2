//! Makes connections fail on demand.

use super::{Policy, Proxy, Verdict};
use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Fault of the connections through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Connections work.
    None,
    /// Connections are closed at once.
    Refuse,
    /// Nothing that is sent arrives.
    Hang,
    /// Every request gets status 500.
    Fail,
}

/// Makes connections fail on demand.
pub struct Faults(Mutex<Fault>);

impl Faults {
    /// Starts a proxy in front of the server at `upstream`.
    pub fn before(upstream: &str) -> Proxy<Self> {
        Proxy::before(upstream, Self(Mutex::new(Fault::None)))
    }

    /// Sets the fault for new and open connections.
    pub fn set(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns the fault, once it is another than hanging.
    fn fault(&self) -> Fault {
        loop {
            let fault = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if fault != Fault::Hang {
                return fault;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Policy for Faults {
    fn on_sent(&self, _: &[u8]) -> Verdict {
        match self.fault() {
            Fault::None => Verdict::Pass,
            Fault::Fail => Verdict::Answer(
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            Fault::Refuse | Fault::Hang => Verdict::Break,
        }
    }

    fn on_received(&self, _: &[u8]) -> Verdict {
        match self.fault() {
            Fault::None => Verdict::Pass,
            Fault::Refuse | Fault::Hang | Fault::Fail => Verdict::Break,
        }
    }
}
