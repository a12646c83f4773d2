//! CSV tables, as read and scored by `blindscore predict`.

use crate::{program, samples::usual, server, table::file};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Scores the table on the server at `url`. Returns the exit code if the program ended by itself.
pub(crate) fn predict(csv: &Path, url: &str) -> Option<i32> {
    let beside = |name: &str| -> PathBuf { csv.with_file_name(name) };
    let (key, out) = (beside("key"), beside("scores.csv"));
    fs::write(&key, usual().key.to_bytes()).expect("a file can be written");
    let [csv, key, out] = [csv, &key, &out].map(|path| path.to_string_lossy());
    let ended = program::run(
        "blindscore",
        &[
            "predict",
            "--url",
            url,
            "--token",
            &server::server().token,
            "--model",
            "toy",
            "--key",
            &key,
            "--csv",
            &csv,
            "--out",
            &out,
        ],
    );
    let fine = matches!(ended.code, None | Some(0 | 1 | 3));
    assert!(fine, "exit code {:?}: {}", ended.code, ended.complaint);
    assert!(
        ended.code != Some(1) || !ended.complaint.is_empty(),
        "it failed without a word"
    );
    ended.code
}

pub(crate) fn run(data: &[u8]) {
    predict(&file(data), &format!("http://{}", server::server().address));
}
