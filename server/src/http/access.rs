//! Who may ask for what.

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

/// How long tokens stay valid when their file can't be read any more. After that nobody is let in: one of them may have been revoked.
const BELIEVED: Duration = Duration::from_secs(300);

/// Whether requests have to carry a token, and which tokens there are.
pub(super) enum Access {
    /// Everyone is the same anonymous tenant.
    Anyone,
    /// A token says which tenant.
    Tokens {
        /// Read now and then: tokens come and go while the server runs.
        file: TokenFile,
        /// As read last.
        grants: RwLock<Arc<[Grant]>>,
        /// Since when the file can't be read.
        unread: RwLock<Option<Instant>>,
    },
}

/// Why a server doesn't start.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    /// Anyone on the network could use it, and no one said that this is meant.
    #[error(
        "{0} is not a loopback address, and there are no tokens: anyone who reaches it could use it. Make tokens with \
         `blindscore-server token create TENANT`, or say --allow-unauthenticated"
    )]
    Public(SocketAddr),
    /// The token file can't be read.
    #[error(transparent)]
    File(#[from] TokenFileError),
}

impl Access {
    /// With tokens if the file exists, even if all of them were revoked; else only on loopback, or if `allowed`.
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

    /// Reads the file again.
    pub(super) fn reload(&self) -> Result<(), TokenFileError> {
        if let Self::Tokens { file, grants, unread } = self {
            let read = file.read();
            let mut unread = unread.write().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(Some(read)) => {
                    *grants.write().unwrap_or_else(PoisonError::into_inner) = read.into();
                    *unread = None;
                }
                // Nobody is let in any more, and somebody should know: perhaps a disk has gone.
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

    /// Fails while the file can't be read: what was revoked meanwhile is not known.
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
        // All are looked at, whether one has fitted or not.
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

/// Who sends a request. Handlers that take one answer only to those who may ask.
#[derive(Clone)]
pub(super) struct Caller {
    /// Whose keys it is about.
    pub(super) tenant: Tenant,
    operator: bool,
}

impl Caller {
    /// Fails unless the caller may see what is of all tenants.
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
            // For the log.
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
