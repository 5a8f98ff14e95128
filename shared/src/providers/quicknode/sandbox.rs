//! Signs as Quicknode would.

use serde_json::{Map, Value};

use super::{NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::callback::signature::{HmacHash, hmac_tag};
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let secret = Value::String(format!("qnsec_{}", rsa_keys::random_text(32)));
    let fields = Map::from_iter([("secret".to_owned(), secret)]);
    let mut key_set = fields.clone();
    let nodes = ["arbitrum", "avalanche", "base", "bsc", "ethereum", "optimism", "polygon", "tron"];
    let nodes = nodes.map(|network| (network.to_owned(), Value::from("https://quicknode-node.example")));
    key_set.insert("nodes".to_owned(), Value::Object(Map::from_iter(nodes)));
    SandboxKeys { key_set, private: fields }
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let secret = keys.private.get("secret").and_then(Value::as_str).unwrap_or_default();
    let time = payload.sent_at.0.to_string();
    let parts = [payload.event_id.as_bytes(), time.as_bytes(), payload.content.as_bytes()];
    let tag = hmac_tag(HmacHash::Sha256, secret.as_bytes(), &parts);
    let header = |name: &str, value: String| (name.to_owned(), value);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header(NONCE_HEADER, payload.event_id.clone()),
            header(TIMESTAMP_HEADER, time),
            header(SIGNATURE_HEADER, hex::encode(tag)),
            header("content-type", "application/json".to_owned()),
        ],
        body: payload.content.clone().into_bytes(),
    }
}
