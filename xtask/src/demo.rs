use crate::{
    command::{self, cargo, say},
    paths, web,
};
use clap::Args;
use std::process::Command;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Address to serve at
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: String,
}

/// Builds everything that is missing and serves it.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    web::build()?;
    cargo(
        "Building the server",
        &["build", "--release", "--package", "blindscore-server"],
    )?;
    let root = paths::root()?;
    say(&format!(
        "Open http://{} and draw a digit; Ctrl-C ends the demo",
        args.bind
    ));
    command::run(
        "Serving",
        Command::new(paths::server()?)
            .args(["serve", "--bind", &args.bind])
            .arg("--web-dir")
            .arg(root.join("web").join("dist"))
            .arg("--data-dir")
            .arg(paths::target()?.join("demo-data")),
    )
}
