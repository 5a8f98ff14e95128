//! Bodies signed with RSA and SHA-256, the signature in a header: what several aggregators send.

use serde_json::{Map, Value};

use super::{Payload, SandboxKeys, SignedRequest, rsa_keys};

/// A fresh key, whose public half is the base64 text of `field`, and the `others` of the key set.
pub fn generate(field: &str, others: &[(&str, &str)]) -> SandboxKeys {
    let key = rsa_keys::generate();
    let others = others.iter().map(|(name, text)| ((*name).to_owned(), Value::String((*text).to_owned())));
    SandboxKeys {
        key_set: others.chain([(field.to_owned(), Value::String(key.spki_base64))]).collect(),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::String(key.pkcs8_base64))]),
    }
}

/// The payload as JSON, with its signature in the header `name`.
pub fn sign(keys: &SandboxKeys, payload: &Payload, name: &str) -> SignedRequest {
    let body = payload.content.clone().into_bytes();
    let signature = rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", &body);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            (name.to_owned(), signature),
        ],
        body,
    }
}
