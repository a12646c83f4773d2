//! Access control: tokens, tenants and roles.

use super::{
    tenant::Tenant,
    token::TokenHash,
    tokens::{Grant, Role, Tokens, TokensError},
};
use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use subtle::{Choice, ConditionallySelectable};

/// How long tokens stay valid after their list has become unreadable. After that every request is
/// refused, since a token may have been revoked in the meantime.
const TRUST_TOKENS_FOR: Duration = Duration::from_secs(300);

/// Whether requests must carry a token, and which tokens are valid.
pub(crate) enum Access {
    /// No tokens: every caller is the same anonymous tenant, and an operator.
    Anyone,
    /// Each token names its tenant.
    Tokens {
        /// Reloaded periodically: tokens can be added and revoked while the server runs.
        list: Tokens,
        /// Grants from the last successful read.
        grants: RwLock<Arc<[Grant]>>,
        /// Time of the first failed read, or `None` if the last read succeeded.
        unread: RwLock<Option<Instant>>,
    },
}

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The address is reachable from the network, there are no tokens, and open access wasn't
    /// requested explicitly.
    #[error(
        "{0} is not a loopback address, and there are no tokens: anyone who reaches it could use it. Make tokens with \
         `blindscore-server token create TENANT`, or pass --allow-unauthenticated"
    )]
    Public(SocketAddr),
    /// The tokens can't be read.
    #[error(transparent)]
    Tokens(#[from] TokensError),
}

impl Access {
    /// Requires tokens if their list exists, even if all of them were revoked. Without a list,
    /// allows anyone if `bind` is a loopback address or `allowed` is set, and fails otherwise.
    pub(crate) async fn new(list: Tokens, bind: SocketAddr, allowed: bool) -> Result<Self, AccessError> {
        match list.read().await? {
            Some(grants) => Ok(Self::Tokens {
                list,
                grants: RwLock::new(grants.into()),
                unread: RwLock::default(),
            }),
            None if bind.ip().is_loopback() || allowed => Ok(Self::Anyone),
            None => Err(AccessError::Public(bind)),
        }
    }

    /// Returns how often the tokens should be read, or `None` if there are none.
    pub(crate) fn interval(&self) -> Option<Duration> {
        match self {
            Self::Anyone => None,
            Self::Tokens { list, .. } => Some(list.interval()),
        }
    }

    /// Reads the tokens again.
    pub(crate) async fn reload(&self) -> Result<(), TokensError> {
        if let Self::Tokens { list, grants, unread } = self {
            let read = list.read().await;
            let mut unread = unread.write().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(Some(read)) => {
                    *grants.write().unwrap_or_else(PoisonError::into_inner) = read.into();
                    *unread = None;
                }
                // The list is gone, perhaps with its disk: refuse everyone, and report it.
                Ok(None) => {
                    *grants.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
                    unread.get_or_insert_with(Instant::now);
                    return Err(TokensError::Gone(list.location()));
                }
                Err(error) => {
                    unread.get_or_insert_with(Instant::now);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Fails while the tokens can't be read, since revoked tokens would go unnoticed.
    pub(crate) fn check(&self) -> Result<(), Denied> {
        match self.unread_for() {
            Some(_) => Err(Denied::TokensUnreadable),
            None => Ok(()),
        }
    }

    fn unread_for(&self) -> Option<Duration> {
        match self {
            Self::Anyone => None,
            Self::Tokens { unread, .. } => {
                let since = *unread.read().unwrap_or_else(PoisonError::into_inner);
                since.map(|since| since.elapsed())
            }
        }
    }

    /// Returns who sends a request with this token.
    pub(crate) fn caller(&self, token: Option<&str>) -> Result<Caller, Denied> {
        let grants = match self {
            Self::Anyone => {
                return Ok(Caller {
                    tenant: Tenant::Anonymous,
                    role: Role::Operator,
                });
            }
            Self::Tokens { grants, .. } => grants.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        if self.unread_for().is_some_and(|time| time > TRUST_TOKENS_FOR) {
            return Err(Denied::TokensUnreadable);
        }
        let token = TokenHash::of(token.ok_or(Denied::NoToken)?);
        // Compares every grant, whether or not one has matched already, to take constant time.
        let mut found = u64::MAX;
        for (index, grant) in (0..).zip(grants.iter()) {
            let fits: Choice = grant.sha256.is(&token);
            found.conditional_assign(&index, fits);
        }
        let index = usize::try_from(found).unwrap_or(usize::MAX);
        let grant = grants.get(index).ok_or(Denied::NoToken)?;
        Ok(Caller {
            tenant: Tenant::Named(grant.tenant.clone()),
            role: grant.role(),
        })
    }
}

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The token is missing or invalid.
    NoToken,
    /// The token is valid, but not an operator's.
    NotOperator,
    /// The token is valid, but neither for monitoring nor an operator's.
    NotMonitor,
    /// The valid tokens aren't known.
    TokensUnreadable,
}

/// Sender of a request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Tenant whose keys the request is about.
    pub(crate) tenant: Tenant,
    role: Role,
}

impl Caller {
    /// Fails unless the caller may change what all tenants use.
    pub(crate) fn must_operate(&self) -> Result<(), Denied> {
        match self.role {
            Role::Operator => Ok(()),
            Role::Monitor | Role::Client => Err(Denied::NotOperator),
        }
    }

    /// Fails unless the caller may see data of all tenants.
    pub(crate) fn must_monitor(&self) -> Result<(), Denied> {
        match self.role {
            Role::Operator | Role::Monitor => Ok(()),
            Role::Client => Err(Denied::NotMonitor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TokenFile;

    #[tokio::test]
    async fn an_unreadable_file_is_reported_at_once_and_closes_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let file = TokenFile::at(&path);
        let (token, _) = file.create("a".parse().unwrap(), Role::Client).unwrap();
        let access = Access::new(Tokens::File(file), "127.0.0.1:80".parse().unwrap(), false);
        let access = access.await.unwrap();
        let token = Some(token.reveal());
        assert!(access.check().is_ok() && access.caller(token).is_ok());

        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(access.reload().await.is_err());
        assert!(access.check().is_err() && access.caller(token).is_ok());
        let Access::Tokens { unread, .. } = &access else {
            panic!("there are tokens");
        };
        *unread.write().unwrap() = Instant::now().checked_sub(TRUST_TOKENS_FOR + Duration::from_secs(1));
        assert!(matches!(access.caller(token), Err(Denied::TokensUnreadable)));

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(access.reload().await, Err(TokensError::Gone(_))));
        assert!(access.check().is_err() && access.caller(token).is_err());

        std::fs::write(&path, content).unwrap();
        access.reload().await.unwrap();
        assert!(access.check().is_ok() && access.caller(token).is_ok());
    }
}
