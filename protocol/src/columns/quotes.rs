use super::Delimiter;

/// Finds a quote that nothing closes: all rows after it would be one cell.
///
/// Cells are read as RFC 4180 says: a quote at the start of a cell opens it, two in a row are one, and any other closes it.
#[derive(Clone, Debug)]
pub struct QuoteScan {
    delimiter: u8,
    state: State,
    line: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Bare,
    Quoted {
        since: u64,
    },
    /// After a quote in a quoted cell: the end, or half of a doubled one.
    Quote {
        since: u64,
    },
}

impl QuoteScan {
    /// Starts with the first line.
    pub const fn new(delimiter: Delimiter) -> Self {
        Self {
            delimiter: delimiter.byte(),
            state: State::Start,
            line: 1,
        }
    }

    /// Goes over the next bytes of the table.
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
            self.line += u64::from(byte == b'\n');
        }
    }

    /// At the end of the table: the line of the quote that is still open.
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
    use crate::columns::find_delimiter;

    #[test]
    fn only_a_quote_that_nothing_closes_is_found() {
        let scan = |text: &str| {
            let mut scan = QuoteScan::new(find_delimiter("a,b", None).unwrap());
            for piece in text.as_bytes().chunks(3) {
                scan.feed(piece);
            }
            scan.unclosed()
        };
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
