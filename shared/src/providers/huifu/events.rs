//! Notifications and webhooks in our vocabulary; see `fixtures/huifu/MAPPING.md`.

use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{china_time, major};

/// What it may tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
];

/// What a webhook is about; a notification is what it is about itself.
pub(super) fn data(content: &Json) -> &Json {
    content.at("/data").unwrap_or(content)
}

/// A notification wants its order number back; a webhook is content with its status.
pub(super) fn success_body(verified: &Verified) -> Option<String> {
    let content = Json::parse(verified.content()).ok()?;
    match content.at("/event_type") {
        None => content.text("/req_seq_id").map(|id| format!("RECV_ORD_ID_{id}")),
        Some(_) => None,
    }
}

pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let content = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let data = data(&content);
    let original = data.text("/org_hf_seq_id").or_else(|| data.text("/org_req_seq_id"));
    let event = match (content.text("/event_type"), original, data.at("/trans_stat")) {
        // A closed order, settlements, complaints, admitted merchants: none of them tells of a payment's money.
        (_, _, None) => return Ok(Vec::new()),
        (Some(kind), _, _) if kind.starts_with("refund.") => refund(data, verified.received_at())?,
        (Some(kind), _, _) if kind == "trans.close" || !kind.starts_with("trans.") => return Ok(Vec::new()),
        (_, None, _) => payment(data, verified.received_at())?,
        (_, Some(_), _) if data.at("/ord_amt").is_some() => refund(data, verified.received_at())?,
        // What else names an earlier transaction (a confirmed split, a reversal) is not a payment of its own.
        _ => return Ok(Vec::new()),
    };
    Ok(vec![event])
}

fn payment(data: &Json, received_at: UnixSeconds) -> Result<PaymentEvent, MappingError> {
    let kinds = [EventKind::PaymentCaptured, EventKind::PaymentFailed, EventKind::PaymentPending];
    let mut event = told(data, kinds, received_at)?;
    event.subject_id = Some(required(data, "/req_seq_id")?.to_owned());
    event.transaction_id = Some(required(data, "/hf_seq_id")?.to_owned());
    event.references = references(data, &["/hf_seq_id", "/party_order_id"]);
    event.amount = Some(major(data.text("/trans_amt"), "CNY", "/trans_amt")?);
    Ok(event)
}

fn refund(data: &Json, received_at: UnixSeconds) -> Result<PaymentEvent, MappingError> {
    let kinds = [EventKind::RefundSucceeded, EventKind::RefundFailed, EventKind::RefundPending];
    let mut event = told(data, kinds, received_at)?;
    event.subject_id = data.text("/org_req_seq_id").map(str::to_owned);
    event.transaction_id = data.text("/org_hf_seq_id").map(str::to_owned);
    event.refund_id = Some(required(data, "/hf_seq_id")?.to_owned());
    event.references = references(data, &["/org_hf_seq_id"]);
    if event.subject_id.is_none() && event.references.is_empty() {
        return Err(MappingError::field("/org_hf_seq_id"));
    }
    let amount = data.text("/ord_amt").or_else(|| data.text("/trans_amt"));
    event.amount = Some(major(amount, "CNY", "/ord_amt")?);
    Ok(event)
}

/// Succeeded, failed, in progress: the order of `kinds`.
fn told(data: &Json, kinds: [EventKind; 3], received_at: UnixSeconds) -> Result<PaymentEvent, MappingError> {
    let state = required(data, "/trans_stat")?;
    let kind = match state {
        "S" => kinds[0],
        "F" => kinds[1],
        "P" | "I" => kinds[2],
        _ => return Err(MappingError::field("/trans_stat")),
    };
    let key = format!("{}:{state}", required(data, "/hf_seq_id")?);
    let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, received_at);
    event.occurred_at = data.text("/end_time").and_then(china_time);
    event.provider_status = state.to_owned();
    Ok(event)
}

fn references(data: &Json, pointers: &[&str]) -> Vec<Reference> {
    let ids = pointers.iter().filter_map(|pointer| data.text(pointer));
    ids.map(|id| Reference::new(super::PROVIDER.name, id)).collect()
}

fn required<'a>(data: &'a Json, pointer: &str) -> Result<&'a str, MappingError> {
    data.text(pointer).ok_or_else(|| MappingError::field(pointer))
}
