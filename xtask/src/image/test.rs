//! `image --test`: the image starts, scores and stops as it does where it is deployed.

use super::{NAME, USER, builder::Buildah, folder, running::Running};
use crate::{
    command::{cargo, run, say},
    launch::without_options,
    paths,
};
use anyhow::{Context, ensure};
use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

const MODEL: &str = "mnist-linear";
/// Most seconds until the server listens, a requirement of the product.
const SECONDS: f64 = 1.0;

/// Starts the image, checks what it promises, and stops it.
pub(super) fn test(buildah: &Buildah) -> anyhow::Result<()> {
    let client = client()?;
    say("Starting the image with a root file system that is read-only");
    let mut server = Running::start(buildah, NAME)?;
    // More is no failure: it depends on what else this machine does.
    eprintln!(
        "    listens after {:.2} s, which includes buildah's own start; {SECONDS:.1} s is the limit \
         on a quiet machine",
        server.took.as_secs_f64()
    );
    confined(&server)?;
    ensure!(server.healthy(NAME)?, "the health check fails");
    page(&server.address)?;
    score(&client, &format!("http://{}", server.address))?;
    say("Stopping the image");
    server.stop()?;
    ensure!(
        TcpStream::connect(&server.address).is_err(),
        "something still listens"
    );
    say("The image starts, scores and stops");
    Ok(())
}

/// Returns the program `blindscore`, which is built unless a variable names one.
fn client() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("BLINDSCORE_PROGRAM") {
        return Ok(path.into());
    }
    cargo(
        "Building the program blindscore",
        &["build", "--release", "--package", "blindscore-cli"],
    )?;
    paths::program()
}

/// Checks that the server isn't root, has no capabilities, and can't write to its file system.
fn confined(server: &Running) -> anyhow::Result<()> {
    let status = server.process("status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|values| values.split_whitespace().collect::<Vec<_>>())
            .with_context(|| format!("no {name} in the status of the process"))
    };
    let user = USER.to_string();
    for name in ["Uid:", "Gid:"] {
        let ids = field(name)?;
        ensure!(
            ids == [user.as_str(); 4],
            "the server runs with {name} {ids:?}, not {USER}"
        );
    }
    let effective = field("CapEff:")?;
    ensure!(
        effective.iter().all(|set| set.bytes().all(|digit| digit == b'0')),
        "the server has capabilities: {effective:?}"
    );
    // Fifth and sixth: where it is mounted, and how.
    let mounts = server.process("mountinfo")?;
    let root = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(4);
        (fields.next() == Some("/")).then(|| fields.next().unwrap_or_default().to_owned())
    });
    let options = root.context("the container has no root file system")?;
    ensure!(
        options.split(',').any(|option| option == "ro"),
        "the root file system is mounted {options}"
    );
    Ok(())
}

/// Checks that the page is inside.
fn page(address: &str) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer for the page")?;
    ensure!(
        head.starts_with("HTTP/1.1 200 ") && body.contains("<title>"),
        "the page is not served: {head}"
    );
    Ok(())
}

/// Makes a key, and has drawings of a zero and a one scored.
fn score(client: &Path, url: &str) -> anyhow::Result<()> {
    let home = folder()?.join("client");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    let [csv, key, scores] = ["drawings.csv", "key", "scores.csv"].map(|name| home.join(name));
    fs::write(&csv, drawings())?;
    let program = |command: &str| {
        let mut program = without_options(Command::new(client));
        program
            .args([command, "--url", url, "--model", MODEL, "--key"])
            .arg(&key)
            .env("XDG_CACHE_HOME", &home);
        program
    };
    run("Making a key", &mut program("keygen"))?;
    run(
        "Scoring",
        program("predict")
            .args(["--no-header", "--csv"])
            .arg(&csv)
            .arg("--out")
            .arg(&scores),
    )?;
    let scores = fs::read_to_string(&scores)?;
    let labels: Vec<_> = scores
        .lines()
        .map(|line| line.split(',').nth(1).unwrap_or_default())
        .collect();
    ensure!(
        labels == ["label", "0", "1"],
        "the drawings of 0 and 1 were scored as {scores}"
    );
    Ok(())
}

/// Returns a ring and a stroke as rows of 28 x 28 pixels.
fn drawings() -> String {
    let ring = |x: i32, y: i32| (36..=85).contains(&((y - 14).pow(2) + 8 * (x - 14).pow(2) / 5));
    let stroke = |x: i32, y: i32| (13..=14).contains(&x) && (4..24).contains(&y);
    let row = |inside: &dyn Fn(i32, i32) -> bool| {
        let pixels = (0..784).map(|place| if inside(place % 28, place / 28) { "1" } else { "0" });
        pixels.collect::<Vec<_>>().join(",")
    };
    format!("{}\n{}\n", row(&ring), row(&stroke))
}
