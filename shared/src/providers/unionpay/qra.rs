//! UnionPay QR acquiring: a flat JSON object signed with MD5 and a shared key.

use crate::callback::json::Json;
use crate::callback::signature::{require_identity, require_md5_with_key};
use crate::callback::{KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent};
use crate::providers::MappingError;
use crate::providers::read::{china_time, minor, require_one_reading};

/// Whether the body is JSON; the gateway's is a form.
pub(super) fn is_qra(raw: &RawCallback) -> bool {
    raw.body().trim_ascii_start().first() == Some(&b'{')
}

/// # Source
/// UnionPay QR acquiring, "签名规则": the members without `sign` and without empty ones, sorted and joined, then
/// `&key=` and the key; MD5 in upper-case hexadecimal.
pub(super) fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let key = keys.text("api_key")?;
    let message = Json::parse(raw.body())?;
    if message.text("/sign_type").is_some_and(|told| told != "MD5") {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    let sign = message.text("/sign").ok_or(Rejection::MissingSignature)?;
    let sign = hex::decode(sign).map_err(|_| Rejection::malformed("signature"))?;
    let mut signed = signed_text(&message)?;
    signed.push_str("&key=");
    let proof = require_md5_with_key(signed.as_bytes(), key.as_bytes(), &sign)?;
    require_identity(keys, "expected_mch_id", "mch_id", message.text("/mch_id"))?;
    Ok(Verified::from_checked(raw, proof, now))
}

fn signed_text(message: &Json) -> Result<String, Rejection> {
    let malformed = || Rejection::malformed("body");
    let Json::Object(members) = message else { return Err(malformed()) };
    let mut pairs = Vec::new();
    for (name, value) in members.iter().filter(|(name, _)| *name != "sign") {
        match value {
            Json::Text(text) if text.is_empty() => {}
            Json::Text(text) | Json::Number(text) => pairs.push((name.as_str(), text.as_bytes())),
            Json::Null => {}
            Json::Bool(_) | Json::Array(_) | Json::Object(_) => return Err(malformed()),
        }
    }
    require_one_reading(pairs.iter().copied())?;
    let written = pairs.iter().map(|(name, text)| format!("{name}={}", String::from_utf8_lossy(text)));
    Ok(written.collect::<Vec<_>>().join("&"))
}

pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let message = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let text = |name: &str| message.text(&format!("/{name}"));
    // Anything but 0 is a fault of the transport and says nothing about a payment.
    if text("status") != Some("0") {
        return Ok(Vec::new());
    }
    let paid = text("pay_result") == Some("0") || text("trade_state") == Some("SUCCESS");
    let kind = match (text("result_code"), text("need_query")) {
        (Some("0"), _) if paid => EventKind::PaymentCaptured,
        (Some("0"), _) if text("pay_result").is_some() => EventKind::PaymentFailed,
        (Some("0"), _) => return Ok(Vec::new()),
        (Some(_), Some("Y")) => EventKind::PaymentPending,
        (Some(_), _) => EventKind::PaymentFailed,
        (None, _) => return Err(MappingError::field("/result_code")),
    };
    let transaction = text("transaction_id").or(text("out_transaction_id"));
    let own = transaction.or(text("out_trade_no")).ok_or_else(|| MappingError::field("/transaction_id"))?;
    let key = PaymentEvent::identified_by(&[own, kind.name()]);
    let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, verified.received_at());
    event.subject_id = text("out_trade_no").map(str::to_owned);
    event.transaction_id = transaction.map(str::to_owned);
    if event.subject_id.is_none() {
        event.references = vec![crate::domain::Reference::new(super::PROVIDER.name, own)];
    }
    let is_paid = kind == EventKind::PaymentCaptured;
    if is_paid && event.subject_id.is_none() {
        return Err(MappingError::field("/out_trade_no"));
    }
    if is_paid || text("total_fee").is_some() {
        event.amount = Some(minor(text("total_fee"), text("fee_type").unwrap_or("CNY"), "/total_fee")?);
    }
    event.occurred_at = text("time_end").and_then(china_time);
    event.provider_status = text("err_code").or(text("trade_state")).unwrap_or_default().to_owned();
    Ok(vec![event])
}
