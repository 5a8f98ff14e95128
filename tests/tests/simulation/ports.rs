//! The ports in memory, each call of which takes time and may fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use paybell_shared::callback::{Credentials, UnixSeconds};
use paybell_shared::domain::{Notification, Order, PaymentEvent, Reference, Subject};
use paybell_shared::ports::memory::{MemoryAccounts, MemoryConnections, MemoryInbox, MemoryOrders};
use paybell_shared::ports::{
    AccountStore, Connection, ConnectionStore, DeadLetters, Inbox, InboxEntry, OrderStore, PortError,
    ReferenceRecord, Saved, inbox_cursor,
};

use crate::mutation::Mutation;
use crate::sim::{BEGUN_AT_MS, Port, Sim, lock};
use crate::stream::SimStream;

/// Of a thousand writes so many are told that somebody else was faster although nobody was: half of them before their
/// own write, half after it, as when an SDK repeats a write whose answer it did not get.
const LOST_RACE_PERMILLE: u64 = 20;

/// Accounts.
pub struct SimAccounts {
    pub sim: Arc<Sim>,
    pub inner: MemoryAccounts,
}

#[async_trait]
impl AccountStore for SimAccounts {
    async fn credentials(&self, account: &str, provider: &str) -> Result<Option<Credentials>, PortError> {
        let what = format!("credentials of {account} for {provider}");
        self.sim.call(Port::Accounts, what, self.inner.credentials(account, provider)).await
    }

    async fn put_credentials(
        &self,
        account: &str,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<(), PortError> {
        self.inner.put_credentials(account, provider, credentials).await
    }

    async fn account_of_api_key(&self, api_key_sha256_hex: &str) -> Result<Option<String>, PortError> {
        let effect = self.inner.account_of_api_key(api_key_sha256_hex);
        self.sim.call(Port::Accounts, "account of an API key".to_owned(), effect).await
    }

    async fn put_api_key(&self, account: &str, api_key_sha256_hex: &str) -> Result<(), PortError> {
        self.inner.put_api_key(account, api_key_sha256_hex).await
    }
}

/// Orders and references, and the table's stream.
pub struct SimOrders {
    pub sim: Arc<Sim>,
    pub inner: MemoryOrders,
    pub stream: Arc<SimStream>,
}

impl SimOrders {
    /// The subject as it is stored.
    fn stored(&self, subject: &Subject) -> Subject {
        let account = if self.sim.has(Mutation::AccountsShareOrders) { "shared" } else { &subject.account };
        Subject { account: account.to_owned(), ..subject.clone() }
    }

    async fn write(&self, order: &Order) -> Result<Saved, PortError> {
        let old = self.inner.load(&order.subject).await?;
        let mut order = order.clone();
        let version = old.as_ref().map_or(0, |old| old.version);
        if order.version != version {
            self.sim.count("races lost");
            if !self.sim.has(Mutation::SaveIgnoresVersion) {
                return Ok(Saved::LostRace);
            }
            order.version = version;
        }
        let saved = self.inner.save(&order).await?;
        if let Some(new) = self.inner.load(&order.subject).await? {
            self.stream.push(old, new);
        }
        Ok(saved)
    }
}

#[async_trait]
impl OrderStore for SimOrders {
    async fn load(&self, subject: &Subject) -> Result<Option<Order>, PortError> {
        let effect = async {
            let order = self.inner.load(&self.stored(subject)).await?;
            Ok(order.map(|order| Order { subject: subject.clone(), ..order }))
        };
        self.sim.call(Port::Orders, format!("load {}/{}", subject.account, subject.id), effect).await
    }

    async fn save(&self, order: &Order) -> Result<Saved, PortError> {
        let effect = async {
            let order = Order { subject: self.stored(&order.subject), ..order.clone() };
            if self.sim.goes_wrong(LOST_RACE_PERMILLE) {
                self.sim.count("races lost by word");
                if self.sim.happens(500) {
                    self.write(&order).await?;
                }
                return Ok(Saved::LostRace);
            }
            self.write(&order).await
        };
        let subject = &order.subject;
        let what = format!("save {}/{} v{}", subject.account, subject.id, order.version + 1);
        self.sim.call(Port::Orders, what, effect).await
    }

    async fn tie(&self, reference: &Reference, subject: &Subject) -> Result<ReferenceRecord, PortError> {
        let what = format!("tie {} to {}/{}", reference.0, subject.account, subject.id);
        self.sim.call(Port::Orders, what, self.inner.tie(reference, subject)).await
    }

    async fn park(
        &self,
        account: &str,
        reference: &Reference,
        event: &PaymentEvent,
    ) -> Result<ReferenceRecord, PortError> {
        self.sim.count("events parked");
        let what = format!("park {} under {account}/{}", event.kind, reference.0);
        self.sim.call(Port::Orders, what, self.inner.park(account, reference, event)).await
    }

