//! Object of token hashes in an object store, shared by servers and the `token` command.

use super::{
    TokensError,
    grants::{Grant, Grants, Role},
};
use crate::{
    objects::{ObjectError, Objects, Read},
    tenants::{tenant::TenantName, token::Token},
};
use object_store::{PutMode, path::Path};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Attempts at a change; one fails if another process changed the object first.
const ATTEMPTS: u32 = 50;
/// Longest pause before another attempt, in milliseconds.
const PAUSE: u64 = 200;

/// Object that lists the valid tokens. It is only replaced on the condition that nobody else has
/// replaced it since it was read.
#[derive(Debug)]
pub(crate) struct TokenObject {
    objects: Objects,
    name: Path,
    /// URL, for messages.
    url: String,
    /// Entity tag and grants of the last read.
    last: Mutex<Option<(String, Vec<Grant>)>>,
}

impl TokenObject {
    pub(super) fn new(objects: Objects, name: Path, url: String) -> Self {
        Self {
            objects,
            name,
            url,
            last: Mutex::default(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns all grants, or `None` if there is no object. An object that hasn't changed since the
    /// last read is not sent again.
    pub(super) async fn read(&self) -> Result<Option<Vec<Grant>>, TokensError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (tag, known) = last.unzip();
        let (content, version) = match (self.get(tag).await?, known) {
            (Read::Absent, _) => return Ok(None),
            (Read::Unchanged, Some(known)) => return Ok(Some(known)),
            (Read::Unchanged, None) => return Err(self.failed(ObjectError::Raced)),
            (Read::Found(content, version), _) => (content, version),
        };
        let grants = self.parse(&content)?.tokens;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            version.e_tag.map(|tag| (tag, grants.clone()));
        Ok(Some(grants))
    }

    /// Creates a token and stores its hash.
    pub(super) async fn create(&self, tenant: TenantName, role: Role) -> Result<(Token, Grant), TokensError> {
        let (token, grant) = Grant::generate(tenant, role)?;
        self.change(|grants| {
            grants.add(&grant);
            Ok(())
        })
        .await?;
        Ok((token, grant))
    }

    /// Revokes a token.
    pub(super) async fn revoke(&self, id: &str) -> Result<Grant, TokensError> {
        // An attempt whose answer was lost may have succeeded: the next one doesn't find the grant.
        let mut removed = None;
        self.change(|grants| {
            removed = grants.remove(id).or(removed.take());
            removed.clone().ok_or_else(|| TokensError::Unknown(id.to_owned()))
        })
        .await
    }

    async fn change<T>(
        &self,
        mut change: impl FnMut(&mut Grants) -> Result<T, TokensError>,
    ) -> Result<T, TokensError> {
        for attempt in 0..ATTEMPTS {
            let (mut grants, mode) = match self.get(None).await? {
                Read::Found(content, version) => (self.parse(&content)?, PutMode::Update(version)),
                Read::Absent | Read::Unchanged => (Grants::default(), PutMode::Create),
            };
            let result = change(&mut grants)?;
            let text = grants.text().map_err(|source| TokensError::Malformed {
                location: self.url.clone(),
                source,
            })?;
            match self.objects.put(&self.name, text, mode).await {
                Ok(()) => return Ok(result),
                Err(ObjectError::Raced) => {
                    let pause = RandomState::new().hash_one(attempt) % PAUSE;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Err(self.failed(ObjectError::Raced))
    }

    async fn get(&self, known: Option<String>) -> Result<Read, TokensError> {
        let read = self.objects.read(&self.name, known).await;
        read.map_err(|error| self.failed(error))
    }

    fn parse(&self, content: &[u8]) -> Result<Grants, TokensError> {
        Grants::parse(content, || self.url.clone())
    }

    fn failed(&self, source: ObjectError) -> TokensError {
        TokensError::Object {
            url: self.url.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{
        ObjectStore, ObjectStoreExt,
        memory::InMemory,
        throttle::{ThrottleConfig, ThrottledStore},
    };
    use std::sync::Arc;

    fn on<S: ObjectStore>(store: &Arc<S>) -> TokenObject {
        let objects = Objects::on(store.clone(), Duration::from_secs(10));
        TokenObject::new(objects, Path::from("tokens.json"), "s3://b/tokens.json".into())
    }

    #[tokio::test]
    async fn operators_at_once_lose_nothing() {
        // So slow that each reads before the others have written.
        let slow = ThrottleConfig {
            wait_get_per_call: Duration::from_millis(5),
            wait_put_per_call: Duration::from_millis(5),
            ..ThrottleConfig::default()
        };
        let store = Arc::new(ThrottledStore::new(InMemory::new(), slow));
        let operators: Vec<_> = std::iter::repeat_with(|| on(&store)).take(8).collect();
        let create = |operator: &'static str| operator.parse().unwrap();
        let created = operators
            .iter()
            .map(|tokens| tokens.create(create("a"), Role::Client));
        let created = futures_util::future::join_all(created).await;
        assert_eq!(on(&store).read().await.unwrap().unwrap().len(), 8);
        let ids = created.iter().map(|made| &made.as_ref().unwrap().1.id);
        let revoked = operators.iter().zip(ids).map(|(tokens, id)| tokens.revoke(id));
        let revoked = futures_util::future::join_all(revoked).await;
        assert!(revoked.iter().all(Result::is_ok), "{revoked:?}");
        assert_eq!(on(&store).read().await.unwrap().unwrap(), []);
    }

    #[tokio::test]
    async fn what_is_read_follows_the_object() {
        let store = Arc::new(InMemory::new());
        let (tokens, path) = (on(&store), Path::from("tokens.json"));
        assert_eq!(tokens.read().await.unwrap(), None);
        let (_, grant) = tokens
            .create("clinic".parse().unwrap(), Role::Operator)
            .await
            .unwrap();
        for _ in 0..2 {
            let read = tokens.read().await.unwrap().unwrap();
            assert_eq!(read, std::slice::from_ref(&grant));
        }
        assert_eq!(tokens.revoke(&grant.id).await.unwrap(), grant);
        assert_eq!(tokens.read().await.unwrap().unwrap(), []);
        assert!(matches!(
            tokens.revoke(&grant.id).await,
            Err(TokensError::Unknown(_))
        ));
        store.put(&path, "{}".into()).await.unwrap();
        assert!(matches!(tokens.read().await, Err(TokensError::Malformed { .. })));
        let changed = tokens.create("clinic".parse().unwrap(), Role::Client).await;
        assert!(changed.is_err(), "a damaged list is not replaced");
        store.put(&path, vec![b' '; 17 << 20].into()).await.unwrap();
        assert!(tokens.read().await.unwrap_err().to_string().contains("16777216"));
        store.delete(&path).await.unwrap();
        assert_eq!(tokens.read().await.unwrap(), None);
    }
}
