//! Signs as the App Store would, with a root of its own.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::callback::signature::EcdsaForm;
use crate::providers::apple::sandbox::chain;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, ecdsa_keys};

/// As the payload templates have them.
const BUNDLE_ID: &str = "com.example.paybell";
const APP_APPLE_ID: u64 = 1_234_567_890;

pub(super) fn generate() -> SandboxKeys {
    let chain = chain(&super::MARKS);
    let x5c = [&chain.leaf, &chain.intermediate, &chain.root].map(|der| STANDARD.encode(der));
    SandboxKeys {
        key_set: Map::from_iter([
            ("bundle_id".to_owned(), Value::from(BUNDLE_ID)),
            ("environment".to_owned(), Value::from("Production")),
            ("app_apple_id".to_owned(), Value::from(APP_APPLE_ID)),
            ("root_cert_der_b64".to_owned(), Value::from(STANDARD.encode(&chain.root))),
        ]),
        private: Map::from_iter([
            ("pkcs8_base64".to_owned(), Value::from(chain.pkcs8_base64)),
            ("x5c".to_owned(), Value::from(x5c.to_vec())),
        ]),
    }
}

/// The payload is the notification with the nested objects in the clear: `data.transaction` and `data.renewal`.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let signed = match serde_json::from_str::<Value>(&payload.content) {
        Ok(mut notification) => {
            for (clear, sealed) in
                [("transaction", "signedTransactionInfo"), ("renewal", "signedRenewalInfo")]
            {
                let data = notification.get_mut("data").and_then(Value::as_object_mut);
                if let Some((data, nested)) =
                    data.and_then(|data| data.remove(clear).map(|nested| (data, nested)))
                {
                    data.insert(sealed.to_owned(), Value::from(jws(keys, &nested.to_string())));
                }
            }
            jws(keys, &notification.to_string())
        }
        Err(_) => jws(keys, &payload.content),
    };
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: json!({ "signedPayload": signed }).to_string().into_bytes(),
    }
}

fn jws(keys: &SandboxKeys, payload: &str) -> String {
    let x5c = keys.private.get("x5c").cloned().unwrap_or_default();
    let header = json!({ "alg": "ES256", "x5c": x5c }).to_string();
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = ecdsa_keys::sign_p256(&keys.private, "pkcs8_base64", input.as_bytes(), EcdsaForm::Raw);
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
