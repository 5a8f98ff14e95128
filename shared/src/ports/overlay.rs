//! Orders as they would become: reads see the real ones, writes stay here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{OrderStore, PortError, ReferenceRecord, Saved};
use crate::domain::{Order, PaymentEvent, Reference, Subject};

/// An order store that reads another one and keeps all writes to itself, so that what would be done to an order is found
/// out by doing it.
pub struct OverlayOrders {
    below: Arc<dyn OrderStore>,
    written: Mutex<Written>,
}

/// One write of an order that stayed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// The order before; absent when it was new.
    pub old: Option<Order>,
    /// The order after.
    pub new: Order,
}

#[derive(Default)]
struct Written {
    orders: BTreeMap<Subject, Order>,
    references: HashMap<(String, Reference), ReferenceRecord>,
    changes: Vec<OrderChange>,
    parked: BTreeSet<String>,
}

impl OverlayOrders {
    /// Nothing is written yet.
    pub fn over(below: Arc<dyn OrderStore>) -> Self {
        Self { below, written: Mutex::default() }
    }

    /// The writes of orders since the last time that this was asked, in their order.
    pub fn take_changes(&self) -> Vec<OrderChange> {
        std::mem::take(&mut self.lock().changes)
    }

    /// The ids of the events that were parked since the last time that this was asked, and were not parked before.
    pub fn take_parked(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().parked)
    }

    /// Keeps what is new about a reference, and says all that is known of it.
    async fn learn(
        &self,
        account: &str,
        reference: &Reference,
        news: ReferenceRecord,
    ) -> Result<ReferenceRecord, PortError> {
        let key = (account.to_owned(), reference.clone());
        let below = self.below.reference(account, reference).await?;
        let mut written = self.lock();
        let own = written.references.entry(key).or_default();
        *own = united(std::mem::take(own), news);
        Ok(united(below, own.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both records together; of two readings of one event the smaller one stays.
fn united(one: ReferenceRecord, other: ReferenceRecord) -> ReferenceRecord {
    let mut parked: BTreeMap<String, PaymentEvent> = BTreeMap::new();
    for event in one.parked.into_iter().chain(other.parked) {
        let id = Order::event_id(&event);
        if parked.get(&id).is_none_or(|known| event < *known) {
            parked.insert(id, event);
        }
    }
    let mut parked: Vec<PaymentEvent> = parked.into_values().collect();
    parked.sort_unstable();
    ReferenceRecord { subjects: one.subjects.into_iter().chain(other.subjects).collect(), parked }
}

#[async_trait]
impl OrderStore for OverlayOrders {
    async fn load(&self, subject: &Subject) -> Result<Option<Order>, PortError> {
        let written = self.lock().orders.get(subject).cloned();
        match written {
            Some(order) => Ok(Some(order)),
            None => self.below.load(subject).await,
        }
    }

    async fn save(&self, order: &Order) -> Result<Saved, PortError> {
        let below = self.below.load(&order.subject).await?;
        let mut written = self.lock();
        let old = written.orders.get(&order.subject).cloned().or(below);
        if old.as_ref().map_or(0, |old| old.version) != order.version {
            return Ok(Saved::LostRace);
        }
        let new = Order { version: order.version + 1, ..order.clone() };
        written.orders.insert(new.subject.clone(), new.clone());
        written.changes.push(OrderChange { old, new });
        Ok(Saved::Yes)
    }

    async fn tie(&self, reference: &Reference, subject: &Subject) -> Result<ReferenceRecord, PortError> {
        let news = ReferenceRecord { subjects: [subject.clone()].into(), parked: Vec::new() };
        self.learn(&subject.account, reference, news).await
    }

    async fn park(
        &self,
        account: &str,
        reference: &Reference,
        event: &PaymentEvent,
    ) -> Result<ReferenceRecord, PortError> {
        let id = Order::event_id(event);
        let before = self.reference(account, reference).await?;
        if before.parked.iter().all(|known| Order::event_id(known) != id) {
            self.lock().parked.insert(id);
        }
        let news = ReferenceRecord { parked: vec![event.clone()], ..ReferenceRecord::default() };
        self.learn(account, reference, news).await
    }

    async fn reference(&self, account: &str, reference: &Reference) -> Result<ReferenceRecord, PortError> {
        let below = self.below.reference(account, reference).await?;
        let own = self.lock().references.get(&(account.to_owned(), reference.clone())).cloned();
        Ok(united(below, own.unwrap_or_default()))
    }

    async fn orders_of_user(&self, account: &str, user: &str, limit: usize) -> Result<Vec<Order>, PortError> {
        let below = self.below.orders_of_user(account, user, limit).await?;
        let written = self.lock();
        let is_of_user = |order: &&Order| {
            order.subject.account == account
                && order.expected.as_ref().is_some_and(|expected| expected.user == user)
        };
        let own = written.orders.values().filter(is_of_user).cloned();
        let below = below.into_iter().filter(|order| !written.orders.contains_key(&order.subject));
        let mut orders: Vec<Order> = below.chain(own).collect();
        orders.sort_by_key(|order| std::cmp::Reverse(order.updated_at_ms));
        orders.truncate(limit);
        Ok(orders)
    }
}
