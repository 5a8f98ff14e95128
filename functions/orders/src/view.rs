//! What a merchant's back end reads. Amounts are JSON integers of minor units.

use std::collections::BTreeSet;

use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{EventKind, Money, Order, OrderState, Reason, Status, TransactionStatus};
use paybell_shared::ports::{INBOX_OVERLAP_MS, InboxEntry, inbox_cursor};
use paybell_shared::push::Message;
use serde::Serialize;

/// An order as JSON.
pub(crate) fn order(order: &Order) -> String {
    to_json(&OrderView::new(order, &order.state()))
}

/// `{"orders":[…]}`.
pub(crate) fn orders(orders: &[Order]) -> String {
    #[derive(Serialize)]
    struct Listing<'a> {
        orders: Vec<OrderView<'a>>,
    }
    let states: Vec<OrderState> = orders.iter().map(Order::state).collect();
    let orders = orders.iter().zip(&states).map(|(order, state)| OrderView::new(order, state)).collect();
    to_json(&Listing { orders })
}

/// `{"notifications":[…],"cursor"}`: each as the WebSocket sends it, and the place to read on from.
///
/// At the inbox's end that place is held back by the overlap, so that the next reading finds what was written late;
/// readers drop the ids that they have seen.
pub(crate) fn inbox(entries: &[InboxEntry], after: &str, is_end: bool, now_ms: i64) -> String {
    #[derive(Serialize)]
    struct Listing<'a> {
        notifications: Vec<Message<'a>>,
        cursor: &'a str,
    }
    let last = entries.last().map_or(after, |entry| &entry.cursor);
    let held_back = inbox_cursor(now_ms.saturating_sub(INBOX_OVERLAP_MS).max(0), "0");
    let cursor = if is_end { last.min(&held_back) } else { last };
    to_json(&Listing { notifications: entries.iter().map(Message::from).collect(), cursor })
}

/// `{"ticket","expires_at"}`.
pub(crate) fn ticket(ticket: &str, expires_at: UnixSeconds) -> String {
    #[derive(Serialize)]
    struct Minted<'a> {
        ticket: &'a str,
        expires_at: UnixSeconds,
    }
    to_json(&Minted { ticket, expires_at })
}

fn to_json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a view of texts and integers always serialises")
}

#[derive(Serialize)]
struct OrderView<'a> {
    order_id: &'a str,
    kind: &'static str,
    status: Status,
    reasons: &'a BTreeSet<Reason>,
    expected: Option<ExpectedView<'a>>,
    authorized_minor: i128,
    captured_minor: i128,
    refunded_minor: i128,
    disputed_minor: i128,
    currency: Option<&'a str>,
    refund_due: Vec<RefundDueView<'a>>,
    transactions: Vec<TransactionView<'a>>,
    events: Vec<EventView<'a>>,
    version: u64,
}

#[derive(Serialize)]
struct ExpectedView<'a> {
    amount_minor: Option<i128>,
    currency: Option<&'a str>,
    user: &'a str,
    expires_at: Option<UnixSeconds>,
}

#[derive(Serialize)]
struct RefundDueView<'a> {
    provider: &'a str,
    transaction_id: &'a str,
    amount_minor: i128,
}

#[derive(Serialize)]
struct TransactionView<'a> {
    provider: &'a str,
    transaction_id: &'a str,
    status: TransactionStatus,
    currency: Option<&'a str>,
    authorized_minor: i128,
    captured_minor: i128,
    refunded_minor: i128,
    disputed_minor: i128,
}

#[derive(Serialize)]
struct EventView<'a> {
    kind: EventKind,
    provider: &'a str,
    key: &'a str,
    transaction_id: Option<&'a str>,
    refund_id: Option<&'a str>,
    amount_minor: Option<i128>,
    currency: Option<&'a str>,
    received_at: UnixSeconds,
}

impl<'a> OrderView<'a> {
    fn new(order: &'a Order, state: &'a OrderState) -> Self {
        Self {
            order_id: &order.subject.id,
            kind: order.subject.kind.name(),
            status: state.status,
            reasons: &state.reasons,
            expected: order.expected.as_ref().map(|expected| ExpectedView {
                amount_minor: expected.amount.as_ref().map(Money::amount_minor),
                currency: code(&expected.amount),
                user: &expected.user,
                expires_at: expected.expires_at,
            }),
            authorized_minor: state.authorized_minor,
            captured_minor: state.captured_minor,
            refunded_minor: state.refunded_minor,
            disputed_minor: state.disputed_minor,
            currency: state.currency.as_ref().map(|currency| currency.code()),
            refund_due: refund_due(state),
            transactions: transactions(state),
            events: events(order),
            version: order.version,
        }
    }
}

fn refund_due(state: &OrderState) -> Vec<RefundDueView<'_>> {
    state
        .refund_due
        .iter()
        .map(|due| RefundDueView {
            provider: &due.provider,
            transaction_id: &due.transaction_id,
            amount_minor: due.amount_minor,
        })
        .collect()
}

fn transactions(state: &OrderState) -> Vec<TransactionView<'_>> {
    state
        .transactions
        .iter()
        .map(|transaction| TransactionView {
            provider: &transaction.provider,
            transaction_id: &transaction.transaction_id,
            status: transaction.status,
            currency: transaction.currency.as_ref().map(|currency| currency.code()),
            authorized_minor: transaction.authorized_minor,
            captured_minor: transaction.captured_minor,
            refunded_minor: transaction.refunded_minor,
            disputed_minor: transaction.disputed_minor,
        })
        .collect()
}

fn events(order: &Order) -> Vec<EventView<'_>> {
    let mut events: Vec<EventView<'_>> = order
        .events
        .values()
        .map(|event| EventView {
            kind: event.kind,
            provider: &event.provider,
            key: &event.key,
            transaction_id: event.transaction_id.as_deref(),
            refund_id: event.refund_id.as_deref(),
            amount_minor: event.amount.as_ref().map(Money::amount_minor),
            currency: code(&event.amount),
            received_at: event.received_at,
        })
        .collect();
    events.sort_by_key(|event| event.received_at);
    events
}

fn code(amount: &Option<Money>) -> Option<&str> {
    amount.as_ref().map(|amount| amount.currency().code())
}
