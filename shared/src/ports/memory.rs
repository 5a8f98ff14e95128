//! The ports in memory, with faults on demand: for tests of everything that stands on ports.

mod queue;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    AccountStore, Clock, Connection, ConnectionStore, FetchResponse, Inbox, InboxEntry, OrderScan,
    OrderStore, PortError, Pushed, Pusher, Random, ReferenceRecord, Saved, Transport, inbox_cursor,
};
use crate::callback::{Credentials, UnixSeconds};
use crate::domain::{Notification, Order, PaymentEvent, Reference, Subject};
use crate::providers::FetchRequest;

pub use queue::MemoryQueue;

/// Errors that the next calls return instead of doing anything, first in, first out; and a count of all calls.
#[derive(Debug, Default)]
pub struct Faults {
    next: Mutex<VecDeque<Option<PortError>>>,
    calls: AtomicUsize,
}

impl Faults {
    /// Makes one more of the next calls fail.
    pub fn push(&self, error: PortError) {
        lock(&self.next).push_back(Some(error));
    }

    /// Lets one more of the next calls through, before those that fail.
    pub fn pass(&self) {
        lock(&self.next).push_back(None);
    }

    /// How many calls there were, failed ones included.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), PortError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        lock(&self.next).pop_front().flatten().map_or(Ok(()), Err)
    }
}

/// A network in which nobody can be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNetwork;

