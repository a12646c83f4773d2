//! Time limits of HTTP/1.1.

use std::time::Duration;

/// How long a connection's client may take, besides the time of bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// How long an idle connection is kept open.
    pub(crate) keep_alive: Duration,
    /// How long the headers of a request may take to arrive.
    pub(crate) head: Duration,
    /// How long a client whose body was refused may take to read the response.
    pub(crate) linger: Duration,
}
