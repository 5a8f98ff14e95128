//! How much unproved work one source may cause: a bucket of tokens for each, which only what proves nothing empties.
//!
//! A source that is refused again and again is told to wait before anything is read or checked for it. What it aims at
//! has a bucket of its own: providers send the callbacks of all their merchants from the same addresses, and an account
//! whose key is wrong must not hold up the others. Callbacks that need no signature are not refused and prove nothing
//! either; each may become a question to the provider, so they have buckets as well, larger ones.
//!
//! Who has proved itself is remembered for an hour and meets no bucket: a stranger can make a provider send forgeries from
//! the provider's own addresses, and share an address with a merchant. Such forgeries cost a check each and hold up
//! nothing.
//!
//! The memory is this process's. An instance of a function on AWS counts for itself; what bounds all instances together
//! is the throttling of the gateway and the reserved concurrency.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// Refusals that a source may cause at once.
pub const REFUSALS_BURST: i64 = FULL_MS / REFUSAL_MS;
/// Callbacks without a signature that are taken from a source at once.
pub const HINTS_BURST: i64 = FULL_MS / HINT_MS;
/// In which time a bucket gets one refusal back: five a second.
const REFUSAL_MS: i64 = 200;
/// In which time it gets one callback without a signature back. Twenty a second are more than a merchant's provider
/// sends for long, and less than a tenth of the questions that `reconcile` can have under way.
const HINT_MS: i64 = 50;
/// In which time an empty bucket becomes full.
const FULL_MS: i64 = 12_000;
/// How long a source that has proved itself meets no bucket.
const PROVED_MS: i64 = 3_600_000;
/// Most buckets that are remembered, and most of those who have proved themselves; the ones that would be forgotten first
/// anyway make room.
const REMEMBERED_MAX: usize = 8_192;
/// How often at most it is told that something is limited: a flood must not become one of log lines.
const TOLD_EVERY_MS: i64 = 1_000;

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

    fn of(address: IpAddr) -> Option<Self> {
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

/// What a request is aimed at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Aim {
    /// An account's callbacks of a provider, both known.
    Callback {
        /// The account.
        account: String,
        /// The provider.
        provider: String,
    },
    /// The same, with a callback that needs no signature, so that anybody may have sent it.
    Hint {
        /// The account.
        account: String,
        /// The provider.
        provider: String,
    },
    /// What this API key opens.
    ApiKey {
        /// The key's hash.
        sha256_hex: String,
    },
    /// Anything to be found: accounts, API keys, tickets.
    Guess,
}

impl Aim {
    /// In which time its bucket gets one token back.
    fn token_ms(&self) -> i64 {
        match self {
            Self::Hint { .. } => HINT_MS,
            Self::Callback { .. } | Self::ApiKey { .. } | Self::Guess => REFUSAL_MS,
        }
    }
}

/// A bucket is empty, so a request is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too much that proves nothing came from the same source")]
pub struct Limited {
    /// Whole seconds after which the next one is looked at; at least 1.
    pub retry_after_seconds: i64,
    /// How many requests were limited since this was told last, this one included, when it is time to tell again.
    pub to_tell: Option<u64>,
}

/// The buckets of all sources, and who has proved itself.
#[derive(Debug, Default)]
pub struct Refusals {
    state: Mutex<State>,
}

/// Moments in milliseconds since 1970; an entry whose moment has come says nothing any more.
type Moments = HashMap<(Source, Aim), i64>;

#[derive(Debug, Default)]
struct State {
    /// When each bucket will be full again.
    full_at_ms: Moments,
    /// Until when somebody counts as proved.
    proved_until_ms: Moments,
    untold: u64,
    told_at_ms: Option<i64>,
}

