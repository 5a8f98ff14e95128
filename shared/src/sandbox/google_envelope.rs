//! Signs, and encrypts, in Google's envelope.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::ecdsa_keys::{self, Curve};
use super::{Payload, SandboxKeys, SignedRequest};
use crate::callback::UnixSeconds;
use crate::callback::cipher::aes_ctr_from_zero;
use crate::callback::google_envelope::{
    Expected, Protocol, RECIPIENT_KEYS, ROOT_KEYS, derived_keys, length_prefixed,
};
use crate::callback::signature::{EcdsaForm, HmacHash, hmac_tag, sha256};

/// When a key or message is over that shall outlive every test: the year 3000.
const FAR_MS: &str = "32506264800000";
const ROOT: &str = "root_pkcs8_base64";
const INTERMEDIATE: &str = "intermediate_pkcs8_base64";
const INTERMEDIATE_PUBLIC: &str = "intermediate_spki_base64";
const MADE_HERE: &str = "sandbox keys hold what the sandbox made";
const INTERMEDIATE_LIFE_MS: i64 = 14 * 86_400_000;

/// Fresh keys: a root and an intermediate key of Google's, and one of the recipient's where the protocol encrypts.
pub fn generate(protocol: Protocol, recipient_id: &str) -> SandboxKeys {
    let root = ecdsa_keys::generate(Curve::P256);
    let intermediate = ecdsa_keys::generate(Curve::P256);
    let roots = json!({"keys": [{
        "keyValue": root.spki_base64,
        "keyExpiration": FAR_MS,
        "protocolVersion": protocol.name(),
    }]});
    let mut key_set = Map::from_iter([
        (ROOT_KEYS.to_owned(), roots),
        ("recipient_id".to_owned(), Value::from(recipient_id)),
    ]);
    if protocol != Protocol::EcV2SigningOnly {
        let recipient = ecdsa_keys::generate(Curve::P256);
        key_set.insert(RECIPIENT_KEYS.to_owned(), Value::from(recipient.pkcs8_base64));
    }
    let private = Map::from_iter([
        (ROOT.to_owned(), Value::from(root.pkcs8_base64)),
        (INTERMEDIATE.to_owned(), Value::from(intermediate.pkcs8_base64)),
        (INTERMEDIATE_PUBLIC.to_owned(), Value::from(intermediate.spki_base64)),
    ]);
    SandboxKeys { key_set, private }
}

/// The request that carries `payload` as its message.
pub fn sign(keys: &SandboxKeys, payload: &Payload, sender_id: &str, protocol: Protocol) -> SignedRequest {
    let message = match protocol {
        Protocol::EcV2SigningOnly => payload.content.clone(),
        _ => sealed(keys, payload, protocol),
    };
    let recipient_id = keys.key_set.get("recipient_id").and_then(Value::as_str).expect(MADE_HERE);
    let expected = Expected { sender_id, recipient_id, protocol };
    let body = enveloped(keys, &message, expected, payload.sent_at).to_string();
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    }
}

fn enveloped(keys: &SandboxKeys, message: &str, expected: Expected<'_>, sent_at: UnixSeconds) -> Value {
    let signature = |by: &str, texts: &[&str]| {
        let message = length_prefixed(texts);
        STANDARD.encode(ecdsa_keys::sign_p256(&keys.private, by, &message, EcdsaForm::Der))
    };
    let Expected { sender_id, recipient_id, protocol } = expected;
    let signed_message = [sender_id, recipient_id, protocol.name(), message];
    if protocol == Protocol::EcV1 {
        return json!({
            "protocolVersion": protocol.name(),
            "signature": signature(ROOT, &signed_message),
            "signedMessage": message,
        });
    }
    let expiration_ms = sent_at.0 * 1000 + INTERMEDIATE_LIFE_MS;
    let signed_key = json!({
        "keyValue": keys.private.get(INTERMEDIATE_PUBLIC),
        "keyExpiration": expiration_ms.to_string(),
    });
    let signed_key = signed_key.to_string();
    json!({
        "protocolVersion": protocol.name(),
        "intermediateSigningKey": {
            "signedKey": signed_key,
            "signatures": [signature(ROOT, &[sender_id, protocol.name(), &signed_key])],
        },
        "signature": signature(INTERMEDIATE, &signed_message),
        "signedMessage": message,
    })
}

fn sealed(keys: &SandboxKeys, payload: &Payload, protocol: Protocol) -> String {
    let text = keys.key_set.get(RECIPIENT_KEYS).and_then(Value::as_str).expect(MADE_HERE);
    let der = STANDARD.decode(text).expect(MADE_HERE);
    let recipient = PrivateKey::from_private_key_der(&ECDH_P256, &der).expect(MADE_HERE);
    let recipient = recipient.compute_public_key().expect(MADE_HERE);
    // A key of a single message must not serve another one, so it depends on the message.
    let scalar = sha256(&[&der[..], payload.event_id.as_bytes(), payload.content.as_bytes()].concat());
    let ephemeral = PrivateKey::from_private_key(&ECDH_P256, &scalar).expect("a digest is a scalar");
    let point = ephemeral.compute_public_key().expect("a key has its point");
    let key_bytes = if protocol == Protocol::EcV1 { 16 } else { 32 };
    let peer = UnparsedPublicKey::new(&ECDH_P256, recipient.as_ref());
    let derived =
        agree(&ephemeral, peer, (), |secret| derived_keys(point.as_ref(), secret, key_bytes).ok_or(()));
    let derived = derived.expect("both keys are on the curve");
    let (encryption_key, mac_key) = derived.split_at(key_bytes);
    let ciphertext =
        aes_ctr_from_zero(encryption_key, payload.content.as_bytes()).expect("the key has its length");
    json!({
        "encryptedMessage": STANDARD.encode(&ciphertext),
        "ephemeralPublicKey": STANDARD.encode(point.as_ref()),
        "tag": STANDARD.encode(hmac_tag(HmacHash::Sha256, mac_key, &[&ciphertext])),
    })
    .to_string()
}
