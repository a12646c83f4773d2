//! Keys in real object stores: Azurite (Azure Blob) and moto (S3, and what Google Cloud Storage has
//! in common with it).

use crate::publishing;
use anyhow::Result;
use blindscore_protocol::{ids::KeyId, problem::ProblemCode};
use blindscore_server::{
    keystore::{KeyName, KeyStore, KeyStoreError, Policy, Stored},
    objects::Location,
    tenants::Tenant,
};
use blindscore_tests::{Fault, Faults, ObjectStoreServer, Server, User, operator_token};
use std::{num::NonZeroU64, sync::Arc, thread, time::Duration};
use tempfile::TempDir;

fn flags(store: &ObjectStoreServer, base: &str) -> Vec<String> {
    let options = store.options(base).into_iter();
    let options = options.flat_map(|option| ["--store-options".to_owned(), option]);
    ["--store".to_owned(), store.url()]
        .into_iter()
        .chain(options)
        .collect()
}

fn start(flags: &[String], more: &[&str]) -> Server {
    let flags: Vec<&str> = flags
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    Server::start_with(&flags)
}

/// Checks upload, use, restart, and removal by another replica.
fn serves_keys(store: &ObjectStoreServer) {
    let flags = flags(store, &format!("http://{}", store.address()));
    let server = start(&flags, &[]);
    let api = server.api();
    api.get("/readyz").expect_status(200);
    let user = User::enrolled(&api);
    user.assert_scores(&api, 0);
    api.put_key(user.id(), &user.public_key).expect_status(200);
    assert!(!server.keys_dir().exists());
    drop(server);

    let one = start(&flags, &["--key-check-seconds", "1"]);
    let other = start(&flags, &[]);
    user.assert_scores(&one.api(), 1);
    let path = format!("/v1/keys/{}", user.id());
    other.api().delete(&path).expect_status(204);
    other.api().head(&path).expect_status(404);
    wait_until(|| one.api().score(user.id(), &user.query(0)).status == 404);
    one.api().put_key(user.id(), &user.public_key).expect_status(201);
    user.assert_scores(&other.api(), 2);
}

/// Checks that a store that hangs, disconnects or fails leads to an honest error, failing
/// readiness, and recovery without a restart.
fn survives_faults(store: &ObjectStoreServer) {
    let faults = Faults::before(store.address());
    let server = start(
        &flags(store, faults.url()),
        &["--store-seconds", "1", "--key-check-seconds", "1"],
    );
    let api = server.api();
    let kept = User::enrolled(&api);
    kept.assert_scores(&api, 0);
    for fault in [Fault::Hang, Fault::Refuse, Fault::Fail] {
        faults.set(fault);
        let user = User::new(&api);
        let reply = api.put_key(user.id(), &user.public_key);
        assert!(!reply.header("retry-after").is_empty(), "{fault:?}");
        reply.expect_problem(ProblemCode::StoreUnavailable, format!("{fault:?}, an upload"));
        wait_until(|| api.get("/readyz").status == 503);
        api.get("/readyz")
            .expect_problem(ProblemCode::StoreUnavailable, format!("{fault:?}, readiness"));
        api.get("/healthz").expect_status(200);
        // A cached key may be used only for as long as a removal elsewhere may go unnoticed.
        wait_until(|| api.score(kept.id(), &kept.query(0)).status == 503);

        faults.set(Fault::None);
        wait_until(|| api.get("/readyz").status == 200);
        kept.assert_scores(&api, 1);
        let reply = api.put_key(user.id(), &user.public_key);
        // The upload that was given up may have succeeded after all.
        assert!([200, 201].contains(&reply.status), "{fault:?}: {reply:?}");
        user.assert_scores(&api, 2);
    }
}

