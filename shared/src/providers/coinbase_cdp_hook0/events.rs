//! Reads the events of checkouts and payment links.

use super::super::MappingError;
use super::super::read::{major, rfc3339};
use super::NAME;
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};

/// Every kind that it may tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentExpired,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

pub(super) fn normalise(verified: &Verified) -> Events {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let Some(type_name) = json.text("/eventType") else { return Ok(Vec::new()) };
    let checkout = Checkout { json: &json, received_at: verified.received_at() };
    // Payment links are what checkouts were called before.
    let what = type_name.strip_prefix("checkout.").or_else(|| type_name.strip_prefix("payment_link."));
    match what {
        Some("payment.success") => checkout.payment(EventKind::PaymentCaptured, "COMPLETED"),
        Some("payment.failed") => checkout.payment(EventKind::PaymentFailed, "FAILED"),
        Some("payment.expired") => checkout.payment(EventKind::PaymentExpired, "EXPIRED"),
        Some("refund.success" | "refund.failed") => checkout.refunds(),
        _ => Ok(Vec::new()),
    }
}

struct Checkout<'a> {
    json: &'a Json,
    received_at: UnixSeconds,
}

impl Checkout<'_> {
    fn payment(&self, kind: EventKind, status: &str) -> Events {
        let id = required(self.json, "id")?;
        // A success whose own status says otherwise is none.
        if self.json.text("/status") != Some(status) {
            return Err(MappingError::field("status"));
        }
        let mut event = self.event(kind, &PaymentEvent::identified_by(&[kind.name(), &id]), &id);
        event.amount = Some(self.money(self.json)?);
        event.occurred_at = self.json.text("/updatedAt").and_then(rfc3339);
        event.provider_status = status.to_owned();
        Ok(vec![event])
    }

    /// Every refund of the checkout so far stands in the list, each with an id and a share of its own.
    fn refunds(&self) -> Events {
        let id = required(self.json, "id")?;
        let refunds = self.json.members("/refunds");
        if refunds.is_empty() {
            return Err(MappingError::field("refunds"));
        }
        let mut events = Vec::new();
        for refund in refunds {
            let status = required(refund, "status")?;
            let kind = match status.as_str() {
                "COMPLETED" => EventKind::RefundSucceeded,
                "FAILED" => EventKind::RefundFailed,
                "PENDING" => EventKind::RefundPending,
                _ => return Err(MappingError::field("refunds/status")),
            };
            let refund_id = required(refund, "id")?;
            let mut event = self.event(kind, &PaymentEvent::identified_by(&[kind.name(), &refund_id]), &id);
            event.refund_id = Some(refund_id);
            event.amount = Some(self.money(refund)?);
            let at = refund.text("/completedAt").or_else(|| refund.text("/createdAt"));
            event.occurred_at = at.and_then(rfc3339);
            event.provider_status = status;
            events.push(event);
        }
        Ok(events)
    }

    fn event(&self, kind: EventKind, key: &str, id: &str) -> PaymentEvent {
        let mut event = PaymentEvent::new(kind, NAME, key, self.received_at);
        let order_id = self.json.text("/metadata/order_id").or_else(|| self.json.text("/metadata/orderId"));
        event.subject_id = order_id.map(str::to_owned);
        event.transaction_id = Some(id.to_owned());
        event.references = vec![Reference::new(NAME, id)];
        event
    }

    fn money(&self, json: &Json) -> Result<crate::domain::Money, MappingError> {
        let currency = json.text("/currency").or_else(|| self.json.text("/currency"));
        let currency = currency.ok_or_else(|| MappingError::field("currency"))?;
        major(json.text("/amount"), currency, "amount")
    }
}

fn required(json: &Json, name: &str) -> Result<String, MappingError> {
    json.text(&format!("/{name}")).map(str::to_owned).ok_or_else(|| MappingError::field(name))
}
