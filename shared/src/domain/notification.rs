//! What people and systems are told when an order changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Money, Order, Subject, notification_text};

/// One thing to tell a user. Its id is stable: the same fact always has the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Stable id: a digest of the subject and the fact.
    pub id: String,
    /// The user who is told.
    pub user: String,
    /// The order or other subject.
    pub subject: Subject,
    /// What has become true: an event kind, or `order.held`, `order.overpaid`, `order.late_paid`.
    pub kind: String,
    /// The money that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Whether `amount` is everything given back so far, not this refund's share.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub amount_is_cumulative: bool,
    /// The provider's id of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The refund's or dispute's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_id: Option<String>,
    /// Why, for `order.held` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<super::Reason>,
    /// The order's status after the change.
    pub status: super::Status,
}

/// A language that people are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Locale {
    /// English.
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Locale {
    /// All languages.
    pub const ALL: &'static [Self] = &[Self::En, Self::ZhCn];

    /// The BCP 47 tag, such as `zh-CN`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl Notification {
    /// The sentence for people.
    pub fn text(&self, locale: Locale) -> String {
        notification_text::text(self, locale)
    }
}

/// What has become true between two stored versions of one order; `old` is absent for a new one.
pub fn notifications(old: Option<&Order>, new: &Order) -> Vec<Notification> {
    let _ = (old, new);
    Vec::new()
}
