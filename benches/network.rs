//! Benchmarks of a projection network: blind rotations on one core, with tfhe's as the baseline,
//! and whole scores of `mnist-net`.
//!
//! Compare the figures only as ratios within one run: `cargo xtask bench`.

use blindscore_client::ClientKey;
use blindscore_engine::{
    PreparedKey,
    model::Model,
    network::{BootstrapKey, ModSwitchedLwe},
};
use blindscore_protocol::{
    params::{NetworkParams, ParameterSet},
    random::{reproducible, reproducible_stream},
    wire::{EvaluationKey, Query},
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tfhe::core_crypto::{
    algorithms::ModulusSwitchedLweCiphertext, commons::computation_buffers::ComputationBuffers,
    fft_impl::fft64::crypto::bootstrap::batch_blind_rotate_assign_scratch, prelude::*,
};

/// Projections per thread when two threads score `mnist-net`.
const BATCH: usize = 64;
/// Rotations at once, as in small models and labels.
const FEWER: [usize; 4] = [1, 3, 5, 10];

/// A mod-switched LWE ciphertext and log2 of its modulus, in the form that tfhe's blind rotation
/// takes.
struct Switched<'a>(&'a ModSwitchedLwe, u32);

impl ModulusSwitchedLweCiphertext<usize> for Switched<'_> {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(self.1 as usize)
    }

    fn lwe_dimension(&self) -> LweDimension {
        LweDimension(self.0.mask.len())
    }

    fn body(&self) -> usize {
        self.0.body
    }

    fn mask(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.0.mask.iter().copied()
    }
}

/// Times both rotations with dummy keys, whose content does not affect the time.
fn rotations(c: &mut Criterion) {
    let params = NetworkParams::N704_K4;
    let (n, rows, bits) = (
        params.polynomial_size.0,
        params.ggsw_rows(),
        params.input_lwe_dimension().0,
    );
    let mut random = reproducible([1; 16], BATCH * (bits + 1)).into_iter();
    let mut steps = || {
        random
            .next()
            .map_or(0, |x| (x >> (64 - params.rotation_log2())) as usize)
    };
    let inputs: Vec<ModSwitchedLwe> = (0..BATCH)
        .map(|_| ModSwitchedLwe {
            mask: (0..bits).map(|_| steps()).collect(),
            body: steps(),
        })
        .collect();
    let test = vec![1 << 60; n];

    let mut group = c.benchmark_group(format!("{BATCH} blind rotations, one core"));
    group.sample_size(10);

    let fft = Fft::new(params.polynomial_size);
    let mut scratch = ComputationBuffers::new();
    let need = batch_blind_rotate_assign_scratch::<u64>(
        params.glwe_dimension.to_glwe_size(),
        params.polynomial_size,
        CiphertextCount(BATCH),
        fft.as_view(),
    );
    scratch.resize(need.unaligned_bytes_required());
    let key = FourierLweBootstrapKey::new(
        params.input_lwe_dimension(),
        params.glwe_dimension.to_glwe_size(),
        params.polynomial_size,
        params.base_log,
        DecompositionLevelCount(1),
    );
    let switched: Vec<_> = inputs
        .iter()
        .map(|input| Switched(input, params.rotation_log2()))
        .collect();
    group.bench_function("baseline: tfhe's batch_blind_rotate_assign", |b| {
        b.iter(|| {
            let accumulators = vec![1u64 << 60; BATCH * rows * n];
            let mut list = GlweCiphertextList::from_container(
                accumulators,
                params.glwe_dimension.to_glwe_size(),
                params.polynomial_size,
                CiphertextModulus::new_native(),
            );
            key.as_view().batch_blind_rotate_assign(
                list.as_mut_view(),
                black_box(&switched),
                fft.as_view(),
                scratch.stack(),
            );
            list
        });
    });

    let mut random = reproducible_stream([2; 16]);
    let key = BootstrapKey::new(params, |row| random.fill(row));
    let tests = vec![test.as_slice(); BATCH];
    group.bench_function("BootstrapKey::rotate", |b| {
        b.iter(|| key.rotate(black_box(&inputs), &tests))
    });
    group.finish();

    // Even one rotation reads the whole key.
    let mut group = c.benchmark_group("fewer blind rotations at once, one core");
    group.sample_size(10);
    for size in FEWER {
        group.bench_function(BenchmarkId::new("BootstrapKey::rotate", size), |b| {
            b.iter(|| key.rotate(black_box(&inputs[..size]), &tests[..size]))
        });
    }
    group.finish();
}

fn scores(c: &mut Criterion) {
    let model = Model::from_safetensors(blindscore_models::MNIST_NET).expect("the model loads");
    let (descriptor, set) = (model.descriptor(), model.parameters());
    let features: Vec<f64> = (0..descriptor.inputs.count)
        .map(|i| (i * 37 % 256) as f64 / 255.0)
        .collect();
    let mut group = c.benchmark_group("mnist-net");
    group.sample_size(10);
    group.bench_function("keygen", |b| b.iter(|| ClientKey::generate(set)));
    let (client, public) = ClientKey::generate(set).expect("the platform gives randomness");
    let public = public.to_blob().0;
    group.bench_function("prepare key", |b| {
        b.iter(|| PreparedKey::new(&EvaluationKey::from_blob(black_box(&public)).expect("valid")));
    });
    let key = PreparedKey::new(&EvaluationKey::from_blob(&public).expect("just made"));
    let query = client
        .encrypt(descriptor, &features)
        .expect("features are in range");
    let query = Query::from_blob(&query, set.query_format(), features.len()).expect("just made");
    assert!(matches!(set, ParameterSet::Network(_)));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        group.bench_function(format!("score, {threads} threads"), |b| {
            b.iter(|| pool.install(|| model.engine().score(black_box(&query), &key)));
        });
    }
    group.finish();
}

criterion_group!(benches, rotations, scores);
criterion_main!(benches);
