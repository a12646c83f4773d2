//! What has to work wherever Blindscore was just installed: the server has the page, and clients
//! have drawings scored. The same drawings and answers for every kind of client.

use crate::{command::run, launch::without_options};
use anyhow::{Context, ensure};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

/// A linear model and a network, with keys of different kinds.
const MODELS: [&str; 2] = ["mnist-linear", "mnist-net"];
/// What [`drawings`] show.
const LABELS: [&str; 2] = ["0", "1"];

/// Checks that a server has the page inside.
pub(crate) fn serves_the_page(address: &str) -> anyhow::Result<()> {
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

/// For each model, makes a key with the program `blindscore`, uploads it, and has the drawings
/// scored. Files go into a folder below `scratch`.
pub(crate) fn scores(client: &Path, url: &str, scratch: &Path) -> anyhow::Result<()> {
    let home = scratch.join("client");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    let csv = write_drawings(&home)?;
    for model in MODELS {
        let [key, out] = ["key", "csv"].map(|extension| home.join(format!("{model}.{extension}")));
        let program = |command: &str| {
            let mut program = without_options(Command::new(client));
            program
                .args([command, "--url", url, "--model", model, "--key"])
                .arg(&key)
                .env("XDG_CACHE_HOME", &home);
            program
        };
        run(&format!("Making a key for {model}"), &mut program("keygen"))?;
        run("Uploading its public half", &mut program("upload-keys"))?;
        run(
            "Scoring",
            program("predict")
                .args(["--no-header", "--csv"])
                .arg(&csv)
                .arg("--out")
                .arg(&out),
        )?;
        let table = fs::read_to_string(&out)?;
        let mut labels = table
            .lines()
            .map(|line| line.split(',').nth(1).unwrap_or_default());
        ensure!(
            labels.next() == Some("label") && labels.eq(LABELS),
            "{model} should have answered {LABELS:?}, and answered {table}"
        );
    }
    Ok(())
}

/// Runs a program that has the drawings scored in another language, and compares what it prints: a
/// line for each model, with its name and the labels. The program gets the drawings and the models'
/// names as its last arguments.
pub(crate) fn prints_scores(what: &str, command: &mut Command, scratch: &Path) -> anyhow::Result<()> {
    crate::command::say(what);
    let drawings = write_drawings(scratch)?;
    let output = command
        .arg(drawings)
        .args(MODELS)
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("can't start {:?}", command.get_program()))?;
    ensure!(
        output.status.success(),
        "{what} failed: {command:?} ended with {}",
        output.status
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    let expected = MODELS
        .map(|model| format!("{model} {}\n", LABELS.join(" ")))
        .concat();
    ensure!(
        printed == expected,
        "{what}: it should have printed\n{expected}and printed\n{printed}"
    );
    Ok(())
}

/// Writes the drawings as CSV without a header, and returns the file.
fn write_drawings(folder: &Path) -> anyhow::Result<PathBuf> {
    let csv = folder.join("drawings.csv");
    fs::write(&csv, drawings())?;
    Ok(csv)
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
