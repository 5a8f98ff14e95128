//! CoinsPaid callbacks. Source: <https://docs.cryptoprocessing.com/api-documentation/callbacks>.
//! Mapping: `fixtures/coinspaid/MAPPING.md`.

use crate::callback::Verified;
use crate::callback::json::Json;
use crate::domain::{EventKind, Money, PaymentEvent, Reference};

use super::described::described_signature;
use super::read::major;
use super::{MappingError, Normalise, Provider};

const NAME: &str = "coinspaid";

/// The facts and the signature; the events need code because one asset has a code for each network.
const DESCRIPTION: &str = r#"
title = "CoinsPaid"
rail = "crypto"
documents = [
    "https://docs.cryptoprocessing.com/integration-guide/callbacks",
    "https://docs.cryptoprocessing.com/api-documentation/callbacks",
    "https://helper.lt.cryptoprocessing.com/en/articles/388895-authorisation",
]
retry_schedule = "after 1, 5, 10, 15, 20, 30, 60, 90, 120, 150, 180, 210, 240 min"
covers = "body"

[[credentials]]
name = "secret"
required = true
about = "Secret key of the API key pair. A list while it is changed"

[[checks]]
algorithm = "hmac-sha512"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Processing-Signature", encoding = "hex" }
signed = "{body}"
"#;

/// Every kind that it tells.
const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentExpired,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature(NAME, DESCRIPTION, KINDS, Normalise::Coded(normalise))
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let (Some(type_name), Some(status)) = (json.text("/type"), json.text("/status")) else {
        return Ok(Vec::new());
    };
    let (is_payment, subject, amount) = match type_name {
        "deposit" | "deposit_exchange" => (true, "/crypto_address/foreign_id", "/currency_received"),
        "invoice" => (true, "/foreign_id", "/currency_received"),
        "withdrawal" | "withdrawal_exchange" => (false, "/foreign_id", "/currency_sent"),
        _ => return Ok(Vec::new()),
    };
    let kind = match (is_payment, status) {
        (true, "not_confirmed" | "pending" | "processing") => EventKind::PaymentPending,
        (true, "confirmed") => EventKind::PaymentCaptured,
        (true, "cancelled" | "declined") => EventKind::PaymentFailed,
        (true, "expired") => EventKind::PaymentExpired,
        (false, "confirmed") => EventKind::TransferSucceeded,
        (false, "cancelled" | "declined") => EventKind::TransferFailed,
        _ => return Ok(Vec::new()),
    };
    let id = json.text("/id").ok_or_else(|| MappingError::field("/id"))?;
    let key = PaymentEvent::identified_by(&[type_name, id, status]);
    let mut event = PaymentEvent::new(kind, NAME, key, verified.received_at());
    event.subject_id = json.text(subject).map(str::to_owned);
    event.transaction_id = Some(id.to_owned());
    event.references = vec![Reference::new(NAME, id)];
    event.amount = money(&json, amount, kind)?;
    event.provider_status = status.to_owned();
    Ok(vec![event])
}

/// The amount, which must be there where money has moved.
fn money(json: &Json, pointer: &str, kind: EventKind) -> Result<Option<Money>, MappingError> {
    let moved = matches!(kind, EventKind::PaymentCaptured | EventKind::TransferSucceeded);
    let amount = format!("{pointer}/amount");
    let currency = format!("{pointer}/currency");
    match (json.text(&amount), json.text(&currency)) {
        (text @ Some(_), Some(code)) => major(text, asset(code), &amount).map(Some),
        _ if moved => Err(MappingError::field(amount)),
        _ => Ok(None),
    }
}

/// The asset behind a code that names its network too.
fn asset(code: &str) -> &str {
    match code {
        "USDTE" | "USDTT" => "USDT",
        code => code,
    }
}
