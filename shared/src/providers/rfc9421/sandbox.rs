//! Signs a request as RFC 9421 says.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::sandbox::{Payload, SandboxKeys, SignedRequest};

const PRIVATE: &str = "pkcs8_base64";
const AUTHORITY: &str = "merchant.example";
const KEY_ID: &str = "sandbox";
const MADE_HERE: &str = "sandbox keys hold what the sandbox made";

pub(super) fn generate() -> SandboxKeys {
    let private =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system provides randomness");
    let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).expect(MADE_HERE);
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("a generated key encodes");
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(public.as_ref())
    );
    SandboxKeys {
        key_set: Map::from_iter([
            ("alg".to_owned(), json!("ed25519")),
            ("public_key_pem".to_owned(), json!(pem)),
            ("keyid".to_owned(), json!(KEY_ID)),
            ("authority".to_owned(), json!(AUTHORITY)),
        ]),
        private: Map::from_iter([(PRIVATE.to_owned(), json!(STANDARD.encode(private.as_ref())))]),
    }
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&payload.content)));
    let parameters = format!(
        r#"("@method" "@authority" "content-type" "content-digest");created={};keyid="{KEY_ID}""#,
        payload.sent_at.0
    );
    let base = format!(
        "\"@method\": POST\n\"@authority\": {AUTHORITY}\n\"content-type\": application/json\n\
         \"content-digest\": {digest}\n\"@signature-params\": {parameters}"
    );
    let header = |name: &str, value: String| (name.to_owned(), value);
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "application/json".to_owned()),
            header("Content-Digest", digest),
            header("Signature-Input", format!("sig={parameters}")),
            header("Signature", format!("sig=:{}:", signature(keys, base.as_bytes()))),
        ],
        body: payload.content.clone().into_bytes(),
    }
}

/// The signature of a text in base64.
pub(super) fn signature(keys: &SandboxKeys, base: &[u8]) -> String {
    let private = keys.private.get(PRIVATE).and_then(Value::as_str).expect(MADE_HERE);
    let pair = Ed25519KeyPair::from_pkcs8(&STANDARD.decode(private).expect(MADE_HERE)).expect(MADE_HERE);
    STANDARD.encode(pair.sign(base).as_ref())
}
