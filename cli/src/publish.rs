//! `blindscore publish` and `unpublish`: an operator's models on a server.

use crate::{args::ConnectionArgs, screen::Screen};
use anyhow::{Context, anyhow, ensure};
use blindscore_engine::{
    files,
    model::{MOST_FILE, Model, ModelError},
};
use blindscore_protocol::name::{ModelAddress, ModelName};
use blindscore_remote::{Api, ServerUrl};
use clap::Args;
use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

const PUBLISH: &str = "\
Examples:
  Publish a model; the server makes it the next version of its name:
    export BLINDSCORE_TOKEN=bsk_...
    blindscore import churn.onnx --name churn --calibrate train.csv --models-dir models
    blindscore publish models/churn@1.safetensors --url https://scores.example

  As a version that you choose:
    blindscore publish models/churn@7.safetensors --version 7 --url https://scores.example

The server needs a place for models (`blindscore-server serve --models` or --models-dir), and you
need an operator's token, which `blindscore-server token create TENANT --operator` makes. The model is
checked on this machine and on the server before it is stored, and is served when the command ends;
other servers with the same place of models serve it some seconds later. Publishing the newest
version's file again changes nothing. Publishing never replaces a version with another model.";

const UNPUBLISH: &str = "\
Examples:
  Remove one version. If it is the newest, the one before it takes its place:
    blindscore unpublish churn@2 --url https://scores.example

  Remove the model with all its versions:
    blindscore unpublish churn --all --url https://scores.example";

/// Publish a model file on a server, with an operator's token
#[derive(Args)]
#[command(after_help = PUBLISH)]
pub(crate) struct PublishArgs {
    /// Model file, as `blindscore import` writes it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Version to publish the model as; the next one if not given
    #[arg(long, value_name = "N")]
    version: Option<NonZeroU32>,

    #[command(flatten)]
    server: OperatorArgs,
}

/// Remove a model from a server, with an operator's token
#[derive(Args)]
#[command(after_help = UNPUBLISH)]
pub(crate) struct UnpublishArgs {
    /// Version to remove, as in churn@2; or the name of a model, with --all
    #[arg(value_name = "MODEL")]
    model: ModelAddress,

    /// Remove all versions
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    server: OperatorArgs,
}

/// Server and token of an operator.
#[derive(Args)]
struct OperatorArgs {
    /// Address of the server
    #[arg(long, env = "BLINDSCORE_URL", value_name = "URL", value_parser = str::parse::<ServerUrl>)]
    url: ServerUrl,

    /// Operator's token; prefer the variable, which other users of the machine can't see
    #[arg(long, env = "BLINDSCORE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl OperatorArgs {
    fn api(&self) -> anyhow::Result<Api> {
        let connection = self.connection.to(&self.url, self.token.as_deref());
        Ok(Api::new(connection, Arc::new(Screen::default()))?)
    }
}

/// Runs `blindscore publish`.
pub(crate) fn publish(args: &PublishArgs) -> anyhow::Result<()> {
    let shown = args.file.display();
    let content = files::read(&args.file, MOST_FILE).with_context(|| format!("can't read {shown}"))?;
    let model = Model::from_safetensors(&content).map_err(|error| {
        let hint = match error {
            ModelError::Safetensors(_) => "; `blindscore import` converts other tools' files to model files",
            _ => "",
        };
        anyhow!("{shown} can't be served: {error}{hint}")
    })?;
    let name: ModelName = model.descriptor().name.parse()?;
    let address = ModelAddress {
        name,
        version: args.version.map(NonZeroU32::get),
    };
    let published = args.server.api()?.publish(&address, &content).map_err(|error| {
        let hint = match error.status {
            Some(405) => "; this server may be too old to accept published models",
            Some(413) => "; a proxy in front of the server may limit the size of uploads",
            _ => "",
        };
        anyhow!("{error}{hint}")
    })?;
    ensure!(
        published.id == model.descriptor().id,
        "the server says that it has published another model, {}",
        published.id
    );
    println!("published: {}@{}", address.name, published.version);
    println!("model id: {}", model.descriptor().pin());
    Ok(())
}

/// Runs `blindscore unpublish`.
pub(crate) fn unpublish(args: &UnpublishArgs) -> anyhow::Result<()> {
    let model = &args.model;
    ensure!(
        args.all == model.version.is_none(),
        "name a version, as in {}@1, or pass --all to remove every version of {}",
        model.name,
        model.name
    );
    ensure!(
        args.server.api()?.unpublish(model)?,
        "the server has no model {model}"
    );
    println!("removed: {model}");
    Ok(())
}
