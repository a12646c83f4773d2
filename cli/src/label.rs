//! Labels made safe for spreadsheets.

use blindscore_protocol::columns::number;
use blindscore_remote::text::plain;

/// Returns a label for a cell of a CSV file: plain, and never a formula to spreadsheets, which take
/// text with certain first characters for one. Numbers may start with these, and stay as they are.
pub(crate) fn cell(label: &str) -> String {
    let plain = plain(label);
    let starts = plain
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if starts && number(&plain).is_none() {
        return format!("'{plain}");
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_formula() {
        for (label, cell_of_it) in [
            ("=HYPERLINK(\"http://a\")", "'=HYPERLINK(\"http://a\")"),
            ("+a", "'+a"),
            ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
            ("@SUM(1)", "'@SUM(1)"),
            (" =1", "' =1"),
            ("＝1", "'＝1"),
            ("\t=1", "\\u{9}=1"),
            ("-1", "-1"),
            ("+1", "+1"),
            ("-1e3", "-1e3"),
            ("a=b", "a=b"),
            ("'=", "'="),
            ("", ""),
        ] {
            assert_eq!(cell(label), cell_of_it);
        }
    }
}
