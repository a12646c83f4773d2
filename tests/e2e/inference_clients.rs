//! Clients of the Open Inference Protocol, Triton's and KServe's, and KServe's own classes for what
//! is deployed there.

use anyhow::{Context, Result};
use blindscore_tests::{Server, User, blindscore_server, python, servers, token};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;

/// Forms of requests and responses that the script tries, by client.
const FORMS: [&str; 8] = [
    "triton-binary",
    "triton-column",
    "triton-json",
    "triton-mixed",
    "triton-text",
    "triton-header",
    "kserve-json",
    "kserve-binary",
];
const QUERIES: usize = 3;

/// Runs a script with the packages of `tests/servers/requirements.txt`, and returns its output.
fn script(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(python("python"))
        .arg(servers().join(name))
        .args(arguments)
        .output()
        .expect("Python runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {words}");
    String::from_utf8(output.stdout).expect("a script prints text")
}

/// Returns the first example in a language in `docs/http.md`.
fn example(language: &str) -> Result<String> {
    let page = fs::read_to_string(repository().join("docs/http.md"))?;
    let (_, rest) = page
        .split_once(&format!("```{language}\n"))
        .context("http.md has an example")?;
    let (example, _) = rest.split_once("```").context("the example ends")?;
    Ok(example.to_owned())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn tritons_and_kserves_clients_score() -> Result<()> {
    let data = Arc::new(TempDir::new()?);
    let token = token(data.path(), "clinic")?;
    let server = Server::on(data, &[]);
    let user = User::enrolled(&server.api().with_token(&token));
    let blobs = TempDir::new()?;
    for shape in 0..QUERIES {
        fs::write(blobs.path().join(format!("{shape}.query")), user.query(shape))?;
    }
    let folder = blobs.path().to_string_lossy();
    let id = user.id().to_string();
    script(
        "open_inference.py",
        &[server.url(), &token, "mnist-linear", &id, &folder],
    );
    for form in FORMS {
        for shape in 0..QUERIES {
            let file = blobs.path().join(format!("{form}-{shape}.response"));
            user.check(shape, &fs::read(file)?);
        }
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    Ok(())
}

#[test]
fn the_example_in_the_documentation_scores() -> Result<()> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md"))?;
    let example = page
        .split_once("```python\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    let (example, _) = example.context("http.md has an example in Python")?;
    let server = Server::start();
    let user = User::enrolled(&server.api());
    let folder = TempDir::new()?;
    fs::write(folder.path().join("query.blob"), user.query(2))?;
    fs::write(folder.path().join("key.id"), user.id().to_string())?;
    let address = server.url().trim_start_matches("http://");
    let ended = Command::new(python("python"))
        .args(["-c", &example.replace("127.0.0.1:8080", address)])
        .current_dir(folder.path())
        .output()?;
    assert!(ended.status.success(), "{ended:?}");
    user.check(2, &fs::read(folder.path().join("response.blob"))?);
    Ok(())
}

#[test]
fn the_serving_runtime_is_what_kserve_reads_and_the_server_takes() -> Result<()> {
    let runtime = repository().join("deploy/kserve/cluster-serving-runtime.yaml");
    let folder = TempDir::new()?;
    let service = folder.path().join("service.yaml");
    fs::write(&service, example("yaml")?)?;
    let files = [&*runtime.to_string_lossy(), &*service.to_string_lossy()];
    let arguments = script("serving_runtime.py", &files);
    let printed = blindscore_server()
        .args(arguments.lines())
        .arg("--print-config")
        .output()?;
    assert!(printed.status.success(), "{printed:?}");
    let config = String::from_utf8(printed.stdout)?;
    for words in ["0.0.0.0:8080", "/mnt/models", "/etc/blindscore/tokens.json"] {
        assert!(config.contains(words), "{words}: {config}");
    }
    Ok(())
}
