//! What a file may ask for: bounds on its bytes, its parts, and on what is computed of it. They are counted before memory is taken, and stand in
//! `import --help`.

use std::cell::Cell;

/// Bytes of a model's file, and of the files with its tensors together.
pub(crate) use crate::model::MOST_FILE;
/// Bytes that the decoded parts of an ONNX file take besides.
pub(crate) const MOST_DECODED: u64 = 600_000_000;
/// Nodes of a graph.
pub(crate) const MOST_NODES: usize = 100_000;
/// Messages within messages of a file.
pub(crate) const MOST_DEPTH: usize = 32;
/// Outputs of a graph, most of which have to be parts of one answer.
pub(crate) const MOST_OUTPUTS: usize = 2_000;
/// Bytes of the values that are held at once while a graph is read: seven of the largest weight matrix.
pub(crate) const MOST_HELD: u64 = 1_000_000_000;
/// Multiplications to read a graph, or to run it: two of the largest principal component analysis before a classifier.
pub(crate) const MOST_WORK: u64 = 1 << 35;
/// Bytes of a name of a class or a feature.
pub(crate) const MOST_NAME: usize = 1_000;

/// Bytes of one row of a table, in which the first line has to end, too.
pub(crate) const MOST_ROW: usize = 4_000_000;
/// Columns of a table.
pub(crate) const MOST_COLUMNS: usize = 65_536;
/// Bytes of a table.
pub(crate) const MOST_TABLE: u64 = 4_000_000_000;
/// Values that are kept of a table: 400 MB of them.
pub(crate) const MOST_VALUES: usize = 50_000_000;
/// Bytes of the predictions that are kept of a table.
pub(crate) const MOST_PREDICTIONS: usize = 200_000_000;

/// Bytes in words.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

/// Counts what work is done, and refuses more than is allowed.
#[derive(Debug)]
pub(crate) struct Work(Cell<u64>);

impl Work {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(MOST_WORK))
    }

    /// Takes the product of some numbers off what is left.
    pub(crate) fn take(&self, factors: &[usize]) -> Result<(), TooMuchWork> {
        let product = factors
            .iter()
            .fold(1u64, |product, &factor| product.saturating_mul(factor as u64));
        self.0.set(self.0.get().checked_sub(product).ok_or(TooMuchWork)?);
        Ok(())
    }
}

/// More work than is done for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model's graph takes more than {MOST_WORK} multiplications, which is the most that is done for one file"
)]
pub struct TooMuchWork;
