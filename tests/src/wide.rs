//! Linear model with long responses.

use crate::blindscore;
use anyhow::{Result, ensure};
use safetensors::{Dtype, tensor::TensorView};
use std::{
    fs,
    path::{Path, PathBuf},
};

const FEATURES: usize = 8;
const OUTPUTS: usize = 1000;

/// Imports a linear model of 8 features and 1,000 outputs as `wide`, whose responses have 2.4 MB.
/// Returns the folder of models.
///
/// # Errors
/// Fails if `import` rejects the model, or the folder can't be written.
pub fn wide_model(folder: &Path) -> Result<PathBuf> {
    let weights: Vec<u8> = (0..OUTPUTS * FEATURES)
        .flat_map(|i| ((i % 17) as f32 / 17.0 - 0.5).to_le_bytes())
        .collect();
    let intercept = vec![0; 4 * OUTPUTS];
    let tensors = [
        (
            "coef",
            TensorView::new(Dtype::F32, vec![OUTPUTS, FEATURES], &weights)?,
        ),
        (
            "intercept",
            TensorView::new(Dtype::F32, vec![OUTPUTS], &intercept)?,
        ),
    ];
    let file = folder.join("wide.safetensors");
    let metadata = [("link".to_owned(), "softmax".to_owned())].into();
    fs::write(&file, safetensors::serialize(tensors, Some(metadata))?)?;
    let models = folder.join("models");
    let output = blindscore()
        .arg("import")
        .arg(&file)
        .args(["--name", "wide", "--input-min", "0", "--input-max", "1"])
        .arg("--models-dir")
        .arg(&models)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(models)
}
