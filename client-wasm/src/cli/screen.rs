//! What people see while they wait, on standard error.

use crate::text::lines;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

/// Progress bars, if there is a terminal, and lines above them.
#[derive(Clone, Default)]
pub(crate) struct Screen(MultiProgress);

impl Screen {
    /// A line that stays.
    pub(crate) fn note(&self, text: &str) {
        let text = lines(text);
        self.0.suspend(|| eprintln!("{text}"));
    }

    /// A bar of so many steps.
    pub(crate) fn bar(&self, what: &'static str, steps: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
        let bar = ProgressBar::new(steps).with_message(what);
        self.0
            .add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// Something of unknown length.
    pub(crate) fn spinner(&self, what: &'static str) -> ProgressBar {
        let spinner = self.0.add(ProgressBar::new_spinner().with_message(what));
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }
}
