//! Signs as Braintree would.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::callback::KeySet;
use crate::callback::signature::{HmacHash, hmac_tag};
use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    SandboxKeys {
        key_set: Map::from_iter([
            ("public_key".to_owned(), Value::String(rsa_keys::random_text(16))),
            ("private_key".to_owned(), Value::String(rsa_keys::random_text(32))),
        ]),
        private: Map::new(),
    }
}

/// The payload is the notification as an object of objects and texts.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let members: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    let mut document = String::new();
    write_elements(&Map::from_iter([("notification".to_owned(), Value::Object(members))]), &mut document);
    // In lines of 60 characters, each with its end, as Ruby encodes.
    let encoded = STANDARD.encode(document);
    let lines = encoded.as_bytes().chunks(60).flat_map(|line| line.iter().copied().chain([b'\n']));
    let encoded = String::from_utf8_lossy(&lines.collect::<Vec<_>>()).into_owned();
    let key_set = KeySet::new("sandbox", keys.key_set.clone());
    let key = super::mac_key(&key_set).unwrap_or_default();
    let tag = hex::encode(hmac_tag(HmacHash::Sha1, &key, &[encoded.as_bytes()]));
    let mut body = FormBody::default();
    body.push("bt_signature", &format!("{}|{tag}", key_set.text("public_key").unwrap_or_default()));
    body.push("bt_payload", &encoded);
    body.into_request()
}

fn write_elements(members: &Map<String, Value>, document: &mut String) {
    for (name, value) in members {
        document.push_str(&format!("<{name}>"));
        match value {
            Value::Object(members) => write_elements(members, document),
            Value::String(text) => {
                let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                document.push_str(&escaped);
            }
            other => document.push_str(&other.to_string()),
        }
        document.push_str(&format!("</{name}>\n"));
    }
}
