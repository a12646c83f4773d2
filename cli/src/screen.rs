//! Progress and notes on standard error.

use blindscore_remote::{Progress, Share, Stage, text::lines};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

/// Number of steps of the bar of a stage whose share is known.
const STEPS: u64 = 1000;

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
}

impl Progress for Screen {
    fn note(&self, text: &str) {
        Screen::note(self, text);
    }

    fn begin(&self, stage: Stage) -> Box<dyn Share> {
        let what = stage.describe();
        Box::new(Stepping(match stage {
            Stage::MakingKey => self.bar(what, STEPS),
            _ => {
                let spinner = self.0.add(ProgressBar::new_spinner().with_message(what));
                spinner.enable_steady_tick(Duration::from_millis(100));
                spinner
            }
        }))
    }
}

/// Bar or spinner, which vanishes at its end.
struct Stepping(ProgressBar);

impl Share for Stepping {
    fn set(&self, share: f64) {
        self.0.set_position((share * STEPS as f64) as u64);
    }
}

impl Drop for Stepping {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
