//! Coinify webhooks. Source: <https://coinify.readme.io/docs/webhooks>,
//! <https://coinify.readme.io/reference/payment-intent-api-webhook-notifications>. Mapping: `fixtures/coinify/MAPPING.md`.

use crate::callback::Verified;
use crate::callback::json::Json;
use crate::domain::{EventKind, PaymentEvent, Reference};

use super::described::described_signature;
use super::read::{major, rfc3339};
use super::{MappingError, Normalise, Provider};

const NAME: &str = "coinify";

/// The facts and the signature; the events need code because what an amount means depends on why an intent ended.
const DESCRIPTION: &str = r#"
title = "Coinify"
rail = "crypto"
documents = [
    "https://coinify.readme.io/docs/webhooks",
    "https://coinify.readme.io/docs/webhook-signature",
    "https://coinify.readme.io/reference/payment-intent-api-webhook-notifications",
]
retry_schedule = "repeated until it is answered with 2xx; the times are not published"
covers = "body"

[[credentials]]
name = "secret"
required = true
about = "Shared secret of the webhook: the merchant dashboard, Webhooks. A list while it is changed"

[[checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Coinify-Webhook-Signature", encoding = "hex" }
signed = "{body}"
"#;

/// Every kind that it tells.
const KINDS: &[EventKind] =
    &[EventKind::PaymentCaptured, EventKind::PaymentFailed, EventKind::RefundSucceeded];

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature(NAME, DESCRIPTION, KINDS, Normalise::Coded(normalise))
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let required = |pointer: &str| json.text(pointer).ok_or_else(|| MappingError::field(pointer));
    let kind = match json.text("/event") {
        Some("payment-intent.completed") => EventKind::PaymentCaptured,
        Some("payment-intent.failed") => EventKind::PaymentFailed,
        Some("payment-intent.refund.completed") => EventKind::RefundSucceeded,
        _ => return Ok(Vec::new()),
    };
    let intent_id = required("/context/id")?;
    let mut event = PaymentEvent::new(kind, NAME, required("/id")?, verified.received_at());
    event.subject_id = json.text("/context/orderId").map(str::to_owned);
    event.transaction_id = Some(intent_id.to_owned());
    event.references = vec![Reference::new(NAME, intent_id)];
    event.occurred_at = json.text("/time").and_then(rfc3339);
    event.provider_status = json.text("/context/stateReason").unwrap_or_default().to_owned();
    // The amount is what was asked for. Of an underpaid intent it is not what came, and of a refund it is not what went
    // back: told without an amount, they hold the order until a person has looked.
    let amount =
        || major(json.text("/context/amount"), required("/context/currency")?, "/context/amount").map(Some);
    event.amount = match (kind, event.provider_status.as_str()) {
        (EventKind::PaymentCaptured, "completed_exact_amount" | "completed_overpaid") => amount()?,
        (EventKind::PaymentCaptured, "completed_underpaid") => None,
        (EventKind::PaymentCaptured, _) => return Err(MappingError::field("/context/stateReason")),
        _ => None,
    };
    if kind == EventKind::RefundSucceeded {
        event.refund_id = Some(required("/context/refund/id")?.to_owned());
    }
    Ok(vec![event])
}
