//! What people and systems are told when an order changes.

use serde::{Deserialize, Serialize};

use super::{Money, Order, Subject};

/// One thing to tell a user. Its id is stable: the same change always has the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Stable id: a digest of the subject and the change.
    pub id: String,
    /// The user who is told.
    pub user: String,
    /// The order or other subject.
    pub subject: Subject,
    /// What changed: an event kind, or `order.held`, `order.overpaid`, `order.late_paid`.
    pub kind: String,
    /// The money that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The provider's id of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// Why, for `order.held` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The order's status after the change.
    pub status: super::Status,
}

/// What has become true between two stored versions of one order; `old` is absent for a new one.
pub fn notifications(old: Option<&Order>, new: &Order) -> Vec<Notification> {
    let _ = (old, new);
    Vec::new()
}
