//! Projection networks on the real server: a 10 MB key, a score, and bad keys.

use blindscore_client::ClientKey;
use blindscore_engine::model::{Model, Registry};
use blindscore_protocol::{
    descriptor,
    ids::{KeyId, ModelId},
    problem::ProblemCode::{
        KeyHashMismatch, KeyMismatch, MalformedCiphertext, MalformedKey, ModelChanged, ParametersRetired,
    },
    random::reproducible,
    wire::{Header, Kind, QueryId, SecretKeyBits, WireError},
};
use blindscore_tests::{Api, Server, User, digit};
use std::sync::Arc;

const PATH: &str = "/v1/models/mnist-net-small/score";

fn bundled() -> Arc<Model> {
    let registry = Registry::load(None).expect("the bundled models");
    registry
        .find("mnist-net-small")
        .expect("a bundled network")
        .clone()
}

fn descriptor(api: &Api) -> descriptor::CheckedDescriptor {
    api.get("/v1/models/mnist-net-small").expect_status(200).json()
}

fn score(api: &Api, key: KeyId, query: &[u8]) -> blindscore_tests::Reply {
    let key = key.to_string();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &*key),
    ];
    api.send("POST", PATH, &headers, query)
}

#[test]
fn a_network_scores_what_it_cannot_see() {
    let mut server = Server::start();
    let api = server.api();
    let model = descriptor(&api);
    let (client, public) = ClientKey::generate(model.parameters()).expect("randomness");
    let (blob, id) = public.to_blob();
    assert_eq!(blob.len(), model.sizes.public_key);
    api.put_key(id, &blob).expect_status(201);

    let plain = bundled();
    for shape in 0..4 {
        let query = client.encrypt(&model, &digit(shape)).expect("a valid picture");
        assert_eq!(query.len(), model.sizes.query);
        let reply = score(&api, id, &query).expect_status(200);
        let scores = client
            .decrypt(&model, QueryId::of(&query).expect("a query"), &reply.body)
            .expect("a response for this key")
            .scores;
        let expected = plain.plain_scores(&digit(shape));
        let deviations = plain.deviations(&digit(shape));
        for ((score, expected), deviation) in scores.iter().zip(expected).zip(deviations) {
            let error = (score - expected).abs();
            assert!(
                error < 7.0 * deviation,
                "{score}, in the clear {expected}, deviation {deviation}"
            );
        }
    }

    // A linear model's key is no key for a network, and vice versa.
    let linear = User::enrolled(&api);
    let query = client.encrypt(&model, &digit(0)).expect("a valid picture");
    let relabelled = Header {
        kind: Kind::Query,
        params: model.parameters().id(),
        key: linear.id(),
        model: model.id,
    };
    let query = relabelled.seal(&query[blindscore_protocol::wire::HEADER_BYTES..]);
    score(&api, linear.id(), &query).expect_problem(ParametersRetired, "a linear model's key");
    score(&api, linear.id(), &linear.query(0)).expect_problem(ModelChanged, "a linear model's query");
    linear.assert_scores(&api, 1);
    server.assert_alive();
}

#[test]
fn bad_network_keys_are_refused_or_score_garbage() {
    let mut server = Server::start();
    let api = server.api();
    let model = descriptor(&api);
    let header = Header {
        kind: Kind::EvaluationKey,
        params: model.parameters().id(),
        key: KeyId::NONE,
        model: ModelId::NONE,
    };
    let payload = model.sizes.public_key - blindscore_protocol::wire::HEADER_BYTES;
    let noise: Vec<u8> = reproducible([6; 16], payload.div_ceil(8))
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let whole = header.seal(&noise[..payload]);

    let put = |blob: &[u8]| api.put_key(KeyId::of(blob), blob);
    put(&whole[..whole.len() / 2]).expect_problem(MalformedKey, "half of a key");
    put(&whole[..whole.len() - 1]).expect_problem(MalformedKey, "a key without its last byte");
    put(&header.seal(&noise[..1000])).expect_problem(MalformedKey, "a short key");
    let mut damaged = whole.clone();
    damaged[5_000_000] ^= 1;
    put(&damaged).expect_problem(MalformedKey, "a damaged key");
    api.put_key(KeyId::of(&whole), &damaged)
        .expect_problem(KeyHashMismatch, "another key");

    // Random bytes are a valid key; what they score is garbage.
    put(&whole).expect_status(201);
    let client = key_with_id(&model, KeyId::of(&whole));
    let query = client.encrypt(&model, &digit(1)).expect("a valid picture");
    let reply = score(&api, client.key_id(), &query).expect_status(200);
    let id = QueryId::of(&query).expect("a query");
    assert!(client.decrypt(&model, id, &reply.body).is_ok());
    let cut = client
        .decrypt(&model, id, &reply.body[1..])
        .expect_err("a cut response");
    assert_eq!(cut.to_string(), WireError::BadMagic.to_string());
    server.assert_alive();
}

#[test]
fn bad_network_queries_are_refused() {
    let mut server = Server::start();
    let api = server.api();
    let model = descriptor(&api);
    let (client, public) = ClientKey::generate(model.parameters()).expect("randomness");
    let (blob, id) = public.to_blob();
    api.put_key(id, &blob).expect_status(201);
    let query = client.encrypt(&model, &digit(0)).expect("a valid picture");

    for len in [0, 1, 83, 84, 85, query.len() / 2, query.len() - 1] {
        score(&api, id, &query[..len]).expect_problem(MalformedCiphertext, format!("cut to {len} bytes"));
    }
    for (what, bytes) in [
        ("one byte longer", [&*query, &[0]].concat()),
        ("zeros", vec![0; query.len()]),
        ("ones", vec![0xff; query.len()]),
    ] {
        score(&api, id, &bytes).expect_problem(MalformedCiphertext, what);
    }
    for index in (0..query.len()).step_by(41) {
        let mut changed = query.clone();
        changed[index] ^= 0x10;
        // The parameter set is checked first; ids, which the checksum covers, last.
        let code = if (8..12).contains(&index) {
            ParametersRetired
        } else {
            MalformedCiphertext
        };
        score(&api, id, &changed).expect_problem(code, format!("byte {index} changed"));
    }

    // A linear model's key or query in place of a network's, and vice versa.
    let user = User::enrolled(&api);
    score(&api, user.id(), &query).expect_problem(KeyMismatch, "a network's query with another key");
    score(&api, user.id(), &user.query(0)).expect_problem(ModelChanged, "a linear model's query");
    api.score(id, &query)
        .expect_problem(ModelChanged, "a network's query for a linear model");

    // Valid requests still work.
    score(&api, id, &query).expect_status(200);
    server.assert_alive();
}

/// Returns a secret key that believes another public key to be its own.
fn key_with_id(model: &descriptor::CheckedDescriptor, id: KeyId) -> ClientKey {
    let key = ClientKey::generate_secret(model.parameters()).expect("randomness");
    let mut bits = SecretKeyBits::from_blob(&key.to_bytes()).expect("just made");
    bits.key = id;
    ClientKey::from_bytes(&bits.to_blob()).expect("just made")
}
