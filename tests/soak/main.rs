//! Measurements of a server under load and failure: `cargo xtask soak`. Everything is bounded, and
//! on loopback only.
//!
//! Wrong results end the program at once. Times are compared with limits; exceeding one makes the
//! exit status 1.

mod attacks;
mod connections;
mod faults;
mod kill;
mod memory;
mod overload;
mod report;
mod throughput;
mod wire;

use anyhow::Result;
use report::Report;
use std::process::ExitCode;

type Measurement = fn(&mut Report) -> Result<()>;

const ALL: [(&str, Measurement); 7] = [
    ("throughput", throughput::measure),
    ("overload", overload::measure),
    ("memory", memory::measure),
    ("kill", kill::measure),
    ("faults", faults::measure),
    ("connections", connections::measure),
    ("attacks", attacks::measure),
];

fn main() -> Result<ExitCode> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = named
        .iter()
        .find(|name| !ALL.iter().any(|(known, _)| known == name))
    {
        anyhow::bail!(
            "there is no measurement {unknown}; there are {:?}",
            ALL.map(|(name, _)| name)
        );
    }
    // For the connections that measurements open.
    rlimit::increase_nofile_limit(20_000)?;
    let mut report = Report::default();
    for (name, measure) in ALL {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            report.section(name);
            measure(&mut report)?;
        }
    }
    Ok(report.finish())
}
