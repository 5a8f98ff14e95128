//! Signs and encrypts as WeChat Pay would.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::refund::{cipher_key, document};
use super::{Elements, SignType};
use crate::callback::cipher::seal_aes_ecb;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

/// Newer merchants' orders are placed with HMAC-SHA256.
const SIGN_TYPE: SignType = SignType::HmacSha256;

pub(super) fn generate() -> SandboxKeys {
    SandboxKeys {
        key_set: Map::from_iter([
            ("api_key".to_owned(), Value::String(rsa_keys::random_text(32))),
            ("sign_type".to_owned(), Value::String(SIGN_TYPE.name().to_owned())),
            ("expected_mch_id".to_owned(), Value::String("1900000109".to_owned())),
        ]),
        private: Map::new(),
    }
}

/// The payload is an object of texts; a `req_info` in it is an object of its own, and leaves the whole unsigned.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let api_key = keys.key_set.get("api_key").and_then(Value::as_str).unwrap_or_default();
    let members: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    let mut texts: BTreeMap<String, String> = texts(&members);
    match members.get("req_info").and_then(Value::as_object) {
        Some(info) => {
            let info = self::texts(info);
            let plaintext = document("root", &elements(&info));
            let sealed = seal_aes_ecb(cipher_key(api_key).as_bytes(), plaintext.as_bytes());
            let sealed = sealed.expect("the hexadecimal MD5 has the key's length");
            texts.insert("req_info".to_owned(), STANDARD.encode(sealed));
        }
        None => {
            texts.insert("sign_type".to_owned(), SIGN_TYPE.name().to_owned());
            texts.insert("sign".to_owned(), SIGN_TYPE.sign(&elements(&texts), api_key));
        }
    }
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "text/xml; charset=utf-8".to_owned())],
        body: document("xml", &elements(&texts)).into_bytes(),
    }
}

fn texts(members: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    members.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn elements(texts: &BTreeMap<String, String>) -> Elements<'_> {
    texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}