#[async_trait]
impl Transport for NoNetwork {
    async fn send(&self, _account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        Err(PortError::Transient(format!("{} cannot be reached", request.pinned_host)))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now_ms`.
    pub fn at_ms(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Moves it.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that differ at every call and are the same in every run.
#[derive(Debug, Default)]
pub struct CountingRandom(AtomicU64);

impl Random for CountingRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        for (byte, value) in bytes.iter_mut().zip(count.to_le_bytes().into_iter().cycle()) {
            *byte = value;
        }
    }
}

/// Accounts.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    /// What fails next.
    pub faults: Faults,
    credentials: Mutex<HashMap<(String, String), Credentials>>,
    api_keys: Mutex<HashMap<String, String>>,
}

#[async_trait]
impl AccountStore for MemoryAccounts {
    async fn credentials(&self, account: &str, provider: &str) -> Result<Option<Credentials>, PortError> {
        self.faults.check()?;
        Ok(lock(&self.credentials).get(&(account.to_owned(), provider.to_owned())).cloned())
    }

    async fn put_credentials(
        &self,
        account: &str,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.credentials).insert((account.to_owned(), provider.to_owned()), credentials.clone());
        Ok(())
    }

    async fn account_of_api_key(&self, api_key_sha256_hex: &str) -> Result<Option<String>, PortError> {
        self.faults.check()?;
        Ok(lock(&self.api_keys).get(api_key_sha256_hex).cloned())
    }

    async fn put_api_key(&self, account: &str, api_key_sha256_hex: &str) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.api_keys).insert(api_key_sha256_hex.to_owned(), account.to_owned());
        Ok(())
    }
}

/// Orders and references.
#[derive(Debug, Default)]
pub struct MemoryOrders {
    /// What fails next.
    pub faults: Faults,
    lost_races: AtomicUsize,
    writes: AtomicUsize,
    orders: Mutex<BTreeMap<Subject, Order>>,
    references: Mutex<HashMap<(String, Reference), StoredReference>>,
}

#[derive(Debug, Default)]
struct StoredReference {
    subjects: BTreeSet<Subject>,
    parked: BTreeMap<String, PaymentEvent>,
}

impl StoredReference {
    fn record(&self) -> ReferenceRecord {
        let mut parked: Vec<PaymentEvent> = self.parked.values().cloned().collect();
        parked.sort_unstable();
        ReferenceRecord { subjects: self.subjects.clone(), parked }
    }
}

impl MemoryOrders {
    /// Makes the next `count` writes of orders lose their race without anything being written.
    pub fn lose_next_races(&self, count: usize) {
        self.lost_races.store(count, Ordering::Relaxed);
    }

    /// How many writes there were: stored orders, ties and parked events, changed or not.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    /// All orders.
    pub fn all(&self) -> Vec<Order> {
        lock(&self.orders).values().cloned().collect()
    }

    fn change_reference(
        &self,
        account: &str,
        reference: &Reference,
        change: impl FnOnce(&mut StoredReference),
    ) -> ReferenceRecord {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut references = lock(&self.references);
        let stored = references.entry((account.to_owned(), reference.clone())).or_default();
        change(stored);
        stored.record()
    }
}

#[async_trait]
impl OrderStore for MemoryOrders {
    async fn load(&self, subject: &Subject) -> Result<Option<Order>, PortError> {
        self.faults.check()?;
        Ok(lock(&self.orders).get(subject).cloned())
    }

    async fn save(&self, order: &Order) -> Result<Saved, PortError> {
        self.faults.check()?;
        let lost =
            self.lost_races.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let mut orders = lock(&self.orders);
        let stored_version = orders.get(&order.subject).map_or(0, |stored| stored.version);
        if lost.is_ok() || stored_version != order.version {
            return Ok(Saved::LostRace);
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        orders.insert(order.subject.clone(), Order { version: order.version + 1, ..order.clone() });
        Ok(Saved::Yes)
    }

    async fn tie(&self, reference: &Reference, subject: &Subject) -> Result<ReferenceRecord, PortError> {
        self.faults.check()?;
        Ok(self.change_reference(&subject.account, reference, |stored| {
            stored.subjects.insert(subject.clone());
        }))
    }

    async fn park(
        &self,
        account: &str,
        reference: &Reference,
        event: &PaymentEvent,
    ) -> Result<ReferenceRecord, PortError> {
        self.faults.check()?;
        Ok(self.change_reference(account, reference, |stored| {
            let parked = stored.parked.entry(Order::event_id(event)).or_insert_with(|| event.clone());
            if event < parked {
                *parked = event.clone();
            }
        }))
    }

    async fn reference(&self, account: &str, reference: &Reference) -> Result<ReferenceRecord, PortError> {
        self.faults.check()?;
        let references = lock(&self.references);
        let stored = references.get(&(account.to_owned(), reference.clone()));
        Ok(stored.map(StoredReference::record).unwrap_or_default())
    }

    async fn orders_of_user(&self, account: &str, user: &str, limit: usize) -> Result<Vec<Order>, PortError> {
        self.faults.check()?;
        let mut orders = self.all();
        orders.retain(|order| {
            order.subject.account == account
                && order.expected.as_ref().is_some_and(|expected| expected.user == user)
        });
        orders.sort_by_key(|order| std::cmp::Reverse(order.updated_at_ms));
        orders.truncate(limit);
        Ok(orders)
    }
}

#[async_trait]
impl OrderScan for MemoryOrders {
    async fn updated_since(&self, since_ms: i64) -> Result<Vec<Subject>, PortError> {
        self.faults.check()?;
        let orders = self.all().into_iter().filter(|order| order.updated_at_ms >= since_ms);
        Ok(orders.map(|order| order.subject).collect())
    }
}

/// Inboxes.
#[derive(Debug, Default)]
pub struct MemoryInbox {
    /// What fails next.
    pub faults: Faults,
    entries: Mutex<Vec<InboxEntry>>,
}

impl MemoryInbox {
    /// All entries of all users, in the order of writing.
    pub fn entries(&self) -> Vec<InboxEntry> {
        lock(&self.entries).clone()
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn put(&self, notification: &Notification, now_ms: i64) -> Result<InboxEntry, PortError> {
        self.faults.check()?;
        let mut entries = lock(&self.entries);
        let is_same = |entry: &InboxEntry| {
            let known = &entry.notification;
            known.id == notification.id
                && known.user == notification.user
                && known.subject.account == notification.subject.account
        };
        let entry =
            InboxEntry { cursor: inbox_cursor(now_ms, &notification.id), notification: notification.clone() };
        if let Some(known) = entries.iter().find(|known| is_same(known) && known.cursor >= entry.cursor) {
            return Ok(known.clone());
        }
        entries.retain(|known| !is_same(known));
        entries.push(entry.clone());
        Ok(entry)
    }

    async fn after(
        &self,
        account: &str,
        user: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<InboxEntry>, PortError> {
        self.faults.check()?;
        let mut entries = self.entries();
        entries.retain(|entry| {
            let known = &entry.notification;
            known.subject.account == account && known.user == user && entry.cursor.as_str() > cursor
        });
        entries.sort_by(|one, other| one.cursor.cmp(&other.cursor));
        entries.truncate(limit);
        Ok(entries)
    }
}

/// Connections and tickets.
#[derive(Debug, Default)]
pub struct MemoryConnections {
    /// What fails next.
    pub faults: Faults,
    tickets: Mutex<HashMap<String, (String, String, UnixSeconds)>>,
    connections: Mutex<BTreeMap<String, (UnixSeconds, Connection)>>,
}

#[async_trait]
impl ConnectionStore for MemoryConnections {
    async fn put_ticket(
        &self,
        ticket_sha256_hex: &str,
        account: &str,
        user: &str,
        expires_at: UnixSeconds,
    ) -> Result<(), PortError> {
        self.faults.check()?;
        let ticket = (account.to_owned(), user.to_owned(), expires_at);
        lock(&self.tickets).insert(ticket_sha256_hex.to_owned(), ticket);
        Ok(())
    }

    async fn take_ticket(
        &self,
        ticket_sha256_hex: &str,
        now: UnixSeconds,
    ) -> Result<Option<(String, String)>, PortError> {
        self.faults.check()?;
        let ticket = lock(&self.tickets).remove(ticket_sha256_hex);
        Ok(ticket.and_then(|(account, user, expires_at)| (now < expires_at).then_some((account, user))))
    }

    async fn put(&self, connection: &Connection, now: UnixSeconds) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.connections).insert(connection.id.clone(), (now, connection.clone()));
        Ok(())
    }

    async fn find(&self, connection_id: &str) -> Result<Option<Connection>, PortError> {
        self.faults.check()?;
        Ok(lock(&self.connections).get(connection_id).map(|(_, connection)| connection.clone()))
    }

    async fn of_user(&self, account: &str, user: &str) -> Result<Vec<Connection>, PortError> {
        self.faults.check()?;
        let connections = lock(&self.connections);
        let mut of_user: Vec<_> = connections
            .values()
            .filter(|(_, connection)| connection.account == account && connection.user == user)
            .collect();
        of_user.sort_by_key(|(opened_at, _)| *opened_at);
        Ok(of_user.into_iter().map(|(_, connection)| connection.clone()).collect())
    }

    async fn delete(&self, connection: &Connection) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.connections).remove(&connection.id);
        Ok(())
    }
}

/// Pushed texts by connection; connections named gone answer so.
#[derive(Debug, Default)]
pub struct MemoryPusher {
    /// What fails next.
    pub faults: Faults,
    gone: Mutex<BTreeSet<String>>,
    pushed: Mutex<Vec<(String, String)>>,
}

impl MemoryPusher {
    /// Makes a connection answer that it is gone.
    pub fn hang_up(&self, connection_id: &str) {
        lock(&self.gone).insert(connection_id.to_owned());
    }

    /// Connection and text of every push that was taken, in order.
    pub fn pushed(&self) -> Vec<(String, String)> {
        lock(&self.pushed).clone()
    }
}

#[async_trait]
impl Pusher for MemoryPusher {
    async fn push(&self, connection_id: &str, text: &str) -> Result<Pushed, PortError> {
        self.faults.check()?;
        if lock(&self.gone).contains(connection_id) {
            return Ok(Pushed::Gone);
        }
        lock(&self.pushed).push((connection_id.to_owned(), text.to_owned()));
        Ok(Pushed::Yes)
    }

    async fn close(&self, connection_id: &str) -> Result<(), PortError> {
        self.faults.check()?;
        self.hang_up(connection_id);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
