//! Tables and laws of the order fold. Events are written `kind/transaction/part=amount@time`, such as
//! `captured/t1=100@5`, `refund.succeeded/t1/r1=30`; `~30` is a total so far, `1USD` another currency than
//! CNY, and amounts are minor units. Kinds without a prefix are payments.

mod laws;
mod notify;
mod references;
mod reminder;
mod screen;
mod status;
mod store;

use super::*;
use crate::callback::UnixSeconds;

pub const EXPECTED_MINOR: i128 = 100;
pub const EXPIRES_AT: i64 = 1000;

pub fn subject(id: &str) -> Subject {
    Subject { account: "acme".to_owned(), kind: SubjectKind::Order, id: id.to_owned() }
}

pub fn money(text: &str) -> Money {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let code = if digits.len() == text.len() { "CNY" } else { &text[digits.len()..] };
    Money::parse_minor(digits, Currency::new(code).unwrap()).unwrap()
}

pub fn expectation() -> Expectation {
    Expectation {
        amount: Some(money(&EXPECTED_MINOR.to_string())),
        user: "ann".to_owned(),
        expires_at: Some(UnixSeconds(EXPIRES_AT)),
        references: Vec::new(),
    }
}

/// Reads one event; what it says is also its key, so that the same text is the same event.
pub fn event(text: &str) -> PaymentEvent {
    let (rest, time) = text.split_once('@').unwrap_or((text, ""));
    let (rest, amount) = rest.split_once('=').unwrap_or((rest, ""));
    let parts: Vec<&str> = rest.split('/').collect();
    let name = if parts[0].contains('.') { parts[0].to_owned() } else { format!("payment.{}", parts[0]) };
    let kind = EventKind::from_name(&name).unwrap_or_else(|| panic!("no kind `{name}`"));
    let mut event = PaymentEvent::new(kind, "bank", text, UnixSeconds(500));
    event.subject_id = Some("o1".to_owned());
    let part = |at: usize| parts.get(at).filter(|part| **part != "-").map(|part| (*part).to_owned());
    event.transaction_id = part(1);
    if name.starts_with("refund.") {
        event.refund_id = part(2);
    } else {
        event.dispute_id = part(2);
    }
    event.amount_is_cumulative = amount.starts_with('~');
    event.amount = (!amount.is_empty()).then(|| money(amount.trim_start_matches('~')));
    event.occurred_at = time.parse().ok().map(UnixSeconds);
    event
}

pub fn events(text: &str) -> Vec<PaymentEvent> {
    text.split_whitespace().map(event).collect()
}

pub fn order(text: &str) -> Order {
    let mut order = Order::new(subject("o1"));
    order.absorb(events(text)).unwrap();
    order
}

pub fn registered(text: &str) -> Order {
    let mut order = order(text);
    order.register(expectation()).unwrap();
    order
}

pub fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| {
        let (given, expected) = line.split_once("=>").unwrap_or_else(|| panic!("no `=>` in `{line}`"));
        (given.trim(), expected.trim())
    })
}
