//! Money, events, and the order as a fold over a set of events. Pure: no clock, no network.

pub mod event;
pub mod money;
pub mod notification;
pub mod order;
pub mod subject;

pub use event::{EventKind, PaymentEvent};
pub use money::{Currency, Money, MoneyError};
pub use notification::Notification;
pub use order::{Expectation, Order, OrderState, Status};
pub use subject::{Reference, Subject, SubjectKind};
