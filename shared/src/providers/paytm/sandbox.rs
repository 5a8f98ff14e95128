//! Signs as Paytm would.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::callback::cipher::seal_aes_cbc;
use crate::callback::form::Form;
use crate::callback::signature::sealed::salted_digest;
use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

/// The real ones are random; this one makes the same request every time.
const SALT: &[u8] = b"sand";

pub(super) fn generate() -> SandboxKeys {
    SandboxKeys {
        key_set: Map::from_iter([
            ("merchant_key".to_owned(), Value::String(rsa_keys::random_text(16))),
            ("mid".to_owned(), Value::from("SANDBOX0000000000001")),
        ]),
        private: Map::new(),
    }
}

/// The payload is an object of texts, the parameters; or one with `body`, which is sent as JSON.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let members: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    match members.get("body") {
        Some(content) => signed_json(keys, &content.to_string()),
        None => signed_form(keys, &members),
    }
}

fn signed_form(keys: &SandboxKeys, members: &Map<String, Value>) -> SignedRequest {
    let unsigned = form_body(members).into_request();
    let text = Form::parse(&unsigned.body).map(|form| super::signed_text(&form)).unwrap_or_default();
    let mut body = form_body(members);
    body.push(super::SIGNATURE, &checksum(keys, &text));
    body.into_request()
}

fn form_body(members: &Map<String, Value>) -> FormBody {
    let mut body = FormBody::default();
    for (name, value) in members {
        body.push(name, value.as_str().unwrap_or_default());
    }
    body
}

fn signed_json(keys: &SandboxKeys, content: &str) -> SignedRequest {
    let signature = checksum(keys, content.as_bytes());
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: format!(r#"{{"head":{{"signature":"{signature}","version":"v1"}},"body":{content}}}"#)
            .into_bytes(),
    }
}

fn checksum(keys: &SandboxKeys, text: &[u8]) -> String {
    let key = keys.key_set.get("merchant_key").and_then(Value::as_str).unwrap_or_default();
    let sealed = seal_aes_cbc(key.as_bytes(), super::IV, &salted_digest(text, SALT));
    STANDARD.encode(sealed.unwrap_or_default())
}
