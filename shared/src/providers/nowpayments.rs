//! NOWPayments instant payment notifications. Source: <https://documenter.getpostman.com/view/7907941/2s93JusNJt>,
//! <https://nowpayments.io/help/what-is/what-is-ipn>. Mapping: `fixtures/nowpayments/MAPPING.md`.

mod canonical;
#[cfg(feature = "sandbox")]
mod sandbox;

use canonical::Nested;

use super::read::{major, rfc3339};
use super::{Covers, CredentialField, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::json::Json;
use crate::callback::signature::{HmacHash, require_hmac};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{Currency, EventKind, Money, PaymentEvent, Reference};

const NAME: &str = "nowpayments";

/// NOWPayments.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "NOWPayments",
    rail: Rail::Crypto,
    scheme: "HMAC-SHA512 over the body with its names sorted, as JavaScript writes it, header:x-nowpayments-sig",
    events: &[
        EventKind::PaymentPending,
        EventKind::PaymentCaptured,
        EventKind::PaymentFailed,
        EventKind::PaymentExpired,
        EventKind::RefundSucceeded,
        EventKind::TransferSucceeded,
        EventKind::TransferFailed,
    ],
    documents: &[
        "https://documenter.getpostman.com/view/7907941/2s93JusNJt",
        "https://nowpayments.io/help/what-is/what-is-ipn",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "as the store settings say (number and interval); it waits 3 s for an answer",
    covers: Covers::Fields,
    credential_fields: &[CredentialField {
        name: "secret",
        required: true,
        about: "IPN secret key: Store settings, Instant payment notifications. A list while it is changed",
    }],
    verify: Verify::Coded(verify),
    readable: |keys| keys.texts("secret").map(drop),
    normalise: Normalise::Coded(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

/// The header with the signature.
const SIGNATURE_HEADER: &str = "x-nowpayments-sig";

/// # Source
/// NOWPayments API, "Instant Payments Notifications": older examples sort with a list of names, which leaves out members
/// of inner objects; newer ones sort the inner objects too. What is read later is the text that was signed.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let secrets = keys.texts("secret")?;
    let written = raw.header_if_any(SIGNATURE_HEADER)?.filter(|value| !value.is_empty());
    let written = written.ok_or(Rejection::MissingSignature)?;
    let lower = written.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let candidate = hex::decode(written).ok().filter(|_| lower);
    let candidates = [candidate.ok_or_else(|| Rejection::malformed("signature"))?];
    let body = Json::parse(raw.body())?;
    let mut texts = Vec::new();
    for nested in [Nested::Listed, Nested::Sorted] {
        let text = canonical::text(&body, nested).ok_or_else(|| Rejection::malformed("body"))?;
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    for text in texts {
        for secret in &secrets {
            if let Ok(proof) =
                require_hmac(HmacHash::Sha512, secret.as_bytes(), &[text.as_bytes()], &candidates)
            {
                return Ok(Verified::from_checked(raw, proof, now).with_resource(text.into_bytes()));
            }
        }
    }
    Err(Rejection::SignatureMismatch)
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let event = match (json.text("/payment_status"), json.text("/batch_withdrawal_id")) {
        (Some(status), _) => payment(&json, status, verified.received_at())?,
        (None, Some(_)) => payout(&json, verified.received_at())?,
        (None, None) => None,
    };
    Ok(event.into_iter().collect())
}

fn payment(
    json: &Json,
    status: &str,
    received_at: UnixSeconds,
) -> Result<Option<PaymentEvent>, MappingError> {
    let kind = match status {
        "waiting" | "confirming" | "confirmed" | "sending" => EventKind::PaymentPending,
        // Less than the price has arrived; how much, is told in the payer's coin alone. Told without an amount, it
        // holds the order until a person has looked.
        "partially_paid" | "finished" => EventKind::PaymentCaptured,
        "failed" => EventKind::PaymentFailed,
        "expired" => EventKind::PaymentExpired,
        "refunded" => EventKind::RefundSucceeded,
        _ => return Ok(None),
    };
    let id = json.text("/payment_id").ok_or_else(|| MappingError::field("/payment_id"))?;
    let mut event =
        PaymentEvent::new(kind, NAME, PaymentEvent::identified_by(&["payment", id, status]), received_at);
    event.subject_id = json.text("/order_id").map(str::to_owned);
    event.transaction_id = Some(id.to_owned());
    event.references = references(json, &["/payment_id", "/invoice_id", "/purchase_id"]);
    event.occurred_at = json.text("/updated_at").and_then(rfc3339);
    event.provider_status = status.to_owned();
    if kind == EventKind::RefundSucceeded {
        event.refund_id = Some(id.to_owned());
    }
    if status != "partially_paid" {
        let currency = json.text("/price_currency").ok_or_else(|| MappingError::field("/price_currency"))?;
        event.amount = Some(major(json.text("/price_amount"), currency, "/price_amount")?);
    }
    Ok(Some(event))
}

fn payout(json: &Json, received_at: UnixSeconds) -> Result<Option<PaymentEvent>, MappingError> {
    let status = json.text("/status").unwrap_or_default();
    let kind = match status {
        "FINISHED" | "finished" => EventKind::TransferSucceeded,
        "FAILED" | "failed" | "REJECTED" | "rejected" => EventKind::TransferFailed,
        _ => return Ok(None),
    };
    let id = json.text("/id").ok_or_else(|| MappingError::field("/id"))?;
    let mut event =
        PaymentEvent::new(kind, NAME, PaymentEvent::identified_by(&["payout", id, status]), received_at);
    event.subject_id = Some(id.to_owned());
    event.transaction_id = Some(id.to_owned());
    event.references = references(json, &["/batch_withdrawal_id"]);
    // Codes such as `usdttrc20` name the network too; an amount of one that we do not know is left out.
    let currency = json.text("/currency").and_then(|code| Currency::new(code).ok());
    event.amount = currency
        .zip(json.text("/amount"))
        .and_then(|(currency, text)| Money::parse_major(text, currency).ok());
    event.provider_status = status.to_owned();
    Ok(Some(event))
}

fn references(json: &Json, pointers: &[&str]) -> Vec<Reference> {
    let ids = pointers.iter().filter_map(|pointer| json.text(pointer));
    let mut references: Vec<Reference> = ids.map(|id| Reference::new(NAME, id)).collect();
    references.sort();
    references.dedup();
    references
}
