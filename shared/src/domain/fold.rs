//! The derivation of an order's state from its events and what the merchant expects.
//!
//! The first row that applies is the status of an order:
//!
//! | status | when |
//! |---|---|
//! | unclaimed | not registered |
//! | held | a reason that [`Reason::holds`] |
//! | disputed | a dispute is open |
//! | charged_back | a dispute was lost, other than over a surplus |
//! | overpaid | a surplus transaction is not given back yet |
//! | refunded | all of the payment was given back |
//! | late_paid | the payment came after expiry, or after its transaction was closed |
//! | partially_refunded | some of the payment was given back |
//! | paid | the payment is there |
//! | authorized | a transaction is reserved |
//! | pending | a transaction has begun, or only a refund is known yet |
//! | cancelled, expired, failed | so ended the transaction that came furthest |
//! | created | nothing was heard |
//!
//! *The payment* is the earliest captured transaction of exactly the expected amount, one that was not given
//! back before one that was; else the earliest captured ones that make it up together (captures in parts).
//! All other captured transactions are surplus. When there is no such payment the amounts contradict, and
//! the order is held. A transaction of which several captures are told counts the largest: they are tellings
//! of one fact, or totals so far; providers that capture in parts give each part an id of its own.

use std::collections::BTreeSet;

use super::transaction::{sum, time, transactions};
use super::{
    Currency, DisputeStatus, EventKind, Expectation, Money, Order, OrderState, PaymentEvent, Reason,
    RefundDue, Standing, Status, SubjectKind, TransactionState, TransactionStatus,
};

/// Everything derived, from scratch.
pub fn state(order: &Order) -> OrderState {
    if order.subject.kind == SubjectKind::Order { payment_state(order) } else { standing_state(order) }
}

fn payment_state(order: &Order) -> OrderState {
    let transactions = transactions(order.events.values());
    let currency = currency_of(order.expected.as_ref(), &transactions);
    let mut reasons: BTreeSet<Reason> =
        transactions.iter().flat_map(|transaction| &transaction.reasons).copied().collect();
    if !order.shared_references.is_empty() {
        reasons.insert(Reason::SharedReference);
    }
    let counted: Vec<Counted> =
        transactions.iter().filter_map(|transaction| Counted::new(transaction, currency.as_ref())).collect();
    let mut captured: Vec<&Counted> = counted.iter().filter(|counted| counted.is_captured()).collect();
    captured.sort_by_key(|counted| counted.age());
    let payment = match &order.expected {
        None => Payment { payers: captured.clone(), surplus: Vec::new() },
        Some(expected) => {
            let payment = Payment::of(expected, currency.as_ref(), &captured);
            reasons.extend(cross_check(expected, &transactions, captured.len(), payment.as_ref()));
            payment.unwrap_or_else(|| Payment { payers: captured.clone(), surplus: Vec::new() })
        }
    };
    let refund_due = payment.refund_due();
    if !refund_due.is_empty() {
        reasons.insert(Reason::SurplusTransaction);
    }
    let reserved = counted.iter().filter(|counted| counted.is_captured() || counted.is_authorized());
    OrderState {
        status: status(order, &transactions, &payment, &reasons),
        authorized_minor: sum(reserved.map(|counted| counted.authorized_minor)),
        captured_minor: sum(captured.iter().map(|counted| counted.captured_minor)),
        refunded_minor: sum(captured.iter().map(|counted| counted.refunded_minor)),
        disputed_minor: sum(counted.iter().map(|counted| counted.disputed_minor)),
        reasons,
        currency,
        refund_due,
        transactions,
        standing: None,
    }
}

fn status(
    order: &Order,
    transactions: &[TransactionState],
    payment: &Payment,
    reasons: &BTreeSet<Reason>,
) -> Status {
    let disputed = |status, transaction: &TransactionState| {
        transaction.disputes.iter().any(|dispute| dispute.status == status)
    };
    let is_surplus = |transaction: &&TransactionState| {
        payment.surplus.iter().any(|surplus| std::ptr::eq(surplus.transaction, *transaction))
    };
    if order.expected.is_none() {
        Status::Unclaimed
    } else if reasons.iter().any(|reason| reason.holds()) {
        Status::Held
    } else if transactions.iter().any(|transaction| disputed(DisputeStatus::Opened, transaction)) {
        Status::Disputed
    } else if transactions
        .iter()
        .filter(|transaction| !is_surplus(transaction))
        .any(|transaction| disputed(DisputeStatus::Lost, transaction))
    {
        Status::ChargedBack
    } else if reasons.contains(&Reason::SurplusTransaction) {
        Status::Overpaid
    } else if payment.payers.is_empty() {
        unpaid_status(transactions)
    } else {
        paid_status(payment, reasons)
    }
}

