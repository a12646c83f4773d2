//! Progress and notes on standard error.

use crate::text::lines;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

/// Progress bars, if there is a terminal, and notes above them.
#[derive(Clone, Default)]
pub(crate) struct Screen(MultiProgress);

impl Screen {
    /// Prints a line that stays.
    pub(crate) fn note(&self, text: &str) {
        let text = lines(text);
        self.0.suspend(|| eprintln!("{text}"));
    }

    /// Shows a bar with this number of steps.
    pub(crate) fn bar(&self, what: &'static str, steps: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
        let bar = ProgressBar::new(steps).with_message(what);
        self.0
            .add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// Shows a spinner for work of unknown length.
    pub(crate) fn spinner(&self, what: &'static str) -> ProgressBar {
        let spinner = self.0.add(ProgressBar::new_spinner().with_message(what));
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }
}
