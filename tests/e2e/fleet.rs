//! Several servers that share keys, tokens and counts: in a directory, and in an object store
//! (moto, S3).

use anyhow::Result;
use blindscore_protocol::problem::ProblemCode;
#[cfg(feature = "servers")]
use blindscore_tests::ObjectStoreServer;
use blindscore_tests::{Api, Server, User, blindscore_server};
use std::{fs, path::PathBuf, thread, time::Duration};
use tempfile::TempDir;

const REPLICAS: usize = 3;

/// Place that servers share.
struct Shared {
    /// URL without a slash at its end.
    url: String,
    options: Vec<String>,
    kind: Kind,
}

enum Kind {
    Directory(TempDir),
    #[cfg(feature = "servers")]
    Bucket(ObjectStoreServer),
}

impl Shared {
    fn directory() -> Result<Self> {
        let folder = TempDir::new()?;
        Ok(Self {
            url: format!("file://{}", folder.path().display()),
            options: Vec::new(),
            kind: Kind::Directory(folder),
        })
    }

    #[cfg(feature = "servers")]
    fn bucket() -> Result<Self> {
        let store = ObjectStoreServer::moto();
        Ok(Self {
            url: store.url(),
            options: store.options(&format!("http://{}", store.address())),
            kind: Kind::Bucket(store),
        })
    }

    /// Arguments for the object store, if it is one.
    fn store_options(&self) -> impl Iterator<Item = String> {
        let options = self.options.iter();
        options.flat_map(|option| ["--store-options".to_owned(), option.clone()])
    }

    fn tokens(&self) -> String {
        format!("{}/tokens.json", self.url)
    }

