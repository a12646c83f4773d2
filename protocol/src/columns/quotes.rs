//! Scan of a table's bytes for quotes, long rows and blank lines.

use super::Delimiter;

/// Scans a table's bytes before they are read as rows, for what rows don't show: an unclosed quote,
/// which would make all rows after it one cell; the length of the longest row, while it may still
/// be too long for memory; and blank lines, which CSV readers skip.
///
/// Cells are read according to RFC 4180: a quote at the start of a cell opens it, two in a row are
/// one, and any other closes it.
#[derive(Clone, Debug)]
pub struct QuoteScan {
    delimiter: u8,
    state: State,
    line: u64,
    /// Bytes of the current row so far.
    row: usize,
    /// Whether any of them is part of a cell.
    filled: bool,
    longest: usize,
    blank: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Bare,
    Quoted {
        since: u64,
    },
    /// After a quote in a quoted cell: the cell's end, or the first half of a doubled quote.
    Quote {
        since: u64,
    },
}

impl QuoteScan {
    /// Creates a scan that starts at the first line.
    pub const fn new(delimiter: Delimiter) -> Self {
        Self {
            delimiter: delimiter.byte(),
            state: State::Start,
            line: 1,
            row: 0,
            filled: false,
            longest: 0,
            blank: None,
        }
    }

    /// Scans the next bytes of the table.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let ends = byte == self.delimiter || byte == b'\n' || byte == b'\r';
            self.state = match (self.state, byte) {
                (State::Quoted { since }, b'"') => State::Quote { since },
                (State::Quote { since }, b'"') => State::Quoted { since },
                (quoted @ State::Quoted { .. }, _) => quoted,
                (State::Start, b'"') => State::Quoted { since: self.line },
                _ if ends => State::Start,
                _ => State::Bare,
            };
            let ends_line = byte == b'\n' || byte == b'\r';
            self.row += 1;
            self.filled |= !ends_line;
            self.longest = self.longest.max(self.row);
            if byte == b'\n' && !self.filled {
                self.blank.get_or_insert(self.line);
            }
            if ends_line && matches!(self.state, State::Start) {
                self.row = 0;
                // If a line ends in \r\n, the \n still belongs to the same line.
                self.filled &= byte == b'\r';
            }
            self.line += u64::from(byte == b'\n');
        }
    }

    /// Returns the length of the longest row so far, in bytes, including the line ending.
    pub const fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the number of the first blank line so far. In a table of one column it may be a row
    /// without a value.
    pub const fn blank(&self) -> Option<u64> {
        self.blank
    }

    /// Returns the line of the quote that is still open at the end of the table.
    pub const fn unclosed(&self) -> Option<u64> {
        match self.state {
            State::Quoted { since } => Some(since),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> QuoteScan {
        let mut scan = QuoteScan::new(Delimiter::Comma);
        for piece in text.as_bytes().chunks(3) {
            scan.feed(piece);
        }
        scan
    }

    #[test]
    fn blank_lines_and_long_rows_are_seen() {
        for (text, blank) in [
            ("a\n1\n2\n", None),
            ("a\r\n1\r\n2\r\n", None),
            ("a\n1\n2", None),
            ("a\n1\n\n2\n", Some(3)),
            ("a\r\n\r\n1\r\n\r\n", Some(2)),
            ("1\n\n", Some(2)),
            ("\n1\n", Some(1)),
            ("a\n\"\"\n\"\n\n\"\n", None),
        ] {
            assert_eq!(scanned(text).blank(), blank, "{text:?}");
        }
        for (text, longest) in [("12,4\n123\n", 5), ("1\n12345", 5), ("1\n\"a\nb\nc\"\n1\n", 8)] {
            assert_eq!(scanned(text).longest(), longest, "{text:?}");
        }
    }

    #[test]
    fn only_a_quote_that_nothing_closes_is_found() {
        let scan = |text: &str| scanned(text).unclosed();
        for fine in [
            "",
            "a,b\n1,2\n",
            "\"a\",b\n\"1\n2\",3",
            "a\"b,c\"\n1,2",
            "\"a \"\"b\"\"\",c\n",
            "1,\"2\"",
        ] {
            assert_eq!(scan(fine), None, "{fine:?}");
        }
        assert_eq!(scan("a,b\n1,2\n3,\"broken\n4,5\n"), Some(3));
        assert_eq!(scan("\"a,b\n1,2"), Some(1));
        assert_eq!(scan("a,b\n\"x\"\"\n1,2\n"), Some(2));
    }
}
