//! The stages, one after the other, as the harness calls them.

use crate::{
    Program,
    images::{self, PIXELS},
    model::{Described, Name},
};
use blindscore_protocol::deskew::deskew;
use clap::Parser;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The client's stages up to the query, without the arguments that all of them have.
const UPLOADING: [&str; 3] = [
    "client_key_generation",
    "client_preprocess_input",
    "client_encode_encrypt_input",
];
const COMPUTE: &str = "server_encrypted_compute";
const DECRYPT: &str = "client_decrypt_decode";
const DECIDE: &str = "client_postprocess";

/// Folder of the harness with the images of a small instance.
struct Harness {
    root: TempDir,
    size: &'static str,
}

impl Harness {
    fn new(images: &[Vec<f64>]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let harness = Self { root, size: "1" };
        harness.write_pixels(&images::to_text(images));
        harness
    }

    fn write_pixels(&self, text: &str) {
        let path = self.path("datasets/small/intermediate/test_pixels.txt");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs a stage for a model.
    fn run(&self, stage: &str, model: &str) -> Result<(), String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let call = |arguments: &[&str]| {
            let program = Program::try_parse_from([&["program"], arguments].concat());
            program.unwrap().stage.run().map_err(|error| error.to_string())
        };
        let root = text(self.root.path());
        let place = ["--root", &root, self.size];
        if stage.starts_with("server") {
            return call(&[&[stage, "--model", model], &place[..]].concat());
        }
        let descriptor = text(&self.path(model));
        call(&["publish_model", "--model", model, &descriptor])?;
        call(&[&[stage, "--descriptor", &descriptor], &place[..]].concat())
    }

    fn upload(&self, model: &str) {
        for stage in UPLOADING {
            self.run(stage, model).unwrap();
        }
    }

    fn refusal(&self, stage: &str, model: &str) -> String {
        self.run(stage, model).unwrap_err()
    }
}

/// Returns a stroke two pixels wide that leans `slant` columns a row.
fn stroke(slant: f64) -> Vec<f64> {
    let mut ink = vec![0.0; PIXELS];
    for y in 5..23 {
        let x = (13.0 + slant * (y as f64 - 14.0)) as usize;
        ink[y * 28 + x..][..2].copy_from_slice(&[1.0, 0.75]);
    }
    ink
}

/// Returns a ring of ink.
fn ring() -> Vec<f64> {
    let distance = |index: usize| (index as f64 / 28.0 - 14.0).hypot(index as f64 % 28.0 - 14.0);
    let is_ink = |index| (6.0..9.0).contains(&distance(index));
    (0..PIXELS)
        .map(|index| f64::from(u8::from(is_ink(index))))
        .collect()
}

#[test]
fn the_stages_decide_as_the_model_does_in_the_clear() {
    let images = [stroke(0.0), ring()];
    let harness = Harness::new(&images);
    harness.upload("mnist-linear");
    for stage in [COMPUTE, DECRYPT, DECIDE] {
        harness.run(stage, "mnist-linear").unwrap();
    }

    let model = Name::Linear.load().unwrap();
    let scores = images::rows(&harness.path("io/small/intermediate/scores.txt"), "a stage", 10).unwrap();
    let plain: Vec<Vec<f64>> = images.iter().map(|image| model.plain_scores(image)).collect();
    assert_eq!(scores.len(), plain.len());
    for (score, plain) in scores.concat().iter().zip(plain.concat()) {
        assert!(
            (score - plain).abs() < 7.0 * model.descriptor().score_error,
            "{score}, {plain}"
        );
    }
    let largest = |scores: &Vec<f64>| (0..10).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    let expected: String = plain
        .iter()
        .map(|scores| format!("{}\n", largest(scores)))
        .collect();
    assert_eq!(
        fs::read_to_string(harness.path("io/small/encrypted_model_predictions.txt")).unwrap(),
        expected
    );

    let length = |name: &str| fs::metadata(harness.path(name)).unwrap().len() as usize;
    let sizes = model.descriptor().blob_sizes();
    assert_eq!(
        length("io/small/public_keys/evaluation_key.bin"),
        sizes.public_key
    );
    assert_eq!(length("io/small/ciphertexts_upload/query_1.bin"), sizes.query);
    assert_eq!(
        length("io/small/ciphertexts_download/response_1.bin"),
        sizes.response
    );
    let steps = fs::read_to_string(harness.path("io/small/server_reported_steps.json")).unwrap();
    let steps: serde_json::Value = serde_json::from_str(&steps).unwrap();
    assert!(steps["Total"].as_f64() > steps["Encrypted computation"].as_f64());
}