fn paid_status(payment: &Payment, reasons: &BTreeSet<Reason>) -> Status {
    let captured = sum(payment.payers.iter().map(|counted| counted.captured_minor));
    let refunded = sum(payment.payers.iter().map(|counted| counted.refunded_minor));
    if refunded > 0 && refunded >= captured {
        Status::Refunded
    } else if reasons.contains(&Reason::PaidAfterExpiry) || reasons.contains(&Reason::PaidAfterClosing) {
        Status::LatePaid
    } else if refunded > 0 {
        Status::PartiallyRefunded
    } else {
        Status::Paid
    }
}

fn unpaid_status(transactions: &[TransactionState]) -> Status {
    let any = |status| transactions.iter().any(|transaction| transaction.status == status);
    if any(TransactionStatus::Authorized) {
        Status::Authorized
    } else if any(TransactionStatus::Pending) || any(TransactionStatus::Unseen) {
        Status::Pending
    } else if any(TransactionStatus::Cancelled) {
        Status::Cancelled
    } else if any(TransactionStatus::Expired) {
        Status::Expired
    } else if any(TransactionStatus::Failed) {
        Status::Failed
    } else {
        Status::Created
    }
}

/// What contradicts the registration, or comes too late for it.
fn cross_check(
    expected: &Expectation,
    transactions: &[TransactionState],
    captured: usize,
    payment: Option<&Payment>,
) -> BTreeSet<Reason> {
    let with_money = transactions.iter().filter(|transaction| moved(transaction)).count();
    let payers = || payment.iter().flat_map(|payment| &payment.payers);
    let after = |counted: &Counted, limit| counted.transaction.captured_at > limit;
    let late = expected.expires_at.is_some_and(|limit| payers().any(|counted| after(counted, Some(limit))));
    let closed = payers().any(|counted| {
        counted.transaction.closed_at.is_some_and(|closed_at| after(counted, Some(closed_at)))
    });
    let unknown = transactions.iter().any(|transaction| transaction.reasons.contains(&Reason::AmountMissing));
    let in_currency = captured == with_money;
    let found = [
        (Reason::CurrencyMismatch, !in_currency),
        (Reason::AmountMismatch, payment.is_none() && !unknown && in_currency),
        (Reason::PaidAfterExpiry, late),
        (Reason::PaidAfterClosing, closed),
    ];
    found.into_iter().filter(|(_, holds)| *holds).map(|(reason, _)| reason).collect()
}

fn moved(transaction: &TransactionState) -> bool {
    transaction.status == TransactionStatus::Captured
}

fn currency_of(expected: Option<&Expectation>, transactions: &[TransactionState]) -> Option<Currency> {
    let registered = expected.and_then(|expected| expected.amount.as_ref()).map(Money::currency);
    let told = || {
        transactions.iter().filter(|transaction| transaction.currency.is_some()).min_by_key(|transaction| {
            let at = (!moved(transaction), transaction.captured_at);
            (at, transaction.provider.as_str(), transaction.transaction_id.as_str())
        })
    };
    registered.or_else(|| told()?.currency.as_ref()).cloned()
}

/// A transaction whose money is in the order's currency, or that has none.
struct Counted<'a> {
    transaction: &'a TransactionState,
    authorized_minor: i128,
    captured_minor: i128,
    refunded_minor: i128,
    disputed_minor: i128,
    lost_minor: i128,
}

impl<'a> Counted<'a> {
    fn new(transaction: &'a TransactionState, currency: Option<&Currency>) -> Option<Self> {
        let convert = |amount_minor| match (&transaction.currency, currency) {
            (Some(told), Some(currency)) => {
                Money::from_minor(amount_minor, told.clone()).ok()?.minor_in(currency)
            }
            _ => Some(0),
        };
        let lost = transaction.disputes.iter().filter(|dispute| dispute.status == DisputeStatus::Lost);
        Some(Self {
            transaction,
            authorized_minor: convert(transaction.authorized_minor)?,
            captured_minor: convert(transaction.captured_minor)?,
            refunded_minor: convert(transaction.refunded_minor)?,
            disputed_minor: convert(transaction.disputed_minor)?,
            lost_minor: convert(sum(lost.map(|dispute| dispute.amount_minor)))?,
        })
    }

    fn is_captured(&self) -> bool {
        moved(self.transaction)
    }

    fn is_authorized(&self) -> bool {
        self.transaction.status == TransactionStatus::Authorized
    }

