//! What webhooks tell, and what has to be asked because they leave the amounts out.

use super::super::read::{minor, rfc3339};
use super::super::{FetchRequest, MappingError};
use super::{NAME, is_sandbox};
use crate::callback::json::Json;
use crate::callback::{KeySet, UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};

/// Every kind that it may tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

pub(super) fn normalise(verified: &Verified) -> Events {
    let json = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let Some(type_name) = type_of(&json) else { return Ok(Vec::new()) };
    // What moves money is not told here but asked: these have no amount.
    let (kind, at) = match type_name {
        "payment_authorized" | "payment_executed" => (EventKind::PaymentPending, "executed_at"),
        "payment_failed" => (EventKind::PaymentFailed, "failed_at"),
        "refund_failed" => (EventKind::RefundFailed, "failed_at"),
        "mandate_authorized" => (EventKind::MandateSigned, "authorized_at"),
        "mandate_revoked" => (EventKind::MandateRevoked, "revoked_at"),
        "payout_failed" => (EventKind::TransferFailed, "failed_at"),
        _ => return Ok(Vec::new()),
    };
    let mut event = PaymentEvent::new(kind, NAME, required(&json, "event_id")?, verified.received_at());
    event.occurred_at = json.text(&format!("/{at}")).and_then(rfc3339);
    event.provider_status = json.text("/failure_reason").unwrap_or(type_name).to_owned();
    match type_name {
        "payout_failed" => event.subject_id = Some(required(&json, "payout_id")?),
        "mandate_authorized" | "mandate_revoked" => event.subject_id = Some(required(&json, "mandate_id")?),
        _ => about_payment(&mut event, &json, &required(&json, "payment_id")?),
    }
    if type_name == "refund_failed" {
        event.refund_id = Some(required(&json, "refund_id")?);
    }
    Ok(vec![event])
}

/// Money moved, and the webhook does not say how much.
pub(super) fn asks(verified: &Verified) -> bool {
    Json::parse(verified.raw().body())
        .is_ok_and(|json| type_of(&json).is_some_and(|name| path(name).is_some()))
}

/// What is asked about, by its place in the API.
fn path(type_name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match type_name {
        "payment_executed" | "payment_settled" => Some(&[("payments", "payment_id")]),
        "refund_executed" => Some(&[("payments", "payment_id"), ("refunds", "refund_id")]),
        "payout_executed" => Some(&[("payouts", "payout_id")]),
        _ => None,
    }
}

pub(super) fn requests(verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
    let json = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let places = type_of(&json).and_then(path).ok_or_else(|| MappingError::field("type"))?;
    let sandbox = is_sandbox(keys).map_err(|_| MappingError::field("environment"))?;
    let host = if sandbox { "api.truelayer-sandbox.com" } else { "api.truelayer.com" };
    let token = keys.text("access_token").map_err(|_| MappingError::field("access_token"))?;
    let mut address = format!("https://{host}/v3");
    for (place, name) in places {
        let id = required(&json, name)?;
        // An id that is none could lead elsewhere in the API.
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(MappingError::field(*name));
        }
        address.push_str(&format!("/{place}/{id}"));
    }
    Ok(vec![FetchRequest::get(host, address).with_header("Authorization", format!("Bearer {token}"))])
}

/// The answer must be about what was asked.
pub(super) fn require_answer(answer: &Verified, _keys: &KeySet) -> Result<(), MappingError> {
    let told = Json::parse(answer.raw().body()).map_err(|_| MappingError::Content)?;
    let answer = Json::parse(answer.content()).map_err(|_| MappingError::Content)?;
    let place = type_of(&told).and_then(path).and_then(<[_]>::last);
    let (_, name) = place.ok_or_else(|| MappingError::field("type"))?;
    if answer.text("/id") == told.text(&format!("/{name}")) { Ok(()) } else { Err(MappingError::field("id")) }
}

pub(super) fn answered(answer: &Verified) -> Events {
    let told = Json::parse(answer.raw().body()).map_err(|_| MappingError::Content)?;
    let json = Json::parse(answer.content()).map_err(|_| MappingError::Content)?;
    let what = type_of(&told).unwrap_or_default();
    let status = required(&json, "status")?;
    let Some(kind) = kind_of(what, &status) else { return Ok(Vec::new()) };
    let id = required(&json, "id")?;
    let key = PaymentEvent::identified_by(&[kind.name(), &id, &status]);
    let mut event = PaymentEvent::new(kind, NAME, key, answer.received_at());
    event.amount = Some(money(&json)?);
    event.occurred_at = occurred_at(&json, &status);
    event.provider_status = status;
    match what {
        "payout_executed" => event.subject_id = Some(id),
        "refund_executed" => {
            event.refund_id = Some(id);
            about_payment(&mut event, &told, &required(&told, "payment_id")?);
        }
        _ => about_payment(&mut event, &json, &id),
    }
    Ok(vec![event])
}

/// A payment into a merchant account is there when it is settled; into another account, `executed` is the last word,
/// and whether the money arrived is not known: it is reserved, not taken.
fn kind_of(what: &str, status: &str) -> Option<EventKind> {
    use EventKind as K;
    Some(match (what, status) {
        ("payment_executed" | "payment_settled", "settled") => K::PaymentCaptured,
        ("payment_executed" | "payment_settled", "executed") => K::PaymentAuthorized,
        ("payment_executed" | "payment_settled", "failed") => K::PaymentFailed,
        ("refund_executed", "executed") => K::RefundSucceeded,
        ("refund_executed", "failed") => K::RefundFailed,
        ("refund_executed", "pending" | "authorized") => K::RefundPending,
        ("payout_executed", "executed") => K::TransferSucceeded,
        ("payout_executed", "failed") => K::TransferFailed,
        _ => return None,
    })
}

fn about_payment(event: &mut PaymentEvent, json: &Json, payment_id: &str) {
    event.subject_id = json.text("/metadata/order_id").map(str::to_owned);
    event.transaction_id = Some(payment_id.to_owned());
    event.references = vec![Reference::new(NAME, payment_id)];
}

fn occurred_at(json: &Json, status: &str) -> Option<UnixSeconds> {
    json.text(&format!("/{status}_at")).and_then(rfc3339)
}

fn money(json: &Json) -> Result<Money, MappingError> {
    let currency = json.text("/currency").ok_or_else(|| MappingError::field("currency"))?;
    minor(json.text("/amount_in_minor"), currency, "amount_in_minor")
}

/// Payments v3 says `type`, older products said `event_type`.
fn type_of(json: &Json) -> Option<&str> {
    json.text("/type").or_else(|| json.text("/event_type"))
}

fn required(json: &Json, name: &str) -> Result<String, MappingError> {
    json.text(&format!("/{name}")).map(str::to_owned).ok_or_else(|| MappingError::field(name))
}
