//! Pushes as Cloud Pub/Sub would.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const PRIVATE: &str = "pkcs8_base64";
const TOKEN_LIFE_SECONDS: i64 = 3600;

pub(super) fn generate() -> SandboxKeys {
    let (certificate, pkcs8_base64) =
        rsa_keys::root("sandbox").leaf("federated-signon.system.gserviceaccount.com");
    SandboxKeys {
        key_set: Map::from_iter([
            (super::CERTIFICATES.to_owned(), json!({ KEY_ID: certificate.pem() })),
            ("audience".to_owned(), json!("https://merchant.example/hooks/google_play_rtdn")),
            ("service_account_email".to_owned(), json!("push@sandbox-project.iam.gserviceaccount.com")),
            ("package_name".to_owned(), json!("com.example.sandbox")),
        ]),
        private: Map::from_iter([(PRIVATE.to_owned(), json!(pkcs8_base64))]),
    }
}

/// The payload is the notification in the clear.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let body = json!({
        "message": {
            "attributes": {},
            "data": STANDARD.encode(&payload.content),
            "messageId": payload.event_id,
            "message_id": payload.event_id,
        },
        "subscription": "projects/sandbox-project/subscriptions/play-billing",
    });
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Authorization".to_owned(), format!("Bearer {}", token(keys, &claims(keys, payload)))),
        ],
        body: body.to_string().into_bytes(),
    }
}

fn claims(keys: &SandboxKeys, payload: &Payload) -> Value {
    json!({
        "iss": "https://accounts.google.com",
        "aud": keys.key_set.get("audience"),
        "email": keys.key_set.get("service_account_email"),
        "email_verified": true,
        "iat": payload.sent_at.0,
        "exp": payload.sent_at.0 + TOKEN_LIFE_SECONDS,
    })
}

/// A token with these claims, signed by the sandbox's key.
pub(super) fn token(keys: &SandboxKeys, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"});
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encoded(&header), encoded(claims));
    let signature = rsa_keys::sign_sha256(&keys.private, PRIVATE, input.as_bytes());
    let signature = STANDARD.decode(signature).expect("the signature was just encoded");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
