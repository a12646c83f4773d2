//! Ensembles of trees.

use super::{faults::imported, faults::text, fixture};
use anyhow::Result;
use tempfile::TempDir;

/// Three trees of XGBoost on two columns.
#[test]
fn quantiles_of_the_calibration_rows_hide_which_thresholds_are_used() -> Result<()> {
    let (folder, models) = (fixture("trees"), TempDir::new()?);
    let train = folder.join("train.csv");
    let import = |name: &str, grid: &str| {
        let more = ["--calibrate", text(&train)?, "--check-rows", "2", "--grid", grid];
        imported(&folder.join("model.json"), name, models.path(), &more)
    };
    let (used, hidden) = (import("used", "used")?, import("hidden", "quantiles:3")?);
    assert_eq!(used["grid"], used["grid_used"]);
    assert_eq!(hidden["grid_used"], used["grid_used"]);
    // One of these quantiles is a threshold already.
    assert_eq!(
        hidden["grid"].as_u64(),
        used["grid"].as_u64().map(|used| used + 5)
    );
    assert_eq!(hidden["compared_rows"], 60);
    Ok(())
}
