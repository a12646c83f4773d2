//! Tests of the key store.

use super::*;
use futures_util::future;

const BLOB: Bytes = Bytes::from_static(b"key");

fn name(tenant: Tenant) -> KeyName {
    KeyName {
        tenant,
        id: KeyId::of(&BLOB),
    }
}

fn tenant(name: &str) -> Tenant {
    Tenant::Named(name.parse().unwrap())
}

async fn store(ttl: TimeDelta, max_keys: u64) -> KeyStore {
    let policy = Policy {
        ttl,
        patience: Duration::from_secs(10),
        max_keys: NonZeroU64::new(max_keys),
    };
    KeyStore::open(&Location::Memory, policy).await.unwrap()
}

#[actix_web::test]
async fn keeps_and_removes() {
    let keys = store(TimeDelta::days(1), 0).await;
    let name = name(Tenant::Anonymous);
    assert_eq!(keys.find(&name).await.unwrap(), None);
    assert!(matches!(keys.put(&name, BLOB).await.unwrap(), Stored::New(_)));
    assert!(matches!(keys.put(&name, BLOB).await.unwrap(), Stored::Already(_)));
    let (record, read) = keys.read(&name).await.unwrap().unwrap();
    assert_eq!((record.bytes, read), (3, BLOB));
    assert!(record.is_live() && !record.is_due());
    assert_eq!(keys.sweep().await.unwrap(), 0);
    assert!(keys.remove(&name).await.unwrap());
    assert!(!keys.remove(&name).await.unwrap());
    assert!(keys.read(&name).await.unwrap().is_none());
    keys.check().await.unwrap();
}

#[actix_web::test]
async fn an_object_store_is_written_seldom_unless_a_write_has_failed() {
    let keys = store(TimeDelta::days(1), 0).await;
    let path = Path::from(crate::tenants::STORE_PROBE);
    let written = async || keys.objects.head(&path).await.unwrap().e_tag;
    let forget = async || keys.probes.forget_reading().await;
    keys.check().await.unwrap();
    let first = written().await;
    forget().await;
    keys.check().await.unwrap();
    assert_eq!(written().await, first);
    keys.probes.write_failed();
    keys.check().await.unwrap();
    let second = written().await;
    assert_ne!(second, first);
    // Without the object, nothing was read.
    keys.objects.delete(&path).await.unwrap();
    keys.check().await.unwrap();
    assert!(keys.objects.head(&path).await.is_err());
    forget().await;
    keys.check().await.unwrap();
    assert_ne!(written().await, second);
}

#[actix_web::test]
async fn expired_keys_are_absent_replaced_and_swept() {
    let keys = store(TimeDelta::zero(), 0).await;
    let name = name(tenant("a"));
    assert!(matches!(keys.put(&name, BLOB).await.unwrap(), Stored::New(_)));
    assert_eq!(keys.find(&name).await.unwrap(), None);
    assert!(keys.read(&name).await.unwrap().is_none());
    assert!(matches!(keys.put(&name, BLOB).await.unwrap(), Stored::New(_)));
    assert_eq!(keys.sweep().await.unwrap(), 1);
    assert_eq!(keys.sweep().await.unwrap(), 0);
    keys.check().await.unwrap();
}

#[actix_web::test]
async fn tenants_do_not_see_each_others_keys() {
    let keys = store(TimeDelta::days(1), 0).await;
    let (a, b, anyone) = (name(tenant("a")), name(tenant("b")), name(Tenant::Anonymous));
    keys.put(&a, BLOB).await.unwrap();
    assert!(keys.find(&b).await.unwrap().is_none());
    assert!(keys.find(&anyone).await.unwrap().is_none());
    assert!(!keys.remove(&b).await.unwrap());
    assert!(keys.find(&a).await.unwrap().is_some());
}

#[actix_web::test]
async fn renewal_starts_the_time_anew_but_never_brings_a_key_back() {
    let keys = store(TimeDelta::days(1), 0).await;
    let name = name(tenant("a"));
    keys.put(&name, BLOB).await.unwrap();
    let before = keys.find(&name).await.unwrap().unwrap();
    let after = keys.renew(&name).await.unwrap().unwrap();
    assert!(after.expires_at > before.expires_at);
    keys.remove(&name).await.unwrap();
    assert_eq!(keys.renew(&name).await.unwrap(), None);
    assert_eq!(keys.find(&name).await.unwrap(), None);
}

#[actix_web::test]
async fn a_tenant_has_no_more_keys_than_its_quota() {
    let keys = store(TimeDelta::days(1), 2).await;
    let blobs = [&b"1"[..], b"2", b"3"].map(Bytes::from_static);
    let name = |tenant: &Tenant, blob: &Bytes| KeyName {
        tenant: tenant.clone(),
        id: KeyId::of(blob),
    };
    for tenant in [Tenant::Anonymous, tenant("a")] {
        let puts = blobs.iter().map(|blob| {
            let name = name(&tenant, blob);
            let keys = &keys;
            async move { keys.put(&name, blob.clone()).await }
        });
        let results = future::join_all(puts).await;
        let refused = |result: &Result<_, _>| matches!(result, Err(KeyStoreError::Quota(2)));
        assert_eq!(results.iter().filter(|result| refused(result)).count(), 1);
        // Uploading the same key again takes no place, and a removal frees one.
        let stored = blobs.iter().zip(&results).find(|(_, result)| result.is_ok());
        let (blob, _) = stored.unwrap();
        keys.put(&name(&tenant, blob), blob.clone()).await.unwrap();
        assert!(keys.remove(&name(&tenant, blob)).await.unwrap());
        keys.put(&name(&tenant, blob), blob.clone()).await.unwrap();
    }
}

#[actix_web::test]
async fn removals_at_once_give_back_one_place() {
    let keys = store(TimeDelta::days(1), 2).await;
    let blobs = [&b"1"[..], b"2", b"3", b"4"].map(Bytes::from_static);
    let name = |blob: &Bytes| KeyName {
        tenant: tenant("a"),
        id: KeyId::of(blob),
    };
    keys.put(&name(&blobs[0]), blobs[0].clone()).await.unwrap();
    keys.put(&name(&blobs[1]), blobs[1].clone()).await.unwrap();
    let first = name(&blobs[0]);
    let removed = future::join_all((0..60).map(|_| keys.remove(&first))).await;
    assert_eq!(
        removed
            .into_iter()
            .filter(|removed| *removed.as_ref().unwrap())
            .count(),
        1
    );
    keys.put(&name(&blobs[2]), blobs[2].clone()).await.unwrap();
    let more = keys.put(&name(&blobs[3]), blobs[3].clone()).await;
    assert!(matches!(more, Err(KeyStoreError::Quota(2))));
}

#[actix_web::test]
async fn a_damaged_key_is_replaced_by_the_next_upload() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy {
        ttl: TimeDelta::days(1),
        patience: Duration::from_secs(10),
        max_keys: NonZeroU64::new(1),
    };
    let location = Location::Directory(folder.path().to_owned());
    let keys = KeyStore::open(&location, policy).await.unwrap();
    let name = name(Tenant::Anonymous);
    keys.put(&name, BLOB).await.unwrap();
    for damage in ["", "kex", "keyyy"] {
        std::fs::write(folder.path().join(name.id.to_string()), damage).unwrap();
        keys.put(&name, BLOB).await.unwrap();
        let (_, stored) = keys.read(&name).await.unwrap().unwrap();
        assert_eq!(stored, BLOB);
    }
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    assert_eq!(keys.sweep().await.unwrap(), 0);
}
