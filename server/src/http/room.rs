//! Memory that clients make the server hold, and who gives way when it runs short.
//!
//! A place is taken for all of a body before its first byte, so that whatever was let in can finish. Where there is no room, the
//! first to give way are clients that hold a place without sending or reading, then clients of the tenants that hold most, until those hold no
//! more than the newcomer would. So nobody is kept out by someone else's slow connections. What the server itself works on stays.

use crate::keystore::Tenant;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long a newcomer waits for the places that others were told to leave.
const LEAVING: Duration = Duration::from_secs(2);
/// What is longer than this part of the room must leave the reserve alone.
const LARGE: usize = 32;
/// This part of the room is for what is short.
const RESERVE: usize = 8;

/// Who holds a place.
pub(super) trait Guest: Send + Sync {
    /// What keeps the place from being used.
    fn state(&self) -> State;
    /// Makes the guest leave, soon.
    fn leave(&self);
}

/// What a guest does with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The server works with it.
    Working,
    /// Its client sends or reads.
    Moving,
    /// Its client should send or read, and has not for this long.
    Idle(Duration),
}

/// Room for bytes.
pub(super) struct Room {
    bytes: usize,
    places: Mutex<Places>,
    left: Notify,
}

#[derive(Default)]
struct Places {
    taken: usize,
    next: u64,
    guests: HashMap<u64, Held>,
}

struct Held {
    tenant: Tenant,
    bytes: usize,
    guest: Arc<dyn Guest>,
    leaving: bool,
}

/// A part of the room, given back on drop.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
}

impl Room {
    /// Room for `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            places: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Bytes that are taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().taken
    }

    /// A place of `bytes` bytes, perhaps after others have left. `None` if there is no room.
    pub(super) async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        bytes: usize,
        guest: Arc<dyn Guest>,
    ) -> Option<Place> {
        let deadline = Instant::now() + LEAVING;
        loop {
            let left = self.left.notified();
            {
                let mut places = self.lock();
                if self.fits(bytes, places.taken) {
                    return Some(self.seat(&mut places, tenant, bytes, guest));
                }
                if !self.make_room(&mut places, tenant, bytes) {
                    return None;
                }
            }
            tokio::time::timeout_at(deadline, left).await.ok()?;
        }
    }

    fn fits(&self, bytes: usize, taken: usize) -> bool {
        let reserve = if bytes > self.bytes / LARGE {
            self.bytes / RESERVE
        } else {
            0
        };
        // Alone, everything fits that the room has place for.
        taken == 0 && bytes <= self.bytes || taken.saturating_add(bytes) <= self.bytes - reserve
    }

    fn seat(
        self: &Arc<Self>,
        places: &mut Places,
        tenant: &Tenant,
        bytes: usize,
        guest: Arc<dyn Guest>,
    ) -> Place {
        let number = places.next;
        places.next += 1;
        places.taken += bytes;
        places.guests.insert(
            number,
            Held {
                tenant: tenant.clone(),
                bytes,
                guest,
                leaving: false,
            },
        );
        Place {
            room: self.clone(),
            number,
        }
    }

    /// Tells guests to leave until there will be room, and nobody if that can't be.
    fn make_room(&self, places: &mut Places, tenant: &Tenant, bytes: usize) -> bool {
        // Who was told to leave just as its body was complete stays until the server is done with it.
        let leaving = places
            .guests
            .values()
            .filter(|held| held.leaving && held.guest.state() != State::Working);
        let mut taken = places.taken - leaving.map(|held| held.bytes).sum::<usize>();
        let mut by_tenant: HashMap<Tenant, usize> = HashMap::new();
        let mut idle = Vec::new();
        let mut moving = Vec::new();
        for (number, held) in places.guests.iter().filter(|(_, held)| !held.leaving) {
            *by_tenant.entry(held.tenant.clone()).or_default() += held.bytes;
            match held.guest.state() {
                State::Working => {}
                State::Moving => moving.push(*number),
                State::Idle(time) => idle.push((time, *number)),
            }
        }
        let mut told = Vec::new();
        idle.sort_unstable_by(|a, b| b.cmp(a));
        for (_, number) in idle {
            if self.fits(bytes, taken) {
                break;
            }
            let held = &places.guests[&number];
            taken -= held.bytes;
            if let Some(holds) = by_tenant.get_mut(&held.tenant) {
                *holds -= held.bytes;
            }
            told.push(number);
        }
        let would_hold = by_tenant.get(tenant).copied().unwrap_or(0) + bytes;
        while !self.fits(bytes, taken) {
            // Of the tenant that holds most, whoever came last has least to lose.
            let largest = moving
                .iter()
                .map(|number| (by_tenant[&places.guests[number].tenant], *number))
                .max();
            let Some((_, number)) = largest.filter(|(holds, _)| *holds > would_hold) else {
                return false;
            };
            moving.retain(|other| *other != number);
            let held = &places.guests[&number];
            taken -= held.bytes;
            if let Some(holds) = by_tenant.get_mut(&held.tenant) {
                *holds -= held.bytes;
            }
            told.push(number);
        }
        for number in told {
            if let Some(held) = places.guests.get_mut(&number) {
                held.leaving = true;
                held.guest.leave();
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Gives back what isn't needed any more.
    pub(super) fn shrink_to(&self, bytes: usize) {
        let mut places = self.room.lock();
        let Places { taken, guests, .. } = &mut *places;
        if let Some(held) = guests.get_mut(&self.number)
            && held.bytes > bytes
        {
            *taken -= held.bytes - bytes;
            held.bytes = bytes;
            self.room.left.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.room.lock();
        if let Some(held) = places.guests.remove(&self.number) {
            places.taken -= held.bytes;
        }
        drop(places);
        self.room.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Client(State, AtomicBool);

    impl Guest for Client {
        fn state(&self) -> State {
            self.0
        }

        fn leave(&self) {
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
        let newcomer = tokio::spawn({
            let (room, a) = (room.clone(), a.clone());
            async move { room.take(&a, 300, client(State::Moving)).await.is_some() }
        });
        while !longer.1.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        drop(gone);
        assert!(newcomer.await.unwrap());
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
            let guest = client(State::Moving);
            let place = room.take(&a, 100, guest.clone()).await.unwrap();
            held.push(Some((place, guest)));
        }
        // The same tenant has to wait.
        assert!(room.take(&a, 100, client(State::Moving)).await.is_none());
        let mut let_in = Vec::new();
        for count in 1..=4 {
            let newcomer = tokio::spawn({
                let (room, b) = (room.clone(), b.clone());
                async move { room.take(&b, 100, client(State::Moving)).await }
            });
            let leaves = |held: &Vec<Option<(Place, Arc<Client>)>>| {
                held.iter().position(|one| {
                    one.as_ref()
                        .is_some_and(|(_, guest)| guest.1.load(Ordering::Relaxed))
                })
            };
            while !newcomer.is_finished() {
                if let Some(index) = leaves(&held) {
                    held[index] = None;
                }
                tokio::task::yield_now().await;
            }
            let place = newcomer.await.unwrap();
            assert_eq!(place.is_some(), count <= 3, "{count}");
            let_in.extend(place);
        }
        assert_eq!(held.iter().flatten().count(), 4);
    }
}
