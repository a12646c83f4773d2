//! Bounds on what a file may demand: its bytes, its parts, and the work done for it. They are
//! checked before memory is allocated, and [`limits`] lists them for `import --help`.

use blindscore_engine::model::MOST_HEADER;
use std::cell::Cell;

/// Largest model file, and largest sum of the files with its tensors, in bytes.
pub(crate) use blindscore_engine::model::MOST_FILE;
/// Most bytes that the decoded parts of an ONNX file take in addition.
pub(crate) const MOST_DECODED: u64 = 600_000_000;
/// Most nodes of a graph.
pub(crate) const MOST_NODES: usize = 100_000;
/// Most outputs of a graph, most of which must be parts of one answer.
pub(crate) const MOST_OUTPUTS: usize = 2_000;
/// Most bytes of values held at once while a graph is read: seven times the largest weight matrix.
pub(crate) const MOST_HELD: u64 = 1_000_000_000;
/// Most multiplications to read a graph, or to run it: twice those of the largest principal
/// component analysis before a classifier.
pub(crate) const MOST_WORK: u64 = 1 << 35;
/// Longest name of a class or a feature, in bytes.
pub(crate) const MOST_NAME: usize = 1_000;

/// Most numbers in the public part of a model.
pub(crate) const MOST_SLOTS: usize = 65_536;

/// Longest row of a table, in bytes. The first line must end within it, too.
pub(crate) const MOST_ROW: usize = 4_000_000;
/// Most columns of a table.
pub(crate) const MOST_COLUMNS: usize = 65_536;
/// Largest table, in bytes.
pub(crate) const MOST_TABLE: u64 = 4_000_000_000;
/// Most values kept of a table: 400 MB.
pub(crate) const MOST_VALUES: usize = 50_000_000;
/// Most bytes of predictions kept of a table.
pub(crate) const MOST_PREDICTIONS: usize = 200_000_000;

/// Formats a number of bytes in megabytes.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

/// Describes the limits for people: a line each for files, graphs and tables.
pub fn limits() -> [String; 3] {
    const { assert!(MOST_WORK.is_power_of_two()) };
    let megabytes = |bytes: u64| format!("{} MB", grouped(bytes / 1_000_000));
    [
        format!(
            "A model's file and the files beside it: {} in all; the header of a safetensors file {}, a name \
             {} bytes",
            megabytes(MOST_FILE),
            megabytes(MOST_HEADER),
            grouped(MOST_NAME as u64)
        ),
        format!(
            "A graph: {} nodes, {} of decoded parts, {} of values at once, 2^{} multiplications to read it \
             and as many to run it",
            grouped(MOST_NODES as u64),
            megabytes(MOST_DECODED),
            megabytes(MOST_HELD),
            MOST_WORK.ilog2()
        ),
        format!(
            "A table: {}, {} million values, {} columns, {} a row",
            megabytes(MOST_TABLE),
            MOST_VALUES / 1_000_000,
            grouped(MOST_COLUMNS as u64),
            megabytes(MOST_ROW as u64)
        ),
    ]
}

/// Formats a number with commas between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Budget of multiplications for one file.
#[derive(Debug)]
pub(crate) struct Work(Cell<u64>);

impl Work {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(MOST_WORK))
    }

    /// Deducts the product of `factors` from the budget.
    pub(crate) fn take(&self, factors: &[usize]) -> Result<(), TooMuchWork> {
        let product = factors
            .iter()
            .fold(1u64, |product, &factor| product.saturating_mul(factor as u64));
        self.0.set(self.0.get().checked_sub(product).ok_or(TooMuchWork)?);
        Ok(())
    }
}

/// The file exceeds its budget of multiplications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's graph takes more than {MOST_WORK} multiplications, the limit for one file")]
pub struct TooMuchWork;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (65_536, "65,536"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
