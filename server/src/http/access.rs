//! Access control: tokens, tenants and the operator role.

use super::{error::ApiError, service::Service};
use crate::{
    keystore::Tenant,
    tokens::{Grant, TokenFile, TokenFileError, TokenHash},
};
use actix_web::{
    FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web::Data,
};
use std::{
    future::{Ready, ready},
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use subtle::{Choice, ConditionallySelectable};

/// How long tokens stay valid after their file has become unreadable. After that every request is
/// refused, since a token may have been revoked in the meantime.
const BELIEVED: Duration = Duration::from_secs(300);

/// Whether requests must carry a token, and which tokens are valid.
pub(super) enum Access {
    /// No tokens: every caller is the same anonymous tenant, and an operator.
    Anyone,
    /// Each token names its tenant.
    Tokens {
        /// Reloaded periodically: tokens can be added and revoked while the server runs.
        file: TokenFile,
        /// Grants from the last successful read.
        grants: RwLock<Arc<[Grant]>>,
        /// Time of the first failed read, or `None` if the last read succeeded.
        unread: RwLock<Option<Instant>>,
    },
}

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    /// The address is reachable from the network, there are no tokens, and open access wasn't
    /// requested explicitly.
    #[error(
        "{0} is not a loopback address, and there are no tokens: anyone who reaches it could use it. Make tokens with \
         `blindscore-server token create TENANT`, or pass --allow-unauthenticated"
    )]
    Public(SocketAddr),
    /// The token file can't be read.
    #[error(transparent)]
    File(#[from] TokenFileError),
}

impl Access {
    /// Requires tokens if the file exists, even if all of them were revoked. Without a file, allows
    /// anyone if `bind` is a loopback address or `allowed` is set, and fails otherwise.
    pub(super) fn new(file: TokenFile, bind: SocketAddr, allowed: bool) -> Result<Self, AccessError> {
        match file.read()? {
            Some(grants) => Ok(Self::Tokens {
                file,
                grants: RwLock::new(grants.into()),
                unread: RwLock::default(),
            }),
            None if bind.ip().is_loopback() || allowed => Ok(Self::Anyone),
            None => Err(AccessError::Public(bind)),
        }
    }

    /// Reads the token file again.
    pub(super) fn reload(&self) -> Result<(), TokenFileError> {
        if let Self::Tokens { file, grants, unread } = self {
            let read = file.read();
            let mut unread = unread.write().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(Some(read)) => {
                    *grants.write().unwrap_or_else(PoisonError::into_inner) = read.into();
                    *unread = None;
                }
                // The file is gone, perhaps with its disk: refuse everyone, and report it.
                Ok(None) => {
                    *grants.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
                    unread.get_or_insert_with(Instant::now);
                    return Err(TokenFileError::Gone(file.path().to_owned()));
                }
                Err(error) => {
                    unread.get_or_insert_with(Instant::now);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Fails while the file can't be read, since revoked tokens would go unnoticed.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match self.unread_for() {
            Some(_) => Err(ApiError::TokensUnreadable),
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

    fn caller(&self, request: &HttpRequest) -> Result<Caller, ApiError> {
        let grants = match self {
            Self::Anyone => {
                return Ok(Caller {
                    tenant: Tenant::Anonymous,
                    operator: true,
                });
            }
            Self::Tokens { grants, .. } => grants.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        if self.unread_for().is_some_and(|time| time > BELIEVED) {
            return Err(ApiError::TokensUnreadable);
        }
        let token = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| TokenHash::of(token.trim()))
            .ok_or(ApiError::Unauthorized)?;
        // Compares every grant, whether or not one has matched already, to take constant time.
        let mut found = u64::MAX;
        for (index, grant) in (0..).zip(grants.iter()) {
            let fits: Choice = grant.sha256.is(&token);
            found.conditional_assign(&index, fits);
        }
        let index = usize::try_from(found).unwrap_or(usize::MAX);
        let grant = grants.get(index).ok_or(ApiError::Unauthorized)?;
        Ok(Caller {
            tenant: Tenant::Named(grant.tenant.clone()),
            operator: grant.operator,
        })
    }
}

/// Sender of a request. A handler that takes one as an argument only serves authorized callers.
#[derive(Clone)]
pub(super) struct Caller {
    /// Tenant whose keys the request is about.
    pub(super) tenant: Tenant,
    operator: bool,
}

impl Caller {
    /// Fails unless the caller may see data of all tenants.
    pub(super) fn must_operate(&self) -> Result<(), ApiError> {
        if self.operator {
            Ok(())
        } else {
            Err(ApiError::Forbidden("an operator's token is needed"))
        }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = match request.app_data::<Data<Service>>() {
            Some(service) => service.access.caller(request),
            None => Err(ApiError::Unauthorized),
        };
        if let Ok(caller) = &caller {
            // For the request log.
            request.extensions_mut().insert(caller.tenant.clone());
        }
        ready(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn an_unreadable_file_is_reported_at_once_and_closes_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let file = TokenFile::at(&path);
        let (token, _) = file.create("a".parse().unwrap(), false).unwrap();
        let access = Access::new(file, "127.0.0.1:80".parse().unwrap(), false).unwrap();
        let bearer = format!("Bearer {}", token.reveal());
        let asked = TestRequest::default()
            .insert_header(("authorization", bearer))
            .to_http_request();
        assert!(access.check().is_ok() && access.caller(&asked).is_ok());

        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(access.reload().is_err());
        assert!(access.check().is_err() && access.caller(&asked).is_ok());
        let Access::Tokens { unread, .. } = &access else {
            panic!("there are tokens");
        };
        *unread.write().unwrap() = Instant::now().checked_sub(BELIEVED + Duration::from_secs(1));
        assert!(matches!(access.caller(&asked), Err(ApiError::TokensUnreadable)));

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(access.reload(), Err(TokenFileError::Gone(_))));
        assert!(access.check().is_err() && access.caller(&asked).is_err());

        std::fs::write(&path, content).unwrap();
        access.reload().unwrap();
        assert!(access.check().is_ok() && access.caller(&asked).is_ok());
    }
}
