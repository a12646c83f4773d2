//! `release`: makes what a release consists of, and checks each part as its users install it. The
//! workflow that releases, `.github/workflows/release.yml`, runs the same steps on every platform.

mod archive;
mod bom;
mod image;
mod npm;
mod page;
mod programs;
mod python;
mod signature;
mod sums;
mod version;

use crate::{
    command::{check_node, output, say},
    paths,
    python::check_python,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use programs::Programs;
use signature::Sigstore;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};
use version::VERSION;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ReleaseArgs {
    /// Make every part for this machine's platform into target/dist, check each as its users
    /// install it, sign with keys that are thrown away, and publish nothing
    #[arg(long)]
    dry_run: bool,

    /// Leave a part out of the dry run
    #[arg(long, value_enum, value_name = "PART", requires = "dry_run")]
    without: Vec<Part>,

    #[command(subcommand)]
    step: Option<Step>,
}

/// A step of the workflow that releases.
#[derive(Subcommand)]
enum Step {
    /// Check that all files name the same version, and that a tag names it
    Version {
        /// Tag, such as v0.1.0
        tag: Option<String>,
    },
    /// Make and check parts of the release: target/dist
    Make {
        #[arg(value_enum, required = true)]
        parts: Vec<Part>,
    },
    /// Write SHA256SUMS of the files in a folder, sign it as the workflow that runs this, and
    /// verify that
    Sign { folder: PathBuf },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tarballs with `blindscore` and `blindscore-server`, and with their debug info
    Programs,
    /// The Python package, with the server inside
    Wheel,
    /// The sources of the Python package
    Sdist,
    /// The npm package
    Npm,
    /// The server's container image
    Image,
}

/// Runs a step, or all of them.
pub(crate) fn run(args: &ReleaseArgs) -> anyhow::Result<()> {
    match &args.step {
        Some(Step::Version { tag }) => version::check(tag.as_deref()),
        Some(Step::Make { parts }) => Release::new()?.make(parts),
        Some(Step::Sign { folder }) => sign(folder),
        None if args.dry_run => dry_run(&args.without),
        None => bail!(
            "releases are made by .github/workflows/release.yml from a tag, as docs/releasing.md says; \
             cargo xtask release --dry-run makes and checks all of one here"
        ),
    }
}

/// Makes and checks everything that this machine can, and shows that changed files are noticed.
fn dry_run(without: &[Part]) -> anyhow::Result<()> {
    let started = Instant::now();
    say("Checking the versions");
    version::check(None)?;
    let parts: Vec<Part> = Part::value_variants()
        .iter()
        .copied()
        .filter(|part| !without.contains(part))
        .collect();
    if parts.is_empty() {
        bail!("nothing is left to make");
    }
    prerequisites(&parts)?;
    let mut release = Release::new()?;
    empty(&release.folder)?;
    release.make(&parts)?;
    let sigstore = Sigstore::private()?;
    sums::write(&release.folder)?;
    sigstore.sign(&release.folder)?;
    sigstore.verify(&release.folder)?;
    sigstore.refuses_changes(&release.folder)?;
    say(&format!(
        "A release of {VERSION} would have these files: {}",
        release.folder.display()
    ));
    for file in sums::files(&release.folder)? {
        let bytes = fs::metadata(release.folder.join(&file))?.len();
        eprintln!("    {bytes:>12}  {file}");
    }
    for part in without {
        let name = part.to_possible_value().context("a part has no name")?;
        eprintln!("    left out, neither made nor checked: {}", name.get_name());
    }
    eprintln!(
        "    took {} s; nothing was published",
        started.elapsed().as_secs()
    );
    Ok(())
}

/// Fails with an explanation if a program is missing that some part will need.
fn prerequisites(parts: &[Part]) -> anyhow::Result<()> {
    check_node()?;
    check_python()?;
    if parts.contains(&Part::Image) {
        crate::image::check_tools()
            .context("the image can't be made and checked here; --without image leaves it out")?;
    }
    if parts.iter().any(|part| *part != Part::Image) {
        programs::check_tools()?;
    }
    Ok(())
}

/// Writes and signs the sums as the workflow does.
fn sign(folder: &Path) -> anyhow::Result<()> {
    let sigstore = Sigstore::public()?;
    sums::write(folder)?;
    sigstore.sign(folder)?;
    sigstore.verify(folder)
}

/// A release in the making.
struct Release {
    /// Where its files are put.
    folder: PathBuf,
    /// Time of the commit in seconds since 1970.
    time: u64,
    /// The programs, once they are built.
    programs: Option<Programs>,
}

impl Release {
    fn new() -> anyhow::Result<Self> {
        let folder = paths::target()?.join("dist");
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            time: time()?,
            programs: None,
        })
    }

    fn make(&mut self, parts: &[Part]) -> anyhow::Result<()> {
        for part in parts {
            match part {
                Part::Programs => programs::make(self)?,
                Part::Wheel => python::make_wheel(self)?,
                Part::Sdist => python::make_sdist(self)?,
                Part::Npm => npm::make(self)?,
                Part::Image => image::make(self)?,
            }
        }
        Ok(())
    }

    /// Returns the programs, which are built if they weren't yet.
    fn programs(&mut self) -> anyhow::Result<Programs> {
        if let Some(programs) = &self.programs {
            return Ok(programs.clone());
        }
        let programs = Programs::build()?;
        self.programs = Some(programs.clone());
        Ok(programs)
    }

    /// Copies a file of the release to the others, and returns its name.
    fn keep(&self, file: &Path) -> anyhow::Result<String> {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name", file.display()))?;
        fs::copy(file, self.folder.join(name)).with_context(|| format!("copying {}", file.display()))?;
        Ok(name.to_owned())
    }
}

/// Returns the time that files of the release have: `SOURCE_DATE_EPOCH`, or else the commit's.
fn time() -> anyhow::Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => output("git", &["log", "-1", "--format=%ct"])
            .context("the commit's time is needed: release from a clone, or set SOURCE_DATE_EPOCH")?,
    };
    text.parse()
        .with_context(|| format!("a time in seconds since 1970 is needed, and this is {text:?}"))
}

/// Creates an empty folder for the check of a part.
fn scratch(name: &str) -> anyhow::Result<PathBuf> {
    let folder = paths::target()?.join("release-checks").join(name);
    empty(&folder)?;
    Ok(folder)
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}
