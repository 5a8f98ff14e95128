//! The order: a fold over a set of events.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{EventKind, Money, OrderState, PaymentEvent, Reference, Subject, fold};
use crate::callback::UnixSeconds;

/// Most events that one order holds.
pub const EVENTS_MAX: usize = 256;

/// Most begun or failed payments among them; the earliest are kept. A payer can make any number of attempts, and they
/// must not crowd out the one that pays.
pub const ATTEMPTS_MAX: usize = 128;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whose and which.
    pub subject: Subject,
    /// What the merchant expects; absent until registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expectation>,
    /// The set of events by [`Order::event_id`].
    #[serde(default)]
    pub events: BTreeMap<String, PaymentEvent>,
    /// References by which this order may be found that another order also claims.
    #[serde(default)]
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
    /// An event names neither a subject nor a reference, so that no order can ever have it.
    #[error("the event `{event_id}` names neither an order nor a reference")]
    Unaddressed {
        /// See [`Order::event_id`].
        event_id: String,
    },
    /// References lead to more and more orders and events without end in sight.
    #[error(
        "following the references took more than {} steps, which is the limit",
        super::references::ASKS_MAX
    )]
    TooManyReferences,
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

    /// Unites the set with `events`, of attempts the earliest [`ATTEMPTS_MAX`]; says whether anything changed.
    ///
    /// # Errors
    /// [`OrderError::TooManyEvents`]; the order is unchanged then.
    pub fn absorb(&mut self, events: impl IntoIterator<Item = PaymentEvent>) -> Result<bool, OrderError> {
        let mut united = self.events.clone();
        for event in events {
            match united.entry(Self::event_id(&event)) {
                Entry::Vacant(entry) => {
                    entry.insert(event);
                }
                Entry::Occupied(mut entry) if event < *entry.get() => {
                    entry.insert(event);
                }
                Entry::Occupied(_) => {}
            }
        }
        keep_earliest_attempts(&mut united);
        if united.len() > EVENTS_MAX {
            return Err(OrderError::TooManyEvents);
        }
        let changed = united != self.events;
        self.events = united;
        Ok(changed)
    }

    /// Learns what the merchant expects; the same again changes nothing, further references are added.
    /// Says whether anything changed.
    ///
    /// # Errors
    /// [`OrderError::Conflict`] when it is registered already with another amount, user or expiry.
    pub fn register(&mut self, expected: Expectation) -> Result<bool, OrderError> {
        self.check_registration(&expected)?;
        let known = self.expected.as_ref().unwrap_or(&expected);
        let references: BTreeSet<Reference> =
            known.references.iter().chain(&expected.references).cloned().collect();
        let united = Some(Expectation { references: references.into_iter().collect(), ..expected });
        let changed = united != self.expected;
        self.expected = united;
        Ok(changed)
    }

    /// Whether `expected` may be registered.
    ///
    /// # Errors
    /// As [`Order::register`].
    pub fn check_registration(&self, expected: &Expectation) -> Result<(), OrderError> {
        let Some(known) = &self.expected else { return Ok(()) };
        let differing = [
            ("amount", known.amount != expected.amount),
            ("user", known.user != expected.user),
            ("expires_at", known.expires_at != expected.expires_at),
        ];
        match differing.into_iter().find(|(_, differs)| *differs) {
            Some((field, _)) => Err(OrderError::Conflict { field }),
            None => Ok(()),
        }
    }

    /// Learns that another subject claims `reference` too. Says whether that is new.
    pub fn mark_shared(&mut self, reference: Reference) -> bool {
        self.shared_references.insert(reference)
    }

    /// All references that tie to this order: its events' and its registration's.
    pub fn references(&self) -> BTreeSet<&Reference> {
        let registered = self.expected.iter().flat_map(|expected| &expected.references);
        self.events.values().flat_map(|event| &event.references).chain(registered).collect()
    }

    /// Everything derived, from scratch.
    pub fn state(&self) -> OrderState {
        fold::state(self)
    }
}

/// Whether it only says that a payment has begun or that one failed.
pub(super) fn is_attempt(event: &PaymentEvent) -> bool {
    matches!(event.kind, EventKind::PaymentPending | EventKind::PaymentFailed)
}

/// The smallest of a union are the smallest of the smallest of its parts, so the set stays the same in any order.
fn keep_earliest_attempts(events: &mut BTreeMap<String, PaymentEvent>) {
    let mut attempts: Vec<&PaymentEvent> = events.values().filter(|event| is_attempt(event)).collect();
    if attempts.len() <= ATTEMPTS_MAX {
        return;
    }
    attempts.sort_unstable();
    let surplus: Vec<String> = attempts[ATTEMPTS_MAX..].iter().map(|event| Order::event_id(event)).collect();
    for id in surplus {
        events.remove(&id);
    }
}
