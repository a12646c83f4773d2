//! Keeps blobs of the present wire format for `e2e/compatibility`: run once for each version, when
//! it is first released.
//!
//! Makes `tests/e2e/compatibility/format-VERSION`: a small model, keys, a query and its response,
//! and for networks, whose public key is too large to keep, all but that. Refuses to replace what
//! is there.

use anyhow::{Context, Result, ensure};
use blindscore_client::ClientKey;
use blindscore_protocol::{
    descriptor::CheckedDescriptor,
    wire::{FORMAT_VERSION, QueryId},
};
use blindscore_tests::{Server, digit};
use safetensors::{Dtype, serialize, tensor::TensorView};
use std::{collections::HashMap, fs, path::Path};

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("e2e/compatibility")
        .join(format!("format-{FORMAT_VERSION}"));
    ensure!(!folder.exists(), "{} already exists", folder.display());
    let (linear, network) = (folder.join("linear"), folder.join("network"));
    fs::create_dir_all(&linear)?;
    fs::create_dir_all(&network)?;
    fs::write(linear.join("kept.safetensors"), small_model()?)?;

    let models = linear.to_str().context("the path is not UTF-8")?;
    let server = Server::start_with(&["--models-dir", models]);
    let features: Vec<f64> = (0..8).map(|i| f64::from(i) / 4.0 - 1.0).collect();
    let public_key = keep(&server, "kept", &features, &linear)?;
    fs::write(linear.join("public_key.bin"), public_key)?;
    keep(&server, "mnist-net-small", &digit(1), &network)?;
    println!("{}", folder.display());
    Ok(())
}

/// Three classes of eight features.
fn small_model() -> Result<Vec<u8>> {
    let bytes = |values: Vec<f64>| values.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    let coef = bytes((0..24).map(|i| f64::from(i * 7 % 11) / 5.0 - 1.0).collect());
    let intercept = bytes(vec![0.5, -0.25, 0.0]);
    let tensors = [
        ("coef", TensorView::new(Dtype::F64, vec![3, 8], &coef)?),
        ("intercept", TensorView::new(Dtype::F64, vec![3], &intercept)?),
    ];
    let metadata = [
        ("name", "kept"),
        ("title", "A model that is kept"),
        ("labels", r#"["a", "b", "c"]"#),
        ("link", "softmax"),
        ("input_min", "-1"),
        ("input_max", "1"),
        ("input_levels", "256"),
    ];
    let metadata: HashMap<_, _> = metadata.map(|(name, value)| (name.into(), value.into())).into();
    Ok(serialize(tensors, Some(metadata))?)
}

/// Has the features scored with a new key, and writes everything but the public key, which it
/// gives.
fn keep(server: &Server, model: &str, features: &[f64], folder: &Path) -> Result<Vec<u8>> {
    let api = server.api();
    let descriptor = api.get(&format!("/v1/models/{model}")).expect_status(200);
    let parsed: CheckedDescriptor = descriptor.json();
    let (key, public) = ClientKey::generate(parsed.parameters())?;
    let (public, id) = public.to_blob();
    api.put_key(id, &public).expect_status(201);
    let query = key.encrypt(&parsed, features)?;
    let path = format!("/v1/models/{model}/score");
    let headers = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &id.to_string()),
    ];
    let response = api.send("POST", &path, &headers, &query).expect_status(200).body;
    let scores = key.decrypt(&parsed, QueryId::of(&query)?, &response)?.scores;
    fs::write(folder.join("model.json"), &descriptor.body)?;
    fs::write(folder.join("secret_key.bin"), &key.to_bytes()[..])?;
    fs::write(folder.join("query.bin"), query)?;
    fs::write(folder.join("response.bin"), response)?;
    fs::write(folder.join("scores.json"), serde_json::to_vec(&scores)?)?;
    Ok(public)
}
