//! Signs and encrypts as WeChat Pay would.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::callback::signature::sha256;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

const KEY_ID: &str = "PUB_KEY_ID_0000000000012026010100000000000001";
const ASSOCIATED_DATA: &str = "transaction";

pub(super) fn generate() -> SandboxKeys {
    let key = rsa_keys::generate();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", key.spki_base64);
    SandboxKeys {
        key_set: Map::from_iter([
            ("api_v3_key".to_owned(), Value::String(rsa_keys::random_text(32))),
            ("platform_public_keys".to_owned(), json!({ KEY_ID: pem })),
            ("expected_mchid".to_owned(), Value::String("1900000001".to_owned())),
        ]),
        private: Map::from_iter([("pkcs8_base64".to_owned(), Value::String(key.pkcs8_base64))]),
    }
}

/// The payload is the envelope with the resource in the clear.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let mut envelope: Map<String, Value> = serde_json::from_str(&payload.content).unwrap_or_default();
    let resource = envelope.remove("resource").unwrap_or_default().to_string();
    envelope.insert("id".to_owned(), Value::String(payload.event_id.clone()));
    envelope.insert("resource".to_owned(), sealed(keys, &payload.event_id, &resource));
    let body = Value::Object(envelope).to_string();
    let timestamp = payload.sent_at.0.to_string();
    let nonce = text_of(&[b"header", payload.event_id.as_bytes(), body.as_bytes()], 32);
    let message = format!("{timestamp}\n{nonce}\n{body}\n");
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "application/json"),
            header("Wechatpay-Timestamp", &timestamp),
            header("Wechatpay-Nonce", &nonce),
            header("Wechatpay-Serial", KEY_ID),
            header("Wechatpay-Signature-Type", super::SIGNATURE_TYPE),
            (
                "Wechatpay-Signature".to_owned(),
                rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", message.as_bytes()),
            ),
        ],
        body: body.into_bytes(),
    }
}

fn sealed(keys: &SandboxKeys, event_id: &str, plaintext: &str) -> Value {
    let key = keys.key_set.get("api_v3_key").and_then(Value::as_str).unwrap_or_default();
    let key = UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("the sandbox makes keys of 32 bytes");
    // A nonce must not be used for two plaintexts, so it depends on the plaintext.
    let nonce = text_of(&[b"resource", event_id.as_bytes(), plaintext.as_bytes()], NONCE_LEN);
    let bytes: [u8; NONCE_LEN] = nonce.as_bytes().try_into().expect("the text has the nonce's length");
    let mut sealed = plaintext.as_bytes().to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(bytes),
            Aad::from(ASSOCIATED_DATA),
            &mut sealed,
        )
        .expect("a resource is short enough to be sealed");
    json!({
        "original_type": ASSOCIATED_DATA,
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": STANDARD.encode(sealed),
        "associated_data": ASSOCIATED_DATA,
        "nonce": nonce,
    })
}

fn text_of(parts: &[&[u8]], length: usize) -> String {
    hex::encode(sha256(&parts.concat()))[..length].to_owned()
}
