//! What the functions need from the outside world. Adapters are in `aws`; tests bring their own.

pub mod cached;
pub mod dead_letters;
pub mod fetch;
pub mod fold;
pub mod keys;
#[cfg(feature = "sandbox")]
pub mod memory;
pub mod overlay;
pub mod queued_hint;
pub mod redelivery;
pub mod system;
pub mod tokens;

use async_trait::async_trait;
use thiserror::Error;

use crate::callback::{Credentials, UnixSeconds, Verified};
use crate::domain::{Notification, Order, PaymentEvent, Reference, Reminder, Subject};

pub use crate::domain::ReferenceRecord;
pub use cached::CachedAccounts;
pub use dead_letters::{DeadLetter, DeadLetterQueue, DeadLetters, ReturnQueue};
pub use fetch::{FetchResponse, Fetcher, Transport};
pub use keys::{FetchedKeys, KeyError};
pub use overlay::{OrderChange, OverlayOrders};
pub use queued_hint::QueuedHint;
pub use redelivery::Redelivery;
pub use system::{ForwardClock, SystemClock, SystemRandom};
pub use tokens::{AccessTokens, TokenError};

/// Why the outside world did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// It may work later, with time or when somebody repairs the deployment: throttled, timed out, unreachable, no
    /// permission, no such table.
    #[error("temporarily unavailable: {0}")]
    Transient(String),
    /// What is asked is itself at fault, so that trying again does not help: an invalid request, an unreadable item.
    #[error("failed for good: {0}")]
    Permanent(String),
}

/// Accounts' credentials for providers, and merchants' API keys.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The account's key sets for a provider; `None` when the account does not exist or does not use it.
    async fn credentials(&self, account: &str, provider: &str) -> Result<Option<Credentials>, PortError>;
    /// Whether [`AccountStore::credentials`] would answer at once, from a memory in front of the store.
    fn remembers(&self, _account: &str, _provider: &str) -> bool {
        false
    }
    /// Replaces the account's key sets for a provider; creates the account.
    async fn put_credentials(
        &self,
        account: &str,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<(), PortError>;
    /// The account that an API key belongs to, by the key's hash.
    async fn account_of_api_key(&self, api_key_sha256_hex: &str) -> Result<Option<String>, PortError>;
    /// Stores the hash of an account's API key.
    async fn put_api_key(&self, account: &str, api_key_sha256_hex: &str) -> Result<(), PortError>;
}

/// The queue of verified callbacks, with its dead-letter queue.
#[async_trait]
pub trait CallbackQueue: DeadLetters + Redelivery {
    /// Returns once the queue has stored it durably.
    async fn send(&self, verified: &Verified) -> Result<(), PortError>;
}

/// The queue of hints, callbacks of which the provider must be asked before they change anything, and of reminders to ask
/// without any, with its dead-letter queue. [`QueuedHint`] reads its messages.
#[async_trait]
pub trait HintQueue: DeadLetters + Redelivery {
    /// Returns once the queue has stored it durably.
    async fn send(&self, hint: &Verified) -> Result<(), PortError>;
    /// The same for a reminder, which nobody receives before `delay_seconds` have passed: 0 to
    /// [`DELAY_SECONDS_MAX`](crate::domain::reminder::DELAY_SECONDS_MAX).
    async fn remind(&self, reminder: &Reminder, delay_seconds: u32) -> Result<(), PortError>;
}

/// Where orders and the ties between references and orders are kept.
#[async_trait]
pub trait OrderStore: Send + Sync {
    /// A strongly consistent read.
    async fn load(&self, subject: &Subject) -> Result<Option<Order>, PortError>;
    /// Writes the order if the stored version is still `order.version` (0: not stored), with the version after it.
    async fn save(&self, order: &Order) -> Result<Saved, PortError>;
    /// Ties a reference to a subject and returns everything known of the reference after that.
    async fn tie(&self, reference: &Reference, subject: &Subject) -> Result<ReferenceRecord, PortError>;
    /// Keeps an event under a reference and returns everything known of the reference after that.
    async fn park(
        &self,
        account: &str,
        reference: &Reference,
        event: &PaymentEvent,
    ) -> Result<ReferenceRecord, PortError>;
    /// What is known of a reference.
    async fn reference(&self, account: &str, reference: &Reference) -> Result<ReferenceRecord, PortError>;
    /// A user's orders, newest first, at most `limit`.
    async fn orders_of_user(&self, account: &str, user: &str, limit: usize) -> Result<Vec<Order>, PortError>;
}

