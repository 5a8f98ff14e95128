//! Signs as Adapay would.

use serde_json::{Map, Value};

use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

/// As the payload templates have it.
const APP_ID: &str = "app_7d87c043-0000-4000-8000-000000000001";

pub(super) fn generate() -> SandboxKeys {
    let key = rsa_keys::generate();
    SandboxKeys {
        key_set: Map::from_iter([
            (super::PUBLIC_KEY.to_owned(), Value::from(key.spki_base64)),
            (super::APP_ID.to_owned(), Value::from(APP_ID)),
        ]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::from(key.pkcs8_base64))]),
    }
}

/// The payload is the data; object and status make the type.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let data = payload.content.trim();
    let parsed: Value = serde_json::from_str(data).unwrap_or_default();
    let text = |name: &str| parsed.get(name).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let mut body = FormBody::default();
    body.push("app_id", APP_ID);
    body.push("created_time", &payload.sent_at.0.to_string());
    body.push("data", data);
    body.push("id", &payload.event_id);
    body.push("object", &text("object"));
    body.push("type", &format!("{}.{}", text("object"), text("status")));
    body.push("sign", &rsa_keys::sign_sha1(&keys.private, "pkcs8_base64", data.as_bytes()));
    body.into_request()
}
