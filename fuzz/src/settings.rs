//! A server's settings: tokens, counts of queries, and the configuration.

use crate::{program, table::file};
use blindscore_protocol::params::ParameterSet;
use blindscore_server::{
    objects::StoreOption,
    tenants::{TenantName, TokenFile, are_shared_counts},
};
use std::{fs, net::TcpListener, sync::LazyLock};
use tempfile::TempDir;

pub(crate) fn tokens(data: &[u8]) {
    let _ = TokenFile::at(&file(data)).read();
    if let Ok(text) = str::from_utf8(data) {
        let _ = text.parse::<TenantName>();
        let _ = text.parse::<StoreOption>();
        let _ = ParameterSet::by_name(text);
    }
}

/// Runs the server with `--print-config`, which ends at once.
pub(crate) fn config(data: &[u8]) {
    let path = file(data);
    let ended = program::run(
        "blindscore-server",
        &["serve", "--config", &path.to_string_lossy(), "--print-config"],
    );
    let fine = matches!(ended.code, Some(0..=2));
    assert!(
        fine && (ended.code == Some(0)) == ended.complaint.is_empty(),
        "{}",
        ended.complaint
    );
}

/// A data directory and a port in use: the server ends once it has read its files.
static TAKEN: LazyLock<(TempDir, TcpListener)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    (folder, listener)
});

pub(crate) fn prepare_counts() {
    LazyLock::force(&TAKEN);
}

pub(crate) fn counts(data: &[u8]) {
    let (folder, listener) = &*TAKEN;
    fs::write(folder.path().join("query-counts.json"), data).expect("a file can be written");
    let address = listener.local_addr().expect("an address").to_string();
    let directory = folder.path().to_string_lossy();
    let budget = ["--tenant-daily-queries", "100"];
    let common = ["serve", "--bind", &address, "--data-dir", &directory];
    let ended = program::run("blindscore-server", &[&common[..], &budget].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.complaint);
}

/// Another server's object, where counts are shared.
pub(crate) fn shared(data: &[u8]) {
    are_shared_counts(data);
}
