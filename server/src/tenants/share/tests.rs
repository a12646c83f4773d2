//! Tests of shared counts: several servers in this process, with a clock that stands still.

use super::*;
use crate::tenants::{BudgetError, DailyBudget, Rate, RateError, RateLimit, exchange};
use chrono::Days;
use governor::clock::FakeRelativeClock;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use std::{fs, num::NonZeroU32, sync::Arc};
use tokio::time::advance;

const EVERY: Duration = Duration::from_secs(5);
/// A tick of the simulations.
const TICK: Duration = Duration::from_millis(250);
const SERVERS: usize = 3;

struct Server {
    share: Arc<Share>,
    budget: Option<Arc<DailyBudget>>,
    rate: RateLimit<FakeRelativeClock>,
}

impl Server {
    async fn exchange(&self) {
        exchange(&self.share, self.budget.as_deref(), &self.rate).await;
    }

    async fn take(&self, queries: usize) -> Result<(), BudgetError> {
        let budget = self.budget.as_ref().unwrap();
        budget
            .take(&clinic(), "churn", queries)
            .await
            .map(|taken| taken.spend())
    }
}

fn clinic() -> Tenant {
    Tenant::Named("clinic".parse().unwrap())
}

async fn share(store: &Arc<InMemory>) -> Arc<Share> {
    let objects = Objects::on(store.clone(), Duration::from_secs(1));
    Arc::new(Share::on(objects, EVERY).await.unwrap())
}

/// Starts a server with a daily budget.
async fn budgeted(store: &Arc<InMemory>, limit: u64) -> Server {
    let share = share(store).await;
    let limit = limit.try_into().unwrap();
    Server {
        budget: Some(Arc::new(DailyBudget::shared(limit, share.clone()))),
        rate: RateLimit::with_clock(None, None, FakeRelativeClock::default()),
        share,
    }
}

/// Starts a server with a rate.
async fn rated(store: &Arc<InMemory>, rate: Rate, clock: &FakeRelativeClock) -> Server {
    let share = share(store).await;
    Server {
        rate: RateLimit::with_clock(Some(rate), Some(share.clone()), clock.clone()),
        budget: None,
        share,
    }
}

