//! How much unproved work one source may cause: a bucket of tokens for each, which only refusals empty.
//!
//! Whoever proves itself is never counted, so a genuine provider or merchant meets no limit of its own making; a source
//! that is refused again and again is told to wait before anything is read or checked for it. What it aims at has a
//! bucket of its own: providers send the callbacks of all their merchants from the same addresses, and an account whose
//! key is wrong must not hold up the others.
//!
//! The memory is this process's. An instance of a function on AWS counts for itself; what bounds all instances together
//! is the throttling of the gateway and the reserved concurrency.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Refusals that a source may cause at once.
pub const REFUSALS_BURST: i64 = 60;
/// Refusals a second that it may go on with.
pub const REFUSALS_PER_SECOND: i64 = 5;
/// Most buckets that are remembered; those that were filled longest ago are forgotten first.
pub const BUCKETS_MAX: usize = 8_192;
/// How often at most it is told that something is limited: a flood must not become one of log lines.
const TOLD_EVERY_MS: i64 = 1_000;
const REFUSAL_MS: i64 = 1_000 / REFUSALS_PER_SECOND;
const FULL_MS: i64 = REFUSALS_BURST * REFUSAL_MS;

/// Where a request comes from: an IPv4 address, or the 64 bits of an IPv6 address that one subscriber has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The source that a gateway names; `None` for a process on this machine, which is not limited.
    ///
    /// What cannot be read as an address is a source as well: all that is unreadable shares one bucket.
    pub fn parse(source_ip: &str) -> Option<Self> {
        match source_ip.parse::<IpAddr>() {
            Ok(address) => Self::of(address),
            Err(_) => Some(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        }
    }

    /// The source of an address; `None` for this machine's own.
    pub fn of(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        match address {
            _ if address.is_loopback() => None,
            IpAddr::V4(_) => Some(Self(address)),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Some(Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))))
            }
        }
    }
}

/// What a request that proves nothing was aimed at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Aim {
    /// An account's callbacks of a provider, both known.
    Callback {
        /// The account.
        account: String,
        /// The provider.
        provider: String,
    },
    /// Anything to be found: accounts, API keys, tickets.
    Guess,
}

/// The outcome of asking whether a request may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// Its bucket is empty.
    Limited {
        /// Whole seconds after which the next one is looked at; at least 1.
        retry_after_seconds: i64,
        /// How many requests were limited since this was told last, this one included, when it is time to tell again.
        to_tell: Option<u64>,
    },
}

/// The buckets of all sources.
#[derive(Debug, Default)]
pub struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each bucket will be full again, in milliseconds since 1970.
    full_at_ms: HashMap<(Source, Aim), i64>,
    untold: u64,
    told_at_ms: Option<i64>,
}

impl Refusals {
    /// Whether a request of this source with one of these aims may be looked at: each of their buckets holds something.
    pub fn admit(&self, source: Source, aims: &[Aim], now_ms: i64) -> Admission {
        let mut state = self.lock();
        let mut wait_ms = 0;
        for aim in aims {
            if let Some(full_at_ms) = state.full_at_ms.get_mut(&(source, aim.clone())) {
                // After the clock was set back nobody waits longer than a bucket takes to fill.
                *full_at_ms = (*full_at_ms).min(now_ms.saturating_add(FULL_MS));
                wait_ms = wait_ms.max(full_at_ms.saturating_sub(now_ms) - (FULL_MS - REFUSAL_MS));
            }
        }
        if wait_ms <= 0 {
            return Admission::Admitted;
        }
        state.untold += 1;
        let is_time = state.told_at_ms.is_none_or(|at_ms| !(at_ms..at_ms + TOLD_EVERY_MS).contains(&now_ms));
        let to_tell = is_time.then(|| {
            state.told_at_ms = Some(now_ms);
            std::mem::take(&mut state.untold)
        });
        Admission::Limited { retry_after_seconds: (wait_ms + 999) / 1_000, to_tell }
    }

    /// Counts a refusal.
    pub fn count(&self, source: Source, aim: Aim, now_ms: i64) {
        let mut state = self.lock();
        let key = (source, aim);
        if state.full_at_ms.len() >= BUCKETS_MAX && !state.full_at_ms.contains_key(&key) {
            state.forget(now_ms);
        }
        let full_at_ms = state.full_at_ms.entry(key).or_insert(now_ms);
        // What was under way when the bucket became empty does not make the wait longer.
        let ceiling_ms = now_ms.saturating_add(FULL_MS);
        *full_at_ms = (*full_at_ms).max(now_ms).saturating_add(REFUSAL_MS).min(ceiling_ms);
    }

