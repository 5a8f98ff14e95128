//! Compares what a vector says of a genuine callback with the events that we read from it.

use crate::domain::{Money, PaymentEvent};
use serde_json::{Map, Value};

/// One field in which we read something else than the vector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field's name in the vector.
    pub field: String,
    /// What the vector says.
    pub expected: String,
    /// What we read, of all events.
    pub got: String,
}

/// Words of vectors for what happened, and the kinds of event that they may be in our vocabulary.
/// A word that is not here is not compared; an empty list means that no event comes of it.
const KINDS_BY_WORD: &[(&str, &[&str])] = &[
    ("payment.pending", &["payment.pending"]),
    ("payment.authorized", &["payment.authorized"]),
    ("payment.captured", &["payment.captured"]),
    ("payment.succeeded", &["payment.captured"]),
    ("payment.failed", &["payment.failed"]),
    ("payment.cancelled", &["payment.cancelled"]),
    ("payment.closed", &["payment.expired", "payment.cancelled"]),
    ("refund.succeeded", &["refund.succeeded"]),
    ("refund.deposited", &["refund.succeeded"]),
    ("refund.failed", &["refund.failed"]),
    ("refund.closed", &["refund.failed"]),
    ("dispute.opened", &["dispute.opened"]),
    ("dispute.won", &["dispute.won"]),
    ("dispute.lost", &["dispute.lost"]),
    ("mandate.signed", &["mandate.signed"]),
    ("mandate.unsigned", &["mandate.revoked"]),
    ("payout.succeeded", &["transfer.succeeded"]),
    ("payout.failed", &["transfer.failed"]),
    ("settlement.split_result", &["transfer.succeeded", "transfer.failed"]),
    ("submerchant.approved", &["merchant.approved"]),
    ("submerchant.rejected", &["merchant.rejected"]),
    ("pass.saved", &["token.updated"]),
    ("pass.deleted", &["token.revoked"]),
    ("wallet.token", &["token.updated"]),
    ("subscription.renewed", &["mandate.signed"]),
    ("return_only", &[]),
    ("test", &[]),
];

/// Names under which vectors tell the merchant's order number.
const ORDER_FIELDS: &[&str] =
    &["out_trade_no", "order_id", "orderId", "order_no", "merchant_order_id", "client_sn"];
/// Names under which vectors tell the provider's id of the payment.
const TRANSACTION_FIELDS: &[&str] =
    &["trade_no", "transaction_id", "provider_txn_id", "queryId", "trxid", "charge_id", "accp_txno"];
/// Names under which vectors tell the refund, the dispute or the agreement.
const PART_FIELDS: &[&str] = &["refund_id", "dispute_id", "subscription_id"];

/// Names under which vectors tell the amount as the provider writes it: in major units with decimals, or in minor ones.
const AMOUNT_FIELDS: &[&str] = &["amount", "total_amount", "refund_fee", "money"];

/// The fields in which the events differ from what the vector says, as far as the two can be compared.
pub fn differences(fields: &Map<String, Value>, events: &[PaymentEvent]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (field, expected) in fields {
        let Some(expected) = text_of(expected) else { continue };
        if let Some(got) = difference(field, &expected, events) {
            found.push(Difference { field: field.clone(), expected, got });
        }
    }
    found
}

fn difference(field: &str, expected: &str, events: &[PaymentEvent]) -> Option<String> {
    if field == "event" {
        let (_, kinds) = KINDS_BY_WORD.iter().find(|(word, _)| *word == expected)?;
        let agrees = match kinds {
            [] => events.is_empty(),
            kinds => events.iter().any(|event| kinds.contains(&event.kind.name())),
        };
        return (!agrees).then(|| all(events, |event| event.kind.name().to_owned()));
    }
    if events.is_empty() {
        return None;
    }
    let agrees_with = |of: &dyn Fn(&PaymentEvent) -> String| {
        let agrees = events.iter().any(|event| of(event) == expected);
        (!agrees).then(|| all(events, of))
    };
    match field {
        "amount_minor" => agrees_with(&|event| amount_minor(event)),
        // Events without money have no currency to compare.
        "currency" if events.iter().all(|event| event.amount.is_none()) => None,
        "currency" => {
            // Some providers write codes in small letters.
            let agrees = events.iter().any(|event| currency(event).eq_ignore_ascii_case(expected));
            (!agrees).then(|| all(events, currency))
        }
        "event_id" => {
            let agrees = events.iter().any(|event| event.key.contains(expected));
            (!agrees).then(|| all(events, |event| event.key.clone()))
        }
        _ if AMOUNT_FIELDS.contains(&field) => {
            let agrees = events.iter().any(|event| writes(event, expected));
            (!agrees).then(|| all(events, amount_minor))
        }
        _ if ORDER_FIELDS.contains(&field) => names(expected, events, |event| event.subject_id.as_ref()),
        _ if PART_FIELDS.contains(&field) => {
            names(expected, events, |event| event.refund_id.as_ref().or(event.dispute_id.as_ref()))
        }
        _ if TRANSACTION_FIELDS.contains(&field) => {
            names(expected, events, |event| event.transaction_id.as_ref())
        }
        _ => None,
    }
}

