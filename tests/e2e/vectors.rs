//! Known answers: fixed seeds give the same keys and queries as ever, and a stored response the
//! same scores.

use anyhow::{Context, Result};
use blindscore_protocol::params::ParameterSet;
use blindscore_tests::vectors::{Vector, folder};
use std::fs;

#[test]
fn every_set_gives_its_known_answers() -> Result<()> {
    for set in ParameterSet::ALL {
        let path = folder().join(format!("{}.json", set.name()));
        let kept = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let kept: Vector = serde_json::from_str(&kept)?;
        assert_eq!(kept.set, set.name());
        assert_eq!(kept.again()?, kept, "{}", set.name());
    }
    Ok(())
}
