//! `cargo xtask`: every task that takes more than one cargo command. Installs what is missing, and
//! says so.

mod browser;
mod command;
mod comments;
mod compare;
mod demo;
mod docs;
mod encode;
mod fleet;
mod fuzz;
mod image;
mod installed;
#[path = "../../tests/src/launch.rs"]
mod launch;
mod lighthouse;
mod lint;
mod mnist;
mod npm;
mod package;
mod paths;
mod programs;
mod python;
mod release;
mod server;
mod servers;
mod size;
mod targets;
mod test;
mod web;
mod wheel;
mod workspace;

use clap::Parser;

/// Build, try and test Blindscore.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Build everything and serve the demo page on a loopback address
    Demo(demo::DemoArgs),
    /// Run every test: Rust, server, npm package, browser
    Test,
    /// Measure a server under load, floods and failures
    Soak(servers::SoakArgs),
    /// Check manifests and monitoring, and put load on three servers behind nginx and HAProxy
    Fleet(fleet::FleetArgs),
    /// Look for inputs that break something
    Fuzz(fuzz::FuzzArgs),
    /// Check formatting and lints
    Lint,
    /// Build the npm package: target/npm/blindscore-VERSION.tgz
    Npm,
    /// Build the Python package with the server inside: target/wheels/blindscore-VERSION-*.whl
    Wheel,
    /// Pack the crates and the Python package as for registries, and build what was packed
    Package,
    /// Write the references: target/docs/npm, target/doc
    Docs,
    /// Build the demo page: web/dist
    Web,
    /// Build the server with the page inside: target/release/blindscore-server
    Server,
    /// Build the server's container image: target/image/blindscore-server-VERSION-ARCH.tar
    Image(image::ImageArgs),
    /// Make and check what a release consists of
    Release(release::ReleaseArgs),
    /// Measure the page with Lighthouse, in Chromium
    Lighthouse,
    /// Measure how long a record takes to encode and encrypt, in Chromium
    Encode,
    /// Fetch the MNIST images: target/mnist
    Mnist,
    /// Run the criterion benches
    Bench,
    /// Measure the same work with Blindscore, Concrete ML, TenSEAL and OpenFHE: docs/comparison.md
    Compare(compare::CompareArgs),
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(paths::root()?)?;
    match Xtask::parse() {
        Xtask::Demo(args) => demo::run(&args),
        Xtask::Test => test::run(),
        Xtask::Soak(args) => servers::soak(&args),
        Xtask::Fleet(args) => fleet::fleet(&args),
        Xtask::Fuzz(args) => fuzz::run(&args),
        Xtask::Lint => lint::run_all(),
        Xtask::Npm => npm::build(),
        Xtask::Wheel => wheel::build(),
        Xtask::Package => package::package(),
        Xtask::Docs => docs::build(),
        Xtask::Web => web::build(),
        Xtask::Server => web::build().and_then(|()| server::build()),
        Xtask::Image(args) => image::run(&args),
        Xtask::Release(args) => release::run(&args),
        Xtask::Lighthouse => lighthouse::measure(),
        Xtask::Encode => encode::measure(),
        Xtask::Mnist => mnist::fetch().map(drop),
        Xtask::Compare(args) => compare::run(&args),
        Xtask::Bench => command::cargo(
            "Running the benches",
            &["bench", "--package", "blindscore-benches"],
        ),
    }
}