#[test]
fn a_network_is_sent_what_its_client_would_straighten_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    crate::model::publish(Name::Net, &path).unwrap();
    let own = Name::Net.load().unwrap().descriptor().inputs.clone();
    let described = Described::read(&path).unwrap();
    assert_eq!(described.trained_on, crate::model::Straighten::Yes);
    let plain = &described.descriptor.inputs;
    for image in [stroke(0.4), ring(), vec![1.0; PIXELS], vec![0.0; PIXELS]] {
        let straight = images::straightened(&image);
        assert_eq!(plain.levels_of(&straight), own.levels_of(&image));
        assert_eq!(own.levels_of(&image), plain.levels_of(&deskew(&image, 28)));
    }
    assert_ne!(
        plain.levels_of(&stroke(0.4)),
        plain.levels_of(&images::straightened(&stroke(0.4)))
    );
}

#[test]
fn images_that_are_none_are_refused_by_line() {
    let harness = Harness::new(&[ring()]);
    let prepare = || harness.refusal("client_preprocess_input", "mnist-linear");
    let zeros = |count: usize| "0 ".repeat(count);
    for (text, words) in [
        (format!("{}\n{}", zeros(784), zeros(783)), "line 2"),
        (zeros(783), "783 numbers instead of 784"),
        (format!("{}1.5", zeros(783)), "a pixel is 1.5"),
        (format!("{}NaN", zeros(783)), "\"NaN\" is not a number"),
        (String::new(), "has 0 images"),
    ] {
        harness.write_pixels(&text);
        let error = prepare();
        assert!(error.contains(words), "{error}");
    }
    fs::remove_file(harness.path("datasets/small/intermediate/test_pixels.txt")).unwrap();
    assert!(prepare().contains("has to run first"), "{}", prepare());

    let mut single = Harness::new(&[ring(), ring()]);
    fs::rename(single.path("datasets/small"), single.path("datasets/single")).unwrap();
    single.size = "0";
    let error = single.refusal("client_preprocess_input", "mnist-linear");
    assert!(error.contains("has 2 images"), "{error}");
}

#[test]
fn damaged_keys_and_ciphertexts_are_refused_in_words() {
    let harness = Harness::new(&[stroke(0.0), ring()]);
    let compute = || harness.refusal(COMPUTE, "mnist-linear");
    assert!(
        compute().contains("client_key_generation makes it"),
        "{}",
        compute()
    );
    harness.upload("mnist-linear");

    let key = harness.path("io/small/public_keys/evaluation_key.bin");
    let intact = fs::read(&key).unwrap();
    fs::write(&key, &intact[..intact.len() - 1]).unwrap();
    assert!(compute().contains("it is cut off"), "{}", compute());
    let mut damaged = intact.clone();
    damaged[1_000] ^= 1;
    fs::write(&key, &damaged).unwrap();
    assert!(compute().contains("the blob was damaged"), "{}", compute());
    fs::write(&key, &intact).unwrap();

    let stray = harness.path("io/small/ciphertexts_upload/notes.txt");
    fs::write(&stray, "").unwrap();
    assert!(compute().contains("not one of the numbered"), "{}", compute());
    fs::remove_file(&stray).unwrap();
    harness.run(COMPUTE, "mnist-linear").unwrap();

    let response =
        |index: usize| harness.path(&format!("io/small/ciphertexts_download/response_{index}.bin"));
    let decrypt = || harness.refusal(DECRYPT, "mnist-linear");
    fs::copy(response(1), response(0)).unwrap();
    assert!(decrypt().contains("answers another query"), "{}", decrypt());
    fs::remove_file(response(1)).unwrap();
    assert!(decrypt().contains("there are 2 queries"), "{}", decrypt());

    harness.run("client_key_generation", "mnist-linear").unwrap();
    assert!(compute().contains("encrypt it again"), "{}", compute());
}

#[test]
fn another_models_files_are_refused_in_words() {
    let harness = Harness::new(&[ring()]);
    harness.upload("mnist-linear");
    let error = harness.refusal(COMPUTE, "mnist-net-small");
    assert!(error.contains("or was made for another model"), "{error}");
    // Both networks have the same keys, and queries of the same length.
    harness.upload("mnist-net");
    let error = harness.refusal(COMPUTE, "mnist-net-small");
    assert!(error.contains("was encrypted for model"), "{error}");
    fs::write(harness.path("nothing.json"), "{}").unwrap();
    assert!(Described::read(&harness.path("nothing.json")).is_err());
}
