//! Memory that the server holds for clients, and which of them give way when it runs short.
//!
//! A place for a whole body is reserved before its first byte is read, so that every admitted
//! request can finish. When there is no room, the first to be evicted are clients that hold a place
//! without sending or reading, then clients of the tenants that hold most, until those hold no more
//! than the waiting tenant would. So nobody is locked out by someone else's slow connections.
//! Requests that the server is working on stay; if their tenants hold more, the others wait
//! briefly.

use crate::tenants::Tenant;
use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long a request waits for evicted holders to be gone.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which a waiting request looks again: holders become idle without a notice.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Requests for more than 1/`LARGE_DIVISOR` of the room can't use the reserve.
const LARGE_DIVISOR: usize = 32;
/// 1/`RESERVE_DIVISOR` of the room is reserved for small requests.
const RESERVE_DIVISOR: usize = 8;

/// Holder of a place.
pub(super) trait Holder: Send + Sync {
    /// Returns what keeps the place occupied.
    fn state(&self) -> State;
    /// Makes the holder give its place back soon.
    fn evict(&self);
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
    /// Notice that bytes were given back, or that the order of the queue has changed.
    changed: Notify,
}

#[derive(Default)]
struct Places {
    taken: usize,
    /// Next number; holders and waiters are numbered in order of arrival.
    next: u64,
    held: BTreeMap<u64, Held>,
    /// Bytes held by each tenant.
    by_tenant: HashMap<Tenant, usize>,
    waiters: BTreeMap<u64, Waiter>,
}

struct Held {
    tenant: Tenant,
    bytes: usize,
    holder: Arc<dyn Holder>,
    evicted: bool,
}

/// A request that waits for a place.
struct Waiter {
    tenant: Tenant,
    bytes: usize,
}

/// What a waiter can expect when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prospect {
    /// Room is coming: holders were evicted, or the server is working for tenants that hold more.
    Soon,
    /// Nobody can be evicted.
    None,
}

/// A part of the room, returned on drop.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
}

/// A waiter's place in the queue, until dropped.
struct Queued<'a> {
    room: &'a Room,
    number: u64,
}

impl Room {
    /// Creates a budget of `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            places: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Returns the size of a room that a single holder of `bytes` bytes fits in beside the reserve.
    pub(super) const fn bytes_for_one(bytes: usize) -> usize {
        (bytes / (RESERVE_DIVISOR - 1) + 1) * RESERVE_DIVISOR
    }

