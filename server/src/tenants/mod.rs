//! Tenants: who may use the server, and how much.
//!
//! A tenant has tokens, of which a file holds the hashes; the tokens themselves are shown once and
//! never stored. Its keys, its rate and its daily queries are its own.

mod access;
mod budget;
mod rate;
mod tenant;
mod token;
mod token_file;

pub(crate) use access::{Access, Caller, Denied};
pub(crate) use budget::{BudgetError, DailyBudget};
pub use rate::Rate;
pub(crate) use rate::{RateError, RateLimit};
pub use tenant::{BadTenantName, Tenant, TenantName};
pub(crate) use tenant::{STORE_LOCK, STORE_PROBE};
pub use token::{Token, TokenHash};
pub use token_file::{Grant, TokenFile, TokenFileError};