/// Checks that servers with one place of models serve what any of them publishes, and no longer
/// serve what any of them removes; that none publishes over another; and what a failing place leads
/// to.
fn serves_models(store: &ObjectStoreServer) -> Result<()> {
    let faults = Faults::before(store.address());
    let mut flags = flags(store, faults.url());
    flags.extend(["--models".to_owned(), format!("{}/models", store.url())]);
    flags.extend(["--store-seconds".to_owned(), "1".to_owned()]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let data = Arc::new(TempDir::new()?);
    let operator = operator_token(data.path())?;
    let servers = [(); 2].map(|()| Server::on(data.clone(), &flags));
    let apis = servers
        .each_ref()
        .map(|server| server.api().with_token(&operator));
    let [one, other] = &apis;
    let file = |threshold| publishing::model("churn", threshold);
    let first = file(1.0)?;
    publishing::put(one, "churn", &first).expect_status(201);
    assert_eq!(one.model("churn").version, Some(1));
    wait_until(|| other.get("/v1/models/churn").status == 200);
    assert_eq!(other.model("churn").id, one.model("churn").id);
    publishing::put(other, "churn", &first).expect_status(200);
    publishing::put(other, "churn@1", &file(2.0)?).expect_problem(ProblemCode::ModelExists, "another model");
    // All at the same time, each gets a version of its own.
    thread::scope(|scope| {
        for place in 2..8 {
            let (api, file) = (&apis[place % 2], file(place as f64));
            scope.spawn(move || publishing::put(api, "churn", &file.expect("a model")).expect_status(201));
        }
    });
    for api in &apis {
        wait_until(|| api.model("churn").version == Some(7));
    }
    publishing::delete(other, "churn@7").expect_status(204);
    assert_eq!(other.model("churn").version, Some(6));
    wait_until(|| one.model("churn").version == Some(6));
    one.get("/v1/models/churn@1").expect_status(200);

    for fault in [Fault::Hang, Fault::Refuse, Fault::Fail] {
        faults.set(fault);
        publishing::put(one, "churn", &file(9.0)?)
            .expect_problem(ProblemCode::ModelsUnavailable, format!("{fault:?}, publishing"));
        publishing::delete(one, "churn")
            .expect_problem(ProblemCode::ModelsUnavailable, format!("{fault:?}, removing"));
        assert_eq!(one.model("churn").version, Some(6), "{fault:?}");
    }
    faults.set(Fault::None);
    publishing::delete(one, "churn").expect_status(204);
    wait_until(|| other.get("/v1/models/churn").status == 404);
    publishing::put(one, "churn", &file(9.0)?).expect_status(201);
    drop(servers);
    let again = Server::on(data, &flags);
    assert_eq!(again.api().with_token(&operator).model("churn").version, Some(1));
    Ok(())
}

/// Checks the promises of `object_store` that Azurite and moto have to keep: conditions, listings,
/// removal.
fn keeps_promises(store: &ObjectStoreServer) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = store.options(&format!("http://{}", store.address()));
    let options = options
        .iter()
        .map(|option| option.parse().expect("an option"))
        .collect();
    let location = Location::new(store.url().parse()?, options)?;
    let policy = |days| Policy {
        ttl: chrono::TimeDelta::days(days),
        patience: Duration::from_secs(10),
        max_keys: NonZeroU64::new(2),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let keys = KeyStore::open(&location, policy(1)).await?;
        let name = |tenant: &str, blob: &'static [u8]| KeyName {
            tenant: Tenant::Named(tenant.parse().expect("a name")),
            id: KeyId::of(blob),
        };
        let one = name("a", b"one");
        assert!(matches!(keys.put(&one, b"one"[..].into()).await?, Stored::New(_)));
        assert!(matches!(
            keys.put(&one, b"one"[..].into()).await?,
            Stored::Already(_)
        ));
        assert!(keys.find(&name("b", b"one")).await?.is_none());

        // Several concurrent uploads, of which one is new, and a quota.
        let two = name("a", b"two");
        let puts = (0..4).map(|_| keys.put(&two, b"two"[..].into()));
        let results = futures_util::future::join_all(puts).await;
        let new = results
            .iter()
            .filter(|result| matches!(result, Ok(Stored::New(_))))
            .count();
        assert_eq!(new, 1, "{results:?}");
        let third = keys.put(&name("a", b"three"), b"three"[..].into()).await;
        assert!(matches!(third, Err(KeyStoreError::Quota(2))), "{third:?}");

        let before = keys.find(&one).await?.expect("stored");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let after = keys.renew(&one).await?.expect("stored");
        assert!(after.expires_at > before.expires_at);
        assert_eq!(keys.read(&one).await?.expect("stored").1, b"one"[..]);
        assert!(keys.remove(&one).await?);
        assert!(
            keys.renew(&one).await?.is_none(),
            "a removed key does not come back"
        );
        assert!(keys.find(&one).await?.is_none());

        let brief = KeyStore::open(&location, policy(0)).await?;
        assert!(brief.find(&two).await?.is_none());
        assert_eq!(brief.sweep().await?, 1);
        assert!(keys.find(&two).await?.is_none());
        Ok(())
    })
}

#[test]
fn google_serves_keys() {
    serves_keys(&ObjectStoreServer::moto_as_google());
}

#[test]
fn google_survives_faults() {
    survives_faults(&ObjectStoreServer::moto_as_google());
}

macro_rules! with_each_store {
    ($($module:ident = $start:expr;)*) => {
        $(mod $module {
            use super::*;

            #[test]
            fn serves_keys() {
                super::serves_keys(&$start);
            }

            #[test]
            fn survives_faults() {
                super::survives_faults(&$start);
            }

            #[test]
            fn serves_models() -> Result<()> {
                super::serves_models(&$start)
            }

            #[test]
            fn keeps_promises() -> Result<()> {
                super::keeps_promises(&$start)
            }
        })*
    };
}

with_each_store! {
    azurite = ObjectStoreServer::azurite();
    moto = ObjectStoreServer::moto();
}

fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(20));
    }
}
