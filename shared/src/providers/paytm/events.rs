//! Paytm's callbacks and webhooks in the uniform vocabulary. Mapping: `fixtures/paytm/MAPPING.md`.

use super::FormFamily;
use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{india_time, major};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

/// Refunds do not name it; Paytm settles in rupees only.
const CURRENCY: &str = "INR";

pub(super) fn normalise(verified: &Verified) -> Events {
    let received_at = verified.received_at();
    if verified.raw().body().trim_ascii_start().starts_with(b"{") {
        let told = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
        return refund(&told, received_at);
    }
    let form = Form::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    match FormFamily::of(&form) {
        Some(FormFamily::Payment) => payment(&form, received_at),
        Some(FormFamily::Subscription) => subscription(&form, received_at),
        Some(FormFamily::Other) => Ok(Vec::new()),
        None => Err(MappingError::Content),
    }
}

fn payment(form: &Form, received_at: UnixSeconds) -> Events {
    let required = |name: &str| form.text(name).ok_or_else(|| MappingError::field(name));
    let status = required("STATUS")?;
    let kind = match (status, form.text("RESPCODE")) {
        ("TXN_SUCCESS", Some("01")) => EventKind::PaymentCaptured,
        ("TXN_FAILURE", _) => EventKind::PaymentFailed,
        ("PENDING", _) => EventKind::PaymentPending,
        _ => return Err(MappingError::field("STATUS")),
    };
    let order = required("ORDERID")?;
    let transaction = form.text("TXNID");
    let key = PaymentEvent::identified_by(&[order, transaction.unwrap_or_default(), status]);
    let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, received_at);
    event.subject_id = Some(order.to_owned());
    event.transaction_id = transaction.map(str::to_owned);
    event.amount =
        Some(major(form.text("TXNAMOUNT"), form.text("CURRENCY").unwrap_or(CURRENCY), "TXNAMOUNT")?);
    event.occurred_at = form.text("TXNDATETIME").or(form.text("TXNDATE")).and_then(india_time);
    event.references = transaction.map(reference).into_iter().collect();
    status.clone_into(&mut event.provider_status);
    Ok(vec![event])
}

/// An agreement that is suspended may be resumed, so only what ends it for good is told.
fn subscription(form: &Form, received_at: UnixSeconds) -> Events {
    let subscription = form.text("SUBS_ID").ok_or_else(|| MappingError::field("SUBS_ID"))?;
    let status = form.text("STATUS").ok_or_else(|| MappingError::field("STATUS"))?;
    let kind = match status {
        "ACTIVE" => EventKind::MandateSigned,
        "CANCELLED" | "CLOSED" | "EXPIRED" | "REJECT" => EventKind::MandateRevoked,
        _ => return Ok(Vec::new()),
    };
    let key = PaymentEvent::identified_by(&[subscription, status]);
    let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, received_at);
    event.subject_id = Some(subscription.to_owned());
    event.occurred_at = form.text("UPDATEDDATE").and_then(india_time);
    status.clone_into(&mut event.provider_status);
    Ok(vec![event])
}

/// Paytm first accepts a refund, or refuses to, and says later that the money went to the bank.
fn refund(told: &Json, received_at: UnixSeconds) -> Events {
    let Some(refund) = told.text("/refundId") else { return Ok(Vec::new()) };
    let required = |pointer: &str| told.text(pointer).ok_or_else(|| MappingError::field(pointer));
    let (kind, status) = match (told.text("/userCreditInitiateTimestamp"), told.text("/status")) {
        (Some(_), None | Some("SUCCESS")) => (EventKind::RefundSucceeded, "SUCCESS"),
        (None, Some("SUCCESS")) => (EventKind::RefundPending, "ACCEPTED"),
        (None, Some("FAILED")) => (EventKind::RefundFailed, "FAILED"),
        _ => return Err(MappingError::field("/status")),
    };
    let transaction = required("/txnId")?;
    let key = PaymentEvent::identified_by(&[refund, status]);
    let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, received_at);
    event.subject_id = told.text("/orderId").map(str::to_owned);
    event.transaction_id = Some(transaction.to_owned());
    event.refund_id = Some(refund.to_owned());
    event.amount = Some(match told.text("/refundAmount") {
        Some(amount) => major(Some(amount), CURRENCY, "/refundAmount")?,
        None => {
            event.amount_is_cumulative = true;
            major(told.text("/totalRefundAmount"), CURRENCY, "/totalRefundAmount")?
        }
    });
    let times = ["/userCreditInitiateTimestamp", "/acceptRefundTimestamp"];
    event.occurred_at = times.iter().find_map(|pointer| told.text(pointer)).and_then(india_time);
    event.references = vec![reference(transaction)];
    status.clone_into(&mut event.provider_status);
    Ok(vec![event])
}

fn reference(transaction: &str) -> Reference {
    Reference::new(super::PROVIDER.name, transaction)
}
