//! Measures the noise of every kind of ciphertext as it leaves the client, and prints it as
//! `docs/security/estimate.py` reads it:
//! `cargo run --release -p blindscore-tests --example measure_noise > docs/security/measured.json`.

use anyhow::Result;
use blindscore_protocol::params::ParameterSet;
use blindscore_tests::noise::measure;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let mut instances: Vec<Value> = Vec::new();
    for measured in ParameterSet::ALL.into_iter().flat_map(measure) {
        let deviation = measured.deviation() * measured.stated;
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        if let Some(dimension) = measured.dimension {
            instances.push(json!({
                "set": measured.set,
                "instance": measured.what,
                "dimension": dimension,
                "log2_noise": rounded(deviation.log2()),
                "samples": "unlimited",
            }));
        }
        eprintln!(
            "{}, {}: stated 2^{:.2}, measured 2^{:.3}, mean {:+.4} deviations, {} samples",
            measured.set,
            measured.what,
            measured.stated.log2(),
            deviation.log2(),
            measured.mean(),
            measured.errors.len()
        );
    }
    println!("{}", serde_json::to_string_pretty(&instances)?);
    Ok(())
}
