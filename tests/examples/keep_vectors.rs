//! Writes known-answer vectors for the sets that have none yet: run once for each new set.

use anyhow::Result;
use blindscore_protocol::params::ParameterSet;
use blindscore_tests::vectors::{Vector, folder};
use std::fs;

fn main() -> Result<()> {
    for set in ParameterSet::ALL {
        let path = folder().join(format!("{}.json", set.name()));
        if !path.exists() {
            fs::write(&path, serde_json::to_string_pretty(&Vector::make(set)?)? + "\n")?;
            println!("{}", path.display());
        }
    }
    Ok(())
}
