//! Ensembles of decision trees: boosted trees and forests, read from their libraries' own files.

mod bits;
mod choices;
mod ensemble;
mod leaves;

pub(crate) use bits::Bits;
pub use choices::{Grid, Structure};
pub(crate) use ensemble::Ensemble;
