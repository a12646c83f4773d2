//! The programs for this machine's platform: a tarball of them, and one of their debug info.

use super::{
    Release, VERSION,
    archive::{self, Entry},
    bom::{self, Build, Linked, Subject},
    empty,
    page::{CLIENT, WEB},
    scratch,
};
use crate::{
    command::{output, run, say},
    installed, paths,
    server::{PAGE, PROGRAMS, Running, build_with_cli_and},
    web,
};
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the programs are in the tarball and in cargo's folder.
const NAMES: [&str; 2] = ["blindscore", "blindscore-server"];
/// Files of the repository that come with them.
const FILES: [&str; 5] = [
    "server/blindscore.example.toml",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "NOTICE",
    "README.md",
];
/// Whether debug info can be put into files of its own here. On macOS, it stays where the compiler
/// put it.
const APART: bool = cfg!(target_os = "linux");

/// The programs as they are released.
#[derive(Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    /// Rust's name of the platform.
    pub(super) target: String,
}

impl Programs {
    /// Builds the page and the programs, and puts their debug info apart.
    pub(super) fn build() -> anyhow::Result<Self> {
        web::build()?;
        // Lines of sources for backtraces and profiles, which cost no speed.
        build_with_cli_and(&[
            "--locked",
            "--config",
            "profile.release.debug=\"line-tables-only\"",
        ])?;
        let folder = paths::target()?.join("release-programs");
        empty(&folder)?;
        for (name, built) in NAMES.iter().zip([paths::program()?, paths::server()?]) {
            let program = folder.join(name);
            fs::copy(&built, &program).with_context(|| format!("copying {}", built.display()))?;
            if APART {
                put_debug_info_apart(&folder, name)?;
            }
        }
        Ok(Self {
            folder,
            target: host()?,
        })
    }

    /// Returns the path of the program `blindscore`.
    pub(super) fn client(&self) -> PathBuf {
        self.folder.join(NAMES[0])
    }

    /// Returns the path of the server.
    pub(super) fn server(&self) -> PathBuf {
        self.folder.join(NAMES[1])
    }

    /// Starts the server, for clients of other languages.
    pub(super) fn start(&self, scratch: &Path) -> anyhow::Result<Running> {
        Running::start_program(&self.server(), &scratch.join("data"))
    }

    /// Returns the files that name the crates in the programs.
    pub(super) fn linked(&self) -> Linked {
        let debug = NAMES.map(debug_name);
        let names = NAMES.iter().copied();
        let apart = debug.iter().map(String::as_str).filter(|_| APART);
        Linked(names.chain(apart).map(|name| self.folder.join(name)).collect())
    }
}

/// Fails with an explanation if this machine can't put debug info apart.
pub(super) fn check_tools() -> anyhow::Result<()> {
    if APART {
        output("objcopy", &["--version"]).context("objcopy is needed: apt-get install binutils")?;
    }
    Ok(())
}

fn debug_name(program: &str) -> String {
    format!("{program}.debug")
}

/// Moves the debug info of a program into a file beside it, whose name and checksum the program
/// keeps.
fn put_debug_info_apart(folder: &Path, name: &str) -> anyhow::Result<()> {
    check_tools()?;
    let debug = debug_name(name);
    let link = format!("--add-gnu-debuglink={debug}");
    for arguments in [
        ["--only-keep-debug", name, debug.as_str()],
        ["--strip-debug", link.as_str(), name],
    ] {
        let mut objcopy = Command::new("objcopy");
        run(
            &format!("Putting the debug info of {name} apart"),
            objcopy.current_dir(folder).args(arguments),
        )?;
    }
    Ok(())
}

/// Returns Rust's name of this machine's platform.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(rustc, &["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc doesn't say what its host is")?.to_owned())
}

/// Packs the programs, and checks what was packed.
pub(super) fn make(release: &mut Release) -> anyhow::Result<()> {
    let programs = release.programs()?;
    let name = format!("blindscore-{VERSION}-{}", programs.target);
    say("Packing the programs");
    let root = paths::root()?;
    let sources: Vec<PathBuf> = FILES.iter().map(|file| root.join(file)).collect();
    let mut entries = Vec::new();
    for source in &sources {
        entries.push(entry(source, false)?);
    }
    let [client, server] = [programs.client(), programs.server()];
    entries.extend([entry(&client, true)?, entry(&server, true)?]);
    let tarball = release.folder.join(format!("{name}.tar.gz"));
    archive::pack(&tarball, &name, entries, release.time)?;
    if APART {
        let debug = NAMES.map(|name| programs.folder.join(debug_name(name)));
        let entries: Vec<Entry> = debug
            .iter()
            .map(|file| entry(file, false))
            .collect::<Result<_, _>>()?;
        let name = format!("{name}-debug");
        let tarball = release.folder.join(format!("{name}.tar.gz"));
        archive::pack(&tarball, &name, entries, release.time)?;
    }
    bom::write(
        &release.folder.join(format!("{name}.cdx.json")),
        &Subject {
            kind: "application",
            name: "blindscore",
            version: VERSION,
            purl: format!("pkg:github/blindscore/blindscore@v{VERSION}"),
        },
        &[
            Build {
                packages: &PROGRAMS,
                features: &[PAGE],
                target: &programs.target,
            },
            CLIENT,
        ],
        &[WEB],
        &programs.linked(),
        release.time,
    )?;
    check(&tarball, &name)
}

fn entry(source: &Path, runs: bool) -> anyhow::Result<Entry<'_>> {
    let name = source.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} has no name", source.display()))?;
    Ok(Entry { name, source, runs })
}

/// Unpacks the tarball, starts what is inside, and scores.
fn check(tarball: &Path, name: &str) -> anyhow::Result<()> {
    let scratch = scratch("programs")?;
    run(
        "Unpacking the programs",
        Command::new("tar")
            .arg("xzf")
            .arg(tarball)
            .arg("-C")
            .arg(&scratch),
    )?;
    let folder = scratch.join(name);
    for name in NAMES {
        let said = output(folder.join(name), &["--version"])?;
        ensure!(
            said == format!("{name} {VERSION}"),
            "{name} --version says {said:?}, and should say {VERSION}"
        );
    }
    let [client, server] = NAMES.map(|name| folder.join(name));
    run(
        "Reading the example of a configuration",
        crate::launch::without_options(Command::new(&server))
            .current_dir(&folder)
            .args(["serve", "--config", "blindscore.example.toml", "--print-config"])
            .stdout(std::process::Stdio::null()),
    )?;
    let running = Running::start_program(&server, &scratch.join("data"))?;
    let address = running.url.strip_prefix("http://").unwrap_or(&running.url);
    installed::serves_the_page(address)?;
    installed::scores(&client, &running.url, &scratch)
}
