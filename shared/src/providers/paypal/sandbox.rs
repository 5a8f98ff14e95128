//! Signs as PayPal would, with an authority of its own.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::callback::signature::sha256;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

const CERTIFICATE_ADDRESS: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-sandbox";

pub(super) fn generate() -> SandboxKeys {
    let root = rsa_keys::root("Paybell sandbox authority");
    let (leaf, pkcs8_base64) = root.leaf("messageverificationcerts.sandbox.paypal.com");
    SandboxKeys {
        key_set: Map::from_iter([
            ("webhook_id".to_owned(), Value::String(rsa_keys::random_text(17))),
            ("cert_pem".to_owned(), Value::String(leaf.pem())),
            ("trust_anchor_pem".to_owned(), Value::String(root.certificate.pem())),
        ]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::String(pkcs8_base64))]),
    }
}

/// The payload is the body.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let webhook_id = keys.key_set.get("webhook_id").and_then(Value::as_str).unwrap_or_default();
    let time = Timestamp::from_second(payload.sent_at.0).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
    let digest = hex::encode(sha256(payload.event_id.as_bytes()));
    let id = format!("{}-{}-{}", &digest[..8], &digest[8..12], &digest[12..24]);
    let message = format!("{id}|{time}|{webhook_id}|{}", crc32fast::hash(payload.content.as_bytes()));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "application/json"),
            header("PAYPAL-TRANSMISSION-ID", &id),
            header("PAYPAL-TRANSMISSION-TIME", &time),
            header("PAYPAL-AUTH-ALGO", super::ALGORITHM),
            header("PAYPAL-CERT-URL", CERTIFICATE_ADDRESS),
            (
                "PAYPAL-TRANSMISSION-SIG".to_owned(),
                rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", message.as_bytes()),
            ),
        ],
        body: payload.content.clone().into_bytes(),
    }
}