/// All orders, for an operator who does not know which ones are meant.
#[async_trait]
pub trait OrderScan: Send + Sync {
    /// The subjects of all orders that were last stored at this moment or later, of all accounts. It reads everything
    /// that is stored.
    async fn updated_since(&self, since_ms: i64) -> Result<Vec<Subject>, PortError>;
}

/// The outcome of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Yes,
    /// Somebody else stored another version first: read again, fold again.
    LostRace,
}

/// A notification with its place in the user's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// Place in the inbox: entries sort by it in the order of writing.
    pub cursor: String,
    /// What the user is told.
    pub notification: Notification,
}

/// Digits of the moment of writing, in milliseconds, that a cursor begins with.
const CURSOR_DIGITS: usize = 13;

/// The cursor of a notification that is written at `written_at_ms`: cursors sort in the order of writing. With an empty
/// id it lies before everything that is written at that moment.
pub fn inbox_cursor(written_at_ms: i64, notification_id: &str) -> String {
    format!("{written_at_ms:0width$}-{notification_id}", width = CURSOR_DIGITS)
}

/// The moment of writing, milliseconds since 1970, of a cursor that [`inbox_cursor`] has made of a notification; `None`
/// for any other text.
pub fn place_ms_of_cursor(cursor: &str) -> Option<i64> {
    let (digits, id) = cursor.split_once('-')?;
    let well_formed = digits.len() == CURSOR_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed && !id.is_empty() { digits.parse().ok() } else { None }
}

/// How long after its moment of writing an entry may still become visible: writers' clocks differ, and a writer may be
/// slow. Whoever reads on from a cursor begins this much earlier and drops the ids that it has seen.
pub const INBOX_OVERLAP_MS: i64 = 30_000;

/// How long a notification stays readable.
pub const INBOX_KEPT_SECONDS: i64 = 90 * 24 * 60 * 60;

/// Users' inboxes.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Writes the notification, and returns the entry as stored; `now_ms` is the time of writing. One that is there
    /// already moves to the place of this writing unless its own is later.
    ///
    /// It comes again because somebody may not have been told. In the meantime a device may have moved its cursor more
    /// than [`INBOX_OVERLAP_MS`] past the first place, and would never look there again.
    async fn put(&self, notification: &Notification, now_ms: i64) -> Result<InboxEntry, PortError>;
    /// Entries after `cursor` (all when empty), oldest first, at most `limit`.
    async fn after(
        &self,
        account: &str,
        user: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<InboxEntry>, PortError>;
}

/// One open WebSocket of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The gateway's id.
    pub id: String,
    /// The account.
    pub account: String,
    /// The user.
    pub user: String,
}

/// Open WebSockets and the tickets to open one.
#[async_trait]
pub trait ConnectionStore: Send + Sync {
    /// Stores a ticket by its hash until `expires_at`.
    async fn put_ticket(
        &self,
        ticket_sha256_hex: &str,
        account: &str,
        user: &str,
        expires_at: UnixSeconds,
    ) -> Result<(), PortError>;
    /// Takes a ticket away and returns its account and user; `None` when unknown, used or expired at `now`.
    async fn take_ticket(
        &self,
        ticket_sha256_hex: &str,
        now: UnixSeconds,
    ) -> Result<Option<(String, String)>, PortError>;
    /// Remembers a connection.
    async fn put(&self, connection: &Connection, now: UnixSeconds) -> Result<(), PortError>;
    /// The connection of this id.
    async fn find(&self, connection_id: &str) -> Result<Option<Connection>, PortError>;
    /// All connections of a user, those that were opened first before the others; strongly consistent.
    async fn of_user(&self, account: &str, user: &str) -> Result<Vec<Connection>, PortError>;
    /// Forgets a connection; one that is not there is fine.
    async fn delete(&self, connection: &Connection) -> Result<(), PortError>;
}

/// The outcome of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The gateway took it.
    Yes,
    /// The connection is gone for good (HTTP 410).
    Gone,
}

/// Sends texts to open WebSockets.
#[async_trait]
pub trait Pusher: Send + Sync {
    /// Sends `text` to a connection.
    async fn push(&self, connection_id: &str, text: &str) -> Result<Pushed, PortError>;
    /// Closes a connection; one that is gone is fine.
    async fn close(&self, connection_id: &str) -> Result<(), PortError>;
}

/// What time it is.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;

    /// Whole seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.now_ms().div_euclid(1000))
    }
}

/// Randomness that nobody can guess.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The hash by which API keys and tickets are stored and found; the secrets themselves are stored nowhere.
pub fn secret_sha256_hex(secret: &str) -> String {
    hex::encode(crate::callback::signature::sha256(secret.as_bytes()))
}
