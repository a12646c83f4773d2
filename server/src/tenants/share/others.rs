//! What other servers have counted, as far as this one knows.

use super::{
    MOST_SKEW, STALE_AFTER,
    object::{BadObject, Counted, Queries, ServerName},
};
use crate::tenants::tenant::{Account, TenantName};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use object_store::ObjectMeta;
use std::collections::{BTreeMap, HashMap, HashSet};
use tokio::time::Instant;

/// Days of which a server's queries are remembered: another server's clock may still be in the
/// day before.
const DAYS: usize = 2;

/// Other servers, living and ended ones.
#[derive(Debug, Default)]
pub(super) struct Others {
    servers: HashMap<ServerName, Other>,
    /// Objects that couldn't be read, with the version that was tried.
    bad: HashMap<ServerName, Bad>,
    /// Whether the objects have been read before.
    started: bool,
}

/// Version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version(Option<String>, DateTime<Utc>, u64);

/// An object that couldn't be read.
#[derive(Debug)]
struct Bad {
    version: Version,
    /// Whether it may count queries.
    may_count: bool,
}

/// Another server.
#[derive(Debug)]
struct Other {
    version: Version,
    beat: u64,
    days: BTreeMap<NaiveDate, HashMap<Account, Count>>,
    units: HashMap<Option<TenantName>, u64>,
    /// Last time at which the object was found new or changed.
    changed: Instant,
    /// Whether the object appeared or changed since this server's first reading: its owner is
    /// alive.
    lives: bool,
}

/// Counts of a tenant and model by another server.
#[derive(Clone, Copy, Debug)]
struct Count {
    used: u64,
    kept: u64,
}

/// Queries that other servers have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Queries that count for sure: those used, and for servers that have ended, those that they
    /// may have used after their last write.
    pub(crate) sure: u64,
    /// Queries that may have been used at most. This is more than `sure` while it isn't known
    /// whether a server has ended.
    pub(crate) possible: u64,
}

/// Units that another server has charged a tenant since the last reading.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::tenants) struct Growth {
    pub(in crate::tenants) tenant: Option<TenantName>,
    pub(in crate::tenants) units: u64,
}

impl From<&ObjectMeta> for Version {
    fn from(listed: &ObjectMeta) -> Self {
        Self(listed.e_tag.clone(), listed.last_modified, listed.size)
    }
}

impl Version {
    /// Returns when the object was written, by the store's clock.
    fn written(&self) -> DateTime<Utc> {
        self.1
    }

    /// Returns the object's length.
    pub(super) fn bytes(&self) -> u64 {
        self.2
    }
}

impl Others {
    /// Checks whether this version of a server's object has been read.
    pub(super) fn knows(&self, name: &ServerName, version: &Version) -> bool {
        let read = self.servers.get(name).map(|other| &other.version);
        read == Some(version) || self.bad.get(name).map(|bad| &bad.version) == Some(version)
    }

    /// Takes in a server's object, and returns the units that were added since the last time.
    pub(super) fn learn(
        &mut self,
        (name, version): (ServerName, Version),
        counted: Counted,
        now: Instant,
    ) -> Vec<Growth> {
        self.bad.remove(&name);
        if let Some(known) = self.servers.get_mut(&name)
            && counted.beat < known.beat
        {
            // A write that was given up has arrived after a later one.
            known.version = version;
            return Vec::new();
        }
        let known = self.servers.get(&name);
        // What was charged before this server started doesn't burden its own limiter, which begins
        // with a burst for everyone.
        let new = known.is_none() && !self.started;
        let before = |tenant| known.and_then(|other| other.units.get(tenant)).copied();
        let growth = counted.units.iter().filter(|_| !new).map(|now| Growth {
            tenant: now.tenant.clone(),
            units: now.units.saturating_sub(before(&now.tenant).unwrap_or(0)),
        });
        let growth = growth.filter(|growth| growth.units > 0).collect();
        let mut days = self
            .servers
            .remove(&name)
            .map(|other| other.days)
            .unwrap_or_default();
        let counts = counted.queries.iter().map(|queries| {
            let Queries { used, kept, .. } = *queries;
            (queries.account(), Count { used, kept })
        });
        days.insert(counted.day, counts.collect());
        while days.len() > DAYS {
            days.pop_first();
        }
        let units = counted.units.into_iter().map(|units| (units.tenant, units.units));
        let other = Other {
            version,
            beat: counted.beat,
            days,
            units: units.collect(),
            changed: now,
            lives: !new,
        };
        self.servers.insert(name, other);
        growth
    }

