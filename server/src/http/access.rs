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
};
use subtle::{Choice, ConditionallySelectable};

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
            }),
            None if bind.ip().is_loopback() || allowed => Ok(Self::Anyone),
            None => Err(AccessError::Public(bind)),
        }
    }

    /// Reads the file again.
    pub(super) fn reload(&self) -> Result<(), TokenFileError> {
        if let Self::Tokens { file, grants } = self {
            let read = file.read()?.unwrap_or_default();
            *grants.write().unwrap_or_else(PoisonError::into_inner) = read.into();
        }
        Ok(())
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
