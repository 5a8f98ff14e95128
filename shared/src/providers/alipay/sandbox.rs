//! Signs as Alipay would.

use serde_json::{Map, Value};

use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let key = rsa_keys::generate();
    let text = |value: &str| Value::String(value.to_owned());
    SandboxKeys {
        key_set: Map::from_iter([
            ("alipay_public_key_spki_b64".to_owned(), Value::String(key.spki_base64)),
            ("sign_type".to_owned(), text("RSA2")),
            ("expected_app_id".to_owned(), text("9021000000000001")),
            ("expected_seller_id".to_owned(), text("2088000000000001")),
        ]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::String(key.pkcs8_base64))]),
    }
}

/// The payload is an object of texts; a member that is an object or array is sent as its JSON text.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let members: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    let mut body = FormBody::default();
    for (name, value) in &members {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        body.push(name, &value);
    }
    let text = body.sorted_pairs(&["sign", "sign_type"]);
    let signature = rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", &text);
    body.push("sign_type", "RSA2");
    body.push("sign", &signature);
    body.into_request()
}
