//! Flags, environment and file: precedence, refusals and `--print-config`.

use anyhow::Result;
use blindscore_tests::{Server, blindscore_server};
use std::{collections::BTreeSet, fs, process::Output};
use tempfile::TempDir;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/blindscore.example.toml");

/// Runs `serve --print-config` with these variables and arguments.
fn print_config(variables: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
    let mut serve = blindscore_server();
    serve.args(["serve", "--print-config"]).args(arguments);
    serve.envs(variables.iter().copied());
    Ok(serve.output()?)
}

fn shown(variables: &[(&str, &str)], arguments: &[&str]) -> Result<String> {
    let output = print_config(variables, arguments)?;
    assert!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn refused(variables: &[(&str, &str)], arguments: &[&str]) -> Result<String> {
    let output = print_config(variables, arguments)?;
    assert!(!output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

fn file(folder: &TempDir, text: &str) -> Result<String> {
    let path = folder.path().join("blindscore.toml");
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() -> Result<()> {
    let folder = TempDir::new()?;
    let path = file(
        &folder,
        "queue = 100\nworkers = 3\nkey-ttl-days = 5\nlog = \"warn\"\n",
    )?;
    let variables = [("BLINDSCORE_QUEUE", "200"), ("BLINDSCORE_WORKERS", "4")];
    let text = shown(&variables, &["--config", &path, "--queue", "300"])?;
    for line in [
        "queue = 300 # flag".to_owned(),
        "workers = 4 # environment".to_owned(),
        format!("key-ttl-days = 5 # {path}"),
        format!("log = \"warn\" # {path}"),
        "log-format = \"text\" # default".to_owned(),
        "# models-dir is not set".to_owned(),
    ] {
        assert!(
            text.lines().any(|shown| shown == line),
            "{line} is missing in\n{text}"
        );
    }
    // The environment may name the file too.
    assert!(shown(&[("BLINDSCORE_CONFIG", &path)], &[])?.contains("queue = 100 "));
    Ok(())
}

#[test]
fn what_is_shown_can_be_loaded() -> Result<()> {
    let folder = TempDir::new()?;
    let text = shown(&[], &["--queue", "300", "--log", "info,actix_server=error"])?;
    let path = file(&folder, &text)?;
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split(" # ").next().unwrap_or_default().to_owned());
        lines.collect()
    };
    assert_eq!(values(&shown(&[], &["--config", &path])?), values(&text));
    Ok(())
}

#[test]
fn secrets_are_not_shown() -> Result<()> {
    let url = "s3://user:hunter2@bucket/counts?key=hunter3";
    let text = shown(
        &[],
        &[
            "--store",
            url,
            "--share",
            url,
            "--tokens",
            url,
            "--store-options",
            "aws_secret_access_key=hunter4",
        ],
    )?;
    assert!(!text.contains("hunter"), "{text}");
    assert_eq!(text.matches("@bucket/counts").count(), 3, "{text}");
    Ok(())
}

#[test]
fn unknown_names_and_bad_values_are_refused_with_their_place() -> Result<()> {
    let folder = TempDir::new()?;
    for (text, words) in [
        ("ques = 100", "there is no option \"ques\""),
        ("print-config = true", "there is no option \"print-config\""),
        ("queue = 63", "63 is not in 64..=1000000"),
        ("queue = \"many\"", "invalid value 'many'"),
        ("queue = 1.5", "invalid value '1.5'"),
        ("queue = 2026-01-01", "a datetime can't be the value"),
        ("[queue]\nlen = 1", "a table can't be the value"),
        ("queue = ", "is not TOML"),
    ] {
        let path = file(&folder, text)?;
        let error = refused(&[], &["--config", &path])?;
        assert!(error.contains(words) && error.contains(&path), "{text}: {error}");
    }
    let error = refused(&[("BLINDSCORE_QUES", "100")], &[])?;
    assert!(error.contains("BLINDSCORE_QUES"), "{error}");
    let error = refused(&[("BLINDSCORE_QUEUE", "63")], &[])?;
    assert!(error.contains("63 is not in"), "{error}");
    let error = refused(&[], &["--config", "/nowhere/blindscore.toml"])?;
    assert!(error.contains("/nowhere/blindscore.toml"), "{error}");
    Ok(())
}

/// Returns the example's options, uncommented, and the names of those that it marks as not set or
/// dependent on the machine.
fn example() -> Result<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(EXAMPLE)?;
    let mut options = String::new();
    let mut without_default = BTreeSet::new();
    let mut comment = String::new();
    for line in text.lines() {
        if let Some(option) = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            options += &format!("{option}\n");
            if comment.ends_with(".)") {
                without_default.extend(option.split(" = ").next().map(str::to_owned));
            }
            assert!(!comment.is_empty(), "{option} has no comment");
            comment.clear();
        } else if let Some(words) = line.strip_prefix("# ") {
            comment = words.to_owned();
        }
    }
    Ok((options, without_default))
}

#[test]
fn the_example_loads_lists_every_option_and_tells_the_defaults() -> Result<()> {
    assert!(shown(&[], &["--config", EXAMPLE])?.contains("# default"));

    let (options, without_default) = example()?;
    let folder = TempDir::new()?;
    let path = file(&folder, &options)?;
    let defaults = shown(&[], &[])?;
    let uncommented = shown(&[], &["--config", &path])?;
    for (default, example) in defaults.lines().zip(uncommented.lines()) {
        let name = example.split(" = ").next().unwrap_or_default();
        assert!(
            example.ends_with(&format!("# {path}")),
            "the example lacks an option: {example}"
        );
        if without_default.contains(name) {
            continue;
        }
        assert_eq!(example.replace(&path, "default"), default);
    }
    Ok(())
}

#[test]
fn a_server_runs_by_its_file() -> Result<()> {
    let folder = TempDir::new()?;
    let path = file(&folder, "log-format = \"json\"\n")?;
    let server = Server::start_with(&["--config", &path]);
    server.api().get("/healthz").expect_status(200);
    let log = server.log();
    let line = log.lines().next().unwrap_or_default();
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{log}");
    Ok(())
}
