//! The running server against its own OpenAPI description, tested by schemathesis.

use blindscore_tests::{Server, operator_token, python, servers};
use std::{process::Command, sync::Arc};
use tempfile::TempDir;

/// Requests per operation and phase; more of them find more.
const EXAMPLES: &str = "40";

#[test]
fn the_server_does_what_its_description_says() {
    let data = Arc::new(TempDir::new().expect("a temporary directory"));
    let token = operator_token(data.path()).expect("a token");
    let models = tempfile::tempdir().expect("a temporary directory");
    let server = Server::on(data, &["--models-dir", &models.path().to_string_lossy()]);
    for path in ["/openapi.json", "/swagger.json"] {
        let schemathesis = Command::new(python("schemathesis"))
            .current_dir(tempfile::tempdir().expect("a temporary directory").path())
            .arg("--config-file")
            .arg(servers().join("schemathesis.toml"))
            .args(["run", &format!("{}{path}", server.url()), "--seed", "1"])
            .args(["--max-examples", EXAMPLES])
            .args(["--header", &format!("Authorization: Bearer {}", token)])
            .output()
            .expect("schemathesis runs");
        let words = String::from_utf8_lossy(&schemathesis.stdout);
        assert!(
            schemathesis.status.success(),
            "{words}\n{}",
            String::from_utf8_lossy(&schemathesis.stderr)
        );
        assert!(
            words.contains("Operations:       22 selected / 22 total"),
            "{words}"
        );
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
