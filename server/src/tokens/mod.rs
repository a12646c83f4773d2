//! API keys ("tokens") of tenants. A file holds their hashes; the tokens themselves are shown once
//! and never stored.

mod file;
mod token;

pub use file::{Grant, TokenFile, TokenFileError};
pub use token::{Token, TokenHash};
