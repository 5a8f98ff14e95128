//! Signs as UnionPay's gateway would, with authorities of its own.

use serde_json::{Map, Value};

use crate::callback::signature::sha256;
use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

pub(super) fn generate() -> SandboxKeys {
    let root = rsa_keys::root("Paybell sandbox CS CA");
    let middle = root.intermediate("Paybell sandbox OCA1");
    let (leaf, pkcs8_base64) =
        middle.leaf(&format!("041@8310000000083040@{}@00000001", super::UNIONPAY_IDENTITY));
    SandboxKeys {
        key_set: Map::from_iter([
            ("middle_cert_pem".to_owned(), Value::String(middle.certificate.pem())),
            ("root_cert_pem".to_owned(), Value::String(root.certificate.pem())),
            ("expected_mer_id".to_owned(), Value::String("777290000000001".to_owned())),
        ]),
        private: Map::from_iter([
            ("pkcs8_base64".to_owned(), Value::String(pkcs8_base64)),
            ("leaf_cert_pem".to_owned(), Value::String(leaf.pem())),
        ]),
    }
}

/// The payload is an object of texts; a currency given by letters is sent by its number.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let mut members: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    if let Some(leaf) = keys.private.get("leaf_cert_pem") {
        members.insert("signPubKeyCert".to_owned(), leaf.clone());
    }
    let mut body = FormBody::default();
    for (name, value) in &members {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let numeric = (name == "currencyCode").then(|| super::events::numeric(&text)).flatten();
        body.push(name, numeric.unwrap_or(&text));
    }
    let digest = hex::encode(sha256(&body.sorted_pairs(&["signature"])));
    body.push("signature", &rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", digest.as_bytes()));
    body.into_request()
}
