//! Makes model files from fitted models: ONNX or safetensors in, a checked model file out.
//!
//! [`import`] does all of it, as the program `blindscore import` does:
//!
//! 1. [`onnx`], [`read_json`] or [`read_safetensors`] reads the file as a [`Fitted`] linear model,
//!    in floating point, with the scaler folded into its weights, and what stands before it as an
//!    encoding that clients run;
//! 2. [`Ranges`] finds the range of every feature, from the caller, from calibration data, or from
//!    the scaler;
//! 3. [`settle()`] replaces the file's labels by the caller's;
//! 4. [`choose`] rounds inputs and weights as coarsely as the allowed error permits;
//! 5. the result is checked the result against the file itself, run in the clear, and [`Expected`]
//!    against predictions of the caller's own program;
//! 6. the result is measured on encrypted rows, and written.
//!
//! Ensembles of decision trees are read from their libraries' own files or from ONNX, and become
//! trees over encrypted bits, or a linear model of their leaves ([`Structure`]).
//!
//! Networks with hidden layers become units over a table each, with integer weights.
//!
//! Projection networks are imported trained and rounded; [`Network`] names and checks them.
//!
//! Files are untrusted: every step is bounded in memory and time, and an operator or an output that
//! a served model would not reproduce is refused.

mod agreement;
mod allowed;
mod bounds;
mod calibration;
mod choice;
mod coefficients;
mod compare;
mod ebm;
mod edges;
mod error;
mod expect;
mod fitted;
mod isotonic;
mod json;
mod layers;
mod network;
mod ngrams;
pub mod onnx;
mod output;
mod pipeline;
mod ranges;
mod reference;
mod report;
mod settle;
mod suspects;
mod table;
mod tensors;
pub mod trees;
mod xgboost;

pub use agreement::Agreement;
pub use allowed::Stated;
pub use bounds::limits;
pub use calibration::{Calibration, Wanted};
pub(crate) use choice::{BOUND, shared_or_own};
pub use choice::{Choice, MOST_LEVELS, bound, choose};
pub use compare::{Compared, compare};

pub use error::ImportError;
pub(crate) use error::{listed, quoted};
pub use expect::{Expected, same_label};
pub use fitted::{Answer, Fitted};
pub use json::read_json;
pub use network::{Naming, Network};
pub use pipeline::{
    Imported, Kind, Label, LayersImport, LinearImport, Request, TreesImport, defaults, import,
};
pub use ranges::{RangeSource, Ranges};
pub use reference::NotRun;
pub use report::Report;
pub use settle::{Settled, settle};
pub use suspects::Suspects;
pub use table::{TableError, TableOptions};
pub use tensors::read as read_safetensors;
pub use trees::{Grid, Structure};
