//! Benchmarks of `mnist-linear` on one core, from key generation to decrypted scores. The baseline
//! is the plaintext matrix product.
//!
//! Compare the figures only as ratios within one run: `cargo xtask bench`.

use blindscore_client::ClientKey;
use blindscore_engine::{PreparedKey, model::Registry};
use blindscore_protocol::wire::{EvaluationKey, Query};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn linear(c: &mut Criterion) {
    let registry = Registry::load(None).expect("the bundled model loads");
    let model = registry.default_model();
    let (descriptor, set) = (model.descriptor(), model.parameters());
    let features: Vec<f64> = (0..descriptor.inputs.count)
        .map(|i| (i * 37 % 256) as f64 / 255.0)
        .collect();
    let (client, public) = ClientKey::generate(set).expect("the platform gives randomness");
    let public = public.to_blob().0;
    let key = PreparedKey::new(&EvaluationKey::from_blob(&public).expect("just made"));
    let query = client
        .encrypt(descriptor, &features)
        .expect("features are in range");
    let parsed = Query::from_blob(&query, set.query_format(), features.len()).expect("just made");
    let response = model.engine().score(&parsed, &key).expect("randomness").to_blob();

    let mut group = c.benchmark_group("mnist-linear");
    group.bench_function("baseline: plaintext product", |b| {
        b.iter(|| model.plain_scores(black_box(&features)));
    });
    group.bench_function("score", |b| {
        b.iter(|| model.engine().score(black_box(&parsed), &key))
    });
    group.bench_function("score, from blob to blob", |b| {
        b.iter(|| {
            let query =
                Query::from_blob(black_box(&query), set.query_format(), features.len()).expect("valid");
            model.engine().score(&query, &key).expect("randomness").to_blob()
        });
    });
    group.bench_function("prepare key", |b| {
        b.iter(|| PreparedKey::new(&EvaluationKey::from_blob(black_box(&public)).expect("valid")));
    });
    group.bench_function("keygen", |b| b.iter(|| ClientKey::generate(set)));
    group.bench_function("encrypt", |b| {
        b.iter(|| client.encrypt(descriptor, black_box(&features)))
    });
    group.bench_function("decrypt", |b| {
        b.iter(|| client.decrypt(descriptor, parsed.id, black_box(&response)))
    });
    group.finish();
}

criterion_group!(benches, linear);
criterion_main!(benches);
