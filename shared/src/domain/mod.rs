//! Money, events, and the order as a fold over a set of events. Pure: no clock, no network.

pub mod event;
mod fold;
pub mod money;
pub mod notification;
mod notification_text;
pub mod order;
pub mod references;
pub mod reminder;
pub mod state;
pub mod subject;
#[cfg(test)]
mod tests;
mod transaction;

pub use event::{EventKind, PaymentEvent};
pub use money::{Currency, Money, MoneyError};
pub use notification::{Locale, Notification, facts_since, notifications};
pub use order::{ATTEMPTS_MAX, EVENTS_MAX, Expectation, Order, OrderError};
pub use references::{Ask, Plan, ReferenceRecord};
pub use reminder::Reminder;
pub use state::{
    DisputeState, DisputeStatus, OrderState, Reason, RefundDue, RefundState, RefundStatus, Standing, Status,
    TransactionState, TransactionStatus,
};
pub use subject::{Reference, Subject, SubjectKind};
