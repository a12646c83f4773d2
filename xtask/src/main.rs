//! `cargo xtask`: everything that is more than one cargo command. Installs what is missing, and says so.

mod browser;
mod command;
mod demo;
mod docs;
mod mnist;
mod npm;
mod paths;
mod server;
mod size;
mod test;
mod web;

use clap::Parser;

/// Build, try and test Blindscore.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Build everything and serve the demo page on a loopback address
    Demo(demo::DemoArgs),
    /// Run every test: Rust, server, npm package, browser
    Test,
    /// Check formatting and lints
    Lint,
    /// Build the npm package: target/npm/blindscore-VERSION.tgz
    Npm,
    /// Write the references: target/docs/npm, target/doc
    Docs,
    /// Build the demo page: web/dist
    Web,
    /// Fetch the MNIST images: target/mnist
    Mnist,
    /// Run the criterion benches
    Bench,
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(paths::root()?)?;
    match Xtask::parse() {
        Xtask::Demo(args) => demo::run(&args),
        Xtask::Test => test::run(),
        Xtask::Lint => test::lint(),
        Xtask::Npm => npm::build(),
        Xtask::Docs => docs::build(),
        Xtask::Web => web::build(),
        Xtask::Mnist => mnist::fetch().map(drop),
        Xtask::Bench => command::cargo(
            "Running the benches",
            &["bench", "--package", "blindscore-server"],
        ),
    }
}
