//! The latest time that anything was written at, which goes on behind a restart even if the clock was set back meanwhile.

use std::sync::Arc;

use paybell_shared::ports::{Clock as _, ForwardClock, INBOX_OVERLAP_MS};
use tokio::sync::Mutex;

use super::queue::{Store, StoreError};

/// Under which name it is written down, among the places of the streams' consumers.
const LATEST_TIME: &str = "latest time";
/// What a kill may forget of it. Devices read the overlap again, so nothing within it is missed.
const FORGOTTEN_MS_MAX: i64 = INBOX_OVERLAP_MS / 3;

/// The time of places in inboxes.
pub struct KeptTime {
    clock: Arc<ForwardClock>,
    store: Arc<Store>,
    kept_ms: Mutex<i64>,
}

impl KeptTime {
    /// Has the clock go on from the latest time that is written down.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn go_on(clock: Arc<ForwardClock>, store: Arc<Store>) -> Result<Self, StoreError> {
        let kept = store.checkpoint(LATEST_TIME).await?.and_then(|text| text.parse().ok());
        let kept_ms = kept.unwrap_or_default();
        clock.go_on_from(kept_ms);
        Ok(Self { clock, store, kept_ms: Mutex::new(kept_ms) })
    }

    /// Writes the time down if what is written is too old; before anything is written that has a place by this time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep(&self) -> Result<(), StoreError> {
        let mut kept_ms = self.kept_ms.lock().await;
        let now_ms = self.clock.now_ms();
        if now_ms.saturating_sub(*kept_ms) >= FORGOTTEN_MS_MAX {
            self.store.put_checkpoint(LATEST_TIME, &now_ms.to_string()).await?;
            *kept_ms = now_ms;
        }
        Ok(())
    }
}