    /// Remembers that this version of a server's object can't be read. What was known of the server
    /// isn't forgotten.
    pub(super) fn refuse(&mut self, (name, version): (ServerName, Version), error: &BadObject) {
        let may_count = !matches!(error, BadObject::Day { .. });
        self.bad.insert(name, Bad { version, may_count });
    }

    /// Ends a reading in which these objects were listed. Forgets servers whose objects are gone,
    /// unless they count for `day` or later, and returns those whose objects only count for days
    /// before.
    pub(super) fn settle(&mut self, listed: &HashSet<ServerName>, day: NaiveDate) -> Vec<ServerName> {
        self.started = true;
        self.bad.retain(|name, _| listed.contains(name));
        let past = |other: &Other| other.days.last_key_value().is_none_or(|(last, _)| *last < day);
        self.servers
            .retain(|name, other| listed.contains(name) || !past(other));
        let past = self.servers.iter().filter(|(_, other)| past(other));
        past.map(|(name, _)| name.clone()).collect()
    }

    /// Checks whether an object wasn't counted.
    #[cfg(test)]
    pub(super) fn knows_bad(&self) -> bool {
        !self.bad.is_empty()
    }

    /// Returns the number of objects that can't be read and may count queries of a day.
    pub(super) fn bad(&self, day: NaiveDate) -> usize {
        // By another clock, the day may have begun earlier. An object says nothing of later days
        // than that of its writing.
        let begins = (day.and_time(NaiveTime::MIN).and_utc()).checked_sub_signed(MOST_SKEW);
        let counts =
            |bad: &&Bad| bad.may_count && begins.is_none_or(|begins| bad.version.written() >= begins);
        self.bad.values().filter(counts).count()
    }

