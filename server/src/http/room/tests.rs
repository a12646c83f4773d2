//! Tests of who finds room, and who gives way.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

struct Client(State, AtomicBool);

impl Holder for Client {
    fn state(&self) -> State {
        self.0
    }

    fn evict(&self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

fn client(state: State) -> Arc<Client> {
    Arc::new(Client(state, AtomicBool::new(false)))
}

fn tenant(name: &str) -> Tenant {
    Tenant::Named(name.parse().unwrap())
}

const IDLE: State = State::Idle(Duration::from_secs(3));

#[test]
fn a_room_for_one_has_a_reserve_beside_it() {
    for bytes in [1, 999, 1000, 200_000_000] {
        let room = Room::new(Room::bytes_for_one(bytes));
        assert!(bytes + room.bytes / RESERVE_DIVISOR <= room.bytes, "{bytes}");
    }
}

#[tokio::test]
async fn what_is_short_finds_room_where_what_is_long_does_not() {
    let room = Room::new(1000);
    let a = tenant("a");
    let working = client(State::Working);
    let _held = room.take(&a, 800, working.clone()).await.unwrap();
    assert!(room.take(&a, 100, working.clone()).await.is_none());
    let short = room.take(&a, 30, working.clone()).await.unwrap();
    assert_eq!(room.taken(), 830);
    short.shrink_to(10);
    assert_eq!(room.taken(), 810);
    drop(short);
    assert_eq!(room.taken(), 800);
}

#[tokio::test]
async fn idle_clients_give_way_to_anyone() {
    let room = Room::new(1000);
    let a = tenant("a");
    let idle = client(IDLE);
    let place = room.take(&a, 500, idle.clone()).await.unwrap();
    let longer = client(State::Idle(Duration::from_secs(9)));
    let gone = room.take(&a, 300, longer.clone()).await.unwrap();
    let waiter = tokio::spawn({
        let (room, a) = (room.clone(), a.clone());
        async move { room.take(&a, 300, client(State::Moving)).await.is_some() }
    });
    while !longer.1.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    drop(gone);
    assert!(waiter.await.unwrap());
    assert!(!idle.1.load(Ordering::Relaxed), "one was enough");
    drop(place);
    assert_eq!(room.taken(), 0);
}

#[tokio::test]
async fn the_tenant_that_holds_most_gives_way_until_both_hold_as_much() {
    let room = Room::new(800);
    let (a, b) = (tenant("a"), tenant("b"));
    let mut held = Vec::new();
    for _ in 0..7 {
        let holder = client(State::Moving);
        let place = room.take(&a, 100, holder.clone()).await.unwrap();
        held.push(Some((place, holder)));
    }
    // A waiter of the same tenant is refused.
    assert!(room.take(&a, 100, client(State::Moving)).await.is_none());
    let mut let_in = Vec::new();
    for count in 1..=4 {
        let waiter = tokio::spawn({
            let (room, b) = (room.clone(), b.clone());
            async move { room.take(&b, 100, client(State::Moving)).await }
        });
        let leaves = |held: &Vec<Option<(Place, Arc<Client>)>>| {
            held.iter().position(|one| {
                one.as_ref()
                    .is_some_and(|(_, holder)| holder.1.load(Ordering::Relaxed))
            })
        };
        while !waiter.is_finished() {
            if let Some(index) = leaves(&held) {
                held[index] = None;
            }
            tokio::task::yield_now().await;
        }
        let place = waiter.await.unwrap();
        assert_eq!(place.is_some(), count <= 3, "{count}");
        let_in.extend(place);
    }
    assert_eq!(held.iter().flatten().count(), 4);
}

/// Starts to take a place, and yields until the request has been refused or queued.
async fn ask(room: &Arc<Room>, tenant: &Tenant, bytes: usize) -> tokio::task::JoinHandle<Option<Place>> {
    let (room, tenant) = (room.clone(), tenant.clone());
    let asked = tokio::spawn(async move { room.take(&tenant, bytes, client(State::Moving)).await });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn who_holds_less_waits_for_work_to_end() {
    let room = Room::new(1000);
    let (a, b) = (tenant("a"), tenant("b"));
    let work = client(State::Working);
    let first = room.take(&a, 400, work.clone()).await.unwrap();
    let second = room.take(&a, 400, work.clone()).await.unwrap();
    // The same tenant is refused at once, another one only after a wait.
    assert!(ask(&room, &a, 400).await.is_finished());
    let refused = ask(&room, &b, 400).await;
    assert!(!refused.is_finished());
    assert!(refused.await.unwrap().is_none());
    let waits = ask(&room, &b, 400).await;
    drop(first);
    let place = waits.await.unwrap().unwrap();
    assert_eq!(room.taken(), 800);
    drop((place, second));
    let places = room.lock();
    assert_eq!((places.taken, places.by_tenant.len()), (0, 0));
    assert!(places.waiters.is_empty() && places.held.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_in_the_queue_is_who_holds_least_then_who_came_first() {
    let room = Room::new(3000);
    let [a, b, c] = ["a", "b", "c"].map(tenant);
    let work = client(State::Working);
    let _place = room.take(&a, 100, work.clone()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(room.take(&b, 800, work.clone()).await.unwrap());
    }
    let mut waiting = Vec::new();
    for tenant in [&a, &c, &c] {
        waiting.push(ask(&room, tenant, 700).await);
    }
    assert!(waiting.iter().all(|one| !one.is_finished()));
    let done = |waiting: &[tokio::task::JoinHandle<_>]| {
        waiting.iter().map(|one| one.is_finished()).collect::<Vec<_>>()
    };
    held.pop();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // The first of `c`, which holds nothing, overtakes `a`.
    assert_eq!(done(&waiting), [false, true, false]);
    held.pop();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // Now `c` holds more than `a`, and no tenant holds more than `c` would with another place.
    let mut places = Vec::new();
    for one in waiting {
        places.push(one.await.unwrap());
    }
    let granted: Vec<_> = places.iter().map(Option::is_some).collect();
    assert_eq!(granted, [true, true, false]);
}

#[tokio::test]
async fn many_who_move_give_way_in_time() {
    const HOLDERS: usize = 20_000;
    let room = Room::new(HOLDERS * 10);
    let (a, b) = (tenant("a"), tenant("b"));
    let mut held = Vec::new();
    for _ in 0..HOLDERS {
        let holder = client(State::Moving);
        held.push((room.take(&a, 10, holder.clone()).await.unwrap(), holder));
    }
    // A third of the room: thousands of holders are evicted at once.
    let asked = ask(&room, &b, HOLDERS * 10 / 3).await;
    let evicted = held.iter().filter(|(_, holder)| holder.1.load(Ordering::Relaxed));
    assert_eq!(evicted.count(), HOLDERS / 3 + HOLDERS / 8 + 1);
    held.retain(|(_, holder)| !holder.1.load(Ordering::Relaxed));
    assert!(asked.await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_comes_first_after_a_change_of_order_is_told() {
    let room = Room::new(8000);
    let [a, b, c] = ["a", "b", "c"].map(tenant);
    let work = client(State::Working);
    let _place = room.take(&a, 100, work.clone()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(room.take(&b, 2000, work.clone()).await.unwrap());
    }
    let mut waiting = Vec::new();
    for tenant in [&a, &c, &c] {
        waiting.push(ask(&room, tenant, 1400).await);
    }
    let before = Instant::now();
    // Room for two: the first of `c`, then `a`, which holds less than `c` does by then.
    held.pop();
    let second = waiting.remove(1).await.unwrap();
    let first = waiting.remove(0).await.unwrap();
    assert!(first.is_some() && second.is_some());
    assert!(
        Instant::now() - before < POLL_INTERVAL,
        "told, and not found by chance"
    );
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_becomes_idle_is_noticed() {
    struct Later(Instant, AtomicBool);
    impl Holder for Later {
        fn state(&self) -> State {
            match Instant::now() > self.0 {
                true => IDLE,
                false => State::Working,
            }
        }
        fn evict(&self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    let room = Room::new(1000);
    let (a, b) = (tenant("a"), tenant("b"));
    let holder = Arc::new(Later(
        Instant::now() + Duration::from_secs(1),
        AtomicBool::new(false),
    ));
    let _place = room.take(&a, 800, holder.clone()).await.unwrap();
    let _waits = ask(&room, &b, 400).await;
    assert!(!holder.1.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(holder.1.load(Ordering::Relaxed));
}
