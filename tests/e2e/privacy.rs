//! Secrets that the server never sees, and that nobody else can read.

use anyhow::Result;
use blindscore_client::ClientError;
use blindscore_protocol::{
    descriptor::ModelDescriptor,
    problem::ProblemCode,
    wire::{HEADER_BYTES, QueryId, SecretKeyBits},
};
use blindscore_tests::{Api, Recorder, Server, User};
use std::collections::HashSet;

/// Number of equal consecutive bytes that can't be a coincidence.
const WINDOW: usize = 32;
/// Offset of the checksum. The magic, lengths and ids before it are the same in all queries of one
/// key and model.
const AFTER_IDS: usize = 68;

#[test]
fn the_secret_key_never_travels() -> Result<()> {
    let server = Server::start();
    let recorder = Recorder::before(server.url());
    let api = Api::new(recorder.url());
    let user = User::enrolled(&api);
    for shape in 0..4 {
        user.assert_scores(&api, shape);
    }

    let sent = recorder.sent();
    assert!(
        contains(&sent, &user.public_key),
        "the recorder missed the upload"
    );
    let export = user.key.to_bytes();
    let secret = Secret::of(&export)?;
    assert!(
        secret.leaks_into(&export),
        "the search does not find the key where it is"
    );
    assert!(!secret.leaks_into(&sent), "part of the secret key was sent");
    assert!(
        !secret.leaks_into(server.log().as_bytes()),
        "part of the secret key was logged"
    );
    for file in server.stored_files() {
        let stored = std::fs::read(server.keys_dir().join(file))?;
        assert!(!secret.leaks_into(&stored), "part of the secret key was stored");
    }
    Ok(())
}

/// Windows of the encodings in which a secret key could leak: packed bits, or a byte or word per
/// bit.
struct Secret {
    windows: HashSet<Vec<u8>>,
}

impl Secret {
    fn of(export: &[u8]) -> Result<Self> {
        let packed = &export[HEADER_BYTES..];
        let bits = SecretKeyBits::from_blob(export)?.bits;
        let bytes: Vec<u8> = bits.iter().map(|bit| *bit as u8).collect();
        // A word is mostly zeros, so more of them are needed to be conclusive.
        let words: Vec<u8> = bits.iter().flat_map(|bit| bit.to_le_bytes()).collect();
        let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut windows: HashSet<Vec<u8>> = HashSet::new();
        for form in [packed, &bytes, hex.as_bytes()] {
            windows.extend(form.windows(WINDOW).map(<[u8]>::to_vec));
        }
        windows.extend(
            words
                .windows(WINDOW)
                .filter(|window| window.iter().sum::<u8>() > 2)
                .map(<[u8]>::to_vec),
        );
        Ok(Self { windows })
    }

    fn leaks_into(&self, bytes: &[u8]) -> bool {
        bytes.windows(WINDOW).any(|window| self.windows.contains(window))
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn the_same_picture_never_looks_the_same() {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    let queries = [user.query(1), user.query(1)];
    assert_unrelated(&queries[0][AFTER_IDS..], &queries[1][AFTER_IDS..]);

    // Two responses to the same query are unrelated too: the server re-randomises each.
    let responses = [(); 2].map(|()| api.score(user.id(), &queries[0]).expect_status(200).body);
    assert_unrelated(&responses[0][AFTER_IDS..], &responses[1][AFTER_IDS..]);
    for response in &responses {
        user.check(1, response);
    }
}

/// Checks that two blobs are unrelated: random bytes agree in one of 256 places.
#[track_caller]
fn assert_unrelated(a: &[u8], b: &[u8]) {
    assert_eq!(a.len(), b.len());
    let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
    assert!(equal < a.len() / 50, "{equal} of {} bytes are equal", a.len());
}

#[test]
fn a_response_is_read_by_its_key_or_not_at_all() {
    let server = Server::start();
    let api = server.api();
    let (user, other) = (User::enrolled(&api), User::enrolled(&api));
    let sent = user.query(0);
    let query = QueryId::of(&sent).expect("a query");
    let response = api.score(user.id(), &sent).expect_status(200).body;
    user.check(0, &response);
    let refused = other.key.decrypt(&other.model, query, &response);
    assert!(
        matches!(refused, Err(ClientError::WrongKey { found, .. }) if found == user.id()),
        "{refused:?}"
    );

    for index in (0..response.len()).step_by(97) {
        let mut damaged = response.clone();
        damaged[index] ^= 0x10;
        assert!(
            user.key.decrypt(&user.model, query, &damaged).is_err(),
            "byte {index} was changed"
        );
    }
    assert!(user.key.decrypt(&user.model, query, &response[1..]).is_err());
    assert!(user.key.decrypt(&user.model, query, &[]).is_err());

    // The response to another query for the same picture, replayed or taken from the wrong place of
    // a batch.
    let another = QueryId::of(&user.query(0)).expect("a query");
    let refused = user.key.decrypt(&user.model, another, &response);
    assert!(matches!(refused, Err(ClientError::WrongQuery)), "{refused:?}");

    let mut changed = ModelDescriptor::from(user.model.clone());
    changed.id.0[0] ^= 1;
    let changed = changed.try_into().expect("only another id");
    let refused = user.key.decrypt(&changed, query, &response);
    assert!(
        matches!(refused, Err(ClientError::WrongModel { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_query_is_scored_under_its_own_key_only() {
    let server = Server::start();
    let api = server.api();
    let (user, other) = (User::enrolled(&api), User::enrolled(&api));
    api.score(other.id(), &user.query(0))
        .expect_problem(ProblemCode::KeyMismatch, "another client's key");
    let mixed = [user.query(0), other.query(0)].concat();
    let problem = api
        .score(user.id(), &mixed)
        .expect_problem(ProblemCode::KeyMismatch, "one of two");
    assert!(problem.detail.starts_with("query 1 "), "{problem:?}");
}

#[test]
fn neither_key_ids_nor_bodies_are_logged() {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    user.assert_scores(&api, 0);
    api.get(&format!("/v1/keys/{}", user.id())).expect_status(200);
    while server.log().matches("answered").count() < 4 {
        std::thread::yield_now();
    }
    assert!(!server.log().contains(&user.id().to_string()), "{}", server.log());
}
