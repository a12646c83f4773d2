//! Tests of reading tables.

use super::*;
use crate::args::{Cli, Command, PredictArgs};
use clap::Parser;
use proptest::prelude::*;
use std::{fs, path::Path};
use tempfile::TempDir;

fn inputs() -> Inputs {
    Inputs::uniform(2, 0.0, 10.0, 11)
}

fn args(csv: &Path, more: &[&str]) -> PredictArgs {
    let csv = csv.to_string_lossy();
    let first = [
        "blindscore",
        "predict",
        "--url",
        "http://localhost",
        "--model",
        "m",
    ];
    let files = ["--out", "o", "--csv", &*csv];
    match Cli::parse_from(first.iter().chain(&files).chain(more)).command {
        Command::Predict(args) => args,
        _ => panic!("not predict"),
    }
}

fn file(content: impl AsRef<[u8]>) -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.csv");
    fs::write(&path, content).unwrap();
    (dir, path)
}

fn rows(content: impl AsRef<[u8]>, more: &[&str]) -> anyhow::Result<Vec<Row>> {
    let (_dir, path) = file(content);
    let (args, inputs) = (args(&path, more), inputs());
    let survey = Survey::of(args.file(), &inputs, args.strict)?;
    let rows = Table::open(args.file(), &inputs)?.next_rows(1000)?;
    assert_eq!(rows.len() as u64, survey.rows);
    let refused = rows.iter().filter(|row| row.features.is_err()).count();
    assert_eq!(refused as u64, survey.refused);
    Ok(rows)
}

fn refusal(content: impl AsRef<[u8]>, more: &[&str]) -> String {
    format!("{:#}", rows(content, more).unwrap_err())
}

#[test]
fn rows_in_order() {
    let expected = |id: Option<&str>| {
        let row = |number, features| Row {
            number,
            beside: id.map(|id| format!("{id}{number}")).into_iter().collect(),
            features: Ok(features),
        };
        vec![row(1, vec![1.0, 2.5]), row(2, vec![0.0, 10.0])]
    };
    for same in [
        "a,b\n1,2.5\n0,10\n",
        "\u{feff}a,b\r\n 1 , 2.5\r\n\r\n0e0,\"1e1\"",
        "a;b\n1;2.5\n0;10\n",
        "\na\tb\n1\t2.5\n0\t10\n",
        "0,1\n1,2.5\n0,10",
        "1,2.5\n0,10\n",
    ] {
        assert_eq!(rows(same, &[]).unwrap(), expected(None), "{same:?}");
    }
    for (header, content) in [("no", "1,2.5\n0,10\n"), ("yes", "2019,2020\n1,2.5\n0,10\n")] {
        assert_eq!(
            rows(content, &["--header", header]).unwrap(),
            expected(None),
            "{header}"
        );
    }
    assert_eq!(rows("1,2.5\n0,10\n", &["--no-header"]).unwrap(), expected(None));
    let decimal = rows("1,5;2\n0;1\n", &["--delimiter", ";", "--no-header"]).unwrap();
    assert!(decimal[0].features.is_err() && decimal[1].features.is_ok());
    let more = "x,a,who,b,y\n?,1,r1,2.5,\n?,0,r2,10,\n";
    assert_eq!(
        rows(more, &["--id", "who", "--ignore", "x,y"]).unwrap(),
        expected(Some("r"))
    );
    let numbered = "r1,1,x,2.5\nr2,0,x,10\n";
    assert_eq!(
        rows(numbered, &["--header", "no", "--id", "1", "--ignore", "3"]).unwrap(),
        expected(Some("r"))
    );
}

const BAD: &[u8] =
    b"who,a,b\nr1,1,2\nr2,x,11\nr3,3,\nr4,4,NaN\nr5,-0.1,\"1,5\"\nr6,1\n\xff,1,2\nr8,11,1\nr9,9,9\n";