    /// Runs `token` and returns its output.
    fn token(&self, arguments: &[&str]) -> Result<String> {
        let output = blindscore_server()
            .arg("token")
            .args(arguments)
            .args(["--tokens", &self.tokens()])
            .args(self.store_options())
            .output()?;
        assert!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts a server.
    fn server(&self, arguments: &[&str]) -> Server {
        let flags = [
            "--store".to_owned(),
            format!("{}/keys", self.url),
            "--share".to_owned(),
            format!("{}/_counts", self.url),
            "--tokens".to_owned(),
            self.tokens(),
        ];
        let flags: Vec<String> = flags.into_iter().chain(self.store_options()).collect();
        let flags = flags.iter().map(String::as_str);
        Server::start_with(&flags.chain(arguments.iter().copied()).collect::<Vec<_>>())
    }

    /// Replaces a shared object, or removes it.
    fn set(&self, name: &str, content: Option<&str>) -> Result<()> {
        match &self.kind {
            Kind::Directory(folder) => {
                let path: PathBuf = folder.path().join(name);
                match content {
                    Some(content) => fs::write(path, content)?,
                    None => fs::remove_file(path)?,
                }
            }
            #[cfg(feature = "servers")]
            Kind::Bucket(store) => {
                let path = format!("/{}/{name}", self.url.trim_start_matches("s3://"));
                match content {
                    Some(content) => store.send("PUT", &path, content),
                    None => store.send("DELETE", &path, ""),
                }
            }
        }
        Ok(())
    }
}

/// Scores one query until the day's budget is spent, and returns how many were scored.
fn spend(api: &Api, user: &User) -> usize {
    let query = user.query(0);
    let mut scored = 0;
    loop {
        let reply = api.score(user.id(), &query);
        match reply.status {
            200 => scored += 1,
            // The rate, or a server of which it isn't known whether it has ended.
            429 if reply.json::<serde_json::Value>()["code"] == "rate_limited" => {
                thread::sleep(Duration::from_millis(50));
            }
            503 => thread::sleep(Duration::from_millis(50)),
            _ => {
                reply.expect_problem(ProblemCode::QueryBudgetSpent, "nothing else stops it");
                return scored;
            }
        }
    }
}

/// Checks that a tenant who spreads its queries gets the budget, and no more than what
/// docs/operations.md allows above it.
fn budgets_hold(shared: &Shared) -> Result<()> {
    const BUDGET: usize = 200;
    const RATE: usize = 5;
    const BURST: usize = 64;
    // Twice the interval and the time of an exchange, which is one write, one listing and one
    // reading of at most `--store-seconds` each.
    const STALE: usize = 2 * (1 + 3 * 2);
    const SLACK: usize = (REPLICAS - 1) * (BURST + RATE * STALE);
    // Without sharing, each would score the whole budget.
    const { assert!(BUDGET + SLACK < REPLICAS * BUDGET) };
    let limits = [
        "--tenant-daily-queries",
        &BUDGET.to_string(),
        "--tenant-rate",
        &RATE.to_string(),
        "--tenant-burst",
        &BURST.to_string(),
        "--share-seconds",
        "1",
        "--store-seconds",
        "2",
    ];
    let token = shared.token(&["create", "clinic"])?;
    let mut servers: Vec<Server> = (0..REPLICAS).map(|_| shared.server(&limits)).collect();
    let apis: Vec<Api> = servers
        .iter()
        .map(|server| server.api().with_token(&token))
        .collect();
    let user = User::enrolled(&apis[0]);
    let scored: usize = thread::scope(|scope| {
        let spent: Vec<_> = apis.iter().map(|api| scope.spawn(|| spend(api, &user))).collect();
        spent
            .into_iter()
            .map(|spent| spent.join().expect("no panic"))
            .sum()
    });
    assert!(
        (BUDGET..=BUDGET + SLACK).contains(&scored),
        "{scored} of {BUDGET}"
    );

    // Neither a kill nor a new server gives queries back.
    drop(servers.pop());
    let new = shared.server(&limits);
    let new = new.api().with_token(&token);
    for api in [&apis[0], &new] {
        let status = api.score(user.id(), &user.query(0)).status;
        assert!([429, 503].contains(&status), "{status}");
    }
    Ok(())
}

/// Checks that what a server has scored since its last exchange survives a kill.
fn kills_forget_nothing(shared: &Shared) -> Result<()> {
    let limits = ["--tenant-daily-queries", "40", "--share-seconds", "20"];
    let token = shared.token(&["create", "clinic"])?;
    let server = shared.server(&limits);
    let api = server.api().with_token(&token);
    let user = User::enrolled(&api);
    let queries = |count: usize| user.query(0).repeat(count);
    // Counts are kept ahead in steps of two queries: the thirtieth is only in memory.
    for count in [29, 1] {
        api.score(user.id(), &queries(count)).expect_status(200);
    }
    drop(server);
    let server = shared.server(&limits);
    let api = server.api().with_token(&token);
    let refused = api
        .score(user.id(), &queries(12))
        .expect_problem(ProblemCode::QueryBudgetSpent, "29 are used for sure");
    assert!(refused.detail.contains("11 are left"), "{}", refused.detail);
    api.score(user.id(), &queries(11))
        .expect_problem(ProblemCode::StoreUnavailable, "30 may be used");
    api.score(user.id(), &queries(10)).expect_status(200);
    api.score(user.id(), &queries(2))
        .expect_problem(ProblemCode::QueryBudgetSpent, "39 are used for sure");
    Ok(())
}

/// Checks that a tenant waits at one server for what it sent to another.
fn rates_hold(shared: &Shared) -> Result<()> {
    let limits = [
        "--tenant-rate",
        "1",
        "--tenant-burst",
        "64",
        "--share-seconds",
        "1",
    ];
    let token = shared.token(&["create", "clinic"])?;
    let servers = [shared.server(&limits), shared.server(&limits)];
    let [one, two] = servers.each_ref().map(|server| server.api().with_token(&token));
    let user = User::new(&one);
    let batch = user.query(0).repeat(64);
    // No key is stored: the rate is charged first.
    for (api, count) in [(&one, 64), (&two, 30)] {
        api.score(user.id(), &user.query(0).repeat(count))
            .expect_problem(ProblemCode::KeyNotFound, "of a burst of 64");
    }
    // By its own count, the second would have the tenant wait for 30 s.
    wait_until(|| {
        let refused = two.score(user.id(), &batch);
        let seconds: u32 = refused.header("retry-after").parse().expect("a number");
        refused.expect_problem(ProblemCode::RateLimited, "more than a burst");
        seconds > 40
    });
    Ok(())
}

/// Checks that tokens are the same for all servers, and what happens to them if their list is
/// damaged or gone.
fn tokens_are_shared(shared: &Shared) -> Result<()> {
    let first = shared.token(&["create", "clinic"])?;
    let servers: Vec<Server> = (0..REPLICAS).map(|_| shared.server(&[])).collect();
    let all = |token: &str, status: u16| {
        for server in &servers {
            let api = server.api().with_token(token);
            wait_until(|| api.get("/v1/models").status == status);
        }
    };
    all(&first, 200);
    // Operators at the same time lose nothing.
    let tokens: Vec<String> = thread::scope(|scope| {
        let created: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| shared.token(&["create", "lab"])))
            .collect();
        let tokens = created.into_iter().map(|token| token.join().expect("no panic"));
        tokens.collect::<Result<_>>()
    })?;
    assert_eq!(shared.token(&["list"])?.lines().count(), 1 + tokens.len());
    tokens.iter().for_each(|token| all(token, 200));
    let listed = shared.token(&["list"])?;
    let id = listed.split(' ').next().unwrap_or_default();
    shared.token(&["revoke", id])?;
    all(&first, 401);
    all(&tokens[0], 200);

    // Damaged: the tokens that are known stay valid for a while, but no server is ready.
    shared.set("tokens.json", Some("{"))?;
    for server in &servers {
        wait_until(|| server.api().get("/readyz").status == 503);
    }
    all(&tokens[0], 200);
    shared.set("tokens.json", None)?;
    all(&tokens[0], 401);
    let last = shared.token(&["create", "clinic"])?;
    all(&last, 200);
    for server in &servers {
        wait_until(|| server.api().get("/readyz").status == 200);
    }
    Ok(())
}

