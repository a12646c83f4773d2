//! Tenants: who may use the server, and how much.
//!
//! A tenant has tokens, of which a file or an object holds the hashes; the tokens themselves are
//! shown once and never stored. Its keys, its rate and its daily queries are its own. Replicas may
//! share what they count of them.

mod access;
mod budget;
mod exchange;
mod rate;
mod replace;
mod share;
mod tenant;
mod token;
mod tokens;

pub(crate) use access::{Access, Caller, Denied};
pub(crate) use budget::{BudgetError, DailyBudget};
pub(crate) use exchange::exchange;
pub(crate) use rate::{Rate, RateError, RateLimit};
pub(crate) use share::Share;
#[doc(hidden)]
pub use share::are_shared_counts;
pub use tenant::{BadTenantName, Tenant, TenantName};
pub(crate) use tenant::{STORE_LOCK, STORE_PROBE};
pub use token::{Token, TokenHash};
pub use tokens::{Grant, Role, TokenFile, TokensError};
pub(crate) use tokens::{Tokens, TokensAt};
