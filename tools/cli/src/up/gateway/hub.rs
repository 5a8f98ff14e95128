//! The open WebSockets by connection id, behind `@connections`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use paybell_shared::ports::Clock;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// Largest message either way, as in API Gateway.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Messages that may wait for one client.
const OUTGOING_MESSAGES_MAX: usize = 256;
/// How long a push waits for a full queue before the client counts as too slow and is cut.
const SLOW_CLIENT_GRACE: Duration = Duration::from_secs(1);

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// There is no such connection any more.
    Gone,
    /// It is larger than [`MESSAGE_BYTES_MAX`].
    TooLarge,
}

/// The open WebSockets.
pub struct Hub {
    peers: Mutex<HashMap<String, Peer>>,
    clock: Arc<dyn Clock>,
    lines: watch::Sender<usize>,
}

struct Peer {
    outgoing: mpsc::Sender<Bytes>,
    source_ip: String,
    user_agent: String,
    connected_at_ms: i64,
    active_at_ms: Arc<AtomicI64>,
}

/// The socket's side of a connection. When `outgoing` ends, the connection was cut.
pub struct Line {
    /// Messages to send.
    pub outgoing: mpsc::Receiver<Bytes>,
    /// When a message went either way last.
    pub active_at_ms: Arc<AtomicI64>,
    lines: watch::Sender<usize>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.send_modify(|count| *count -= 1);
    }
}

impl Hub {
    /// No connections yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { peers: Mutex::default(), clock, lines: watch::Sender::new(0) }
    }

    /// Adds a connection. What is pushed from now on waits in its queue, even before the socket is open.
    pub fn open(&self, id: &str, source_ip: String, user_agent: String) -> Line {
        let (sender, outgoing) = mpsc::channel(OUTGOING_MESSAGES_MAX);
        let connected_at_ms = self.clock.now_ms();
        let active_at_ms = Arc::new(AtomicI64::new(connected_at_ms));
        self.lines.send_modify(|count| *count += 1);
        let line = Line { outgoing, active_at_ms: Arc::clone(&active_at_ms), lines: self.lines.clone() };
        let peer = Peer { outgoing: sender, source_ip, user_agent, connected_at_ms, active_at_ms };
        self.peers().insert(id.to_owned(), peer);
        line
    }

    /// Waits until no connection is served any more, its `$disconnect` included.
    pub async fn all_closed(&self) {
        // It cannot fail: the sender is ours.
        let _ = self.lines.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Queues a message for a connection.
    ///
    /// # Errors
    /// [`PushError`]; a client that does not keep up is cut and is gone.
    pub async fn push(&self, id: &str, message: Bytes) -> Result<(), PushError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(PushError::TooLarge);
        }
        let outgoing = self.peers().get(id).map(|peer| peer.outgoing.clone()).ok_or(PushError::Gone)?;
        match outgoing.send_timeout(message, SLOW_CLIENT_GRACE).await {
            Ok(()) => Ok(()),
            Err(_) => {
                tracing::info!(connection = id, "the client does not keep up and is cut");
                let _ = self.cut(id);
                Err(PushError::Gone)
            }
        }
    }

    /// Removes a connection, which closes its socket.
    ///
    /// # Errors
    /// [`PushError::Gone`].
    pub fn cut(&self, id: &str) -> Result<(), PushError> {
        self.peers().remove(id).map(drop).ok_or(PushError::Gone)
    }

    /// Removes those that were opened longer ago than that, by the clock that also ends their rows in the table: the
    /// timers of their sockets stand still while the machine sleeps.
    pub fn cut_older_than(&self, age_max: Duration) {
        let age_ms_max = i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = self.clock.now_ms().saturating_sub(age_ms_max);
        self.peers().retain(|_, peer| peer.connected_at_ms > oldest_ms);
    }

    /// What `@connections` tells of a connection.
    ///
    /// # Errors
    /// [`PushError::Gone`].
    pub fn describe(&self, id: &str) -> Result<Value, PushError> {
        let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
        let peers = self.peers();
        let peer = peers.get(id).ok_or(PushError::Gone)?;
        Ok(json!({
            "connectedAt": time(peer.connected_at_ms),
            "lastActiveAt": time(peer.active_at_ms.load(Ordering::Relaxed)),
            "identity": {"sourceIp": peer.source_ip, "userAgent": peer.user_agent},
        }))
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<String, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paybell_shared::ports::SystemClock;
    use paybell_shared::ports::memory::ManualClock;

    #[tokio::test(start_paused = true)]
    async fn s9_a_client_that_does_not_keep_up_is_cut() {
        let hub = Hub::new(Arc::new(SystemClock));
        let mut line = hub.open("c", String::new(), String::new());
        for _ in 0..OUTGOING_MESSAGES_MAX {
            assert_eq!(hub.push("c", Bytes::from_static(b"m")).await, Ok(()));
        }
        assert_eq!(hub.push("c", Bytes::from_static(b"m")).await, Err(PushError::Gone));
        assert_eq!(hub.push("c", Bytes::from_static(b"m")).await, Err(PushError::Gone));
        assert_eq!(hub.describe("c"), Err(PushError::Gone));
        let mut waiting = 0;
        while line.outgoing.recv().await.is_some() {
            waiting += 1;
        }
        assert_eq!(waiting, OUTGOING_MESSAGES_MAX);
    }

    #[tokio::test]
    async fn s9_s12_a_socket_does_not_outlive_its_row_when_the_clock_jumps() {
        let clock = Arc::new(ManualClock::at_ms(1_800_000_000_000));
        let hub = Hub::new(clock.clone());
        let mut old = hub.open("old", String::new(), String::new());
        clock.advance_ms(25 * 3_600_000);
        let _new = hub.open("new", String::new(), String::new());
        hub.cut_older_than(Duration::from_secs(2 * 3_600));
        assert_eq!(old.outgoing.recv().await, None, "its socket is closed");
        assert_eq!(hub.push("old", Bytes::from_static(b"m")).await, Err(PushError::Gone));
        assert_eq!(hub.push("new", Bytes::from_static(b"m")).await, Ok(()));
    }

    #[tokio::test]
    async fn s9_messages_have_a_largest_size() {
        let hub = Hub::new(Arc::new(SystemClock));
        let _line = hub.open("c", String::new(), String::new());
        assert_eq!(hub.push("c", Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX])).await, Ok(()));
        assert_eq!(
            hub.push("c", Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX + 1])).await,
            Err(PushError::TooLarge)
        );
    }
}
