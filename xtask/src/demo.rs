//! `demo`: builds and serves the demo page.

use crate::{
    command::{self, say},
    paths, server, web,
};
use clap::Args;
use std::process::Command;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Address to serve at
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: String,
}

/// Builds everything that is missing and serves the page.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    web::build()?;
    server::build()?;
    say(&format!(
        "Open http://{} and draw a digit; Ctrl-C ends the demo",
        args.bind
    ));
    command::run(
        "Serving",
        Command::new(paths::server()?)
            .args(["serve", "--bind", &args.bind])
            .arg("--data-dir")
            .arg(paths::target()?.join("demo-data")),
    )
}
