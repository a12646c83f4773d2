//! Evaluation on MNIST's test images.

use super::{
    EvalArgs,
    meter::{Measured, Meter},
};
use crate::{find::find, screen::Screen};
use anyhow::{Context, bail, ensure};
use blindscore_client::Scores;
use blindscore_engine::model::Model;
use blindscore_protocol::descriptor::Task;
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Report printed by `--json`.
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
    /// Images that got no label, which happens where the scores of three classes are nearly equal.
    without_label: usize,
    #[serde(flatten)]
    measured: Measured,
}

/// Measures a model on the images.
pub(super) fn run(args: &EvalArgs) -> anyhow::Result<()> {
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
        "model {} takes {} features, and MNIST's images have {PIXELS} pixels; --csv and --label give rows of your own",
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
    let correct = |decisions: &[Option<usize>]| {
        let pairs = decisions.iter().zip(labels);
        pairs
            .filter(|(decision, label)| **decision == Some(usize::from(**label)))
            .count()
    };
    let decisions: Vec<_> = plain
        .iter()
        .map(|scores| Scores::new(model.descriptor(), scores.clone()).index())
        .collect();
    let encrypted = if args.plain {
        None
    } else {
        let (measured, guesses) = encrypted(model, images, &plain, args.json)?;
        Some(Encrypted {
            correct_encrypted: correct(&guesses),
            agree: guesses.iter().zip(&decisions).filter(|(a, b)| a == b).count(),
            without_label: guesses.iter().filter(|guess| guess.is_none()).count(),
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
) -> anyhow::Result<(Measured, Vec<Option<usize>>)> {
    let mut meter = Meter::new(model)?;
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        Screen::default().bar("scoring", images.len() as u64)
    };
    let mut guesses = Vec::with_capacity(images.len());
    for (image, plain) in images.iter().zip(plain) {
        guesses.push(meter.answer(image, plain)?.index());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((meter.measured(), guesses))
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
        if e.without_label > 0 {
            println!("without a label     {}", share(e.without_label));
        }
        e.measured.print();
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
