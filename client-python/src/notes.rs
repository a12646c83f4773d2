//! Notes and progress, shown by Python.

use blindscore_remote::{Progress, Share, Stage, text::lines};
use pyo3::prelude::*;
use std::sync::Arc;

/// Sends notes to a logger of Python's, and the share of a key to a function.
pub(crate) struct Notes;

impl Progress for Notes {
    fn note(&self, text: &str) {
        log("warning", &lines(text));
    }

    fn begin(&self, stage: Stage) -> Box<dyn Share> {
        log("info", stage.describe());
        Box::new(Silent)
    }
}

/// A stage whose share isn't shown: even a network's key takes only some seconds.
struct Silent;

impl Share for Silent {
    fn set(&self, _: f64) {}
}

/// Writes a line to the logger `blindscore`. A logger that fails must not fail the request.
fn log(level: &str, text: &str) {
    Python::attach(|py| {
        let written = py
            .import("logging")
            .and_then(|logging| logging.call_method1("getLogger", ("blindscore",)))
            .and_then(|logger| logger.call_method1(level, ("%s", text)));
        if let Err(error) = written {
            error.write_unraisable(py, None);
        }
    });
}

/// Returns where the requests of a connection show their progress.
pub(crate) fn progress() -> Arc<dyn Progress> {
    Arc::new(Notes)
}
