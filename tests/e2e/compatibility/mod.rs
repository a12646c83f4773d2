//! Stored keys, queries and responses of earlier versions of the wire format: each is either read
//! as intended or refused with an explanation.
//!
//! Formats 1 and 2 are no longer read: format 1 predates the first release, and network queries of
//! format 2 carried too little noise. `format-3` is read.

use anyhow::Result;
use blindscore_client::{ClientError, ClientKey, Scores};
use blindscore_protocol::{
    descriptor::CheckedDescriptor,
    ids::KeyId,
    problem::{Problem, ProblemCode, Recovery},
    wire::{QueryId, WireError},
};
use blindscore_tests::{Api, Reply, Server, User};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

#[test]
fn keys_and_queries_of_earlier_formats_are_refused_with_words() {
    let server = Server::start();
    let api = server.api();
    for (folder, model) in [("format-1", "mnist-linear"), ("format-2/linear", "mnist-linear")] {
        let kept = Kept::of(folder);
        let public_key = kept.read("public_key.bin");
        let id = KeyId::of(&public_key);
        refused(api.put_key(id, &public_key), folder);
        refused(score(&api, model, id, &kept.read("query.bin")), folder);
    }
    // One such query is enough to recover the secret of all later ones.
    let kept = Kept::of("format-2/network");
    let id = KeyId::of(b"a public key that nobody has kept");
    refused(
        score(&api, "mnist-net-small", id, &kept.read("query.bin")),
        "a network's query",
    );
    assert_eq!(server.stored_files(), [""; 0]);
}

#[track_caller]
fn refused(reply: Reply, what: &str) {
    let problem = reply.expect_problem(ProblemCode::FormatUnsupported, what);
    assert_eq!((problem.status, problem.recovery), (410, Recovery::RefreshModel));
    assert!(problem.detail.contains("update the client"), "{}", problem.detail);
}

#[test]
fn stored_keys_of_earlier_formats_are_removed() -> Result<()> {
    let server = Server::start();
    let user = User::enrolled(&server.api());
    let kept = Kept::of("format-2/linear").read("public_key.bin");
    let earlier = server.keys_dir().join(KeyId::of(&kept).to_string());
    fs::write(&earlier, &kept)?;
    let server = server.restart();
    let started = Instant::now();
    while earlier.exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", server.log());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(server.log().contains("public keys of earlier formats removed"));
    user.assert_scores(&server.api(), 1);
    Ok(())
}

#[test]
fn secret_keys_of_earlier_formats_are_refused_with_words() {
    for (folder, version) in [("format-1", 1), ("format-2/linear", 2), ("format-2/network", 2)] {
        let secret = ClientKey::from_bytes(&Kept::of(folder).read("secret_key.bin"));
        let Err(ClientError::Wire(error @ WireError::UnsupportedVersion(found))) = secret else {
            panic!("{folder}: {secret:?}")
        };
        assert_eq!(found, version);
        assert!(error.to_string().contains("make a new key"), "{error}");
    }
}

#[test]
fn a_key_and_a_query_of_format_3_are_scored() -> Result<()> {
    let kept = Kept::of("format-3/linear");
    let models = kept.folder.to_str().expect("a path in UTF-8");
    let server = Server::start_with(&["--models-dir", models]);
    let api = server.api();
    let public_key = kept.read("public_key.bin");
    let id = KeyId::of(&public_key);
    api.put_key(id, &public_key).expect_status(201);
    let response = score(&api, "kept", id, &kept.read("query.bin")).expect_status(200);
    kept.assert_decrypts(&response.body)
}

#[test]
fn secret_keys_and_responses_of_format_3_are_decrypted() -> Result<()> {
    for folder in ["format-3/linear", "format-3/network"] {
        let kept = Kept::of(folder);
        kept.assert_decrypts(&kept.read("response.bin"))?;
    }
    Ok(())
}

#[test]
fn a_network_query_of_format_3_is_for_a_model_that_is_served_or_has_changed() {
    let server = Server::start();
    let kept = Kept::of("format-3/network");
    let id = KeyId::of(b"a public key that nobody has kept");
    let query = kept.read("query.bin");
    let problem = score(&server.api(), "mnist-net-small", id, &query);
    // The query is well formed; at fault is the key that the request names, or the model, which has
    // been retrained.
    let code = problem.json::<Problem>().code;
    assert!(
        matches!(code, ProblemCode::KeyMismatch | ProblemCode::ModelChanged),
        "{code:?}"
    );
}

fn score(api: &Api, model: &str, key: KeyId, query: &[u8]) -> Reply {
    let key = key.to_string();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &key),
    ];
    api.send("POST", &format!("/v1/models/{model}/score"), &headers, query)
}

/// Folder of blobs that belong together.
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

    /// Checks that a response gives the scores that were decrypted when it was new.
    fn assert_decrypts(&self, response: &[u8]) -> Result<()> {
        let model: CheckedDescriptor = serde_json::from_slice(&self.read("model.json"))?;
        let query = QueryId::of(&self.read("query.bin"))?;
        let key = ClientKey::from_bytes(&self.read("secret_key.bin"))?;
        let Scores { scores, .. } = key.decrypt(&model, query, response)?;
        let kept: Vec<f64> = serde_json::from_slice(&self.read("scores.json"))?;
        assert_eq!(scores.len(), kept.len());
        for (score, kept) in scores.iter().zip(&kept) {
            let error = (score - kept).abs();
            // Two encryptions of one score, so the variance of the difference is twice that of
            // each.
            assert!(error <= 9.0 * model.score_error, "{score}, was {kept}");
        }
        Ok(())
    }
}
