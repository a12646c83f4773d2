//! Compares parameter sets for `mnist-net`: time of a blind rotation, sizes, predicted noise, and
//! the effect of that noise on the model's answers (simulated: Gaussian noise on projections and
//! scores of the plain model).
//!
//! `cargo run --release -p blindscore-engine --example parameters -- target/mnist` prints a table;
//! the folder holds MNIST's test set.

use anyhow::Context;
use blindscore_engine::{
    model::{Model, Plain, Registry},
    network::{BootstrapKey, IntegerNetwork, ModSwitchedLwe, THRESHOLD_STEPS},
};
use blindscore_protocol::{
    noise::NetworkNoise,
    params::{KeptBits, NetworkParams, ParameterSetId, TUniformBound, security_floor_log2_std},
    random::{MaskStream, reproducible_stream},
    wire::NetworkEvaluationKey,
};
use std::{fs, path::Path, time::Instant};
use tfhe::core_crypto::prelude::{DecompositionBaseLog, GlweDimension, PolynomialSize};

const IMAGES: usize = 10_000;
/// Timed rotations, after as many for warm-up.
const BATCH: usize = 32;

/// `k_in` and `N_in` (`n = k_in N_in`), input noise, `k`, `N`, noise, log2 of the base, bits of the
/// key.
type Candidate = (usize, usize, u32, usize, usize, u32, usize, u32);

const CANDIDATES: [Candidate; 8] = [
    (11, 64, 50, 4, 512, 17, 23, 46),
    (11, 64, 50, 4, 512, 17, 22, 43),
    (10, 64, 52, 4, 512, 17, 23, 46),
    (10, 64, 52, 4, 512, 17, 22, 43),
    (12, 64, 49, 4, 512, 17, 23, 46),
    (11, 64, 50, 2, 1024, 17, 23, 46),
    (11, 64, 50, 2, 1024, 17, 22, 43),
    (11, 64, 50, 3, 512, 30, 17, 34),
];

fn params((k_in, n_in, input_noise, k, n, noise, base_log, key_bits): Candidate) -> NetworkParams {
    NetworkParams {
        id: ParameterSetId(u32::MAX),
        name: "candidate",
        input_glwe_dimension: GlweDimension(k_in),
        input_polynomial_size: PolynomialSize(n_in),
        input_noise: TUniformBound::new(input_noise),
        glwe_dimension: GlweDimension(k),
        polynomial_size: PolynomialSize(n),
        noise: TUniformBound::new(noise),
        base_log: DecompositionBaseLog(base_log),
        key_bits: KeptBits(key_bits),
        ..NetworkParams::N704_K4
    }
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::args()
        .nth(1)
        .context("give the folder with MNIST's test set")?;
    let registry = Registry::load(None)?;
    let model = registry
        .find("mnist-net")
        .ok()
        .context("mnist-net is not bundled")?;
    let Plain::Network { network, .. } = model.plain() else {
        anyhow::bail!("mnist-net is not a network")
    };
    let (images, labels) = mnist(Path::new(&folder), model)?;
    println!(
        "| n | k | N | base, key bits | bits above the curve | key | Fourier key | rotation | noise of p | noise of a logit | right | as without noise |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for candidate in CANDIDATES {
        let params = params(candidate);
        let noise = Noise::of(&params, network);
        let (right, agree) = simulate(network, &noise, &images, &labels);
        let share = |count: usize| 100.0 * count as f64 / images.len() as f64;
        let (seconds, memory) = measure(params);
        println!(
            "| {} | {} | {} | {}, {} | {:.2}, {:.2} | {:.2} MB | {:.1} MB | {:.2} ms | {:.4} | {:.2} | {:.2} % | {:.2} % |",
            params.input_lwe_dimension().0,
            params.glwe_dimension.0,
            params.polynomial_size.0,
            params.base_log.0,
            params.key_bits.0,
            margin(params.input_noise, params.input_lwe_dimension().0),
            margin(params.noise, params.output_lwe_dimension().0),
            NetworkEvaluationKey::blob_len(&params) as f64 / 1e6,
            memory as f64 / 1e6,
            seconds * 1e3,
            noise.projections.iter().copied().fold(0.0, f64::max),
            noise.logits.iter().copied().fold(0.0, f64::max),
            share(right),
            share(agree),
        );
    }
    Ok(())
}

/// Returns the bits by which a noise exceeds the 132-bit security curve. A negative margin rules
/// out a parameter set.
fn margin(noise: TUniformBound, dimension: usize) -> f64 {
    noise.std_dev().0.log2() - security_floor_log2_std(dimension)
}

/// Standard deviations of the noise.
struct Noise {
    /// Per projection, in units of `p`.
    projections: Vec<f64>,
    /// Per logit, from rotations, packing and the modulus switch.
    logits: Vec<f64>,
}

