//! Report of the measurements.

use std::{fmt, process::ExitCode, time::Duration};

/// Report of the measurements, printed as they finish.
#[derive(Default)]
pub(crate) struct Report {
    missed: Vec<String>,
    section: String,
}

impl Report {
    /// Begins a section.
    pub(crate) fn section(&mut self, name: &str) {
        println!("== {name}");
        self.section = name.to_owned();
    }

    /// Prints a figure without a limit.
    pub(crate) fn note(&mut self, what: &str, value: impl fmt::Display) {
        println!("   {what}: {value}");
    }

    /// Prints a figure and whether it meets its limit.
    pub(crate) fn bar(&mut self, what: &str, value: impl fmt::Display, bar: impl fmt::Display, met: bool) {
        println!(
            "{} {what}: {value} (bar: {bar})",
            if met { "ok" } else { "MISSED" }
        );
        if !met {
            self.missed
                .push(format!("{}: {what}: {value} (bar: {bar})", self.section));
        }
    }

    /// Returns exit status 1 if a limit was missed.
    pub(crate) fn finish(self) -> ExitCode {
        if self.missed.is_empty() {
            println!("all bars met");
            return ExitCode::SUCCESS;
        }
        for missed in &self.missed {
            println!("missed: {missed}");
        }
        ExitCode::FAILURE
    }
}

/// Times of many requests.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the time below which this share of the requests stayed, or zero without requests.
    pub(crate) fn quantile(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let index = (share * self.0.len() as f64) as usize;
        let last = self.0.len().saturating_sub(1);
        self.0.get(index.min(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = Self(self.0.clone());
        let mut ms = |share| times.quantile(share).as_secs_f64() * 1e3;
        write!(
            f,
            "{} requests, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            self.0.len(),
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )
    }
}
