//! Keys and certificates fetched from providers, kept for a while.

#[cfg(all(test, feature = "sandbox"))]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use thiserror::Error;

use super::{Clock, FetchResponse, Fetcher, PortError};
use crate::providers::{FetchRequest, KeyRequest};

/// Least time that a key is kept, whatever the provider says: a flood of callbacks must not become one of requests.
const KEPT_MS_MIN: i64 = 60_000;
/// How long the absence of a key is believed.
const ABSENCE_KEPT_MS: i64 = 60_000;
/// How long after a failure the provider is left in peace.
const FAILURE_KEPT_MS: i64 = 5_000;
/// A key file that lacks what a callback names is fetched again at most this often.
const REFRESH_MS: i64 = 60_000;
/// Most keys; callbacks of strangers may name any number of them.
const KEYS_MAX: usize = 128;
/// Most requests to one host within [`WINDOW_MS`]. Those with an account's own API key are counted by account, and
/// there may be more of them: Circle may sign each callback with another key.
const REQUESTS_MAX: u32 = 30;
const OWN_REQUESTS_MAX: u32 = 300;
const WINDOW_MS: i64 = 60_000;

/// Why a provider's key is not at hand.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The provider says that there is none, so the callback that names it is not its own.
    #[error("the provider has no such key")]
    Absent,
    /// It cannot be had now, so nothing can be said about the callback.
    #[error(transparent)]
    Failed(#[from] PortError),
}

/// Fetches keys and keeps them: one request at a time for each, and few altogether.
pub struct FetchedKeys {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<Place, Arc<Slot>>>,
    windows: Mutex<HashMap<(Option<String>, String), Window>>,
}

/// Requests with headers may get what is the account's alone; others get the same for everybody.
type Place = (Option<String>, FetchRequest);
type Slot = tokio::sync::Mutex<Kept>;

#[derive(Default)]
struct Kept {
    key: Option<Key>,
    failure: Option<Failure>,
}

struct Key {
    value: Value,
    fetched_at_ms: i64,
    expires_at_ms: i64,
}

struct Failure {
    error: KeyError,
    expires_at_ms: i64,
}

/// How often a host was asked since a moment.
struct Window {
    since_ms: i64,
    requests: u32,
}

impl FetchedKeys {
    /// Keys that come through this fetcher.
    pub fn new(fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self { fetcher, clock, slots: Mutex::default(), windows: Mutex::default() }
    }

    /// Keys for tests in which nobody can be reached: those that accounts do not hold cannot be had.
    #[cfg(feature = "sandbox")]
    pub fn unreachable() -> Self {
        let clock = Arc::new(super::SystemClock);
        Self::new(Fetcher::new(Arc::new(super::memory::NoNetwork), clock.clone()), clock)
    }

