//! Polar webhooks. Mapping: `fixtures/polar/MAPPING.md`.

use super::described::described_signature;
use super::read::{minor, rfc3339};
use super::{MappingError, Normalise, Provider};
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};

const NAME: &str = "polar";

/// The facts and the signature; the events need code because what a refund gives back is a sum.
const DESCRIPTION: &str = r#"
title = "Polar"
rail = "card"
documents = [
    "https://polar.sh/docs/integrate/webhooks/delivery",
    "https://polar.sh/docs/integrate/webhooks/events",
    "https://github.com/polarsource/polar-js",
]
retry_schedule = "up to 10 times with growing delays, until the answer is 2xx"
covers = "body"
required = ["header:webhook-id"]

[[credentials]]
name = "secret"
required = true
about = "The endpoint's secret exactly as shown: its characters are the key, it is not base64. A list while it is changed"

[[credentials]]
name = "tolerance_seconds"
about = "How far the signed time may be from ours; 300 unless told"

[timestamp]
at = "header:webhook-timestamp"
unit = "seconds"
tolerance_seconds = 300

[[checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:webhook-signature", encoding = "base64", separator = " ", assign = ",", take = "v1" }
signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}"
"#;

/// Every kind that it tells.
const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::PaymentExpired,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
];

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature(NAME, DESCRIPTION, KINDS, Normalise::Coded(normalise))
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let (Some(type_name), Some(data)) = (json.text("/type"), json.at("/data")) else { return Ok(Vec::new()) };
    let id = verified.raw().header("webhook-id").map_err(|_| MappingError::field("webhook-id"))?;
    let at = json.text("/timestamp").and_then(rfc3339);
    let told = Told { data, id, at, received_at: verified.received_at() };
    let status = data.text("/status").unwrap_or_default();
    let event = match (type_name, status) {
        ("checkout.created" | "checkout.updated", "open" | "confirmed") => {
            told.checkout(EventKind::PaymentPending)?
        }
        ("checkout.updated", "failed") => told.checkout(EventKind::PaymentFailed)?,
        ("checkout.updated" | "checkout.expired", "expired") => told.checkout(EventKind::PaymentExpired)?,
        ("order.created" | "order.updated", "pending") => told.order(EventKind::PaymentPending)?,
        ("order.created" | "order.updated" | "order.paid", "paid") => {
            told.order(EventKind::PaymentCaptured)?
        }
        // By then it may be refunded already; that it was paid stays true.
        ("order.paid", "refunded" | "partially_refunded") => told.order(EventKind::PaymentCaptured)?,
        ("order.paid", _) => return Err(MappingError::field("data/status")),
        ("order.updated", "void") => told.order(EventKind::PaymentCancelled)?,
        ("refund.created" | "refund.updated", "succeeded") => told.refund(EventKind::RefundSucceeded)?,
        ("refund.created" | "refund.updated", "pending") => told.refund(EventKind::RefundPending)?,
        ("refund.created" | "refund.updated", "failed" | "canceled") => {
            told.refund(EventKind::RefundFailed)?
        }
        ("subscription.active" | "subscription.uncanceled", _) => {
            told.subscription(EventKind::MandateSigned)?
        }
        // A cancelled one is in force until its period ends, which `revoked` says.
        ("subscription.revoked", _) => told.subscription(EventKind::MandateRevoked)?,
        _ => return Ok(Vec::new()),
    };
    Ok(vec![event])
}

struct Told<'a> {
    data: &'a Json,
    id: &'a str,
    at: Option<UnixSeconds>,
    received_at: UnixSeconds,
}

