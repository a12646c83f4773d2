//! Tests of the key cache.

use super::*;
use crate::{keystore::Policy, objects::Location, tenants::Tenant};
use blindscore_client::ClientKey;
use blindscore_protocol::params::LinearParams;
use chrono::TimeDelta;

const SET: ParameterSet = ParameterSet::Linear(LinearParams::N2048);

async fn store() -> KeyStore {
    let policy = Policy {
        ttl: TimeDelta::days(1),
        patience: Duration::from_secs(10),
        max_keys: None,
    };
    KeyStore::open(&Location::Memory, policy).await.unwrap()
}

async fn upload(store: &KeyStore) -> KeyName {
    let (_, public) = ClientKey::generate(SET).unwrap();
    let (blob, id) = public.to_blob();
    let name = KeyName {
        tenant: Tenant::Anonymous,
        id,
    };
    store.put(&name, blob.into()).await.unwrap();
    name
}

fn pool() -> ScoringPool {
    ScoringPool::new(2, 64, Duration::from_secs(10)).unwrap()
}

#[actix_web::test]
async fn many_who_ask_for_a_cold_key_share_one_preparation() {
    let (store, pool) = (store().await, pool());
    let name = upload(&store).await;
    let keys = KeyCache::new(1 << 30, 1 << 20, 2, Duration::from_secs(60));
    let asked = (0..16).map(|_| keys.get(&name, &store, &pool));
    let found = futures_util::future::join_all(asked).await;
    let first = found[0].as_ref().unwrap();
    assert!(found.iter().all(|key| Arc::ptr_eq(key.as_ref().unwrap(), first)));
    keys.forget(&name).await;
    let later = keys.get(&name, &store, &pool).await.unwrap();
    assert!(!Arc::ptr_eq(&later, first), "a forgotten key is prepared again");
}

#[actix_web::test]
async fn keys_take_turns_when_memory_is_short() {
    let (store, pool) = (store().await, pool());
    let one = PreparedKey::memory_bytes(SET) as u64;
    let keys = KeyCache::new(3 * one, one, 2, Duration::from_secs(60));
    let mut names = Vec::new();
    for _ in 0..12 {
        names.push(upload(&store).await);
    }
    let asked = names.iter().map(|name| async {
        let key = keys.get(name, &store, &pool).await.unwrap();
        assert!(keys.memory_bytes() <= 3 * one);
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(key);
    });
    futures_util::future::join_all(asked).await;
}

#[actix_web::test]
async fn a_key_removed_elsewhere_is_soon_gone_here() {
    let (store, pool) = (store().await, pool());
    let name = upload(&store).await;
    let keys = KeyCache::new(1 << 30, 1 << 20, 2, Duration::ZERO);
    keys.get(&name, &store, &pool).await.unwrap();
    store.remove(&name).await.unwrap();
    let gone = keys.get(&name, &store, &pool).await;
    assert!(matches!(gone.err().as_deref(), Some(PrepareError::Absent)));
}
