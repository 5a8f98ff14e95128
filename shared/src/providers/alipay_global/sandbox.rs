//! Signs as Antom would.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{CLIENT_ID, KEY_VERSION, PUBLIC_KEY};
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let key = rsa_keys::generate();
    SandboxKeys {
        key_set: Map::from_iter([
            (PUBLIC_KEY.to_owned(), Value::String(key.spki_base64)),
            (CLIENT_ID.to_owned(), Value::String("SANDBOX_5Y00000000000001".to_owned())),
            (KEY_VERSION.to_owned(), Value::String("1".to_owned())),
        ]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::String(key.pkcs8_base64))]),
    }
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let client_id = keys.key_set.get(CLIENT_ID).and_then(Value::as_str).unwrap_or_default();
    let request_time = Timestamp::from_second(payload.sent_at.0).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
    let message = format!("POST {}\n{client_id}.{request_time}.{}", payload.path, payload.content);
    let signature = rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", message.as_bytes());
    let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
    let header = |name: &str, value: String| (name.to_owned(), value);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "application/json; charset=UTF-8".to_owned()),
            header("client-id", client_id.to_owned()),
            header("request-time", request_time),
            header("signature", format!("algorithm=RSA256,keyVersion=1,signature={signature}")),
        ],
        body: payload.content.clone().into_bytes(),
    }
}
