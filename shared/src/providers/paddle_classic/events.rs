//! Paddle Classic's alerts in the uniform vocabulary. Mapping: `fixtures/paddle_classic/MAPPING.md`.

use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{major, utc_time};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::RefundSucceeded,
    EventKind::DisputeOpened,
    EventKind::DisputeWon,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
    EventKind::TransferSucceeded,
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

/// Longest `passthrough` that may be an order number.
const ORDER_BYTES_MAX: usize = 128;

pub(super) fn normalise(verified: &Verified) -> Events {
    use EventKind as K;
    let form = Form::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let alert = Alert { form: &form, received_at: verified.received_at() };
    match alert.required("alert_name")? {
        "payment_succeeded" => alert.payment(K::PaymentCaptured, Some("sale_gross")),
        "subscription_payment_succeeded" => alert.payment(K::PaymentCaptured, Some("sale_gross")),
        "subscription_payment_failed" => alert.payment(K::PaymentFailed, Some("amount")),
        "payment_refunded" | "subscription_payment_refunded" => alert.refund(),
        "payment_dispute_created" => alert.dispute(K::DisputeOpened),
        // Told only when Paddle contested it and won.
        "payment_dispute_closed" => alert.dispute(K::DisputeWon),
        "subscription_created" => alert.subscription(K::MandateSigned),
        "subscription_cancelled" => alert.subscription(K::MandateRevoked),
        "high_risk_transaction_created" => alert.review(K::PaymentPending),
        "high_risk_transaction_updated" if alert.text("status") == Some("rejected") => {
            alert.review(K::PaymentCancelled)
        }
        "transfer_paid" => alert.payout(),
        _ => Ok(Vec::new()),
    }
}

struct Alert<'a> {
    form: &'a Form,
    received_at: UnixSeconds,
}

impl<'a> Alert<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.form.text(name)
    }

    fn required(&self, name: &str) -> Result<&'a str, MappingError> {
        self.text(name).ok_or_else(|| MappingError::field(name))
    }

    fn event(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("alert_id")?;
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, id, self.received_at);
        event.occurred_at = self.text("event_time").and_then(utc_time);
        let status = self.text("status").or(self.text("alert_name")).unwrap_or_default();
        status.clone_into(&mut event.provider_status);
        Ok(event)
    }

    fn amount(&self, name: &str) -> Result<Money, MappingError> {
        major(self.text(name), self.required("currency")?, name)
    }

    /// The merchant's order number, which travels as `passthrough`: alone, or as `order_id` of a JSON object.
    ///
    /// All payments of a subscription carry the same: only the first one is the order's.
    fn order_number(&self) -> Option<String> {
        let later = self.text("subscription_id").is_some()
            && !matches!(self.text("initial_payment"), Some("1" | "true"));
        let text = self.text("passthrough").filter(|_| !later)?;
        let number = match Json::parse(text.as_bytes()) {
            Ok(json @ Json::Object(_)) => json.text("/order_id").map(str::to_owned),
            _ => Some(text.to_owned()),
        };
        number.filter(|number| number.len() <= ORDER_BYTES_MAX)
    }

    /// Paddle's ids of the payment. The checkout of a subscription is the same for all of its payments.
    fn references(&self) -> Vec<Reference> {
        let checkout = self.text("checkout_id").filter(|_| self.text("subscription_id").is_none());
        let ids = [self.text("order_id"), checkout];
        ids.into_iter().flatten().map(|id| Reference::new(super::PROVIDER.name, id)).collect()
    }

    fn payment(&self, kind: EventKind, amount: Option<&str>) -> Events {
        let mut event = self.event(kind)?;
        event.subject_id = self.order_number();
        event.transaction_id = Some(self.required("order_id")?.to_owned());
        event.amount = amount.map(|name| self.amount(name)).transpose()?;
        event.references = self.references();
        Ok(vec![event])
    }

    /// Each refund is an alert of its own with its share, and has no id but the alert's.
    fn refund(&self) -> Events {
        let mut event = self.event(EventKind::RefundSucceeded)?;
        event.transaction_id = Some(self.required("order_id")?.to_owned());
        event.refund_id = Some(self.required("alert_id")?.to_owned());
        event.amount = Some(self.amount("amount")?);
        event.references = self.references();
        if let Some(refund_type) = self.text("refund_type") {
            refund_type.clone_into(&mut event.provider_status);
        }
        Ok(vec![event])
    }

    /// The amount told is what Paddle charges, its fee included, and so not the payment's.
    fn dispute(&self, kind: EventKind) -> Events {
        let order = self.required("order_id")?;
        let mut event = self.event(kind)?;
        event.transaction_id = Some(order.to_owned());
        event.dispute_id = Some(order.to_owned());
        event.references = self.references();
        Ok(vec![event])
    }

    fn subscription(&self, kind: EventKind) -> Events {
        let mut event = self.event(kind)?;
        event.subject_id = Some(self.required("subscription_id")?.to_owned());
        Ok(vec![event])
    }

    /// A payment that Paddle holds back because of its risk; the money is told when it is released.
    fn review(&self, kind: EventKind) -> Events {
        let mut event = self.event(kind)?;
        event.subject_id = self.order_number();
        event.transaction_id = self.text("order_id").map(str::to_owned);
        event.references = self.references();
        if event.subject_id.is_none() && event.references.is_empty() {
            return Err(MappingError::field("checkout_id"));
        }
        Ok(vec![event])
    }

    fn payout(&self) -> Events {
        let payout = self.required("payout_id")?;
        let mut event = self.event(EventKind::TransferSucceeded)?;
        event.subject_id = Some(payout.to_owned());
        event.transaction_id = Some(payout.to_owned());
        event.amount = Some(self.amount("amount")?);
        Ok(vec![event])
    }
}
