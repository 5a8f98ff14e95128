//! What a notification claims. Nothing of it is signed: it only says what to look up.

use super::super::MappingError;
use super::{NAME, notification};
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};

/// Every kind that a notification may claim, or an answer tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentCancelled,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

pub(super) fn normalise(verified: &Verified) -> Events {
    let message = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let notification = notification(&message).ok_or_else(|| MappingError::field("message/data"))?;
    let id = message.text("/message/messageId").or_else(|| message.text("/message/message_id"));
    let told = Told {
        id: id.ok_or_else(|| MappingError::field("message/messageId"))?,
        at_ms: notification.text("/eventTimeMillis").and_then(|text| text.parse().ok()),
        received_at: verified.received_at(),
    };
    let about = |name: &str| notification.at(name).filter(|about| matches!(about, Json::Object(_)));
    if let Some(about) = about("/subscriptionNotification") {
        return told.subscription(about);
    }
    if let Some(about) = about("/oneTimeProductNotification") {
        return told.one_time_product(about);
    }
    if let Some(about) = about("/voidedPurchaseNotification") {
        return told.voided_purchase(about);
    }
    if let Some(about) = about("/pendingRefundReviewNotification") {
        return Ok(told.refund_review(about).into_iter().collect());
    }
    Ok(Vec::new())
}

struct Told<'a> {
    id: &'a str,
    at_ms: Option<i64>,
    received_at: UnixSeconds,
}

impl Told<'_> {
    fn subscription(&self, about: &Json) -> Events {
        let kind = match number(about)? {
            // Recovered, renewed, purchased, restarted.
            "1" | "2" | "4" | "7" => EventKind::MandateSigned,
            // Revoked, expired, a pending purchase cancelled. A cancelled one (3) is in force until it expires.
            "12" | "13" | "20" => EventKind::MandateRevoked,
            _ => return Ok(Vec::new()),
        };
        let mut event = self.event(kind, number(about)?);
        event.subject_id = Some(purchase_token(about)?);
        Ok(vec![event])
    }

    fn one_time_product(&self, about: &Json) -> Events {
        let kind = match number(about)? {
            "1" => EventKind::PaymentPending,
            "2" => EventKind::PaymentCancelled,
            _ => return Ok(Vec::new()),
        };
        let token = purchase_token(about)?;
        let mut event = self.event(kind, number(about)?);
        event.references = vec![Reference::new(NAME, &token)];
        event.subject_id = Some(token);
        Ok(vec![event])
    }

    fn voided_purchase(&self, about: &Json) -> Events {
        let order_id = about.text("/orderId").ok_or_else(|| MappingError::field("orderId"))?;
        let token = purchase_token(about)?;
        let mut event = self.event(EventKind::RefundSucceeded, about.text("/refundType").unwrap_or_default());
        event.transaction_id = Some(order_id.to_owned());
        // A purchase may be refunded in parts, whose notifications have no other id.
        event.refund_id = Some(self.id.to_owned());
        event.references = vec![Reference::new(NAME, order_id), Reference::new(NAME, &token)];
        event.references.sort();
        Ok(vec![event])
    }

    /// Google asks whether a refund should be granted; nothing has been given back yet.
    fn refund_review(&self, about: &Json) -> Option<PaymentEvent> {
        let mut event = self.event(EventKind::RefundPending, "review");
        let named = ["/orderId", "/purchaseToken"].into_iter().filter_map(|name| about.text(name));
        event.references = named.map(|id| Reference::new(NAME, id)).collect();
        event.references.sort();
        event.transaction_id = about.text("/orderId").map(str::to_owned);
        event.refund_id = Some(self.id.to_owned());
        (!event.references.is_empty()).then_some(event)
    }

    fn event(&self, kind: EventKind, status: &str) -> PaymentEvent {
        let mut event = PaymentEvent::new(kind, NAME, self.id, self.received_at);
        event.occurred_at = self.at_ms.map(|ms| UnixSeconds(ms.div_euclid(1000)));
        event.provider_status = status.to_owned();
        event
    }
}

fn number(about: &Json) -> Result<&str, MappingError> {
    about.text("/notificationType").ok_or_else(|| MappingError::field("notificationType"))
}

fn purchase_token(about: &Json) -> Result<String, MappingError> {
    let token = about.text("/purchaseToken").ok_or_else(|| MappingError::field("purchaseToken"))?;
    Ok(token.to_owned())
}