impl Noise {
    fn of(params: &NetworkParams, network: &IntegerNetwork) -> Self {
        let squares = |values: &[i64]| values.iter().map(|v| (v * v) as f64).sum::<f64>();
        let projections = network.projections.iter();
        let reads = |output: usize| {
            network
                .projections
                .iter()
                .map(|p| squares(&p.reads[output]))
                .sum::<f64>()
        };
        let unit = 2f64.powi(64) / network.amplitude();
        Self {
            projections: projections
                .map(|p| 4.0 * NetworkNoise::projection(params, squares(&p.weights)).sqrt())
                .collect(),
            logits: (0..network.biases.len())
                .map(|output| unit * NetworkNoise::score(params, reads(output)).sqrt())
                .collect(),
        }
    }
}

/// Generator of reproducible standard normal numbers.
struct Normal(MaskStream);

impl Normal {
    fn next(&mut self) -> f64 {
        let mut pair = [0; 2];
        self.0.fill(&mut pair);
        let [a, b] = pair.map(|x| (x >> 11) as f64 / 2f64.powi(53));
        (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// Counts the images classified correctly, and those classified as without noise.
fn simulate(network: &IntegerNetwork, noise: &Noise, images: &[Vec<i64>], labels: &[u8]) -> (usize, usize) {
    let mut normal = Normal(reproducible_stream([9; 16]));
    let (mut right, mut agree) = (0, 0);
    for (image, &label) in images.iter().zip(labels) {
        let mut noisy = network.biases.clone();
        for (logit, deviation) in noisy.iter_mut().zip(&noise.logits) {
            *logit += deviation * normal.next();
        }
        let mut clean = network.biases.clone();
        for (projection, deviation) in network.projections.iter().zip(&noise.projections) {
            let terms = image.iter().zip(&projection.weights);
            let p = (projection.bias + terms.map(|(x, w)| x * w).sum::<i64>()) as f64 / network.range;
            for (logits, p) in [(&mut clean, p), (&mut noisy, p + deviation * normal.next())] {
                for (read, &threshold) in projection.thresholds.iter().enumerate() {
                    let value = IntegerNetwork::activation(
                        projection.width,
                        p + threshold as f64 / THRESHOLD_STEPS as f64,
                    );
                    for (logit, reads) in logits.iter_mut().zip(&projection.reads) {
                        *logit += reads[read] as f64 * value;
                    }
                }
            }
        }
        right += usize::from(best(&noisy) == usize::from(label));
        agree += usize::from(best(&noisy) == best(&clean));
    }
    (right, agree)
}

fn best(logits: &[f64]) -> usize {
    let pairs = logits.iter().enumerate();
    pairs
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(index, _)| index)
}

/// Returns the seconds per rotation on one core, and the bytes of the key in memory. The content of
/// the dummy key does not affect the time.
fn measure(params: NetworkParams) -> (f64, usize) {
    let mut random = reproducible_stream([1; 16]);
    let key = BootstrapKey::new(params, |row| random.fill(row));
    let inputs: Vec<ModSwitchedLwe> = (0..BATCH)
        .map(|_| {
            let mut mask = vec![0; params.input_lwe_dimension().0];
            random.fill(&mut mask);
            let shift = u64::BITS - params.rotation_log2();
            ModSwitchedLwe {
                mask: mask.iter().map(|x| (x >> shift) as usize).collect(),
                body: 0,
            }
        })
        .collect();
    let test = vec![1 << 60; params.polynomial_size.0];
    let tests = vec![test.as_slice(); BATCH];
    key.rotate(&inputs, &tests);
    let start = Instant::now();
    key.rotate(&inputs, &tests);
    (
        start.elapsed().as_secs_f64() / BATCH as f64,
        BootstrapKey::memory_bytes(params),
    )
}

/// Reads the test images, as the model's input levels, and their labels.
fn mnist(folder: &Path, model: &Model) -> anyhow::Result<(Vec<Vec<i64>>, Vec<u8>)> {
    let read = |name: &str| {
        fs::read(folder.join(name)).with_context(|| format!("{} has no {name}", folder.display()))
    };
    let pixels = read("t10k-images-idx3-ubyte")?;
    let labels = read("t10k-labels-idx1-ubyte")?;
    let images = pixels
        .get(16..)
        .context("no images")?
        .chunks_exact(28 * 28)
        .take(IMAGES);
    let levels = images.map(|image| {
        let features: Vec<f64> = image.iter().map(|&pixel| f64::from(pixel) / 255.0).collect();
        let levels = model.descriptor().inputs.levels_of(&features);
        levels.into_iter().map(i64::from).collect()
    });
    Ok((levels.collect(), labels.get(8..).context("no labels")?.to_vec()))
}
