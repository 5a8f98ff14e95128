//! Signs as Paddle would.

use serde_json::{Map, Value};

use crate::callback::form::Form;
use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let key = rsa_keys::generate();
    SandboxKeys {
        key_set: Map::from_iter([("public_key_pem".to_owned(), Value::String(key.spki_base64))]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::String(key.pkcs8_base64))]),
    }
}

/// The payload is an object of texts.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let members: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    let mut body = FormBody::default();
    for (name, value) in &members {
        body.push(name, value.as_str().unwrap_or_default());
    }
    let request = body.into_request();
    let text = Form::parse(&request.body).map(|form| super::serialised(&form)).unwrap_or_default();
    let mut body = FormBody::default();
    for (name, value) in &members {
        body.push(name, value.as_str().unwrap_or_default());
    }
    body.push(super::SIGNATURE, &rsa_keys::sign_sha1(&keys.private, "pkcs8_base64", &text));
    body.into_request()
}
