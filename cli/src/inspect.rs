//! `inspect`: shows a model's descriptor, parameters and predicted precision.

use crate::find::find;
use blindscore_engine::{
    Engine,
    model::{Model, Plain, PredictedError},
};
use blindscore_protocol::{
    descriptor::{Answer, Inputs, Link, ModelDescriptor, NormBound},
    params::ParameterSet,
};
use blindscore_remote::text::plain;
use clap::Args;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  blindscore inspect mnist-linear
  blindscore inspect models/mine.safetensors
  blindscore inspect mine --models-dir models --json";

/// Security level of the noise curve, in bits.
const SECURITY_BITS: u32 = 132;

/// Show what a model looks like to clients, its parameters, security and predicted precision
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// Name of a served model, or path of a model file
    model: String,

    /// Folder with models besides the bundled ones
    #[arg(long, env = "BLINDSCORE_MODELS_DIR", value_name = "DIR")]
    models_dir: Option<PathBuf>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Prints the report on a model.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let model = find(&args.model, args.models_dir.as_deref())?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", as_json(&model))?;
    } else {
        write_descriptor(&mut out, model.descriptor())?;
        write_parameters(&mut out, &model.parameters())?;
        write_predictions(&mut out, &model)?;
    }
    Ok(())
}

fn write_descriptor(out: &mut impl Write, descriptor: &ModelDescriptor) -> io::Result<()> {
    let Inputs {
        count,
        min,
        max,
        levels,
        features,
        norm,
        image,
        encoding,
    } = &descriptor.inputs;
    let labels: Vec<_> = descriptor
        .outputs
        .iter()
        .map(|output| output.label.as_str())
        .collect();
    let link = descriptor.link.name();
    writeln!(out, "{}: {}", descriptor.name, plain(&descriptor.title))?;
    row(out, "id", descriptor.id)?;
    row(
        out,
        "inputs",
        format!(
            "{count}, from {min} to {max}{}, rounded to {levels} levels",
            if features.is_some() {
                " (each in its own range)"
            } else {
                ""
            }
        ),
    )?;
    if let Some(encoding) = encoding {
        let (columns, steps) = (encoding.columns.len(), encoding.steps.len());
        row(
            out,
            "records",
            format!("{columns} columns, made into these inputs by {steps} public steps"),
        )?;
    }
    if let Some(NormBound { centre, max }) = norm {
        let bound = format!("{max:.4} from position {centre} of the ranges, in widths of the ranges");
        row(out, "distance", bound)?;
    }
    if let Some(image) = image {
        row(
            out,
            "image",
            format!(
                "{} x {} pixels, row by row{}",
                image.width,
                image.height,
                if image.deskew {
                    ", deskewed by the client"
                } else {
                    ""
                }
            ),
        )?;
    }
    row(
        out,
        "outputs",
        format!("{}, {link}: {}", labels.len(), labels.join(" ")),
    )?;
    match (descriptor.link, descriptor.classes.as_deref()) {
        (Link::Mean, Some(classes)) => {
            let mean = format!(
                "{}, by the mean of {} models",
                classes.join(", "),
                descriptor.members.len()
            );
            row(out, "classes", mean)?;
        }
        (Link::OneVsOne | Link::Votes, Some(classes)) => {
            row(
                out,
                "classes",
                format!("{}, by votes of their pairs", classes.join(", ")),
            )?;
        }
        (_, Some([negative, positive])) => row(
            out,
            "classes",
            format!("{positive} if the score is positive, else {negative}"),
        )?,
        _ => {}
    }
    if let Some(accuracy) = descriptor.accuracy {
        row(out, "accuracy", format!("{:.2} %", 100.0 * accuracy))?;
    }
    writeln!(out, "\nOn the wire, in bytes")?;
    row(out, "public key", descriptor.sizes.public_key)?;
    row(out, "query", descriptor.sizes.query)?;
    row(out, "response", descriptor.sizes.response)
}

fn write_parameters(out: &mut impl Write, set: &ParameterSet) -> io::Result<()> {
    writeln!(
        out,
        "\nParameter set {} (number {}), q = 2^64, binary secrets",
        set.name(),
        set.id()
    )?;
    for encryption in set.encryptions() {
        let (noise, floor) = (encryption.std_dev().log2(), encryption.floor_log2_std());
        let (k, n) = (encryption.glwe_dimension.0, encryption.polynomial_size.0);
        row(out, encryption.what, format!("k = {k}, N = {n}"))?;
        let (bound, bits) = (encryption.noise.log2(), encryption.bits.0);
        let sent = format!("TUniform({bound}), bodies of {bits} bits: standard deviation 2^{noise:.2}");
        row(out, "", sent)?;
        let security = format!(
            "{SECURITY_BITS} bits of security need 2^{floor:.2} at dimension {}; the noise is {:.2} bits above that",
            encryption.dimension(),
            noise - floor
        );
        row(out, "", security)?;
    }
    let bits = set.response_format().bits.0;
    row(out, "response", format!("{bits} bits a coefficient"))?;
    if let ParameterSet::Linear(params) = set {
        let log2_std = params.flooding.std_dev().0.log2();
        row(
            out,
            "flooding",
            format!(
                "TUniform({}), standard deviation 2^{log2_std:.2}",
                params.flooding.log2()
            ),
        )?;
    }
    Ok(())
}

