//! API keys ("tokens") of tenants. A file has their hashes; the tokens themselves are shown once and kept nowhere.

mod file;
mod token;

pub use file::{Grant, TokenFile, TokenFileError};
pub use token::{Token, TokenHash};