impl Refusals {
    /// Accepts a request of this source with these aims: each of their buckets holds something.
    ///
    /// # Errors
    /// [`Limited`] when one of them is empty.
    pub fn admit(&self, source: Source, aims: &[Aim], now_ms: i64) -> Result<(), Limited> {
        let mut state = self.lock();
        let mut wait_ms = 0;
        for aim in aims {
            if let Some(full_at_ms) = state.full_at_ms.get_mut(&(source, aim.clone())) {
                // After the clock was set back nobody waits longer than a bucket takes to fill.
                *full_at_ms = (*full_at_ms).min(now_ms.saturating_add(FULL_MS));
                wait_ms = wait_ms.max(full_at_ms.saturating_sub(now_ms) - (FULL_MS - aim.token_ms()));
            }
        }
        if wait_ms <= 0 {
            return Ok(());
        }
        state.untold += 1;
        let is_time = state.told_at_ms.is_none_or(|at_ms| !(at_ms..at_ms + TOLD_EVERY_MS).contains(&now_ms));
        let to_tell = is_time.then(|| {
            state.told_at_ms = Some(now_ms);
            std::mem::take(&mut state.untold)
        });
        Err(Limited { retry_after_seconds: (wait_ms + 999) / 1_000, to_tell })
    }

    /// Takes a token for what proved nothing.
    pub fn count(&self, source: Source, aim: Aim, now_ms: i64) {
        let mut state = self.lock();
        let token_ms = aim.token_ms();
        let full_at_ms = entry(&mut state.full_at_ms, (source, aim), now_ms);
        // What was under way when the bucket became empty does not make the wait longer.
        let ceiling_ms = now_ms.saturating_add(FULL_MS);
        *full_at_ms = (*full_at_ms).max(now_ms).saturating_add(token_ms).min(ceiling_ms);
    }

    /// Remembers that this source has proved itself to be who may aim there.
    pub fn proved(&self, source: Source, aim: Aim, now_ms: i64) {
        *entry(&mut self.lock().proved_until_ms, (source, aim), now_ms) = now_ms.saturating_add(PROVED_MS);
    }

    /// Whether this source has proved itself a short while ago.
    pub fn has_proved(&self, source: Source, aim: &Aim, now_ms: i64) -> bool {
        let state = self.lock();
        let until_ms = state.proved_until_ms.get(&(source, aim.clone()));
        until_ms.is_some_and(|until_ms| now_ms < *until_ms)
    }

