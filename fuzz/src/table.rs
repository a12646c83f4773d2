//! CSV tables, as read by `import`; the client has the same rules for columns.

use crate::samples::usual;
use blindscore_client::Encoder;
use blindscore_import::{Calibration, Expected, TableOptions, Wanted};
use blindscore_protocol::columns::{find_delimiter, number, utf16};
use std::{fs, path::PathBuf, sync::LazyLock};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Feature names, as in the first seed.
const NAMES: [&str; 4] = [
    "sepal_length_cm",
    "sepal_width_cm",
    "petal_length_cm",
    "petal_width_cm",
];

/// Writes the bytes to a file and returns its path.
pub(crate) fn file(data: &[u8]) -> PathBuf {
    let path = FOLDER.path().join("input");
    fs::write(&path, data).expect("a file can be written");
    path
}

pub(crate) fn run(data: &[u8]) {
    let path = file(data);
    let options = TableOptions::default();
    let names = NAMES.map(str::to_owned);
    for (count, names) in [(4, Some(&names[..])), (3, None), (1, None)] {
        let encoder = match names {
            Some(names) => Encoder::plain(names.iter().cloned().map(Some)),
            None => Encoder::plain(vec![None; count]),
        };
        let wanted = Wanted {
            encoder: &encoder,
            unused: &[],
        };
        if let Ok(table) = Calibration::read(&path, wanted, &options) {
            let rows = table.rows();
            assert!(rows.iter().all(|row| row.len() == count), "a row for each line");
            assert!(rows.iter().flatten().all(|value| value.is_finite()));
        }
    }
    let _ = Expected::read(&path, usual().descriptor());
    let _ = utf16(data);
    if let Ok(text) = str::from_utf8(data) {
        for line in text.lines().take(8) {
            let _ = find_delimiter(line, Some(3));
            for cell in line.split(',') {
                let _ = number(cell);
            }
        }
    }
}