    async fn reference(&self, account: &str, reference: &Reference) -> Result<ReferenceRecord, PortError> {
        let what = format!("reference {account}/{}", reference.0);
        self.sim.call(Port::Orders, what, self.inner.reference(account, reference)).await
    }

    async fn orders_of_user(&self, account: &str, user: &str, limit: usize) -> Result<Vec<Order>, PortError> {
        let effect = self.inner.orders_of_user(account, user, limit);
        self.sim.call(Port::Orders, "orders of a user".to_owned(), effect).await
    }
}

/// Users' inboxes.
pub struct SimInbox {
    pub sim: Arc<Sim>,
    pub inner: Arc<MemoryInbox>,
}

impl SimInbox {
    async fn write(&self, notification: &Notification, now_ms: i64) -> Result<InboxEntry, PortError> {
        let entries = self.inner.entries();
        let is_same = |entry: &&InboxEntry| {
            entry.notification.id == notification.id
                && entry.notification.user == notification.user
                && entry.notification.subject.account == notification.subject.account
        };
        if entries.iter().any(|entry| is_same(&entry)) {
            self.sim.count("notifications written again");
            if self.sim.has(Mutation::InboxTakesTwice) {
                let id = format!("{}-{now_ms}", notification.id);
                return self.inner.put(&Notification { id, ..notification.clone() }, now_ms).await;
            }
        }
        self.inner.put(notification, now_ms).await
    }
}

#[async_trait]
impl Inbox for SimInbox {
    async fn put(&self, notification: &Notification, now_ms: i64) -> Result<InboxEntry, PortError> {
        let effect = async {
            if self.sim.has(Mutation::InboxLags) {
                let (inner, later) = (self.inner.clone(), notification.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(8)).await;
                    inner.put(&later, now_ms).await
                });
                let cursor = inbox_cursor(now_ms, &notification.id);
                return Ok(InboxEntry { cursor, notification: notification.clone() });
            }
            self.write(notification, now_ms).await
        };
        let what = format!("inbox takes {} of {}", notification.kind, notification.subject.id);
        self.sim.call(Port::Inbox, what, effect).await
    }

    async fn after(
        &self,
        account: &str,
        user: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<InboxEntry>, PortError> {
        let effect = self.inner.after(account, user, cursor, limit);
        self.sim.call(Port::Inbox, format!("inbox of {account}/{user} after {cursor}"), effect).await
    }
}

/// Tickets and open connections.
pub struct SimConnections {
    pub sim: Arc<Sim>,
    pub inner: MemoryConnections,
}

#[async_trait]
impl ConnectionStore for SimConnections {
    async fn put_ticket(
        &self,
        ticket_sha256_hex: &str,
        account: &str,
        user: &str,
        expires_at: UnixSeconds,
    ) -> Result<(), PortError> {
        let effect = self.inner.put_ticket(ticket_sha256_hex, account, user, expires_at);
        self.sim.call(Port::Connections, format!("ticket of {account}/{user}"), effect).await
    }

    async fn take_ticket(
        &self,
        ticket_sha256_hex: &str,
        now: UnixSeconds,
    ) -> Result<Option<(String, String)>, PortError> {
        let effect = self.inner.take_ticket(ticket_sha256_hex, now);
        self.sim.call(Port::Connections, "take a ticket".to_owned(), effect).await
    }

    async fn put(&self, connection: &Connection, now: UnixSeconds) -> Result<(), PortError> {
        let what = format!("remember {}", connection.id);
        self.sim.call(Port::Connections, what, self.inner.put(connection, now)).await
    }

    async fn find(&self, connection_id: &str) -> Result<Option<Connection>, PortError> {
        let what = format!("find {connection_id}");
        self.sim.call(Port::Connections, what, self.inner.find(connection_id)).await
    }

    async fn of_user(&self, account: &str, user: &str) -> Result<Vec<Connection>, PortError> {
        let what = format!("connections of {account}/{user}");
        self.sim.call(Port::Connections, what, self.inner.of_user(account, user)).await
    }

    async fn delete(&self, connection: &Connection) -> Result<(), PortError> {
        let what = format!("forget {}", connection.id);
        self.sim.call(Port::Connections, what, self.inner.delete(connection)).await
    }
}

/// The dead-letter queue of `notify`.
pub struct SimDeadLetters {
    pub sim: Arc<Sim>,
    pub letters: Mutex<Vec<String>>,
}

#[async_trait]
impl DeadLetters for SimDeadLetters {
    async fn set_aside(&self, message: &str, _reason: &str) -> Result<(), PortError> {
        let effect = async {
            self.sim.count("records set aside");
            lock(&self.letters).push(message.to_owned());
            Ok(())
        };
        self.sim.call(Port::Queue, "a record is set aside".to_owned(), effect).await
    }
}

/// The time in whole seconds, for what takes it as an argument.
pub fn now(sim: &Sim) -> UnixSeconds {
    UnixSeconds((BEGUN_AT_MS + i64::try_from(sim.elapsed_ms()).unwrap_or_default()).div_euclid(1_000))
}