    /// Returns the queries that other servers have charged an account on a day.
    pub(super) fn queries(&self, day: NaiveDate, account: &Account, now: Instant) -> Elsewhere {
        let mut all = Elsewhere::default();
        for other in self.servers.values() {
            let Some(count) = other.days.get(&day).and_then(|day| day.get(account)) else {
                continue;
            };
            let ended = now.duration_since(other.changed) > STALE_AFTER;
            let sure = if ended { count.kept } else { count.used };
            let possible = if ended || !other.lives {
                count.kept
            } else {
                count.used
            };
            all.sure = all.sure.saturating_add(sure);
            all.possible = all.possible.saturating_add(possible);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::share::object::{FORMAT, Units};
    use std::time::Duration;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn version(number: u64) -> Version {
        Version(None, DateTime::UNIX_EPOCH, number)
    }

    fn counted(on: &str, used: u64, kept: u64, units: u64) -> Counted {
        let tenant = Some("a".parse().unwrap());
        Counted {
            format: FORMAT,
            beat: 1,
            day: day(on),
            queries: vec![Queries {
                tenant: tenant.clone(),
                model: "m".into(),
                used,
                kept,
            }],
            units: vec![Units { tenant, units }],
        }
    }

    fn account() -> Account {
        (Some("a".parse().unwrap()), "m".into())
    }

    #[test]
    fn a_living_server_counts_what_it_used_and_an_ended_one_what_it_may_have() {
        let (mut others, start) = (Others::default(), Instant::now());
        let name = ServerName::random().unwrap();
        let after = |seconds| start + Duration::from_secs(seconds);
        let queries = |others: &Others, seconds| {
            let Elsewhere { sure, possible } = others.queries(day("2100-01-01"), &account(), after(seconds));
            (sure, possible)
        };
        // Found at the start: nobody knows yet whether it lives.
        others.learn((name.clone(), version(1)), counted("2100-01-01", 5, 10, 0), start);
        assert_eq!(queries(&others, 1), (5, 10));
        assert_eq!(queries(&others, 61), (10, 10));
        others.learn(
            (name.clone(), version(2)),
            counted("2100-01-01", 7, 10, 0),
            after(70),
        );
        assert_eq!(queries(&others, 130), (7, 7));
        assert_eq!(queries(&others, 131), (10, 10));
        // One that appears later lives.
        others.settle(&HashSet::from([name]), day("2100-01-01"));
        let new = ServerName::random().unwrap();
        others.learn((new, version(1)), counted("2100-01-01", 1, 10, 0), after(131));
        assert_eq!(queries(&others, 132), (11, 11));
        let other_day = others.queries(day("2100-01-02"), &account(), after(132));
        assert_eq!(other_day, Elsewhere::default());
    }

    #[test]
    fn units_are_charged_once_and_not_those_from_before_the_start() {
        let (mut others, now) = (Others::default(), Instant::now());
        let (one, two) = (ServerName::random().unwrap(), ServerName::random().unwrap());
        let mut learn = |name: &ServerName, number, units| {
            let growth = others.learn(
                (name.clone(), version(number)),
                counted("2100-01-01", 0, 0, units),
                now,
            );
            others.settle(&HashSet::from([one.clone(), two.clone()]), day("2100-01-01"));
            growth.iter().map(|growth| growth.units).sum::<u64>()
        };
        assert_eq!(learn(&one, 1, 100), 0);
        assert_eq!(learn(&one, 2, 107), 7);
        assert_eq!(learn(&two, 1, 5), 5);
        assert_eq!(learn(&two, 2, 3), 0);
        assert_eq!(learn(&two, 3, 4), 1);
    }

    #[test]
    fn a_late_write_takes_nothing_back() {
        let (mut others, now) = (Others::default(), Instant::now());
        let name = ServerName::random().unwrap();
        let mut learn = |number, beat, used| {
            let late = Counted {
                beat,
                ..counted("2100-01-01", used, 10, used)
            };
            let growth = others.learn((name.clone(), version(number)), late, now).len();
            assert!(others.knows(&name, &version(number)));
            (growth, others.queries(day("2100-01-01"), &account(), now).sure)
        };
        assert_eq!(learn(1, 6, 5), (0, 5));
        assert_eq!(learn(2, 4, 3), (0, 5));
        assert_eq!(learn(3, 7, 6), (1, 6));
    }

    #[test]
    fn counts_of_today_outlive_their_object_and_those_of_past_days_end_with_it() {
        let (mut others, now) = (Others::default(), Instant::now());
        let name = ServerName::random().unwrap();
        others.learn((name.clone(), version(1)), counted("2100-01-01", 5, 10, 0), now);
        let queries = |others: &Others| others.queries(day("2100-01-01"), &account(), now).sure;
        assert!(others.settle(&HashSet::new(), day("2100-01-01")).is_empty());
        assert_eq!(queries(&others), 5);
        // The other server's clock is ahead: its day before still counts here.
        others.learn((name.clone(), version(2)), counted("2100-01-02", 1, 10, 0), now);
        assert_eq!(queries(&others), 5);
        let listed = HashSet::from([name.clone()]);
        assert_eq!(others.settle(&listed, day("2100-01-02")), []);
        assert_eq!(others.settle(&listed, day("2100-01-03")), [name]);
        others.settle(&HashSet::new(), day("2100-01-03"));
        assert_eq!(queries(&others), 0);
    }

    #[test]
    fn a_bad_object_is_read_once_and_what_was_known_stays() {
        let (mut others, now) = (Others::default(), Instant::now());
        let name = ServerName::random().unwrap();
        others.learn((name.clone(), version(1)), counted("2100-01-01", 5, 10, 0), now);
        others.refuse((name.clone(), version(2)), &BadObject::Twice);
        assert!(others.knows(&name, &version(2)) && !others.knows(&name, &version(3)));
        // Written on 1 January, it may count for that day, and for the next if the clocks differ.
        let written = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let late = day("1970-01-01").and_hms_opt(23, 0, 0).unwrap().and_utc();
        for (written, first) in [(written(0), "1970-01-02"), (late, "1970-01-03")] {
            others.refuse((name.clone(), Version(None, written, 2)), &BadObject::Twice);
            let before = day(first).pred_opt().unwrap();
            assert_eq!((others.bad(day(first)), others.bad(before)), (0, 1), "{first}");
        }
        others.refuse((name.clone(), version(2)), &BadObject::Twice);
        let used = others.queries(day("2100-01-01"), &account(), now).sure;
        assert_eq!((others.bad.len(), used), (1, 5));
        others.learn((name.clone(), version(3)), counted("2100-01-01", 6, 10, 0), now);
        assert!(others.bad.is_empty());
        others.refuse((name, version(4)), &BadObject::Twice);
        others.settle(&HashSet::new(), day("2100-01-01"));
        assert!(others.bad.is_empty());
    }
}
