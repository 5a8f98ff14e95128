//! Signs as Hook0 would for Coinbase.

use serde_json::{Map, Value};

use crate::callback::signature::{HmacHash, hmac_tag};
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let secret = Value::String(rsa_keys::random_text(36));
    SandboxKeys {
        key_set: Map::from_iter([("secret".to_owned(), secret.clone())]),
        private: Map::from_iter([("secret".to_owned(), secret)]),
    }
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let secret = keys.private.get("secret").and_then(Value::as_str).unwrap_or_default();
    let (time, id) = (payload.sent_at.0, &payload.event_id);
    let message = format!("{time}.x-event-id x-event-type.{id}.checkout.{}", payload.content);
    let code = hex::encode(hmac_tag(HmacHash::Sha256, secret.as_bytes(), &[message.as_bytes()]));
    let header = |name: &str, value: String| (name.to_owned(), value);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "application/json".to_owned()),
            header("X-Event-Id", id.clone()),
            header("X-Event-Type", "checkout".to_owned()),
            header("X-Hook0-Signature", format!("t={time},h=x-event-id x-event-type,v1={code}")),
        ],
        body: payload.content.clone().into_bytes(),
    }
}
