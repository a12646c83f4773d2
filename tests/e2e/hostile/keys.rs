//! Bytes that are no public key, and ids that don't match.

use super::{
    Bench,
    forge::{LENGTH, PARAMETER_SET, VERSION, broken, lie, noise, seal},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{ids::KeyId, params::NetworkParams, problem::ProblemCode::*, wire::HEADER_BYTES};
use serde_json::json;

pub(crate) fn cut_and_stretched_keys(bench: &Bench) {
    for (what, blob) in broken(&bench.stranger.public_key) {
        bench.refuse_key(&blob, MalformedKey, &what);
    }
    bench.assert_only_the_users_key_is_stored();
}

pub(crate) fn keys_with_a_changed_byte(bench: &Bench) {
    let key = &bench.stranger.public_key;
    for index in (0..HEADER_BYTES).chain((HEADER_BYTES..key.len()).step_by(37)) {
        let mut blob = key.clone();
        blob[index] ^= [0x01, 0x80, 0xff, 0x5a][index % 4];
        let code = if PARAMETER_SET.contains(&index) {
            ParametersRetired
        } else if VERSION.contains(&index) {
            FormatUnsupported
        } else {
            MalformedKey
        };
        let what = format!("byte {index} of a key");
        bench
            .api
            .put_key(KeyId::of(&blob), &blob)
            .expect_problem(code, &what);
        bench
            .api
            .put_key(bench.stranger.id(), &blob)
            .expect_problem(KeyHashMismatch, &what);
    }
    bench.assert_only_the_users_key_is_stored();
}

pub(crate) fn well_sealed_lies_in_keys(bench: &Bench) {
    let key = &bench.stranger.public_key;
    for kind in [0u16, 2, 3, 4, 0xffff] {
        bench.refuse_key(&lie(key, 6, &kind.to_le_bytes()), MalformedKey, "another kind");
    }
    for version in [0u16, 1, 2, 4, 0xffff] {
        bench.refuse_key(
            &lie(key, 4, &version.to_le_bytes()),
            FormatUnsupported,
            "another version",
        );
    }
    for set in [0u32, 3, u32::MAX] {
        bench.refuse_key(
            &lie(key, PARAMETER_SET.start, &set.to_le_bytes()),
            ParametersRetired,
            "another set",
        );
    }
    bench.refuse_key(
        &lie(
            key,
            PARAMETER_SET.start,
            &NetworkParams::N704_K4.id.0.to_le_bytes(),
        ),
        MalformedKey,
        "a set whose keys are longer",
    );
    for length in [0, 1, (key.len() - HEADER_BYTES - 1) as u64, 1 << 40, u64::MAX] {
        bench.refuse_key(
            &lie(key, LENGTH.start, &length.to_le_bytes()),
            MalformedKey,
            "a lying length",
        );
    }
    bench.refuse_key(&lie(key, 20, &[1; 32]), MalformedKey, "a key id inside");
    bench.refuse_key(&lie(key, 52, &[1; 16]), MalformedKey, "a model id inside");
    bench.refuse_key(&bench.query, MalformedKey, "a query as a key");
    // The one blob that should never be sent isn't stored if it is.
    bench.refuse_key(
        &bench.stranger.key.to_bytes(),
        MalformedKey,
        "a secret key as a public one",
    );
    bench.assert_only_the_users_key_is_stored();

    // A key of noise is a valid key; its scores are noise, which only affects its owner.
    let payload = noise(key.len() - HEADER_BYTES);
    let blob = [&key[..HEADER_BYTES], &payload].concat();
    let blob = seal(blob);
    let id = KeyId::of(&blob);
    bench.api.put_key(id, &blob).expect_status(201);
    bench
        .api
        .score(id, &lie(&bench.query, 20, &id.0))
        .expect_status(200);
    bench.api.delete(&format!("/v1/keys/{id}")).expect_status(204);
    bench.assert_only_the_users_key_is_stored();
}

pub(crate) fn ids_that_do_not_fit(bench: &Bench) {
    let key = &bench.stranger.public_key;
    bench
        .api
        .put_key(KeyId([0; 32]), key)
        .expect_problem(KeyHashMismatch, "an id of zeros");
    bench
        .api
        .put_key(bench.user.id(), key)
        .expect_problem(KeyHashMismatch, "the id of another key");
    bench.assert_only_the_users_key_is_stored();

    let unknown = bench.api.score(bench.stranger.id(), &bench.stranger.query(0));
    unknown.expect_problem(KeyNotFound, "a key never uploaded");
    let others = bench.api.score(bench.user.id(), &bench.stranger.query(0));
    others.expect_problem(KeyMismatch, "a query for another key");

    let octets = ("content-type", "application/octet-stream");
    let path = "/v1/models/mnist-linear/score";
    let no_header = bench.api.send("POST", path, &[octets], &bench.query);
    no_header.expect_problem(MalformedRequest, "no key named");
    let id = bench.user.id().to_string();
    for bad in [
        "",
        "x",
        &id[1..],
        &id.to_uppercase(),
        &format!("{id}0"),
        "../probe",
        &"g".repeat(64),
    ] {
        let reply = bench
            .api
            .send("POST", path, &[octets, ("blindscore-key", bad)], &bench.query);
        reply.expect_problem(MalformedRequest, format!("key {bad:?}"));
        let request = json!({ "key_id": bad, "data": [STANDARD.encode(&bench.query)] }).to_string();
        bench
            .api
            .post_json("/score", request)
            .expect_problem(MalformedRequest, format!("key {bad:?} in JSON"));
    }
}
