//! What people and systems are told when an order changes.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    DisputeState, DisputeStatus, EventKind, Money, Order, OrderState, PaymentEvent, Reason, RefundDue,
    RefundState, RefundStatus, Subject, TransactionState, TransactionStatus, notification_text,
};
use crate::callback::UnixSeconds;

/// Something contradicts what is expected.
pub const ORDER_HELD: &str = "order.held";
/// More than one transaction paid.
pub const ORDER_OVERPAID: &str = "order.overpaid";
/// Paid after expiry or closing.
pub const ORDER_LATE_PAID: &str = "order.late_paid";

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
///
/// A fact is told when the new version has it and the old one has not. As long as nobody is registered
/// there is nobody to tell; with the registration all facts so far are told. While a reason doubts the
/// payment ([`super::Reason::doubts_payment`]) nobody is told that it is captured; once resolved, they are.
pub fn notifications(old: Option<&Order>, new: &Order) -> Vec<Notification> {
    let told: BTreeSet<String> = old.map(facts).into_iter().flatten().map(|fact| fact.id).collect();
    facts(new).into_iter().filter(|fact| !told.contains(&fact.id)).collect()
}

/// The facts that are true of an order because of events that were received at `since` or later.
///
/// Whoever was told of every change was told of each of them, and of more: of facts that others have overtaken since,
/// such as a payment that had begun and is captured now.
pub fn facts_since(order: &Order, since: UnixSeconds) -> Vec<Notification> {
    let earlier = order.events.iter().filter(|(_, event)| event.received_at < since);
    let earlier = earlier.map(|(id, event)| (id.clone(), event.clone())).collect();
    notifications(Some(&Order { events: earlier, ..order.clone() }), order)
}

/// The facts that are true of an order: of each transaction how far it came, so that a late lower-ranking
/// event is no fact; of each refund and dispute; and what is the matter with the order as a whole.
fn facts(order: &Order) -> Vec<Notification> {
    let Some(expected) = &order.expected else { return Vec::new() };
    let state = order.state();
    let teller = Teller { order, user: &expected.user, state: &state };
    let mut facts = Vec::new();
    for transaction in &state.transactions {
        facts.extend(teller.payment(transaction));
        facts.extend(transaction.refunds.iter().map(|refund| teller.refund(transaction, refund)));
        facts.extend(transaction.disputes.iter().map(|dispute| teller.dispute(transaction, dispute)));
    }
    if let Some(standing) = &state.standing {
        let id = [standing.kind.name(), &standing.times.to_string()];
        facts
            .push(Notification { amount: standing.amount.clone(), ..teller.fact(standing.kind.name(), &id) });
    }
    facts.extend(state.reasons.iter().filter(|reason| reason.holds()).map(|reason| teller.held(*reason)));
    facts.extend(state.refund_due.iter().map(|due| teller.overpaid(due)));
    if !teller.payment_is_doubted() {
        facts.extend(teller.late());
    }
    let mut ids = BTreeSet::new();
    facts.retain(|fact| ids.insert(fact.id.clone()));
    facts
}

struct Teller<'a> {
    order: &'a Order,
    user: &'a str,
    state: &'a OrderState,
}

