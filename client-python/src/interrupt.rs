//! Waiting that Ctrl-C ends.

use pyo3::{exceptions::PyRuntimeError, prelude::*};
use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// Time between looks at Python's signals.
const SIGNALS: Duration = Duration::from_millis(50);

/// Runs `work` in a thread of its own and waits for it, as [`receive`] does. If a signal ends the
/// wait, the work goes on, and its result is dropped.
pub(crate) fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("blindscore".into())
        .spawn(move || sender.send(work()))?;
    receive(py, &Mutex::new(receiver))
}

/// Waits for a result of other threads, without the interpreter's lock. The receiver stands in a
/// lock because only what threads may share is used without the interpreter's.
///
/// # Errors
/// If a signal raises an exception, such as Ctrl-C does, or the threads end without a result, which
/// is a defect.
pub(crate) fn receive<T: Send>(py: Python<'_>, receiver: &Mutex<Receiver<T>>) -> PyResult<T> {
    loop {
        let received = py.detach(|| {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            receiver.recv_timeout(SIGNALS)
        });
        match received {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err(
                    "a thread of blindscore has ended without a result: please report this",
                ));
            }
        }
    }
}
