//! Grants: what a list of tokens holds, in a file or in an object.

use super::TokensError;
use crate::tenants::{
    tenant::TenantName,
    token::{Token, TokenHash},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// A token's tenant and permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Public id of the token.
    pub id: String,
    /// Tenant whose keys the token gives access to.
    pub tenant: TenantName,
    /// Whether the token may publish models, and read the metrics.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator: bool,
    /// Whether the token may read the metrics, which cover all tenants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub monitor: bool,
    /// Creation time, RFC 3339.
    pub created_at: String,
    /// SHA-256 of the token.
    pub sha256: TokenHash,
}

/// What a token allows besides the use of its tenant's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Client,
    /// Reading the metrics.
    Monitor,
    /// Publishing models, and reading the metrics.
    Operator,
}

/// List of tokens.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grants {
    pub(super) tokens: Vec<Grant>,
}

impl Grant {
    /// Generates a token for a tenant.
    pub(super) fn generate(tenant: TenantName, role: Role) -> Result<(Token, Self), TokensError> {
        if tenant.is_reserved() {
            return Err(TokensError::Reserved(tenant));
        }
        let token = Token::generate()?;
        let sha256 = TokenHash::of(token.reveal());
        let grant = Self {
            id: sha256.short(),
            tenant,
            operator: role == Role::Operator,
            monitor: role == Role::Monitor,
            created_at: DateTime::<Utc>::from(SystemTime::now())
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            sha256,
        };
        Ok((token, grant))
    }

    /// Returns what the token allows.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self { operator: true, .. } => Role::Operator,
            Self { monitor: true, .. } => Role::Monitor,
            _ => Role::Client,
        }
    }
}

impl Grants {
    /// Parses a list. `location` names it in the error.
    pub(super) fn parse(text: &[u8], location: impl FnOnce() -> String) -> Result<Self, TokensError> {
        serde_json::from_slice(text).map_err(|source| TokensError::Malformed {
            location: location(),
            source,
        })
    }

    /// Returns the list as text.
    pub(super) fn text(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Adds a grant, unless it is there.
    pub(super) fn add(&mut self, grant: &Grant) {
        if !self.tokens.contains(grant) {
            self.tokens.push(grant.clone());
        }
    }

    /// Takes out the grant of a token, also if the list has it more than once.
    pub(super) fn remove(&mut self, id: &str) -> Option<Grant> {
        let found = self.tokens.iter().find(|grant| grant.id == id).cloned()?;
        self.tokens.retain(|grant| grant.id != id);
        Some(found)
    }
}
