//! Module `blindscore._blindscore`: what the Python package is built on. Rows come in as columns or
//! matrices that Python has prepared; encoding, encryption, requests and decryption happen here,
//! without the interpreter's lock.

mod cells;
mod connection;
mod errors;
mod interrupt;
mod key;
mod model;
mod notes;
mod publish;
mod rows;

use pyo3::prelude::*;

#[pymodule]
mod _blindscore {
    #[pymodule_export]
    use crate::{
        connection::Connection,
        key::{Answer, SecretKey},
        model::Model,
        publish::import_model,
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
