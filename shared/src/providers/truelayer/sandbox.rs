//! Signs as TrueLayer would.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{HOSTS, JWKS, KEY_SET_PATH};
use crate::sandbox::ecdsa_keys::{self, Curve};
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

const PRIVATE: &str = "pkcs8_base64";
const KEY_ID: &str = "00000000-0000-4000-8000-000000000001";
const TOLERANCE_SECONDS: i64 = 300;

pub(super) fn generate() -> SandboxKeys {
    let key = ecdsa_keys::generate(Curve::P521);
    let (x, y) = key.point[1..].split_at(66);
    let key_set = json!({"keys": [{
        "kty": "EC", "crv": "P-521", "alg": "ES512", "kid": KEY_ID,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }]});
    SandboxKeys {
        key_set: Map::from_iter([
            (JWKS.to_owned(), key_set),
            ("environment".to_owned(), json!("sandbox")),
            ("access_token".to_owned(), json!(rsa_keys::random_text(32))),
            ("tolerance_seconds".to_owned(), json!(TOLERANCE_SECONDS)),
        ]),
        private: Map::from_iter([(PRIVATE.to_owned(), json!(key.pkcs8_base64))]),
    }
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let sent_at = jiff::Timestamp::from_second(payload.sent_at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let signed = format!(
        "POST {}\nX-Tl-Webhook-Timestamp: {sent_at}\nContent-Type: application/json\n{}",
        payload.path, payload.content
    );
    let header = json!({
        "alg": "ES512", "kid": KEY_ID, "tl_version": "2",
        "tl_headers": "X-Tl-Webhook-Timestamp,Content-Type",
        "jku": format!("https://{}{KEY_SET_PATH}", HOSTS[1]),
    });
    let signature = signature(keys, &header, signed.as_bytes());
    let header = |name: &str, value: String| (name.to_owned(), value);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "application/json".to_owned()),
            header("X-Tl-Webhook-Timestamp", sent_at.to_string()),
            header("Tl-Signature", signature),
        ],
        body: payload.content.clone().into_bytes(),
    }
}

/// A detached JWS with this header over this payload.
pub(super) fn signature(keys: &SandboxKeys, header: &Value, payload: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = ecdsa_keys::sign_p521(&keys.private, PRIVATE, input.as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}