#[test]
fn rows_that_cannot_be_scored_say_why_and_spare_the_others() {
    let rows = rows(BAD, &["--id", "who"]).unwrap();
    let said: Vec<Option<String>> = rows
        .iter()
        .map(|row| row.features.as_ref().err().map(Refusal::to_string))
        .collect();
    let words = [
        None,
        Some(r#"column "a": "x" is not a number; column "b": 11 is outside 0 to 10"#),
        Some(r#"column "b": is empty"#),
        Some(r#"column "b": "NaN" is not a number"#),
        Some(
            r#"column "a": -0.1 is outside 0 to 10; column "b": "1,5" is not a number: write 1.5 with a decimal point"#,
        ),
        Some("has 2 cells, where the first line has 3"),
        Some(NOT_UTF8),
        Some(r#"column "a": 11 is outside 0 to 10"#),
        None,
    ];
    assert_eq!(said, words.map(|words| words.map(str::to_owned)));
    let ids: Vec<&str> = rows
        .iter()
        .flat_map(|row| &row.beside)
        .map(String::as_str)
        .collect();
    assert_eq!(ids, ["r1", "r2", "r3", "r4", "r5", "r6", "\u{fffd}", "r8", "r9"]);
}

#[test]
fn strictly_every_bad_cell_is_listed() {
    let found = refusal(BAD, &["--id", "who", "--strict"]);
    for line in [
        r#"row 2, column "a": "x" is not a number"#,
        r#"row 2, column "b": 11 is outside 0 to 10"#,
        r#"row 3, column "b": is empty"#,
        "row 6: has 2 cells",
        "row 7: is not in UTF-8",
    ] {
        assert!(found.contains(line), "{line} is not in {found}");
    }
    assert!(!found.contains("row 1,"), "{found}");
    let many = refusal(format!("a,b\n1,1\n{}", "x,y\n".repeat(60)), &["--strict"]);
    assert!(
        many.contains("row 51, column \"b\"") && many.ends_with("and 20 more"),
        "{many}"
    );
}

#[test]
fn what_is_no_table_of_features_is_refused() {
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, more, words) in [
        (&b""[..], &[][..], "there are no rows"),
        (b"", &["--no-header"], "there are no rows"),
        (b"a,b\n", &[], "has no rows"),
        (
            b"a,b,c\n1,2,3\n",
            &[],
            "takes 2 features, without names, the header has 3 columns for them: \"a\", \"b\", \"c\"; --ignore",
        ),
        (b"a\n1\n", &[], "the header has 1 columns"),
        (b"a|b\n1|2\n", &[], "columns are separated by ',', ';' or tabs"),
        (b"a,a\n1,2\n", &[], "two columns named \"a\""),
        (b"1,2,3\n3,4,5\n", &[], "--header yes"),
        (b"1,2,3\n3,4,5\n", &[], "--no-header is short"),
        (b"2019,2020\n3,4\n", &[], "may be years"),
        (b"1,5;2,5;3\n", &[], "--delimiter"),
        (
            b"1,2,3\n",
            &["--no-header"],
            "takes 2 features, the first line has 3 columns for them; --ignore 1",
        ),
        (
            b"1,2,3\n",
            &["--no-header", "--ignore", "4"],
            "no other column number \"4\"",
        ),
        (b"a,b\n1,2\n", &["--id", "c"], "no other column named \"c\""),
        (
            b"a,b,c\n1,2,3\n",
            &["--id", "c", "--ignore", "c"],
            "no other column named \"c\"",
        ),
        (
            b"a,b\nx,2\n11,y\n",
            &[],
            "no row has a number for each feature, so nothing was sent:\n  row 1, column \"a\"",
        ),
        (&utf16, &[], "in UTF-16: save it as CSV in UTF-8"),
        (b"\xe9,b\n1,2\n", &[], "not in UTF-8"),
    ] {
        let found = refusal(content, more);
        assert!(found.contains(words), "{content:?} {more:?}: {found}");
    }
    let missing = Survey::of(args(Path::new("/nothing/here.csv"), &[]).file(), &inputs(), false);
    assert!(format!("{:#}", missing.unwrap_err()).contains("/nothing/here.csv"));
    let folder = tempfile::tempdir().unwrap();
    let folder = Survey::of(args(folder.path(), &[]).file(), &inputs(), false);
    assert!(format!("{:#}", folder.unwrap_err()).contains("not a regular file"));
}

proptest! {
    /// Any file gives rows that can be encrypted, or an error.
    #[test]
    fn any_bytes_are_rows_or_an_error(content: Vec<u8>, no_header: bool) {
        let (_dir, path) = file(content);
        let more: &[&str] = if no_header { &["--no-header"] } else { &[] };
        let (args, inputs) = (args(&path, more), inputs());
        if let Ok(survey) = Survey::of(args.file(), &inputs, false) {
            let rows = Table::open(args.file(), &inputs).unwrap().next_rows(usize::MAX).unwrap();
            prop_assert_eq!(rows.len() as u64, survey.rows);
            for row in rows {
                match row.features {
                    Ok(features) => prop_assert!(check_features(&inputs, &features).is_ok()),
                    Err(refusal) => prop_assert!(!refusal.to_string().is_empty()),
                }
            }
        }
    }
}