/// Checks that an object with junk in it stops budgets until it is removed, since it may count
/// queries.
fn bad_objects_stop_budgets(shared: &Shared) -> Result<()> {
    let token = shared.token(&["create", "clinic", "--operator"])?;
    let limits = ["--tenant-daily-queries", "40", "--share-seconds", "1"];
    let server = shared.server(&limits);
    let api = server.api().with_token(&token);
    let user = User::enrolled(&api);
    let object = format!("_counts/{}.json", "0a".repeat(16));
    shared.set(&object, Some("{\"beat\":"))?;
    let metric = "blindscore_share_errors_total{kind=\"object\"}";
    wait_until(|| String::from_utf8_lossy(&api.get("/metrics").body).contains(metric));
    assert!(server.log().contains("another server's counts can't be read"));
    // Other replicas could do no better.
    api.get("/readyz").expect_status(200);
    let score = || api.score(user.id(), &user.query(0));
    score().expect_problem(ProblemCode::StoreUnavailable, "counts that can't be read");
    shared.set(&object, None)?;
    wait_until(|| score().status == 200);
    user.assert_scores(&api, 0);
    Ok(())
}

macro_rules! in_each_place {
    ($($module:ident = $place:expr;)*) => {
        $(mod $module {
            use super::*;

            #[test]
            fn budgets_hold() -> Result<()> {
                super::budgets_hold(&$place?)
            }

            #[test]
            fn kills_forget_nothing() -> Result<()> {
                super::kills_forget_nothing(&$place?)
            }

            #[test]
            fn rates_hold() -> Result<()> {
                super::rates_hold(&$place?)
            }

            #[test]
            fn tokens_are_shared() -> Result<()> {
                super::tokens_are_shared(&$place?)
            }

            #[test]
            fn bad_objects_stop_budgets() -> Result<()> {
                super::bad_objects_stop_budgets(&$place?)
            }
        })*
    };
}

in_each_place! {
    directory = Shared::directory();
}

#[cfg(feature = "servers")]
in_each_place! {
    moto = Shared::bucket();
}

#[test]
fn what_cant_be_shared_is_refused_before_anything_listens() -> Result<()> {
    let refusal = |arguments: &[&str]| -> Result<String> {
        let data = TempDir::new()?;
        let output = blindscore_server()
            .args(["serve", "--tenant-rate", "1", "--data-dir"])
            .arg(data.path())
            .args(arguments)
            .output()?;
        assert!(!output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stderr)?)
    };
    for (arguments, words) in [
        (&["--share", "memory://"][..], "memory:// exists in one process"),
        (&["--share", "ftp://host/counts"], "not ftp"),
        (
            &["--store", "file:///tmp/x", "--share", "file:///tmp/x"],
            "a location of its own",
        ),
        (&["--tokens", "memory://"], "memory:// is lost"),
        (&["--tokens", "s3://bucket/"], "s3://BUCKET/PREFIX/tokens.json"),
        (&["--tokens", "ftp://host/tokens.json"], "not ftp"),
        (&["--store-options", "aws_region=x"], "are for an object store"),
        (
            &["--share", "file:///tmp/x", "--store-options", "aws_region=x"],
            "no option aws_region",
        ),
        (&["--share-seconds", "21"], "1..=20"),
        (&["--share-seconds", "5"], "a location that --share names"),
    ] {
        let error = refusal(arguments)?;
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    Ok(())
}

fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(20));
    }
}