    /// How many buckets are remembered.
    pub fn buckets(&self) -> usize {
        self.lock().full_at_ms.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets the buckets that are full again, and of too many others the fuller half.
    fn forget(&mut self, now_ms: i64) {
        self.full_at_ms.retain(|_, full_at_ms| now_ms < *full_at_ms);
        if self.full_at_ms.len() > BUCKETS_MAX / 2 {
            let mut moments: Vec<i64> = self.full_at_ms.values().copied().collect();
            let middle = moments.len() / 2;
            let (_, middle_ms, _) = moments.select_nth_unstable(middle);
            let middle_ms = *middle_ms;
            let mut room = BUCKETS_MAX / 2;
            self.full_at_ms.retain(|_, full_at_ms| {
                let stays = *full_at_ms >= middle_ms && room > 0;
                room -= usize::from(stays);
                stays
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn source(text: &str) -> Source {
        Source::parse(text).unwrap()
    }

    fn callback(account: &str) -> Aim {
        Aim::Callback { account: account.to_owned(), provider: "stripe".to_owned() }
    }

    fn is_admitted(refusals: &Refusals, from: &str, aim: &Aim, now_ms: i64) -> bool {
        refusals.admit(source(from), std::slice::from_ref(aim), now_ms) == Admission::Admitted
    }

    fn exhaust(refusals: &Refusals, from: &str, aim: &Aim) {
        for _ in 0..REFUSALS_BURST {
            assert!(is_admitted(refusals, from, aim, NOW_MS));
            refusals.count(source(from), aim.clone(), NOW_MS);
        }
    }

    #[test]
    fn f19_a_source_that_is_refused_too_often_has_to_wait_and_nobody_else() {
        let refusals = Refusals::default();
        let aim = callback("acme");
        exhaust(&refusals, "192.0.2.1", &aim);
        let limited = refusals.admit(source("192.0.2.1"), std::slice::from_ref(&aim), NOW_MS);
        assert_eq!(limited, Admission::Limited { retry_after_seconds: 1, to_tell: Some(1) });
        assert!(is_admitted(&refusals, "192.0.2.2", &aim, NOW_MS), "another source");
        assert!(
            is_admitted(&refusals, "192.0.2.1", &callback("shop"), NOW_MS),
            "another account's callbacks"
        );
        assert!(is_admitted(&refusals, "192.0.2.1", &Aim::Guess, NOW_MS));
        let both = [callback("shop"), aim.clone()];
        assert_ne!(refusals.admit(source("192.0.2.1"), &both, NOW_MS), Admission::Admitted);
        // After a fifth of a second there is one token, and after twelve all sixty.
        assert!(is_admitted(&refusals, "192.0.2.1", &aim, NOW_MS + 200));
        refusals.count(source("192.0.2.1"), aim.clone(), NOW_MS + 200);
        assert!(!is_admitted(&refusals, "192.0.2.1", &aim, NOW_MS + 200));
        assert!(is_admitted(&refusals, "192.0.2.1", &aim, NOW_MS + 12_200));
    }

    #[test]
    fn what_is_limited_is_told_once_a_second_with_its_number() {
        let refusals = Refusals::default();
        exhaust(&refusals, "192.0.2.1", &Aim::Guess);
        let told: Vec<_> = [0, 10, 20, 990, 1_010, 1_020, 1_030]
            .into_iter()
            .filter_map(|after_ms| {
                (0..REFUSALS_BURST)
                    .for_each(|_| refusals.count(source("192.0.2.1"), Aim::Guess, NOW_MS + after_ms));
                match refusals.admit(source("192.0.2.1"), &[Aim::Guess], NOW_MS + after_ms) {
                    Admission::Limited { to_tell, .. } => to_tell,
                    Admission::Admitted => panic!("the bucket is empty"),
                }
            })
            .collect();
        assert_eq!(told, [1, 4]);
    }

    #[test]
    fn sources_are_addresses_and_subscribers_and_never_this_machine() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("unknown", "", true),
            ("unknown", "192.0.2.1", false),
        ] {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(Source::parse(local), None, "{local}");
        }
    }

    #[test]
    fn f19_the_memory_is_bounded_and_keeps_those_who_are_refused_most() {
        let refusals = Refusals::default();
        exhaust(&refusals, "192.0.2.1", &Aim::Guess);
        for number in 0..100_000_u32 {
            let address = Ipv4Addr::from(0x0a00_0000 + number);
            refusals.count(Source::of(address.into()).unwrap(), Aim::Guess, NOW_MS + i64::from(number) / 100);
            assert!(refusals.buckets() <= BUCKETS_MAX);
        }
        assert!(!is_admitted(&refusals, "192.0.2.1", &Aim::Guess, NOW_MS), "forgotten by a flood of others");
    }

    proptest! {
        /// Whatever the clock does: no more refusals than the burst and the rate allow, and no wait for good.
        #[test]
        fn f19_refusals_are_bounded_by_burst_and_rate(steps_ms in proptest::collection::vec(-50_i64..400, 1..600)) {
            let refusals = Refusals::default();
            let (mut now_ms, mut forward_ms, mut refused) = (NOW_MS, 0, 0);
            for step_ms in steps_ms {
                now_ms += step_ms;
                forward_ms += step_ms.max(0);
                if is_admitted(&refusals, "192.0.2.1", &Aim::Guess, now_ms) {
                    refusals.count(source("192.0.2.1"), Aim::Guess, now_ms);
                    refused += 1;
                }
                prop_assert!(refused <= REFUSALS_BURST + forward_ms / REFUSAL_MS + 1);
            }
            let long_ago_ms = NOW_MS - 1_000_000_000;
            is_admitted(&refusals, "192.0.2.1", &Aim::Guess, long_ago_ms);
            prop_assert!(is_admitted(&refusals, "192.0.2.1", &Aim::Guess, long_ago_ms + FULL_MS));
        }
    }
}
