//! Signs and encrypts as Yeepay would.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::pkcs8::DecodePublicKey;
use serde_json::{Map, Value};

use crate::callback::cipher::seal_aes_ecb;
use crate::callback::signature::sha256;
use crate::sandbox::ecdsa_keys::derived_random;
use crate::sandbox::form_body::FormBody;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

const MADE_HERE: &str = "sandbox keys hold what the sandbox made";

pub(super) fn generate() -> SandboxKeys {
    let (merchant, platform) = (rsa_keys::generate(), rsa_keys::generate());
    SandboxKeys {
        key_set: Map::from_iter([
            (super::MERCHANT_KEY.to_owned(), Value::from(merchant.pkcs8_base64)),
            (super::YOP_KEY.to_owned(), Value::from(platform.spki_base64)),
            (super::MERCHANT_NO.to_owned(), Value::from("10080000001")),
        ]),
        private: Map::from_iter([
            ("pkcs8_base64".to_owned(), Value::from(platform.pkcs8_base64)),
            ("merchant_spki_base64".to_owned(), Value::from(merchant.spki_base64)),
        ]),
    }
}

/// The payload is the document inside.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let document = payload.content.trim();
    let signature = rsa_keys::sign_sha256(&keys.private, "pkcs8_base64", document.as_bytes());
    let inner = format!("{document}${signature}");
    // A key must not serve two documents, so it depends on the document.
    let seed = sha256(&[b"envelope", payload.event_id.as_bytes(), document.as_bytes()].concat());
    let data = seal_aes_ecb(&seed[..super::AES_KEY_BYTES], inner.as_bytes()).expect("the key has 16 bytes");
    let spki = keys.private.get("merchant_spki_base64").and_then(Value::as_str);
    let spki = spki.and_then(|text| STANDARD.decode(text).ok()).expect(MADE_HERE);
    let merchant = rsa::RsaPublicKey::from_public_key_der(&spki).expect(MADE_HERE);
    let key = merchant
        .encrypt(&mut derived_random(&seed), rsa::Pkcs1v15Encrypt, &seed[..super::AES_KEY_BYTES])
        .expect("a key of 16 bytes fits");
    let envelope = format!("{}${}$AES$SHA256", STANDARD.encode(key), STANDARD.encode(data));
    let mut body = FormBody::default();
    body.push("customerIdentification", "OPR:10080000001");
    body.push(super::ENVELOPE, &envelope);
    body.into_request()
}