/// An id agrees when an event has it in its own place, as its subject, or as a reference: what one provider
/// calls an order another calls a transaction.
fn names(
    expected: &str,
    events: &[PaymentEvent],
    of: impl Fn(&PaymentEvent) -> Option<&String>,
) -> Option<String> {
    let named = |event: &PaymentEvent| {
        let own = [&event.subject_id, &event.transaction_id, &event.refund_id, &event.dispute_id];
        own.into_iter().flatten().any(|id| id == expected)
            || event
                .references
                .iter()
                .any(|reference| reference.0.split_once(':').is_some_and(|(_, id)| id == expected))
    };
    (!events.iter().any(named)).then(|| all(events, |event| of(event).cloned().unwrap_or_default()))
}

/// Whether this is how the provider may have written the event's amount. Some events carry none, and are asked about.
fn writes(event: &PaymentEvent, expected: &str) -> bool {
    let Some(amount) = &event.amount else { return true };
    let currency = || amount.currency().clone();
    [Money::parse_major(expected, currency()), Money::parse_minor(expected, currency())]
        .contains(&Ok(amount.clone()))
}

fn amount_minor(event: &PaymentEvent) -> String {
    event.amount.as_ref().map(|amount| amount.amount_minor().to_string()).unwrap_or_default()
}

fn currency(event: &PaymentEvent) -> String {
    event.amount.as_ref().map(|amount| amount.currency().code().to_owned()).unwrap_or_default()
}

fn all(events: &[PaymentEvent], of: impl Fn(&PaymentEvent) -> String) -> String {
    let texts: Vec<String> = events.iter().map(of).collect();
    if texts.is_empty() { "no event".to_owned() } else { texts.join(", ") }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::UnixSeconds;
    use crate::domain::{Currency, EventKind, Reference};

    #[test]
    fn compares_what_can_be_compared() {
        let mut event = PaymentEvent::new(EventKind::PaymentCaptured, "p", "p-evt_1", UnixSeconds(0));
        event.subject_id = Some("A1".into());
        event.transaction_id = Some("T1".into());
        event.references = vec![Reference::new("p", "R1")];
        event.amount = Some(Money::from_minor(10, Currency::new("CNY").unwrap()).unwrap());
        let check = |fields: &str, events: &[PaymentEvent], expected: &[&str]| {
            let fields: Map<String, Value> = serde_json::from_str(fields).unwrap();
            let differing: Vec<String> =
                differences(&fields, events).into_iter().map(|difference| difference.field).collect();
            assert_eq!(differing, expected, "{fields:?}");
        };
        let events = [event];
        check(r#"{"event":"payment.succeeded","amount_minor":10,"currency":"CNY"}"#, &events, &[]);
        check(r#"{"out_trade_no":"A1","trade_no":"T1","order_id":"R1","event_id":"evt_1"}"#, &events, &[]);
        check(r#"{"currency":"cny"}"#, &events, &[]);
        check(r#"{"event":"refund.succeeded"}"#, &events, &["event"]);
        check(r#"{"event":"return_only"}"#, &events, &["event"]);
        check(r#"{"event":"an unheard word","whatever":1,"amount":null}"#, &events, &[]);
        check(r#"{"amount_minor":11,"currency":"USD"}"#, &events, &["amount_minor", "currency"]);
        check(r#"{"amount":"10","total_amount":"0.10","money":"0.1"}"#, &events, &[]);
        check(r#"{"amount":"10.00","refund_fee":"0.11"}"#, &events, &["amount", "refund_fee"]);
        check(r#"{"out_trade_no":"A2","event_id":"evt_2"}"#, &events, &["event_id", "out_trade_no"]);
        check(r#"{"event":"payment.succeeded","amount_minor":10}"#, &[], &["event"]);
        check(r#"{"event":"return_only","out_trade_no":"A1"}"#, &[], &[]);
    }
}
