//! Bytes that are no query, or not the query that they claim to be.

use super::{
    Bench,
    forge::{LENGTH, PARAMETER_SET, VERSION, broken, lie, noise, seal},
};
use blindscore_protocol::{
    ids::ModelId,
    params::LinearParams,
    problem::ProblemCode::*,
    wire::{HEADER_BYTES, Header, Kind},
};

pub(crate) fn cut_and_stretched_queries(bench: &Bench) {
    assert_eq!(
        seal(bench.query.clone()),
        bench.query,
        "the test seals as the product does"
    );
    for (what, blob) in broken(&bench.query) {
        bench.refuse_query(&blob, MalformedCiphertext, &what);
    }
    let good_and_bad = [&bench.query[..], &bench.query[..100]].concat();
    let reply = bench.api.score(bench.user.id(), &good_and_bad);
    let problem = reply.expect_problem(MalformedCiphertext, "a second query that is cut");
    assert!(problem.detail.starts_with("query 1:"), "{problem:?}");
}

pub(crate) fn queries_with_a_changed_byte(bench: &Bench) {
    for index in 0..bench.query.len() {
        let mut blob = bench.query.clone();
        blob[index] ^= [0x01, 0x80, 0xff, 0x5a][index % 4];
        let code = if PARAMETER_SET.contains(&index) {
            ParametersRetired
        } else if VERSION.contains(&index) {
            FormatUnsupported
        } else {
            MalformedCiphertext
        };
        bench
            .api
            .score(bench.user.id(), &blob)
            .expect_problem(code, format!("byte {index} of a query"));
    }
}

pub(crate) fn well_sealed_lies_in_queries(bench: &Bench) {
    let query = &bench.query;
    for kind in [0u16, 1, 3, 4, 0xffff] {
        bench.refuse_query(
            &lie(query, 6, &kind.to_le_bytes()),
            MalformedCiphertext,
            "another kind",
        );
    }
    for version in [0u16, 1, 2, 4, 0xffff] {
        bench.refuse_query(
            &lie(query, 4, &version.to_le_bytes()),
            FormatUnsupported,
            "another version",
        );
    }
    for set in [0u32, 2, u32::MAX] {
        bench.refuse_query(
            &lie(query, PARAMETER_SET.start, &set.to_le_bytes()),
            ParametersRetired,
            "another set",
        );
    }
    let payload = (query.len() - HEADER_BYTES) as u64;
    for length in [0, 1, payload - 1, payload + 1, 1 << 40, u64::MAX - 83, u64::MAX] {
        bench.refuse_query(
            &lie(query, LENGTH.start, &length.to_le_bytes()),
            MalformedCiphertext,
            "a lying length",
        );
    }
    bench.refuse_query(
        &lie(query, 20, &bench.stranger.id().0),
        KeyMismatch,
        "another key",
    );
    bench.refuse_query(&lie(query, 20, &[0; 32]), KeyMismatch, "no key");
    bench.refuse_query(&lie(query, 52, &[7; 16]), ModelChanged, "another model");

    // A complete query for an older model of another size gets the same error; one for this model
    // doesn't.
    let header = |model| Header {
        kind: Kind::Query,
        params: LinearParams::N2048.id,
        key: bench.user.id(),
        model,
    };
    let model = bench.user.model.id;
    for len in [16, 16 + 6, query.len(), 60_000] {
        let old = header(ModelId([7; 16])).seal(&vec![3; len]);
        bench.refuse_query(&old, ModelChanged, "a smaller or larger model's query");
        let odd = header(model).seal(&vec![3; len]);
        bench.refuse_query(
            &odd,
            MalformedCiphertext,
            "a query of another length for this model",
        );
    }

    // Whatever its payload, a well-formed query is a valid ciphertext.
    for payload in [
        vec![0; payload as usize],
        vec![0xff; payload as usize],
        noise(payload as usize),
    ] {
        let blob = header(model).seal(&payload);
        let reply = bench.api.score(bench.user.id(), &blob).expect_status(200);
        assert_eq!(reply.body.len(), bench.user.model.sizes.response);
    }
}
