//! A short memory in front of an account store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{AccountStore, Clock, PortError};
use crate::callback::Credentials;

/// How long credentials are used before they are read again: a retired key is refused everywhere after this time.
pub const KEPT_SECONDS: i64 = 30;
const KEPT_MS: i64 = 1000 * KEPT_SECONDS;
/// How long the absence of credentials is believed; short, because a merchant who adds a provider tries it at once.
const ABSENCE_KEPT_MS: i64 = 5_000;
/// Most entries; anybody may ask for accounts that do not exist.
const ENTRIES_MAX: usize = 4096;

/// An account store that remembers credentials, and their absence, for a short while.
pub struct CachedAccounts {
    store: Arc<dyn AccountStore>,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<(String, String), Entry>>,
}

#[derive(Clone)]
struct Entry {
    credentials: Option<Credentials>,
    expires_at_ms: i64,
}

impl CachedAccounts {
    /// A memory in front of `store`.
    pub fn new(store: Arc<dyn AccountStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, entries: Mutex::new(HashMap::new()) }
    }

    fn remembered(&self, key: &(String, String), now_ms: i64) -> Option<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|entry| now_ms < entry.expires_at_ms).cloned()
    }

    fn remember(&self, key: (String, String), credentials: Option<Credentials>, now_ms: i64) {
        let kept_ms = if credentials.is_some() { KEPT_MS } else { ABSENCE_KEPT_MS };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, entry| now_ms < entry.expires_at_ms);
        }
        if entries.len() >= ENTRIES_MAX {
            // Absences are what a stranger can fill the memory with; they go first.
            entries.retain(|_, entry| entry.credentials.is_some());
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(key, Entry { credentials, expires_at_ms: now_ms + kept_ms });
    }
}

#[async_trait]
impl AccountStore for CachedAccounts {
    async fn credentials(&self, account: &str, provider: &str) -> Result<Option<Credentials>, PortError> {
        let key = (account.to_owned(), provider.to_owned());
        if let Some(entry) = self.remembered(&key, self.clock.now_ms()) {
            return Ok(entry.credentials);
        }
        let credentials = self.store.credentials(account, provider).await?;
        self.remember(key, credentials.clone(), self.clock.now_ms());
        Ok(credentials)
    }

    fn remembers(&self, account: &str, provider: &str) -> bool {
        let now_ms = self.clock.now_ms();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&(account.to_owned(), provider.to_owned()));
        entry.is_some_and(|entry| now_ms < entry.expires_at_ms)
    }

    async fn put_credentials(
        &self,
        account: &str,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<(), PortError> {
        self.store.put_credentials(account, provider, credentials).await?;
        let key = (account.to_owned(), provider.to_owned());
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        Ok(())
    }

    async fn account_of_api_key(&self, api_key_sha256_hex: &str) -> Result<Option<String>, PortError> {
        self.store.account_of_api_key(api_key_sha256_hex).await
    }

    async fn put_api_key(&self, account: &str, api_key_sha256_hex: &str) -> Result<(), PortError> {
        self.store.put_api_key(account, api_key_sha256_hex).await
    }
}

#[cfg(all(test, feature = "sandbox"))]
mod tests {
    use super::*;
    use crate::callback::KeySet;
    use crate::ports::memory::{ManualClock, MemoryAccounts};

    #[tokio::test]
    async fn f19_a_flood_of_guesses_neither_fills_the_memory_nor_pushes_out_a_known_account() {
        let (store, clock) = (Arc::new(MemoryAccounts::default()), Arc::new(ManualClock::at_ms(0)));
        let key_sets = vec![KeySet::new("one", serde_json::Map::new())];
        store.put_credentials("acme", "stripe", &Credentials { key_sets }).await.unwrap();
        let cached = CachedAccounts::new(store.clone(), clock.clone());
        assert!(cached.credentials("acme", "stripe").await.unwrap().is_some());
        for number in 0..3 * ENTRIES_MAX {
            let guess = format!("guess{number}");
            assert_eq!(cached.credentials(&guess, "stripe").await, Ok(None));
            assert!(cached.entries.lock().unwrap().len() <= ENTRIES_MAX);
        }
        let reads = store.faults.calls();
        assert!(cached.remembers("acme", "stripe") && !cached.remembers("guess0", "stripe"));
        assert!(cached.credentials("acme", "stripe").await.unwrap().is_some());
        let last = format!("guess{}", 3 * ENTRIES_MAX - 1);
        assert_eq!(cached.credentials(&last, "stripe").await, Ok(None));
        assert_eq!(store.faults.calls(), reads, "both are remembered");
        clock.advance_ms(ABSENCE_KEPT_MS);
        assert!(cached.remembers("acme", "stripe") && !cached.remembers(&last, "stripe"));
        clock.advance_ms(KEPT_MS);
        assert!(!cached.remembers("acme", "stripe"), "a retired key is refused after this time");
    }
}
