//! The order: a fold over a set of events.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Money, PaymentEvent, Reference, Subject};
use crate::callback::UnixSeconds;

/// Most events that one order holds.
pub const EVENTS_MAX: usize = 256;

/// What the merchant expects, known once the order is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The amount to be paid; absent for subjects other than orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The user who is told.
    pub user: String,
    /// A payment after this moment is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixSeconds>,
    /// References that the merchant knows beforehand (a payment intent, a deposit address).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
}

/// What is stored of an order (or mandate, transfer, sub-merchant, token): everything else is derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose and which.
    pub subject: Subject,
    /// What the merchant expects; absent until registered.
    pub expected: Option<Expectation>,
    /// The set of events by [`Order::event_id`].
    pub events: BTreeMap<String, PaymentEvent>,
    /// References by which this order may be found that another order also claims.
    pub shared_references: BTreeSet<Reference>,
    /// Optimistic concurrency: the stored version, 0 when not stored yet.
    pub version: u64,
    /// When it was last stored, milliseconds since 1970; orders notifications of one user.
    pub updated_at_ms: i64,
}

/// Why an order does not take an event or a registration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// It holds as many events as it may.
    #[error("the order holds {EVENTS_MAX} events, which is the limit")]
    TooManyEvents,
    /// It is registered already with other facts.
    #[error("the order is registered already with a different `{field}`")]
    Conflict {
        /// The fact that differs.
        field: &'static str,
    },
}

/// Where an order stands, derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Registered, nothing heard.
    Created,
    /// Events without a registration.
    Unclaimed,
    /// Begun.
    Pending,
    /// Money reserved.
    Authorized,
    /// Money taken, as expected.
    Paid,
    /// Paid, part of it given back.
    PartiallyRefunded,
    /// Paid, all of it given back.
    Refunded,
    /// A dispute is open.
    Disputed,
    /// A dispute was lost.
    ChargedBack,
    /// The last word is a failure.
    Failed,
    /// Given up.
    Cancelled,
    /// Not paid in time.
    Expired,
    /// Paid after expiry or closing.
    LatePaid,
    /// Two transactions paid for one order.
    Overpaid,
    /// Something contradicts what is expected; a person must look.
    Held,
    /// For subjects other than orders: in force, done, admitted.
    Active,
    /// For subjects other than orders: ended, failed, refused.
    Inactive,
}

/// Everything derived from an order's events and expectation by one pure function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// Where it stands.
    pub status: Status,
}

impl Order {
    /// An order of which nothing is known.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            expected: None,
            events: BTreeMap::new(),
            shared_references: BTreeSet::new(),
            version: 0,
            updated_at_ms: 0,
        }
    }

    /// The key under which the set holds an event.
    pub fn event_id(event: &PaymentEvent) -> String {
        format!("{}:{}", event.provider, event.key)
    }

    /// Unites the set with `events`; says whether anything changed.
    ///
    /// # Errors
    /// [`OrderError::TooManyEvents`]; the order is unchanged then.
    pub fn absorb(&mut self, events: impl IntoIterator<Item = PaymentEvent>) -> Result<bool, OrderError> {
        let _ = events.into_iter();
        Ok(false)
    }

    /// Learns what the merchant expects; the same again changes nothing. Says whether anything changed.
    ///
    /// # Errors
    /// [`OrderError::Conflict`] when it is registered already with other facts.
    pub fn register(&mut self, expected: Expectation) -> Result<bool, OrderError> {
        self.expected = Some(expected);
        Ok(true)
    }

    /// All references that tie to this order: its events' and its registration's.
    pub fn references(&self) -> BTreeSet<&Reference> {
        let registered = self.expected.iter().flat_map(|expected| &expected.references);
        self.events.values().flat_map(|event| &event.references).chain(registered).collect()
    }

    /// Everything derived, from scratch.
    pub fn state(&self) -> OrderState {
        OrderState { status: Status::Created }
    }
}