impl Teller<'_> {
    /// `fact` identifies it among the subject's facts.
    fn fact(&self, kind: &str, fact: &[&str]) -> Notification {
        let subject = &self.order.subject;
        let identity = [&[&subject.account, subject.kind.name(), &subject.id, kind], fact].concat();
        Notification {
            id: PaymentEvent::identified_by(&identity),
            user: self.user.to_owned(),
            subject: subject.clone(),
            kind: kind.to_owned(),
            amount: None,
            amount_is_cumulative: false,
            transaction_id: None,
            part_id: None,
            reason: None,
            status: self.state.status,
        }
    }

    fn payment_is_doubted(&self) -> bool {
        self.state.reasons.iter().any(|reason| reason.doubts_payment())
    }

    fn payment(&self, transaction: &TransactionState) -> Option<Notification> {
        let (kind, amount_minor) = match transaction.status {
            TransactionStatus::Unseen => return None,
            TransactionStatus::Pending => (EventKind::PaymentPending, 0),
            TransactionStatus::Failed => (EventKind::PaymentFailed, 0),
            TransactionStatus::Authorized => (EventKind::PaymentAuthorized, transaction.authorized_minor),
            TransactionStatus::Expired => (EventKind::PaymentExpired, 0),
            TransactionStatus::Cancelled => (EventKind::PaymentCancelled, 0),
            TransactionStatus::Captured if self.payment_is_doubted() => return None,
            TransactionStatus::Captured => (EventKind::PaymentCaptured, transaction.captured_minor),
        };
        // What a transaction captures may grow, and each total is news.
        let total = amount_minor.to_string();
        let total = if kind == EventKind::PaymentCaptured { total.as_str() } else { "" };
        let id = [&transaction.provider, &transaction.transaction_id, total];
        let fact = self.fact(kind.name(), &id);
        Some(Notification { amount: positive(amount_minor, transaction), ..of(transaction, fact) })
    }

    fn refund(&self, transaction: &TransactionState, refund: &RefundState) -> Notification {
        let kind = match refund.status {
            RefundStatus::Pending => EventKind::RefundPending,
            RefundStatus::Succeeded => EventKind::RefundSucceeded,
            RefundStatus::Failed => EventKind::RefundFailed,
        };
        let fact = self.fact(kind.name(), &[&transaction.provider, &refund.refund_id]);
        Notification {
            amount: positive(refund.amount_minor, transaction),
            amount_is_cumulative: refund.amount_is_cumulative,
            part_id: Some(refund.refund_id.clone()),
            ..of(transaction, fact)
        }
    }

    fn dispute(&self, transaction: &TransactionState, dispute: &DisputeState) -> Notification {
        let kind = match dispute.status {
            DisputeStatus::Opened => EventKind::DisputeOpened,
            DisputeStatus::Won => EventKind::DisputeWon,
            DisputeStatus::Lost => EventKind::DisputeLost,
        };
        let fact = self.fact(kind.name(), &[&transaction.provider, &dispute.dispute_id]);
        Notification {
            amount: positive(dispute.amount_minor, transaction),
            part_id: Some(dispute.dispute_id.clone()),
            ..of(transaction, fact)
        }
    }

    fn held(&self, reason: Reason) -> Notification {
        Notification { reason: Some(reason), ..self.fact(ORDER_HELD, &[reason.name()]) }
    }

    fn overpaid(&self, due: &RefundDue) -> Notification {
        let currency = self.state.currency.clone();
        Notification {
            amount: currency.and_then(|currency| Money::from_minor(due.amount_minor, currency).ok()),
            transaction_id: Some(due.transaction_id.clone()),
            reason: Some(Reason::SurplusTransaction),
            ..self.fact(ORDER_OVERPAID, &[&due.provider, &due.transaction_id])
        }
    }

    fn late(&self) -> Option<Notification> {
        let late = [Reason::PaidAfterExpiry, Reason::PaidAfterClosing];
        let reason = late.into_iter().find(|reason| self.state.reasons.contains(reason))?;
        Some(Notification { reason: Some(reason), ..self.fact(ORDER_LATE_PAID, &[]) })
    }
}

fn of(transaction: &TransactionState, fact: Notification) -> Notification {
    let id = Some(transaction.transaction_id.clone()).filter(|id| !id.is_empty());
    Notification { transaction_id: id, ..fact }
}

fn positive(amount_minor: i128, transaction: &TransactionState) -> Option<Money> {
    let currency = transaction.currency.clone().filter(|_| amount_minor > 0)?;
    Money::from_minor(amount_minor, currency).ok()
}