    /// Does the work of a request that may turn out to be a guess. `claim` is what the source has proved if the work
    /// succeeds; `is_refusal` tells a wrong guess from other failures.
    ///
    /// # Errors
    /// Those of the work, and [`Limited`] when too many guesses of this source were wrong.
    pub async fn unless_limited<T, E: From<Limited>>(
        &self,
        (source_ip, claim): (Option<&str>, Option<Aim>),
        now_ms: i64,
        work: impl Future<Output = Result<T, E>>,
        is_refusal: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        let Some(source) = source_ip.and_then(Source::parse) else { return work.await };
        if !claim.as_ref().is_some_and(|claim| self.has_proved(source, claim, now_ms)) {
            self.admit(source, &[Aim::Guess], now_ms)?;
        }
        let outcome = work.await;
        match (&outcome, claim) {
            (Ok(_), Some(claim)) => self.proved(source, claim, now_ms),
            (Ok(_), None) => {}
            (Err(error), claim) => {
                if is_refusal(error) {
                    self.count(source, Aim::Guess, now_ms);
                    // Such as a key that was revoked.
                    claim.and_then(|claim| self.lock().proved_until_ms.remove(&(source, claim)));
                }
            }
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The moment that is kept under a key, `now_ms` for a new one, of which there are never too many.
fn entry(moments: &mut Moments, key: (Source, Aim), now_ms: i64) -> &mut i64 {
    if moments.len() >= REMEMBERED_MAX && !moments.contains_key(&key) {
        make_room(moments, now_ms);
    }
    moments.entry(key).or_insert(now_ms)
}

/// Forgets what says nothing any more, and of too many others the half whose moments come first.
fn make_room(moments: &mut Moments, now_ms: i64) {
    moments.retain(|_, moment_ms| now_ms < *moment_ms);
    if moments.len() > REMEMBERED_MAX / 2 {
        let mut sorted: Vec<i64> = moments.values().copied().collect();
        let middle = sorted.len() / 2;
        let (_, middle_ms, _) = sorted.select_nth_unstable(middle);
        let middle_ms = *middle_ms;
        let mut room = REMEMBERED_MAX / 2;
        moments.retain(|_, moment_ms| {
            let stays = *moment_ms >= middle_ms && room > 0;
            room -= usize::from(stays);
            stays
        });
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
        refusals.admit(source(from), std::slice::from_ref(aim), now_ms).is_ok()
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
        assert_eq!(limited, Err(Limited { retry_after_seconds: 1, to_tell: Some(1) }));
        assert!(is_admitted(&refusals, "192.0.2.2", &aim, NOW_MS), "another source");
        assert!(
            is_admitted(&refusals, "192.0.2.1", &callback("shop"), NOW_MS),
            "another account's callbacks"
        );
        assert!(is_admitted(&refusals, "192.0.2.1", &Aim::Guess, NOW_MS));
        let both = [callback("shop"), aim.clone()];
        assert!(refusals.admit(source("192.0.2.1"), &both, NOW_MS).is_err());
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
                let limited = refusals.admit(source("192.0.2.1"), &[Aim::Guess], NOW_MS + after_ms);
                limited.expect_err("the bucket is empty").to_tell
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
            assert!(refusals.lock().full_at_ms.len() <= REMEMBERED_MAX);
        }
        assert!(!is_admitted(&refusals, "192.0.2.1", &Aim::Guess, NOW_MS), "forgotten by a flood of others");
    }

    #[test]
    fn f19_callbacks_without_a_signature_have_larger_buckets_of_their_own() {
        let (refusals, from) = (Refusals::default(), source("192.0.2.1"));
        let hint = Aim::Hint { account: "acme".to_owned(), provider: "stripe".to_owned() };
        for _ in 0..HINTS_BURST {
            assert!(is_admitted(&refusals, "192.0.2.1", &hint, NOW_MS));
            refusals.count(from, hint.clone(), NOW_MS);
        }
        assert!(!is_admitted(&refusals, "192.0.2.1", &hint, NOW_MS));
        assert!(is_admitted(&refusals, "192.0.2.1", &callback("acme"), NOW_MS));
        assert!(is_admitted(&refusals, "192.0.2.1", &hint, NOW_MS + HINT_MS));
    }

    #[test]
    fn f19_who_has_proved_itself_is_remembered_for_an_hour_and_not_without_end() {
        let (refusals, from, aim) = (Refusals::default(), source("192.0.2.1"), callback("acme"));
        assert!(!refusals.has_proved(from, &aim, NOW_MS));
        refusals.proved(from, aim.clone(), NOW_MS);
        for (source, aim, after_ms, has_proved) in [
            (from, &aim, 0, true),
            (from, &aim, PROVED_MS - 1, true),
            (from, &aim, PROVED_MS, false),
            (from, &callback("shop"), 0, false),
            (from, &Aim::Guess, 0, false),
            (source("192.0.2.2"), &aim, 0, false),
        ] {
            assert_eq!(refusals.has_proved(source, aim, NOW_MS + after_ms), has_proved, "{aim:?} {after_ms}");
        }
        for number in 0..3 * u32::try_from(REMEMBERED_MAX).unwrap() {
            let other = Source::of(Ipv4Addr::from(0x0a00_0000 + number).into()).unwrap();
            refusals.proved(other, aim.clone(), NOW_MS + i64::from(number));
            assert!(refusals.lock().proved_until_ms.len() <= REMEMBERED_MAX);
            assert!(refusals.has_proved(other, &aim, NOW_MS + i64::from(number)));
        }
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
