//! Keys, queries and responses of earlier versions of the wire format, kept as they were made: each is read as it was
//! meant or refused with words, never anything between.
//!
//! `format-1` was written before the first release and is not read any more. `format-2` is read.

use anyhow::Result;
use blindscore_client::{ClientError, ClientKey, Scores};
use blindscore_protocol::{
    descriptor::ModelDescriptor,
    ids::KeyId,
    params::ParameterSetId,
    problem::{ProblemCode, Recovery},
    wire::WireError,
};
use blindscore_tests::{Api, Reply, Server};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn a_key_of_format_2_is_stored() {
    let kept = Kept::of("format-2/linear");
    let models = kept.folder.to_str().expect("a path in UTF-8");
    let server = Server::start_with(&["--models-dir", models]);
    let api = server.api();
    let public_key = kept.read("public_key.bin");
    let id = KeyId::of(&public_key);
    api.put_key(id, &public_key).expect_status(201);
    // Its descriptor says more now, and has another id.
    let problem = score(&api, "kept", id, &kept.read("query.bin"));
    problem.expect_problem(ProblemCode::ModelChanged, "a query for an earlier descriptor");
}

#[test]
fn a_linear_secret_key_and_response_of_format_2_are_decrypted() -> Result<()> {
    let kept = Kept::of("format-2/linear");
    kept.assert_decrypts(&kept.read("response.bin"))
}

/// One query of it is enough to find the secret of all later ones.
#[test]
fn network_keys_and_queries_that_carry_too_little_noise_are_refused() {
    let server = Server::start();
    let kept = Kept::of("format-2/network");
    let query = kept.read("query.bin");
    let id = KeyId::of(b"a public key that nobody has kept");
    let problem = score(&server.api(), "mnist-net-small", id, &query);
    // The model has been given new parameters, and with them a new id.
    problem.expect_problem(ProblemCode::ModelChanged, "a query of parameter set 2");
    let secret = ClientKey::from_bytes(&kept.read("secret_key.bin"));
    assert!(matches!(
        secret,
        Err(ClientError::Wire(WireError::WrongParameterSet(ParameterSetId(2))))
    ));
}

#[test]
fn keys_and_queries_of_format_1_are_refused_with_words() {
    let server = Server::start();
    let api = server.api();
    let kept = Kept::of("format-1");
    let public_key = kept.read("public_key.bin");
    let id = KeyId::of(&public_key);
    let refused = [
        api.put_key(id, &public_key),
        score(&api, "mnist-linear", id, &kept.read("query.bin")),
    ];
    for reply in refused {
        let problem = reply.expect_problem(ProblemCode::FormatUnsupported, "a blob of format 1");
        assert_eq!((problem.status, problem.recovery), (410, Recovery::RefreshModel));
        assert!(problem.detail.contains("update the client"), "{}", problem.detail);
    }
    assert_eq!(server.stored_files(), [""; 0]);
    let secret = ClientKey::from_bytes(&kept.read("secret_key.bin"));
    assert!(matches!(
        secret,
        Err(ClientError::Wire(WireError::UnsupportedVersion(1)))
    ));
}

fn score(api: &Api, model: &str, key: KeyId, query: &[u8]) -> Reply {
    let key = key.to_string();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &key),
    ];
    api.send("POST", &format!("/v1/models/{model}/score"), &headers, query)
}

/// A folder of blobs that belong together.
struct Kept {
    folder: PathBuf,
}

impl Kept {
    fn of(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/compatibility");
        Self {
            folder: folder.join(name),
        }
    }

    #[track_caller]
    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).expect("a kept file")
    }

    /// A response gives the scores that were decrypted when it was new.
    fn assert_decrypts(&self, response: &[u8]) -> Result<()> {
        let mut model: serde_json::Value = serde_json::from_slice(&self.read("model.json"))?;
        model["task"] = "classification".into();
        let model: ModelDescriptor = serde_json::from_value(model)?;
        let key = ClientKey::from_bytes(&self.read("secret_key.bin"))?;
        let Scores { scores, .. } = key.decrypt(&model, response)?;
        let kept: Vec<f64> = serde_json::from_slice(&self.read("scores.json"))?;
        assert_eq!(scores.len(), kept.len());
        for (score, kept) in scores.iter().zip(&kept) {
            let error = (score - kept).abs();
            // Two encryptions of one score: the variance is twice that of each.
            assert!(error <= 9.0 * model.score_error, "{score}, was {kept}");
        }
        Ok(())
    }
}