/// Counts in the store for `name`.
async fn counted(store: &InMemory, name: &ServerName) -> Counted {
    let object = store.get(&name.object()).await.unwrap();
    serde_json::from_slice(&object.bytes().await.unwrap()).unwrap()
}

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_exceeded_by_what_others_take_between_two_exchanges_at_most() {
    const LIMIT: usize = 2000;
    for seed in 0..20 {
        let (store, mut numbers) = (Arc::new(InMemory::new()), Numbers(seed));
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            servers.push(budgeted(&store, LIMIT as u64).await);
        }
        // The offsets of the exchanges, and how much the tenant sends to each server.
        let offsets: Vec<usize> = servers.iter().map(|_| numbers.below(20)).collect();
        let busy: Vec<usize> = servers.iter().map(|_| 1 + numbers.below(12)).collect();
        let mut taken: Vec<(usize, usize, usize)> = Vec::new();
        for tick in 0.. {
            let mut spent = 0;
            for (index, server) in servers.iter().enumerate() {
                if (tick + offsets[index]).is_multiple_of(20) {
                    server.exchange().await;
                }
                // What no longer fits is tried one by one, to the last query.
                for queries in [numbers.below(busy[index]), 1] {
                    match server.take(queries).await {
                        Ok(()) => taken.push((tick, index, queries)),
                        Err(BudgetError::Spent { left, .. }) => spent += usize::from(left == 0),
                        Err(BudgetError::Uncounted) => panic!("all servers live"),
                    }
                }
            }
            if spent >= SERVERS {
                break;
            }
            advance(TICK).await;
        }
        let total: usize = taken.iter().map(|(.., queries)| queries).sum();
        let (end, last, _) = *taken.iter().rev().find(|(.., queries)| *queries > 0).unwrap();
        let unseen = taken
            .iter()
            .filter(|(tick, index, _)| *index != last && tick + 2 * 20 >= end);
        let slack: usize = unseen.map(|(.., queries)| queries).sum();
        assert!(total <= LIMIT + slack, "{total} of {LIMIT}, slack {slack}");
        assert!(slack < LIMIT / 2, "{slack} says nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_all_to_one_server_gets_the_whole_budget_and_others_know() {
    let store = Arc::new(InMemory::new());
    let (one, two) = (budgeted(&store, 320).await, budgeted(&store, 320).await);
    for _ in 0..310 {
        one.take(1).await.unwrap();
    }
    one.exchange().await;
    two.exchange().await;
    let Err(BudgetError::Spent { left, .. }) = two.take(11).await else {
        panic!("310 are used");
    };
    assert_eq!(left, 10);
    two.take(10).await.unwrap();
    assert!(matches!(
        two.take(1).await,
        Err(BudgetError::Spent { left: 0, .. })
    ));
    // The other model's budget is its own.
    let budget = two.budget.as_ref().unwrap();
    budget.take(&clinic(), "price@2", 320).await.unwrap().spend();
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_server_may_have_scored_stays_counted() {
    let store = Arc::new(InMemory::new());
    let one = budgeted(&store, 320).await;
    // Steps are ten queries. The last of these is only in memory.
    for queries in [12, 1] {
        one.take(queries).await.unwrap();
    }
    assert_eq!(counted(&store, &one.share.name).await.queries[0].used, 12);
    drop(one);
    let two = budgeted(&store, 320).await;
    // Whether the other lives isn't known yet: the twenty may or may not be used.
    assert!(matches!(two.take(301).await, Err(BudgetError::Uncounted)));
    assert!(matches!(
        two.take(309).await,
        Err(BudgetError::Spent { left: 308, .. })
    ));
    for _ in 0..13 {
        advance(EVERY).await;
        two.exchange().await;
    }
    assert!(matches!(
        two.take(301).await,
        Err(BudgetError::Spent { left: 300, .. })
    ));
    two.take(300).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_idles_still_lives() {
    let store = Arc::new(InMemory::new());
    let (one, two) = (budgeted(&store, 320).await, budgeted(&store, 320).await);
    one.take(1).await.unwrap();
    for _ in 0..40 {
        advance(EVERY).await;
        one.exchange().await;
        two.exchange().await;
    }
    assert_eq!(counted(&store, &one.share.name).await.queries[0].kept, 10);
    assert!(
        one.share.written.lock().await.beat < 20,
        "few writes while nothing changes"
    );
    two.take(319).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_leaves_what_was_used_and_no_empty_object() {
    let store = Arc::new(InMemory::new());
    let (one, idle) = (budgeted(&store, 320).await, budgeted(&store, 320).await);
    one.take(11).await.unwrap();
    one.budget.as_ref().unwrap().close().await.unwrap();
    idle.budget.as_ref().unwrap().close().await.unwrap();
    assert!(store.get(&idle.share.name.object()).await.is_err());
    let queries = &counted(&store, &one.share.name).await.queries[0];
    assert_eq!((queries.used, queries.kept), (11, 11));
    // What runs late adds nothing.
    one.exchange().await;
    assert!(matches!(one.take(20).await, Err(BudgetError::Uncounted)));
    budgeted(&store, 320).await.take(309).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_news_from_others_for_a_minute_no_query_is_scored() {
    let store = Arc::new(InMemory::new());
    let one = budgeted(&store, 320).await;
    let budget = one.budget.as_ref().unwrap();
    advance(STALE_AFTER).await;
    one.take(1).await.unwrap();
    budget.check().unwrap();
    advance(Duration::from_secs(1)).await;
    assert!(matches!(one.take(1).await, Err(BudgetError::Uncounted)));
    assert!(budget.check().is_err());
    one.exchange().await;
    one.take(1).await.unwrap();
    budget.check().unwrap();
}

#[tokio::test]
async fn queries_that_cant_be_kept_are_refused_and_those_kept_before_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (counts, away) = (folder.path().join("share"), folder.path().join("away"));
    let location = Location::Directory(counts.clone());
    let opened = Share::open(&location, EVERY, Duration::from_secs(10))
        .await
        .unwrap();
    let limit = 320.try_into().unwrap();
    let share = Arc::new(opened);
    let one = Server {
        budget: Some(Arc::new(DailyBudget::shared(limit, share.clone()))),
        rate: RateLimit::with_clock(None, None, FakeRelativeClock::default()),
        share,
    };
    one.take(1).await.unwrap();
    fs::rename(&counts, &away).unwrap();
    fs::write(&counts, "no folder").unwrap();
    one.take(9).await.unwrap();
    let asked = (0..5).map(|_| one.take(1));
    let results = futures_util::future::join_all(asked).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(BudgetError::Uncounted)))
    );
    one.exchange().await;
    assert!(one.share.exchanges.lock().unwrap().logged.is_some());
    // What was refused wasn't counted.
    fs::remove_file(&counts).unwrap();
    fs::rename(&away, &counts).unwrap();
    one.take(310).await.unwrap();
    one.exchange().await;
    assert!(one.share.exchanges.lock().unwrap().logged.is_none());
}

#[tokio::test(start_paused = true)]
async fn unreadable_counts_stop_budgets_and_other_objects_dont_matter() {
    let store = Arc::new(InMemory::new());
    let one = budgeted(&store, 320).await;
    let two = budgeted(&store, 320).await;
    two.take(1).await.unwrap();
    let bad = [
        (ServerName::random().unwrap().object(), "{}".to_owned()),
        (ServerName::random().unwrap().object(), " ".repeat(17 << 20)),
    ];
    for (path, text) in &bad {
        store.put(path, text.clone().into()).await.unwrap();
    }
    store.put(&"tokens.json".into(), "{}".into()).await.unwrap();
    one.exchange().await;
    let unread = || one.share.others.read().unwrap().bad(Utc::now().date_naive());
    assert_eq!(unread(), 2);
    // They may hold any number.
    assert!(matches!(one.take(1).await, Err(BudgetError::Uncounted)));
    one.budget.as_ref().unwrap().check().unwrap();
    // One that is mended counts, and is no longer reported.
    let good = Counted {
        format: FORMAT,
        beat: 1,
        day: Utc::now().date_naive(),
        queries: Vec::new(),
        units: Vec::new(),
    };
    for (path, _) in &bad {
        store
            .put(path, serde_json::to_vec(&good).unwrap().into())
            .await
            .unwrap();
    }
    one.exchange().await;
    assert_eq!(unread(), 0);
    assert!(matches!(
        one.take(320).await,
        Err(BudgetError::Spent { left: 319, .. })
    ));
    one.take(319).await.unwrap();
    assert_eq!(store.list_with_delimiter(None).await.unwrap().objects.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_clock_is_days_ahead_stops_nobody() {
    let store = Arc::new(InMemory::new());
    let one = budgeted(&store, 320).await;
    let ahead = Counted {
        format: FORMAT,
        beat: 1,
        day: Utc::now().date_naive() + Days::new(2),
        queries: Vec::new(),
        units: Vec::new(),
    };
    let content = serde_json::to_vec(&ahead).unwrap();
    let path = ServerName::random().unwrap().object();
    store.put(&path, content.into()).await.unwrap();
    one.exchange().await;
    assert!(one.share.others.read().unwrap().knows_bad());
    one.take(320).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn objects_of_past_days_are_removed_by_whoever_sees_them() {
    let (store, today) = (Arc::new(InMemory::new()), Utc::now().date_naive());
    let mut names = Vec::new();
    for age in 0..4 {
        let name = ServerName::random().unwrap();
        let old = Counted {
            format: FORMAT,
            beat: 1,
            day: today.checked_sub_days(Days::new(age)).unwrap(),
            queries: Vec::new(),
            units: Vec::new(),
        };
        store
            .put(&name.object(), serde_json::to_vec(&old).unwrap().into())
            .await
            .unwrap();
        names.push(name);
    }
    let server = share(&store).await;
    for (name, stays) in names.iter().zip([true, true, false, false]) {
        assert_eq!(store.get(&name.object()).await.is_ok(), stays);
    }
    // Its own object comes back if somebody removes it, and it says so.
    store.delete(&server.name.object()).await.unwrap();
    assert!(matches!(server.read().await, Err(ShareError::Gone)));
    server.put(today, Vec::new()).await.unwrap();
    assert!(server.read().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn servers_together_keep_to_the_rate_and_one_alone_gets_all_of_it() {
    let rate = Rate {
        per_second: NonZeroU32::new(20).unwrap(),
        burst: NonZeroU32::new(64).unwrap(),
    };
    let seconds = 300;
    for busy in 1..=SERVERS {
        let (store, clock) = (Arc::new(InMemory::new()), FakeRelativeClock::default());
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            servers.push(rated(&store, rate, &clock).await);
        }
        let mut admitted = 0;
        for tick in 0..seconds * 4 {
            for (index, server) in servers.iter().enumerate() {
                if (tick + 7 * index).is_multiple_of(20) {
                    server.exchange().await;
                }
                while index < busy && server.rate.check(&clinic(), 1).is_ok() {
                    admitted += 1;
                }
            }
            clock.advance(TICK);
            advance(TICK).await;
        }
        let (rate, burst, stale) = (20, 64, 2 * EVERY.as_secs() as usize);
        let whole = burst + rate * seconds;
        let slack = (SERVERS - 1) * (burst + rate * stale);
        assert!(
            admitted <= whole + slack,
            "{busy} servers: {admitted} of {whole} + {slack}"
        );
        assert!(
            admitted >= rate * (seconds - 1),
            "{busy} servers: {admitted} of {whole}"
        );
        if busy == 1 {
            assert!(admitted <= whole);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn units_elsewhere_make_a_tenant_wait_here_but_never_for_long() {
    let rate = Rate {
        per_second: NonZeroU32::new(1).unwrap(),
        burst: NonZeroU32::new(64).unwrap(),
    };
    let (store, clock) = (Arc::new(InMemory::new()), FakeRelativeClock::default());
    let (one, two) = (
        rated(&store, rate, &clock).await,
        rated(&store, rate, &clock).await,
    );
    one.rate.check(&clinic(), 64).unwrap();
    one.exchange().await;
    two.exchange().await;
    let wait = |server: &Server| match server.rate.check(&clinic(), 64) {
        Err(RateError::Exceeded(wait)) => wait.as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!(wait(&two), 64);
    two.rate.check(&Tenant::Anonymous, 64).unwrap();
    // An object that claims too much costs a burst and a minute's rate each time.
    let name = ServerName::random().unwrap();
    for (beat, waits) in [(1, 64 + 124), (2, 64 + 2 * 124)] {
        let units = u64::MAX / 2 * beat;
        let text = format!(
            r#"{{"format":1,"beat":{beat},"day":"{}","queries":[],"units":[{{"tenant":"clinic","units":{units}}}]}}"#,
            Utc::now().date_naive()
        );
        store.put(&name.object(), text.into()).await.unwrap();
        two.exchange().await;
        assert_eq!(wait(&two), waits);
    }
}

#[test]
fn files_of_unfinished_writes_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let name = ServerName::random().unwrap().object();
    let old = std::time::SystemTime::now() - 2 * staging::ABANDONED;
    let files = [
        (format!("{name}#1"), true, false),
        (format!("{name}#2"), false, true),
        (format!("{name}#x"), true, true),
        (name.to_string(), true, true),
        ("notes#1".to_owned(), true, true),
    ];
    for (file, is_old, _) in &files {
        let file = fs::File::create(folder.path().join(file)).unwrap();
        if *is_old {
            file.set_modified(old).unwrap();
        }
    }
    remove_leftovers(folder.path());
    for (file, _, stays) in &files {
        assert_eq!(folder.path().join(file).exists(), *stays, "{file}");
    }
}

#[tokio::test]
async fn a_clock_that_differs_from_the_stores_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Directory(folder.path().to_owned());
    let seconds = Duration::from_secs(5);
    let share = Share::open(&location, seconds, seconds).await.unwrap();
    assert!(share.read().await.is_ok());
    let own = folder.path().join(share.name.object().to_string());
    let now = std::time::SystemTime::now();
    let hours = Duration::from_secs(2 * 3600);
    for store in [now - hours, now + hours] {
        let file = std::fs::File::options().write(true).open(&own).unwrap();
        file.set_modified(store).unwrap();
        assert!(matches!(share.read().await, Err(ShareError::Clock { .. })));
    }
}
