//! UnionPay's gateway transactions in the uniform vocabulary. Mapping: `fixtures/unionpay/MAPPING.md`.

use crate::callback::Verified;
use crate::callback::form::Form;
use crate::domain::{EventKind, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{china_time, minor};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
];

pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let form = Form::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let required = |name: &str| form.text(name).ok_or_else(|| MappingError::field(name));
    let (type_code, response) = (required("txnType")?, required("respCode")?);
    let Some(kind) = kind(type_code, response) else { return Ok(Vec::new()) };
    let order = required("orderId")?;
    let query_id = form.text("queryId");
    if moves_money(kind) && query_id.is_none() {
        return Err(MappingError::field("queryId"));
    }
    let own = query_id.unwrap_or(order);
    let key = PaymentEvent::identified_by(&[own, required("txnTime")?, type_code, response]);
    let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, verified.received_at());
    event.provider_status = format!("{type_code} {response}");
    event.occurred_at = form.text("txnTime").and_then(china_time);
    if moves_money(kind) || form.text("txnAmt").is_some() {
        let currency = form.text("currencyCode").ok_or_else(|| MappingError::field("currencyCode"))?;
        event.amount = Some(minor(form.text("txnAmt"), alphabetic(currency)?, "txnAmt")?);
    }
    let reference = |id: &str| Reference::new(super::PROVIDER.name, id);
    if is_first(type_code) {
        event.subject_id = Some(order.to_owned());
        event.references = query_id.map(reference).into_iter().collect();
        event.transaction_id = query_id.map(str::to_owned);
    } else {
        // A later step has an order number of its own and names what it follows.
        let original = form.text("origQryId");
        event.subject_id = form.text("origOrderId").map(str::to_owned);
        if original.is_none() && event.subject_id.is_none() {
            return Err(MappingError::field("origQryId"));
        }
        let is_completion = type_code == COMPLETION;
        event.references = original.map(reference).into_iter().collect();
        if is_completion {
            event.references.extend(query_id.map(reference));
        }
        event.transaction_id = if is_completion { query_id } else { original }.map(str::to_owned);
        if matches!(kind.name().split_once('.'), Some(("refund", _))) {
            event.refund_id = Some(own.to_owned());
        }
    }
    Ok(vec![event])
}

const CONSUMPTION: &str = "01";
const PREAUTHORISATION: &str = "02";
const COMPLETION: &str = "03";

fn is_first(type_code: &str) -> bool {
    matches!(type_code, CONSUMPTION | PREAUTHORISATION)
}

/// What a transaction of this type has come to. `03`, `04`, `05` and `A6` mean that the outcome is not certain yet.
fn kind(type_code: &str, response: &str) -> Option<EventKind> {
    use EventKind as K;
    let [succeeded, uncertain, failed] = match type_code {
        CONSUMPTION | COMPLETION => [K::PaymentCaptured, K::PaymentPending, K::PaymentFailed],
        PREAUTHORISATION => [K::PaymentAuthorized, K::PaymentPending, K::PaymentFailed],
        // A refund, or the voiding of what had been taken: the money goes back.
        "04" | "31" | "33" => [K::RefundSucceeded, K::RefundPending, K::RefundFailed],
        "32" if response == "00" => return Some(K::PaymentCancelled),
        _ => return None,
    };
    Some(match response {
        "00" => succeeded,
        "03" | "04" | "05" | "A6" => uncertain,
        _ => failed,
    })
}

fn moves_money(kind: EventKind) -> bool {
    matches!(kind, EventKind::PaymentCaptured | EventKind::PaymentAuthorized | EventKind::RefundSucceeded)
}

/// The numeric codes of ISO 4217 that UnionPay settles in.
const CURRENCIES: &[(&str, &str)] = &[
    ("156", "CNY"),
    ("344", "HKD"),
    ("446", "MOP"),
    ("901", "TWD"),
    ("840", "USD"),
    ("978", "EUR"),
    ("826", "GBP"),
    ("392", "JPY"),
    ("410", "KRW"),
    ("702", "SGD"),
    ("036", "AUD"),
    ("124", "CAD"),
    ("554", "NZD"),
    ("756", "CHF"),
    ("764", "THB"),
    ("458", "MYR"),
    ("608", "PHP"),
    ("360", "IDR"),
    ("704", "VND"),
    ("643", "RUB"),
    ("784", "AED"),
];

fn alphabetic(numeric: &str) -> Result<&'static str, MappingError> {
    let found = CURRENCIES.iter().find(|(have, _)| *have == numeric).map(|(_, code)| *code);
    found.ok_or_else(|| MappingError::field("currencyCode"))
}

#[cfg(feature = "sandbox")]
pub(super) fn numeric(alphabetic: &str) -> Option<&'static str> {
    CURRENCIES.iter().find(|(_, have)| *have == alphabetic).map(|(code, _)| *code)
}