impl Told<'_> {
    fn checkout(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("id")?;
        // Taxes are not known before the payer has told where he lives.
        let total = self.data.text("/total_amount").or_else(|| self.data.text("/amount"));
        let mut event = self.event(kind);
        event.amount = Some(self.money(total, "total_amount")?);
        self.about(&mut event, &id, &[Some(&id)]);
        Ok(event)
    }

    fn order(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("id")?;
        let mut event = self.event(kind);
        event.amount = Some(self.money(self.data.text("/total_amount"), "total_amount")?);
        self.about(&mut event, &id, &[Some(&id), self.data.text("/checkout_id")]);
        Ok(event)
    }

    /// A refund's amount is without tax, and the tax is given back too.
    fn refund(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let order_id = self.required("order_id")?;
        let number = |name: &str| -> Result<u64, MappingError> {
            let text = self.data.text(&format!("/{name}"));
            text.and_then(|text| text.parse().ok()).ok_or_else(|| MappingError::field(name))
        };
        let sum = number("amount")?.checked_add(number("tax_amount")?);
        let sum = sum.ok_or_else(|| MappingError::field("amount"))?.to_string();
        let mut event = self.event(kind);
        event.refund_id = Some(self.required("id")?);
        event.amount = Some(self.money(Some(&sum), "amount")?);
        self.about(&mut event, &order_id, &[Some(&order_id)]);
        Ok(event)
    }

    fn subscription(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let mut event = self.event(kind);
        event.subject_id = Some(self.required("id")?);
        Ok(event)
    }

    fn event(&self, kind: EventKind) -> PaymentEvent {
        let mut event = PaymentEvent::new(kind, NAME, self.id, self.received_at);
        event.occurred_at = self.at;
        event.provider_status = self.data.text("/status").unwrap_or_default().to_owned();
        event
    }

    fn about(&self, event: &mut PaymentEvent, transaction_id: &str, references: &[Option<&str>]) {
        event.subject_id = self.data.text("/metadata/order_id").map(str::to_owned);
        event.transaction_id = Some(transaction_id.to_owned());
        event.references = references.iter().flatten().map(|id| Reference::new(NAME, id)).collect();
        event.references.sort();
        event.references.dedup();
    }

    fn money(&self, text: Option<&str>, name: &str) -> Result<Money, MappingError> {
        let currency = self.data.text("/currency").ok_or_else(|| MappingError::field("currency"))?;
        minor(text, &currency.to_ascii_uppercase(), name)
    }

    fn required(&self, name: &str) -> Result<String, MappingError> {
        let text = self.data.text(&format!("/{name}"));
        text.map(str::to_owned).ok_or_else(|| MappingError::field(format!("data/{name}")))
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use super::*;
    use crate::callback::{Credentials, KeySet, RawCallback};
    use crate::sandbox::Payload;
    use serde_json::{Value, json};

    const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

    fn told(type_name: &str, data: Value) -> Result<Vec<(EventKind, Option<i128>)>, MappingError> {
        let provider = provider();
        let keys = provider.sandbox.generate();
        let content =
            json!({"type": type_name, "timestamp": "2026-01-01T00:00:00Z", "data": data}).to_string();
        let payload = Payload { content, event_id: "e".to_owned(), sent_at: NOW, path: "/".to_owned() };
        let request = provider.sandbox.sign(&keys, &payload).unwrap();
        let raw = RawCallback::new("demo", NAME, "POST", "/", request.headers, request.body);
        let credentials = Credentials { key_sets: vec![KeySet::new("k", keys.key_set)] };
        let verified = provider.verify(&raw, &credentials, NOW).unwrap();
        let events = provider.normalise(&verified)?;
        let summary = |event: &PaymentEvent| {
            (event.kind, event.amount.as_ref().map(crate::domain::Money::amount_minor))
        };
        Ok(events.iter().map(summary).collect())
    }

    #[test]
    fn types_and_states_say_what_happened() {
        use EventKind as K;
        let order = |status: &str| {
            json!({"id": "o", "status": status, "total_amount": 1190, "net_amount": 1000, "tax_amount": 190,
                "currency": "usd", "checkout_id": "c"})
        };
        let refund = |status: &str| json!({"id": "r", "status": status, "amount": 1000, "tax_amount": 190, "currency": "usd", "order_id": "o"});
        let checkout = |status: &str| json!({"id": "c", "status": status, "amount": 1000, "currency": "usd"});
        for (type_name, data, expected) in [
            ("order.created", order("pending"), Some((K::PaymentPending, Some(1190)))),
            ("order.paid", order("paid"), Some((K::PaymentCaptured, Some(1190)))),
            ("order.paid", order("partially_refunded"), Some((K::PaymentCaptured, Some(1190)))),
            ("order.updated", order("void"), Some((K::PaymentCancelled, Some(1190)))),
            ("order.updated", order("refunded"), None),
            ("order.refunded", order("refunded"), None),
            ("refund.created", refund("pending"), Some((K::RefundPending, Some(1190)))),
            ("refund.updated", refund("succeeded"), Some((K::RefundSucceeded, Some(1190)))),
            ("refund.updated", refund("canceled"), Some((K::RefundFailed, Some(1190)))),
            ("checkout.created", checkout("open"), Some((K::PaymentPending, Some(1000)))),
            ("checkout.updated", checkout("succeeded"), None),
            ("checkout.updated", checkout("failed"), Some((K::PaymentFailed, Some(1000)))),
            ("checkout.expired", checkout("expired"), Some((K::PaymentExpired, Some(1000)))),
            ("subscription.active", json!({"id": "s", "status": "active"}), Some((K::MandateSigned, None))),
            ("subscription.canceled", json!({"id": "s", "status": "active"}), None),
            (
                "subscription.revoked",
                json!({"id": "s", "status": "canceled"}),
                Some((K::MandateRevoked, None)),
            ),
            ("benefit.created", json!({"id": "b"}), None),
        ] {
            assert_eq!(
                told(type_name, data.clone()),
                Ok(expected.into_iter().collect()),
                "{type_name} {data}"
            );
        }
        assert!(told("order.paid", order("pending")).is_err());
        assert!(told("refund.created", json!({"id": "r", "status": "succeeded", "order_id": "o"})).is_err());
    }
}
