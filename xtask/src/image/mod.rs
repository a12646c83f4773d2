//! `image`: the server's container image, and its test.

mod builder;
mod files;
mod program;
mod running;
mod test;

use crate::{
    command::{output, say},
    paths,
};
use anyhow::ensure;
use builder::Builder;
use clap::Args;
use program::Arch;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the image, which `deploy/` has too.
const NAME: &str = concat!("ghcr.io/blindscore/blindscore-server:", env!("CARGO_PKG_VERSION"));
/// The user that the server runs as, and its group.
const USER: u32 = 65532;
/// Largest size of the image in bytes, a requirement of the product.
const MOST: u64 = 40_000_000;

#[derive(Args)]
pub(crate) struct ImageArgs {
    /// Architecture that the image is for; this machine's if not given
    #[arg(long, value_enum)]
    arch: Option<Arch>,

    /// Start the image with buildah, as root, and score against it with the program `blindscore`,
    /// or the one that BLINDSCORE_PROGRAM names
    #[arg(long)]
    test: bool,

    /// Only write the files of the image into this folder, which must not exist: for the Dockerfile
    #[arg(long, value_name = "DIR", conflicts_with = "test")]
    files: Option<PathBuf>,
}

/// Builds the image, and tests it if that was asked for.
pub(crate) fn run(args: &ImageArgs) -> anyhow::Result<()> {
    let host = Arch::host()?;
    let arch = args.arch.unwrap_or(host);
    if let Some(folder) = &args.files {
        ensure!(!folder.exists(), "{} exists already", folder.display());
        return files::write(folder, &program::build(arch)?);
    }
    ensure!(
        !args.test || arch == host,
        "--test runs the image, and this machine can't run programs for {}",
        arch.name()
    );
    let builder = if args.test {
        Builder::Buildah(builder::Buildah::find()?)
    } else {
        Builder::find()?
    };
    build(&builder, arch)?;
    match builder {
        Builder::Buildah(buildah) if args.test => test::test(&buildah, None),
        _ => Ok(()),
    }
}

/// An image that was built here.
pub(crate) struct Image {
    /// The file that `docker load` takes.
    pub(crate) archive: PathBuf,
    /// The server inside.
    pub(crate) program: PathBuf,
    /// Name of its architecture in images.
    pub(crate) arch: &'static str,
    /// Rust's target for it.
    pub(crate) target: String,
}

/// Fails with an explanation if this machine can't build and start the image.
pub(crate) fn check_tools() -> anyhow::Result<()> {
    program::tools(Arch::host()?)?;
    builder::Buildah::find()?;
    ensure!(output("id", &["-u"])? == "0", "only root can start the image");
    Ok(())
}

/// Builds the image for this machine with buildah, starts it, and scores against it with the
/// program `blindscore`, which is built if there is none.
pub(crate) fn build_and_test(client: Option<&Path>) -> anyhow::Result<Image> {
    let buildah = builder::Buildah::find()?;
    let builder = Builder::Buildah(buildah.clone());
    let image = build(&builder, Arch::host()?)?;
    test::test(&buildah, client)?;
    Ok(image)
}

/// Builds the programs, the files and the image, and checks its size.
fn build(builder: &Builder, arch: Arch) -> anyhow::Result<Image> {
    let program = program::build(arch)?;
    let out = folder()?;
    let files = out.join(format!("files-{}", arch.name()));
    if files.exists() {
        fs::remove_dir_all(&files)?;
    }
    files::write(&files, &program)?;
    let archive = out.join(format!(
        "blindscore-server-{}-{}.tar",
        env!("CARGO_PKG_VERSION"),
        arch.name()
    ));
    let id = builder.build(arch, &files, &archive)?;
    let bytes = fs::metadata(&archive)?.len();
    say(&format!("{NAME} for {} is built", arch.name()));
    eprintln!("    id     {id}");
    eprintln!("    size   {bytes} bytes, at most {MOST}");
    eprintln!("    saved  {} (docker load --input)", archive.display());
    ensure!(
        bytes <= MOST,
        "the image has {bytes} bytes, and may have {MOST} at most"
    );
    Ok(Image {
        archive,
        program,
        arch: arch.name(),
        target: arch.target(),
    })
}

/// Returns the folder of what is built here.
fn folder() -> anyhow::Result<PathBuf> {
    Ok(paths::target()?.join("image"))
}