    fn age(&self) -> impl Ord + use<'a> {
        (self.transaction.captured_at, &self.transaction.provider, &self.transaction.transaction_id)
    }

    fn left_minor(&self) -> i128 {
        self.captured_minor.saturating_sub(self.refunded_minor).saturating_sub(self.lost_minor)
    }
}

/// Which captured transactions pay for the order, and which are too many.
struct Payment<'a> {
    payers: Vec<&'a Counted<'a>>,
    surplus: Vec<&'a Counted<'a>>,
}

impl<'a> Payment<'a> {
    /// `captured` is sorted by age. `None` when no choice of payers makes up the expected amount.
    fn of(expected: &Expectation, currency: Option<&Currency>, captured: &[&'a Counted<'a>]) -> Option<Self> {
        let expected_minor = match (&expected.amount, currency) {
            (Some(amount), Some(currency)) => Some(amount.minor_in(currency)?),
            _ => None,
        };
        let fits = |counted: &&&Counted| expected_minor.is_none_or(|minor| counted.captured_minor == minor);
        let kept = captured.iter().filter(fits).find(|counted| counted.left_minor() > 0);
        if let Some(payer) = kept.or_else(|| captured.iter().find(fits)) {
            let is_payer = |counted: &&'a Counted<'a>| std::ptr::eq(*counted, *payer);
            let (payers, surplus) = captured.iter().partition(|counted| is_payer(counted));
            return Some(Self { payers, surplus });
        }
        let mut total = 0_i128;
        let complete = captured.iter().position(|counted| {
            total = total.saturating_add(counted.captured_minor);
            Some(total) == expected_minor
        });
        match complete {
            Some(last) => {
                let (payers, surplus) = captured.split_at(last + 1);
                Some(Self { payers: payers.to_vec(), surplus: surplus.to_vec() })
            }
            None if captured.is_empty() => Some(Self { payers: Vec::new(), surplus: Vec::new() }),
            None => None,
        }
    }

    fn refund_due(&self) -> Vec<RefundDue> {
        let due = self.surplus.iter().filter(|counted| counted.left_minor() > 0);
        due.map(|counted| RefundDue {
            provider: counted.transaction.provider.clone(),
            transaction_id: counted.transaction.transaction_id.clone(),
            amount_minor: counted.left_minor(),
        })
        .collect()
    }
}

/// Mandates, transfers, sub-merchants and tokens: the latest fact stands; of two at one time the one that
/// ends it. What is revoked may be signed again.
fn standing_state(order: &Order) -> OrderState {
    let mut facts: Vec<&PaymentEvent> = order.events.values().collect();
    facts.sort_by_key(|event| (time(event), event.kind, Order::event_id(event)));
    let standing = facts.last().map(|last| {
        let runs = facts.chunk_by(|a, b| a.kind == b.kind).filter(|run| run[0].kind == last.kind);
        let times = u32::try_from(runs.count()).unwrap_or(u32::MAX);
        Standing { kind: last.kind, times, amount: last.amount.clone() }
    });
    let expected = order.expected.as_ref().and_then(|expected| expected.amount.as_ref());
    let told = standing.as_ref().filter(|standing| standing.kind == EventKind::TransferSucceeded);
    let mut reasons = BTreeSet::new();
    if let (Some(expected), Some(told)) = (expected, told.and_then(|standing| standing.amount.as_ref())) {
        match told.minor_in(expected.currency()) {
            None => drop(reasons.insert(Reason::CurrencyMismatch)),
            Some(minor) if minor != expected.amount_minor() => {
                reasons.insert(Reason::AmountMismatch);
            }
            Some(_) => {}
        }
    }
    if !order.shared_references.is_empty() {
        reasons.insert(Reason::SharedReference);
    }
    let status = match &standing {
        _ if reasons.iter().any(|reason| reason.holds()) => Status::Held,
        None if order.expected.is_some() => Status::Created,
        None => Status::Unclaimed,
        Some(standing) if is_positive(standing.kind) => Status::Active,
        Some(_) => Status::Inactive,
    };
    let currency = expected.map(Money::currency).cloned();
    OrderState {
        status,
        reasons,
        currency,
        authorized_minor: 0,
        captured_minor: 0,
        refunded_minor: 0,
        disputed_minor: 0,
        refund_due: Vec::new(),
        transactions: Vec::new(),
        standing,
    }
}

fn is_positive(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::MandateSigned
            | EventKind::TransferSucceeded
            | EventKind::MerchantApproved
            | EventKind::TokenUpdated
    )
}
