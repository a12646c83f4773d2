//! Text from others, above all from a server, made safe to show or write.

/// Maximum number of characters of a server's text to show.
const SHOWN: usize = 1_000;

/// Returns a server's text as one line of bounded length that can't control a terminal.
pub fn one_line(text: &str) -> String {
    let mut shown = text.char_indices().map(|(place, _)| place);
    match shown.nth(SHOWN) {
        Some(end) => plain(&text[..end]) + "...",
        None => plain(text),
    }
}

/// Returns lines that can't control a terminal.
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    lines.join("\n")
}

/// Escapes control characters, and characters that change the direction of the text after them.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_mark(c) {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Returns whether a character sets the direction of text, or ends a line without being a control
/// character.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(
            plain("a\u{1b}[2J\u{7}\u{9b}\nö"),
            "a\\u{1b}[2J\\u{7}\\u{9b}\\u{a}ö"
        );
        assert_eq!(plain("\u{202e}txt.exe\u{2028}"), "\\u{202e}txt.exe\\u{2028}");
        assert_eq!(lines("a\n\u{1b}b\n"), "a\n\\u{1b}b\n");
        let long = one_line(&"ä".repeat(100_000));
        assert!(long.chars().count() == SHOWN + 3 && long.ends_with("ä..."));
    }
}