    /// The key, fetched unless it is at hand.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn get(&self, account: &str, wanted: &KeyRequest) -> Result<Value, KeyError> {
        self.get_younger(account, wanted, i64::MAX).await
    }

    /// The key, fetched again unless that was done a moment ago: the one at hand lacks what a callback names.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn get_again(&self, account: &str, wanted: &KeyRequest) -> Result<Value, KeyError> {
        self.get_younger(account, wanted, REFRESH_MS).await
    }

    async fn get_younger(
        &self,
        account: &str,
        wanted: &KeyRequest,
        age_ms_max: i64,
    ) -> Result<Value, KeyError> {
        let slot = self.slot(account, wanted);
        // Who comes while another one fetches waits here, and takes what that one got.
        let mut kept = slot.lock().await;
        let now_ms = self.clock.now_ms();
        if let Some(key) = kept.key.as_ref().filter(|key| key.serves(now_ms, age_ms_max)) {
            return Ok(key.value.clone());
        }
        if let Some(failure) = kept.failure.as_ref().filter(|failure| now_ms < failure.expires_at_ms) {
            return Err(failure.error.clone());
        }
        self.count_request(account, wanted, now_ms)?;
        let fetched = self.fetch(account, wanted).await;
        let now_ms = self.clock.now_ms();
        match fetched {
            Ok((value, kept_ms)) => {
                let key =
                    Key { value: value.clone(), fetched_at_ms: now_ms, expires_at_ms: now_ms + kept_ms };
                *kept = Kept { key: Some(key), failure: None };
                Ok(value)
            }
            Err(error) => {
                let kept_ms = if error == KeyError::Absent { ABSENCE_KEPT_MS } else { FAILURE_KEPT_MS };
                kept.failure = Some(Failure { error: error.clone(), expires_at_ms: now_ms + kept_ms });
                Err(error)
            }
        }
    }

    async fn fetch(&self, account: &str, wanted: &KeyRequest) -> Result<(Value, i64), KeyError> {
        let FetchResponse { status, max_age_seconds, body } =
            self.fetcher.exchange(account, &wanted.request).await?;
        if status != 200 {
            return Err(refused(status, wanted));
        }
        let value = (wanted.read)(&body).ok_or_else(|| match wanted.id {
            Some(_) => KeyError::Absent,
            None => permanent("what is at the key's address is no key".to_owned()),
        })?;
        let max_age_seconds = max_age_seconds.unwrap_or(wanted.max_age_seconds).min(wanted.max_age_seconds);
        Ok((value, max_age_seconds.saturating_mul(1000).max(KEPT_MS_MIN)))
    }

    fn slot(&self, account: &str, wanted: &KeyRequest) -> Arc<Slot> {
        let place = (owner(account, wanted), wanted.request.clone());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(&place) {
            self.make_room(&mut slots);
        }
        slots.entry(place).or_default().clone()
    }

    fn make_room(&self, slots: &mut MutexGuard<'_, HashMap<Place, Arc<Slot>>>) {
        if slots.len() < KEYS_MAX {
            return;
        }
        let now_ms = self.clock.now_ms();
        // What somebody waits for stays, so that it is not fetched twice.
        slots.retain(|_, slot| slot.try_lock().map_or(true, |kept| kept.is_of_use(now_ms)));
        if slots.len() >= KEYS_MAX {
            // Absences are what a stranger can fill the memory with.
            slots.retain(|_, slot| slot.try_lock().map_or(true, |kept| kept.key.is_some()));
        }
        if slots.len() >= KEYS_MAX {
            slots.clear();
        }
    }

    fn count_request(&self, account: &str, wanted: &KeyRequest, now_ms: i64) -> Result<(), KeyError> {
        let (owner, host) = (owner(account, wanted), wanted.request.pinned_host.clone());
        let requests_max = if owner.is_some() { OWN_REQUESTS_MAX } else { REQUESTS_MAX };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= KEYS_MAX {
            windows.retain(|_, window| now_ms - window.since_ms < WINDOW_MS);
        }
        let window = windows.entry((owner, host)).or_insert(Window { since_ms: now_ms, requests: 0 });
        if now_ms - window.since_ms >= WINDOW_MS {
            *window = Window { since_ms: now_ms, requests: 0 };
        }
        window.requests += 1;
        if window.requests > requests_max {
            let host = &wanted.request.pinned_host;
            return Err(PortError::Transient(format!("{host} was asked for too many keys")).into());
        }
        Ok(())
    }
}

fn owner(account: &str, wanted: &KeyRequest) -> Option<String> {
    (!wanted.request.headers.is_empty()).then(|| account.to_owned())
}

impl Key {
    fn serves(&self, now_ms: i64, age_ms_max: i64) -> bool {
        now_ms < self.expires_at_ms && now_ms - self.fetched_at_ms < age_ms_max
    }
}

impl Kept {
    fn is_of_use(&self, now_ms: i64) -> bool {
        self.key.as_ref().is_some_and(|key| now_ms < key.expires_at_ms)
            || self.failure.as_ref().is_some_and(|failure| now_ms < failure.expires_at_ms)
    }
}

/// Whether there is no such key, or the provider cannot say.
fn refused(status: u16, wanted: &KeyRequest) -> KeyError {
    match status {
        // A store of files may say that one which is not there is forbidden.
        400 | 404 | 410 if wanted.id.is_some() => KeyError::Absent,
        403 if wanted.id.is_some() && wanted.request.headers.is_empty() => KeyError::Absent,
        408 | 425 | 429 | 500.. => {
            PortError::Transient(format!("the provider's keys are unavailable: {status}")).into()
        }
        _ => permanent(format!("the provider's keys are refused: {status}")),
    }
}

fn permanent(what: String) -> KeyError {
    KeyError::Failed(PortError::Permanent(what))
}
