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
