//! Memory that the server holds for clients, and which of them give way when it runs short.
//!
//! A place for a whole body is reserved before its first byte is read, so that every admitted
//! request can finish. When there is no room, the first to give way are clients that hold a place
//! without sending or reading, then clients of the tenants that hold most, until those hold no more
//! than the newcomer would. So nobody is locked out by someone else's slow connections. Requests
//! that the server is working on stay; a newcomer whose tenant holds less waits briefly for them.

use crate::tenants::Tenant;
use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long a newcomer waits for clients that were told to leave.
const LEAVING: Duration = Duration::from_secs(2);
/// Interval at which a newcomer looks again: guests become idle without telling.
const LOOK: Duration = Duration::from_millis(250);
/// Requests for more than 1/`LARGE` of the room can't use the reserve.
const LARGE: usize = 32;
/// 1/`RESERVE` of the room is reserved for small requests.
const RESERVE: usize = 8;

/// Holder of a place.
pub(super) trait Guest: Send + Sync {
    /// Returns what keeps the place occupied.
    fn state(&self) -> State;
    /// Makes the guest leave soon.
    fn leave(&self);
}

/// What occupies a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The server is working on the request.
    Working,
    /// The client is sending or reading.
    Moving,
    /// The client should send or read, but hasn't for this long.
    Idle(Duration),
}

/// A memory budget in bytes.
pub(super) struct Room {
    bytes: usize,
    places: Mutex<Places>,
    left: Notify,
}

#[derive(Default)]
struct Places {
    taken: usize,
    /// Next number; guests and newcomers are numbered in order of arrival.
    next: u64,
    guests: BTreeMap<u64, Held>,
    /// Bytes held by each tenant's guests.
    by_tenant: HashMap<Tenant, usize>,
    waiting: BTreeMap<u64, Newcomer>,
}

struct Held {
    tenant: Tenant,
    bytes: usize,
    guest: Arc<dyn Guest>,
    leaving: bool,
}

struct Newcomer {
    tenant: Tenant,
    bytes: usize,
}

/// What a newcomer can expect when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prospect {
    /// Room is coming: guests were told to leave, or the server is working for tenants that hold
    /// more.
    Soon,
    /// Nobody has to give way.
    None,
}

/// A part of the room, returned on drop.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
}

/// A newcomer in the queue, until dropped.
struct Waiting<'a> {
    room: &'a Room,
    number: u64,
}