    /// Returns the bytes taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().taken
    }

    /// Reserves `bytes` bytes, after an eviction of others if need be. Returns `None` if there is
    /// no room.
    ///
    /// Waiters are served by the bytes that their tenant holds, fewest first, then in order of
    /// arrival.
    pub(super) async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        bytes: usize,
        holder: Arc<dyn Holder>,
    ) -> Option<Place> {
        {
            let mut places = self.lock();
            if places.waiters.is_empty() && self.fits(bytes, places.taken) {
                let number = places.number();
                return Some(self.grant(&mut places, number, tenant, bytes, holder));
            }
        }
        let deadline = Instant::now() + EVICTION_TIMEOUT;
        let queued = self.queue(tenant, bytes);
        loop {
            let changed = self.changed.notified();
            {
                let mut places = self.lock();
                let taken =
                    places.taken + places.promised(queued.number, |other| self.competes(other, bytes));
                if self.fits(bytes, taken) {
                    places.waiters.remove(&queued.number);
                    if !places.waiters.is_empty() {
                        // This tenant holds more now: another one may come first.
                        self.changed.notify_waiters();
                    }
                    return Some(self.grant(&mut places, queued.number, tenant, bytes, holder));
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
            let _ = tokio::time::timeout_at(deadline.min(now + POLL_INTERVAL), changed).await;
        }
    }

    fn queue(&self, tenant: &Tenant, bytes: usize) -> Queued<'_> {
        let mut places = self.lock();
        let number = places.number();
        let tenant = tenant.clone();
        places.waiters.insert(number, Waiter { tenant, bytes });
        Queued { room: self, number }
    }

    fn grant(
        self: &Arc<Self>,
        places: &mut Places,
        number: u64,
        tenant: &Tenant,
        bytes: usize,
        holder: Arc<dyn Holder>,
    ) -> Place {
        places.taken += bytes;
        *places.by_tenant.entry(tenant.clone()).or_default() += bytes;
        let held = Held {
            tenant: tenant.clone(),
            bytes,
            holder,
            evicted: false,
        };
        places.held.insert(number, held);
        Place {
            room: self.clone(),
            number,
        }
    }

    fn is_large(&self, bytes: usize) -> bool {
        bytes > self.bytes / LARGE_DIVISOR
    }

    /// Checks whether a waiter for `other` bytes may take room from one for `bytes`: small requests
    /// have a reserve that large ones can't use.
    fn competes(&self, other: usize, bytes: usize) -> bool {
        self.is_large(bytes) || !self.is_large(other)
    }

    fn fits(&self, bytes: usize, taken: usize) -> bool {
        let reserve = if self.is_large(bytes) {
            self.bytes / RESERVE_DIVISOR
        } else {
            0
        };
        // An empty room accepts anything up to its size.
        taken == 0 && bytes <= self.bytes || taken.saturating_add(bytes) <= self.bytes - reserve
    }

    /// Evicts holders until `bytes` fit beside the rest of `taken`. Evicts nobody if that isn't
    /// possible.
    fn make_room(&self, places: &mut Places, tenant: &Tenant, bytes: usize, mut taken: usize) -> Prospect {
        let mut holds = places.by_tenant.clone();
        let mut idle = Vec::new();
        // Holders of each tenant in order of arrival.
        let mut moving: HashMap<Tenant, Vec<u64>> = HashMap::new();
        let mut working = Vec::new();
        for (number, held) in &places.held {
            match held.holder.state() {
                // One that was evicted just as its body was complete stays until the server has
                // processed it.
                State::Working => working.push(&held.tenant),
                _ if held.evicted => {
                    taken -= held.bytes;
                    release(&mut holds, held);
                }
                State::Moving => moving.entry(held.tenant.clone()).or_default().push(*number),
                State::Idle(time) => idle.push((time, *number)),
            }
        }
        let mut evicted = Vec::new();
        idle.sort_unstable();
        while !self.fits(bytes, taken)
            && let Some((_, number)) = idle.pop()
        {
            let held = &places.held[&number];
            taken -= held.bytes;
            release(&mut holds, held);
            evicted.push(number);
        }
        let would_hold = holds.get(tenant).copied().unwrap_or(0) + bytes;
        let largest = moving.iter().filter_map(|(tenant, numbers)| {
            Some((holds.get(tenant).copied()?, *numbers.last()?, tenant.clone()))
        });
        let mut largest: BinaryHeap<_> = largest.collect();
        while !self.fits(bytes, taken) {
            // Of the tenant that holds most, the latest request has the least to lose.
            let Some((_, number, tenant)) = largest.pop().filter(|(holds, ..)| *holds > would_hold) else {
                let owed = working
                    .iter()
                    .any(|tenant| holds.get(*tenant) > Some(&would_hold));
                return if owed { Prospect::Soon } else { Prospect::None };
            };
            let held = &places.held[&number];
            taken -= held.bytes;
            let left = release(&mut holds, held);
            evicted.push(number);
            if let Some(numbers) = moving.get_mut(&tenant) {
                numbers.pop();
                if let Some(last) = numbers.last() {
                    largest.push((left, *last, tenant));
                }
            }
        }
        for number in evicted {
            if let Some(held) = places.held.get_mut(&number) {
                held.evicted = true;
                held.holder.evict();
            }
        }
        Prospect::Soon
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subtracts a holder's bytes from its tenant's, and returns the remainder.
fn release(holds: &mut HashMap<Tenant, usize>, held: &Held) -> usize {
    let Some(bytes) = holds.get_mut(&held.tenant) else {
        return 0;
    };
    *bytes -= held.bytes;
    *bytes
}

impl Places {
    /// Returns the bytes promised to waiters ahead of this one, counting those whose size
    /// `competes`.
    fn promised(&self, number: u64, competes: impl Fn(usize) -> bool) -> usize {
        let turn = |number: u64, waiter: &Waiter| {
            let holds = self.by_tenant.get(&waiter.tenant).copied().unwrap_or(0);
            (holds, number)
        };
        let own = self.waiters.get(&number).map(|own| turn(number, own));
        let others = self
            .waiters
            .iter()
            .filter(|(other, waiter)| competes(waiter.bytes) && Some(turn(**other, waiter)) < own);
        others.map(|(_, waiter)| waiter.bytes).sum()
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
        let Some(held) = places.held.get_mut(&self.number) else {
            return;
        };
        let Some(less @ 1..) = held.bytes.checked_sub(bytes) else {
            return;
        };
        held.bytes = bytes;
        let tenant = held.tenant.clone();
        places.give_back(&tenant, less);
        drop(places);
        self.room.changed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.room.lock();
        if let Some(held) = places.held.remove(&self.number) {
            places.give_back(&held.tenant, held.bytes);
        }
        drop(places);
        self.room.changed.notify_waiters();
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let waited = self.room.lock().waiters.remove(&self.number).is_some();
        // Whoever gives up may have been first in the queue.
        if waited {
            self.room.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
