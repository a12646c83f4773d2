use crate::model::{Model, PredictedError, Registry, load_file};
use anyhow::anyhow;
use blindscore_protocol::{
    descriptor::{Inputs, Link, ModelDescriptor},
    params::{LinearParams, security_floor_log2_std},
};
use clap::Args;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

const EXAMPLES: &str = "\
Examples:
  blindscore-server inspect mnist-linear
  blindscore-server inspect models/mine.safetensors
  blindscore-server inspect mine --models-dir models --json";

/// Bits of security that the noise curve stands for.
const SECURITY_BITS: u32 = 132;

/// Show what a model looks like to clients, its parameters, security and predicted precision
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    /// Name of a served model, or a model file
    model: String,

    /// Where models besides the bundled ones are looked up
    #[arg(long, env = "BLINDSCORE_MODELS_DIR", value_name = "DIR")]
    models_dir: Option<PathBuf>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Prints the report.
pub(super) fn run(args: InspectArgs) -> anyhow::Result<()> {
    let model = find(&args)?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", as_json(&model))?;
    } else {
        write_descriptor(&mut out, model.descriptor())?;
        write_parameters(&mut out, &model.params())?;
        write_predictions(&mut out, &model)?;
    }
    Ok(())
}

fn find(args: &InspectArgs) -> anyhow::Result<Arc<Model>> {
    let path = Path::new(&args.model);
    if path.is_file() {
        return Ok(Arc::new(load_file(path)?));
    }
    let registry = Registry::load(args.models_dir.as_deref())?;
    registry.get(&args.model).cloned().ok_or_else(|| {
        let names: Vec<_> = registry
            .iter()
            .map(|model| model.descriptor().name.as_str())
            .collect();
        anyhow!(
            "{:?} is neither a file nor one of the models {}",
            args.model,
            names.join(", ")
        )
    })
}

fn write_descriptor(out: &mut impl Write, descriptor: &ModelDescriptor) -> io::Result<()> {
    let Inputs {
        count,
        min,
        max,
        levels,
        image,
    } = &descriptor.inputs;
    let labels: Vec<_> = descriptor
        .outputs
        .iter()
        .map(|output| output.label.as_str())
        .collect();
    let link = match descriptor.link {
        Link::Softmax => "softmax",
        Link::Sigmoid => "sigmoid",
        Link::Identity => "identity",
    };
    writeln!(out, "{}: {}", descriptor.name, descriptor.title)?;
    row(out, "id", descriptor.id)?;
    row(
        out,
        "inputs",
        format!("{count}, from {min} to {max}, rounded to {levels} levels"),
    )?;
    if let Some(image) = image {
        row(
            out,
            "image",
            format!("{} x {} pixels, row by row", image.width, image.height),
        )?;
    }
    row(
        out,
        "outputs",
        format!("{}, {link}: {}", labels.len(), labels.join(" ")),
    )?;
    if let Some(accuracy) = descriptor.accuracy {
        row(out, "accuracy", format!("{:.2} %", 100.0 * accuracy))?;
    }
    writeln!(out, "\nOn the wire, in bytes")?;
    row(out, "public key", descriptor.sizes.public_key)?;
    row(out, "query", descriptor.sizes.query)?;
    row(out, "response", descriptor.sizes.response)
}

fn write_parameters(out: &mut impl Write, params: &LinearParams) -> io::Result<()> {
    let (noise, floor) = noise_and_floor(params);
    writeln!(out, "\nParameter set {} (number {})", params.name, params.id)?;
    row(
        out,
        "ring",
        format!(
            "k = {}, N = {}, q = 2^64, binary secret",
            params.glwe_dimension.0,
            params.n()
        ),
    )?;
    row(
        out,
        "noise",
        format!("TUniform({}), standard deviation 2^{noise:.2}", params.noise.0),
    )?;
    row(
        out,
        "security",
        format!(
            "{SECURITY_BITS} bits need 2^{floor:.2} at dimension {}; the noise is {:.2} bits above",
            params.secret_dimension(),
            noise - floor
        ),
    )?;
    row(
        out,
        "bits kept",
        format!(
            "query {}, encryption of zero {}, automorphism key {}, response {}",
            params.query_bits.0, params.zero_bits.0, params.automorphism_bits.0, params.response_bits.0
        ),
    )?;
    row(
        out,
        "flooding",
        format!(
            "TUniform({}), standard deviation 2^{:.2}",
            params.flooding.0,
            params.flooding.std_dev().0.log2()
        ),
    )
}

fn write_predictions(out: &mut impl Write, model: &Model) -> io::Result<()> {
    writeln!(
        out,
        "\nPredicted error of a score (standard deviations, in the score's units)"
    )?;
    writeln!(
        out,
        "  {:<16}{:>24}{:>12}{:>12}{:>12}{:>18}",
        "output", "range", "noise", "rounding", "total", "flooding margin"
    )?;
    for (output, predicted) in model.descriptor().outputs.iter().zip(model.predicted()) {
        let range = format!("{:.2} +- {:.2}", output.offset, output.half_range);
        writeln!(
            out,
            "  {:<16}{range:>24}{:>12.2e}{:>12.2e}{:>12.2e}{:>13.1} bits",
            output.label,
            predicted.noise_std,
            predicted.rounding_std,
            predicted.std_dev(),
            predicted.noise.flooding_margin().bits()
        )?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "  {name:<12}{value}")
}

/// Base-2 logarithms of the noise's standard deviation and of the least that is secure.
fn noise_and_floor(params: &LinearParams) -> (f64, f64) {
    (
        params.noise.std_dev().0.log2(),
        security_floor_log2_std(params.secret_dimension()),
    )
}

fn as_json(model: &Model) -> Value {
    let params = model.params();
    let (noise, floor) = noise_and_floor(&params);
    let outputs: Vec<_> = model
        .descriptor()
        .outputs
        .iter()
        .zip(model.predicted())
        .map(|(output, predicted)| prediction(&output.label, predicted))
        .collect();
    json!({
        "descriptor": model.descriptor(),
        "parameters": {
            "id": params.id.0,
            "name": params.name,
            "glwe_dimension": params.glwe_dimension.0,
            "polynomial_size": params.n(),
            "noise_log2_std": noise,
            "flooding_log2_std": params.flooding.std_dev().0.log2(),
            "query_bits": params.query_bits.0,
            "zero_bits": params.zero_bits.0,
            "automorphism_bits": params.automorphism_bits.0,
            "response_bits": params.response_bits.0,
        },
        "security": { "bits": SECURITY_BITS, "floor_log2_std": floor, "bits_above_floor": noise - floor },
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
