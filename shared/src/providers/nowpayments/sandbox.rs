//! Signs as NOWPayments would.

use serde_json::{Map, Value};

use super::SIGNATURE_HEADER;
use super::canonical::{self, Nested};
use crate::callback::json::Json;
use crate::callback::signature::{HmacHash, hmac_tag};
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let secret = Value::String(rsa_keys::random_text(32));
    let fields = Map::from_iter([("secret".to_owned(), secret)]);
    SandboxKeys { key_set: fields.clone(), private: fields }
}

/// What is no object cannot be signed: its signature is that of the bytes.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let body = Json::parse(payload.content.as_bytes()).ok();
    let text = body.and_then(|body| canonical::text(&body, Nested::Sorted));
    let text = text.unwrap_or_else(|| payload.content.clone());
    let secret = keys.private.get("secret").and_then(Value::as_str).unwrap_or_default();
    let tag = hmac_tag(HmacHash::Sha512, secret.as_bytes(), &[text.as_bytes()]);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            (SIGNATURE_HEADER.to_owned(), hex::encode(tag)),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        body: payload.content.clone().into_bytes(),
    }
}