fn write_predictions(out: &mut impl Write, model: &Model) -> io::Result<()> {
    let predicted = match model.plain() {
        Plain::Linear { predicted, .. } => predicted,
        Plain::Forest {
            forest,
            margin,
            wrong,
        } => {
            writeln!(out, "\nTrees")?;
            row(out, "trees", forest.trees().len())?;
            row(out, "leaves", forest.leaves())?;
            if let Engine::Forest(engine) = model.engine() {
                row(out, "blind rotations", engine.rotations())?;
            }
            row(
                out,
                "decisions",
                format!(
                    "at least {margin:.1} deviations from their noise: a wrong leaf in one of {:.0e} rows",
                    1.0 / wrong
                ),
            )?;
            let error = model.descriptor().score_error;
            return row(
                out,
                "score error",
                format!("{error:.2e}, from rotations and response"),
            );
        }
        Plain::Layers { network, answer, .. } => {
            writeln!(out, "\nNetwork of several layers")?;
            let last = network.units.last().map_or(0, |unit| unit.layer);
            row(out, "layers of units", last + 1)?;
            row(out, "units", network.units.len())?;
            if let Engine::Layers(engine) = model.engine() {
                row(out, "blind rotations", engine.rotations())?;
            }
            return match answer {
                Answer::Scores => row(
                    out,
                    "score error",
                    format!(
                        "{:.2e}, from rotations and response",
                        model.descriptor().score_error
                    ),
                ),
                Answer::Label => row(
                    out,
                    "answer",
                    "only the label: a bit for each class, and noise that drowns all else",
                ),
            };
        }
        Plain::Network { network, .. } => {
            writeln!(out, "\nNetwork")?;
            row(out, "projections", network.projections.len())?;
            let reads = network
                .projections
                .iter()
                .map(|projection| projection.thresholds.len())
                .sum::<usize>();
            row(out, "reads", reads)?;
            return row(
                out,
                "score error",
                format!(
                    "{:.2e}, from rotations and response",
                    model.descriptor().score_error
                ),
            );
        }
    };
    writeln!(
        out,
        "\nPredicted error of a score (standard deviations, in the score's units)"
    )?;
    writeln!(
        out,
        "  {:<16}{:>24}{:>12}{:>12}{:>12}{:>18}",
        "output", "range", "noise", "rounding", "total", "flooding margin"
    )?;
    for (output, predicted) in model.descriptor().outputs.iter().zip(predicted) {
        let range = format!("{:.2} +- {:.2}", output.offset, output.half_range);
        writeln!(
            out,
            "  {:<16}{range:>24}{:>12.2e}{:>12.2e}{:>12.2e}{:>13.1} bits",
            plain(&output.label),
            predicted.noise_std,
            predicted.rounding_std,
            predicted.std_dev(),
            predicted.noise.flooding_margin().bits()
        )?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "  {name:<26}{}", plain(&value.to_string()))
}

fn as_json(model: &Model) -> Value {
    let encryptions = model.parameters().encryptions();
    let encryptions = encryptions.iter().map(|encryption| {
        json!({
            "what": encryption.what,
            "dimension": encryption.dimension(),
            "noise_log2_std": encryption.std_dev().log2(),
            "floor_log2_std": encryption.floor_log2_std(),
            "security_bits": SECURITY_BITS,
        })
    });
    let encryptions: Vec<_> = encryptions.collect();
    let outputs: Vec<_> = match model.plain() {
        Plain::Linear { predicted, .. } => {
            let outputs = model.descriptor().outputs.iter().zip(predicted);
            outputs
                .map(|(output, predicted)| prediction(&output.label, predicted))
                .collect()
        }
        Plain::Network { .. } | Plain::Forest { .. } | Plain::Layers { .. } => Vec::new(),
    };
    json!({
        "descriptor": model.descriptor(),
        "parameters": { "id": model.parameters().id().0, "name": model.parameters().name(), "encryptions": encryptions },
        "predicted": outputs,
    })
}

fn prediction(label: &str, predicted: &PredictedError) -> Value {
    let margin = predicted.noise.flooding_margin();
    json!({
        "label": label,
        "std_dev": predicted.std_dev(),
        "noise_std": predicted.noise_std,
        "rounding_std": predicted.rounding_std,
        "flooding_margin_bits": { "rerandomisation": margin.rerandomisation, "query": margin.query },
    })
}
