//! Refund notices: encrypted, not signed, so the truth is asked of WeChat Pay.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::events::{CURRENCY, Events, Message};
use super::{Elements, SignType};
use crate::callback::cipher::open_aes_ecb;
use crate::callback::signature::sha256;
use crate::callback::xml::{Xml, escape};
use crate::callback::{KeySet, Rejection, Verified};
use crate::domain::{EventKind, PaymentEvent};
use crate::providers::read::{china_time, minor};
use crate::providers::{FetchMethod, FetchRequest, MappingError};

const HOST: &str = "api.mch.weixin.qq.com";

/// Opens `req_info`; what comes out must be the document of a refund.
///
/// # Source
/// WeChat Pay API v2, "退款结果通知": base64, then AES-256 in ECB mode with PKCS#7 padding, keyed by the lower-case
/// hexadecimal MD5 of the API key.
pub(super) fn open(sealed: &str, keys: &KeySet) -> Result<Vec<u8>, Rejection> {
    let sealed: String = sealed.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let sealed = STANDARD.decode(sealed).map_err(|_| Rejection::DecryptFailed)?;
    let opened = open_aes_ecb(cipher_key(keys.text("api_key")?).as_bytes(), &sealed)?;
    let is_refund = Xml::parse(&opened)
        .is_ok_and(|document| document.flat().is_ok_and(|elements| elements.contains_key("refund_id")));
    if is_refund { Ok(opened) } else { Err(Rejection::DecryptFailed) }
}

pub(super) fn cipher_key(api_key: &str) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(Md5::digest(api_key)))
}

/// What the notice claims.
pub(super) fn normalise_hint(verified: &Verified) -> Events {
    let document = Xml::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let message = message(&document, verified)?;
    Ok(vec![refund(&message, "")?])
}

/// The answer must be about the refund and the merchant that were asked about.
pub(super) fn require_answer(verified: &Verified, keys: &KeySet) -> Result<(), MappingError> {
    let answer = Xml::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let envelope = Xml::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let answer = message(&answer, verified)?;
    let envelope = message(&envelope, verified)?;
    let opened = open(envelope.required("req_info")?, keys).map_err(|_| MappingError::field("req_info"))?;
    let opened = Xml::parse(&opened).map_err(|_| MappingError::Content)?;
    let asked = message(&opened, verified)?;
    if answer.text("mch_id") != envelope.text("mch_id") {
        return Err(MappingError::field("mch_id"));
    }
    let refunds = answer.elements.iter().filter(|(name, _)| name.starts_with("refund_id"));
    let about_it = refunds.map(|(_, id)| *id).eq([asked.required("refund_id")?]);
    if about_it { Ok(()) } else { Err(MappingError::field("refund_id_0")) }
}

/// What WeChat Pay answers: one refund, whose elements end in its index.
pub(super) fn normalise_answer(verified: &Verified) -> Events {
    let document = Xml::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let message = message(&document, verified)?;
    for code in ["return_code", "result_code"] {
        if message.required(code)? != "SUCCESS" {
            return Err(MappingError::field(code));
        }
    }
    let suffixes = message.elements.keys().filter_map(|name| name.strip_prefix("refund_id"));
    let refunds: Vec<PaymentEvent> =
        suffixes.map(|suffix| refund(&message, suffix)).collect::<Result<_, _>>()?;
    if refunds.is_empty() { Err(MappingError::field("refund_id_0")) } else { Ok(refunds) }
}

fn message<'a>(document: &'a Xml, verified: &Verified) -> Result<Message<'a>, MappingError> {
    let elements = document.flat().map_err(|_| MappingError::Content)?;
    Ok(Message { elements, received_at: verified.received_at() })
}

fn refund(message: &Message<'_>, suffix: &str) -> Result<PaymentEvent, MappingError> {
    let name = |name: &str| format!("{name}{suffix}");
    let status = message.required(&name("refund_status"))?;
    let kind = match status {
        "SUCCESS" => EventKind::RefundSucceeded,
        "PROCESSING" => EventKind::RefundPending,
        // The bank refused it, and a person must choose another way.
        "CHANGE" | "REFUNDCLOSE" => EventKind::RefundFailed,
        _ => return Err(MappingError::field(name("refund_status"))),
    };
    let id = message.required(&name("refund_id"))?;
    let mut event = message.event(kind, &["refund", id, status], status);
    event.subject_id = Some(message.required("out_trade_no")?.to_owned());
    event.transaction_id = Some(message.required("transaction_id")?.to_owned());
    event.refund_id = Some(id.to_owned());
    let currency = message.text(&name("refund_fee_type")).or(message.text("fee_type")).unwrap_or(CURRENCY);
    let fee = name("refund_fee");
    event.amount = Some(minor(message.text(&fee), currency, &fee)?);
    let at = message.text(&name("refund_success_time")).or(message.text("success_time"));
    event.occurred_at = at.and_then(china_time);
    Ok(event)
}

/// Asks for the one refund, by WeChat Pay's number of it.
///
/// # Source
/// WeChat Pay API v2, "查询退款".
pub(super) fn requests(verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
    let unconfigured = |_| MappingError::field("credentials");
    let opened = Xml::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let envelope = Xml::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let opened = message(&opened, verified)?;
    let envelope = message(&envelope, verified)?;
    let refund_id = opened.required("refund_id")?;
    let sign_type = SignType::configured(keys).map_err(unconfigured)?;
    let nonce = hex::encode(&sha256(format!("{refund_id}:{}", verified.received_at().0).as_bytes())[..16]);
    let mut elements = Elements::from([
        ("appid", envelope.required("appid")?),
        ("mch_id", envelope.required("mch_id")?),
        ("nonce_str", nonce.as_str()),
        ("refund_id", refund_id),
        ("sign_type", sign_type.name()),
    ]);
    for name in ["sub_appid", "sub_mch_id"] {
        if let Some(text) = envelope.text(name) {
            elements.insert(name, text);
        }
    }
    let sign = sign_type.sign(&elements, keys.text("api_key").map_err(unconfigured)?);
    elements.insert("sign", &sign);
    Ok(vec![FetchRequest {
        method: FetchMethod::Post,
        url: format!("https://{HOST}/pay/refundquery"),
        pinned_host: HOST.to_owned(),
        headers: vec![("content-type".to_owned(), "text/xml; charset=utf-8".to_owned())],
        body: document("xml", &elements).into_bytes(),
    }])
}

/// The document with these elements.
pub(super) fn document(root: &str, elements: &Elements<'_>) -> String {
    let elements: String =
        elements.iter().map(|(name, text)| format!("<{name}>{}</{name}>", escape(text))).collect();
    format!("<{root}>{elements}</{root}>")
}