impl Room {
    /// Creates a budget of `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            places: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Returns the bytes taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().taken
    }

    /// Reserves `bytes` bytes, after other guests have left if need be. Returns `None` if there is
    /// no room.
    ///
    /// Newcomers are served by the bytes that their tenant holds, fewest first, then in order of
    /// arrival.
    pub(super) async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        bytes: usize,
        guest: Arc<dyn Guest>,
    ) -> Option<Place> {
        {
            let mut places = self.lock();
            if places.waiting.is_empty() && self.fits(bytes, places.taken) {
                let number = places.number();
                return Some(self.seat(&mut places, number, tenant, bytes, guest));
            }
        }
        let deadline = Instant::now() + LEAVING;
        let waiting = self.wait(tenant, bytes);
        loop {
            let left = self.left.notified();
            {
                let mut places = self.lock();
                let taken =
                    places.taken + places.promised(waiting.number, |other| self.competes(other, bytes));
                if self.fits(bytes, taken) {
                    places.waiting.remove(&waiting.number);
                    if !places.waiting.is_empty() {
                        // This tenant holds more now: another one may come first.
                        self.left.notify_waiters();
                    }
                    return Some(self.seat(&mut places, waiting.number, tenant, bytes, guest));
                }
                if self.make_room(&mut places, tenant, bytes, taken) == Prospect::None {
                    return None;
                }
            }
            let now = Instant::now();
            if now >= deadline {
                return None;
            }
            // Whether by a notice or by the time, look again.
            let _ = tokio::time::timeout_at(deadline.min(now + LOOK), left).await;
        }
    }

    fn wait(&self, tenant: &Tenant, bytes: usize) -> Waiting<'_> {
        let mut places = self.lock();
        let number = places.number();
        let tenant = tenant.clone();
        places.waiting.insert(number, Newcomer { tenant, bytes });
        Waiting { room: self, number }
    }

    fn seat(
        self: &Arc<Self>,
        places: &mut Places,
        number: u64,
        tenant: &Tenant,
        bytes: usize,
        guest: Arc<dyn Guest>,
    ) -> Place {
        places.taken += bytes;
        *places.by_tenant.entry(tenant.clone()).or_default() += bytes;
        let held = Held {
            tenant: tenant.clone(),
            bytes,
            guest,
            leaving: false,
        };
        places.guests.insert(number, held);
        Place {
            room: self.clone(),
            number,
        }
    }

    fn is_large(&self, bytes: usize) -> bool {
        bytes > self.bytes / LARGE
    }

    /// Checks whether a newcomer waiting for `other` bytes may take room from one waiting for
    /// `bytes`: small requests have a reserve that large ones can't use.
    fn competes(&self, other: usize, bytes: usize) -> bool {
        self.is_large(bytes) || !self.is_large(other)
    }

    fn fits(&self, bytes: usize, taken: usize) -> bool {
        let reserve = if self.is_large(bytes) {
            self.bytes / RESERVE
        } else {
            0
        };
        // An empty room accepts anything up to its size.
        taken == 0 && bytes <= self.bytes || taken.saturating_add(bytes) <= self.bytes - reserve
    }

    /// Tells guests to leave until `bytes` fit beside the rest of `taken`. Tells nobody if that
    /// isn't possible.
    fn make_room(&self, places: &mut Places, tenant: &Tenant, bytes: usize, mut taken: usize) -> Prospect {
        let mut holds = places.by_tenant.clone();
        let mut idle = Vec::new();
        // Guests of each tenant in order of arrival.
        let mut moving: HashMap<Tenant, Vec<u64>> = HashMap::new();
        let mut working = Vec::new();
        for (number, held) in &places.guests {
            match held.guest.state() {
                // A guest told to leave just as its body was complete stays until the server has
                // processed it.
                State::Working => working.push(&held.tenant),
                _ if held.leaving => {
                    taken -= held.bytes;
                    leave(&mut holds, held);
                }
                State::Moving => moving.entry(held.tenant.clone()).or_default().push(*number),
                State::Idle(time) => idle.push((time, *number)),
            }
        }
        let mut told = Vec::new();
        idle.sort_unstable();
        while !self.fits(bytes, taken)
            && let Some((_, number)) = idle.pop()
        {
            let held = &places.guests[&number];
            taken -= held.bytes;
            leave(&mut holds, held);
            told.push(number);
        }
        let would_hold = holds.get(tenant).copied().unwrap_or(0) + bytes;
        let largest = moving.iter().filter_map(|(tenant, numbers)| {
            Some((holds.get(tenant).copied()?, *numbers.last()?, tenant.clone()))
        });
        let mut largest: BinaryHeap<_> = largest.collect();
        while !self.fits(bytes, taken) {
            // Of the tenant that holds most, the latest guest has the least to lose.
            let Some((_, number, tenant)) = largest.pop().filter(|(holds, ..)| *holds > would_hold) else {
                let owed = working
                    .iter()
                    .any(|tenant| holds.get(*tenant) > Some(&would_hold));
                return if owed { Prospect::Soon } else { Prospect::None };
            };
            let held = &places.guests[&number];
            taken -= held.bytes;
            let left = leave(&mut holds, held);
            told.push(number);
            if let Some(numbers) = moving.get_mut(&tenant) {
                numbers.pop();
                if let Some(last) = numbers.last() {
                    largest.push((left, *last, tenant));
                }
            }
        }
        for number in told {
            if let Some(held) = places.guests.get_mut(&number) {
                held.leaving = true;
                held.guest.leave();
            }
        }
        Prospect::Soon
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subtracts a guest's bytes from its tenant's, and returns the remainder.
fn leave(holds: &mut HashMap<Tenant, usize>, held: &Held) -> usize {
    let Some(bytes) = holds.get_mut(&held.tenant) else {
        return 0;
    };
    *bytes -= held.bytes;
    *bytes
}

impl Places {
    /// Returns the bytes promised to newcomers ahead of this one, counting those whose size
    /// `competes`.
    fn promised(&self, number: u64, competes: impl Fn(usize) -> bool) -> usize {
        let turn = |number: u64, newcomer: &Newcomer| {
            let holds = self.by_tenant.get(&newcomer.tenant).copied().unwrap_or(0);
            (holds, number)
        };
        let own = self.waiting.get(&number).map(|own| turn(number, own));
        let others = self
            .waiting
            .iter()
            .filter(|(other, newcomer)| competes(newcomer.bytes) && Some(turn(**other, newcomer)) < own);
        others.map(|(_, newcomer)| newcomer.bytes).sum()
    }

    /// Returns the number of whoever comes next.
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn give_back(&mut self, tenant: &Tenant, bytes: usize) {
        self.taken -= bytes;
        if let Some(holds) = self.by_tenant.get_mut(tenant) {
            *holds -= bytes;
            if *holds == 0 {
                self.by_tenant.remove(tenant);
            }
        }
    }
}

impl Place {
    /// Returns bytes that are no longer needed.
    pub(super) fn shrink_to(&self, bytes: usize) {
        let mut places = self.room.lock();
        let Some(held) = places.guests.get_mut(&self.number) else {
            return;
        };
        let Some(less @ 1..) = held.bytes.checked_sub(bytes) else {
            return;
        };
        held.bytes = bytes;
        let tenant = held.tenant.clone();
        places.give_back(&tenant, less);
        drop(places);
        self.room.left.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.room.lock();
        if let Some(held) = places.guests.remove(&self.number) {
            places.give_back(&held.tenant, held.bytes);
        }
        drop(places);
        self.room.left.notify_waiters();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = self.room.lock().waiting.remove(&self.number).is_some();
        // Whoever gives up may have been first in the queue.
        if waited {
            self.room.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
