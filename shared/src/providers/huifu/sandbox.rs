//! Signs notifications as Huifu would.

use serde_json::{Map, Value};

use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

/// As the payload templates have it.
const MERCHANT: &str = "6666000000000001";

pub(super) fn generate() -> SandboxKeys {
    let key = rsa_keys::generate();
    SandboxKeys {
        key_set: Map::from_iter([
            (super::PUBLIC_KEY.to_owned(), Value::from(key.spki_base64)),
            (super::HUIFU_ID.to_owned(), Value::from(MERCHANT)),
        ]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::from(key.pkcs8_base64))]),
    }
}

/// The payload is `resp_data`.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let data = payload.content.trim();
    let mut body = FormBody::default();
    body.push("resp_code", "00000000");
    body.push("resp_desc", "交易成功");
    body.push(super::SIGNED, data);
    body.push("sign", &rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", data.as_bytes()));
    body.into_request()
}
