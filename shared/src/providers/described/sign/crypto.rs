//! Keys and signatures of the sandbox.

use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use rsa::pkcs8::DecodePrivateKey;
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use crate::callback::signature::{EcdsaForm, HmacHash, hmac_tag};
use crate::providers::described::grammar::{
    Algorithm, KeyEncoding, KeyRule, SignatureEncoding, SignatureRule,
};
use crate::sandbox::ecdsa_keys::{self, Curve};
use crate::sandbox::{SandboxKeys, rsa_keys};

use super::PKCS8;

/// What the account's key set holds, and what the provider holds.
pub(super) fn generate(algorithm: Algorithm, rule: &KeyRule) -> (String, String) {
    match algorithm {
        Algorithm::RsaMd5 | Algorithm::RsaSha1 | Algorithm::RsaSha256 => {
            let key = rsa_keys::generate();
            (key.spki_base64, key.pkcs8_base64)
        }
        Algorithm::EcdsaP256Der | Algorithm::EcdsaP256Raw => {
            let key = ecdsa_keys::generate(Curve::P256);
            (key.spki_base64, key.pkcs8_base64)
        }
        Algorithm::Ed25519 => {
            let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect(PKCS8);
            let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).expect(PKCS8);
            (encoded(rule, pair.public_key().as_ref()), STANDARD.encode(private.as_ref()))
        }
        Algorithm::HmacSha1
        | Algorithm::HmacSha256
        | Algorithm::HmacSha512
        | Algorithm::Md5
        | Algorithm::Sha256
        | Algorithm::Sha512
        | Algorithm::Keccak256
        | Algorithm::Token => {
            let mut secret = [0; 32];
            fill(&mut secret).expect("the system provides randomness");
            let shown = encoded(rule, &secret);
            (shown.clone(), shown)
        }
    }
}

fn encoded(rule: &KeyRule, key: &[u8]) -> String {
    let prefix = rule.strip_prefixes.first().map_or("", String::as_str);
    let text = match rule.encoding {
        KeyEncoding::Utf8 | KeyEncoding::Hex => hex::encode(key),
        KeyEncoding::Base64 | KeyEncoding::Pem => STANDARD.encode(key),
    };
    format!("{prefix}{text}")
}

/// The signature of a message.
pub(super) fn sign(algorithm: Algorithm, rule: &KeyRule, keys: &SandboxKeys, message: &[u8]) -> Vec<u8> {
    if let Some(hash) = algorithm.hash() {
        return hash.of(message);
    }
    let private = private(rule, keys);
    let pkcs8 = || STANDARD.decode(private).expect(PKCS8);
    let secret = || rule.decoded(private).expect(PKCS8);
    let hmac = |hash| hmac_tag(hash, &secret(), &[message]);
    let ecdsa = |form| ecdsa_keys::sign_p256(&keys.private, &rule.field, message, form);
    let rsa = |padding: rsa::Pkcs1v15Sign, digest: &[u8]| {
        let key = rsa::RsaPrivateKey::from_pkcs8_der(&pkcs8()).expect(PKCS8);
        key.sign(padding, digest).expect(PKCS8)
    };
    match algorithm {
        Algorithm::HmacSha1 => hmac(HmacHash::Sha1),
        Algorithm::HmacSha256 => hmac(HmacHash::Sha256),
        Algorithm::HmacSha512 => hmac(HmacHash::Sha512),
        Algorithm::Token => secret().to_vec(),
        Algorithm::RsaMd5 => rsa(rsa::Pkcs1v15Sign::new::<Md5>(), &Md5::digest(message)),
        Algorithm::RsaSha1 => rsa(rsa::Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(message)),
        Algorithm::RsaSha256 => rsa(rsa::Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)),
        Algorithm::EcdsaP256Der => ecdsa(EcdsaForm::Der),
        Algorithm::EcdsaP256Raw => ecdsa(EcdsaForm::Raw),
        Algorithm::Ed25519 => {
            Ed25519KeyPair::from_pkcs8(&pkcs8()).expect(PKCS8).sign(message).as_ref().to_vec()
        }
        Algorithm::Md5 | Algorithm::Sha256 | Algorithm::Sha512 | Algorithm::Keccak256 => Vec::new(),
    }
}

/// What only the provider holds of a key.
pub(super) fn private<'a>(rule: &KeyRule, keys: &'a SandboxKeys) -> &'a str {
    keys.private.get(&rule.field).and_then(Value::as_str).expect(PKCS8)
}

/// A signature as it is written, behind the `entry` that goes before it in its header.
pub(super) fn written(rule: &SignatureRule, entry: Option<(&str, &str)>, signature: &[u8]) -> String {
    let text = match rule.encoding {
        SignatureEncoding::Hex => hex::encode(signature),
        SignatureEncoding::HexAnyCase => hex::encode_upper(signature),
        SignatureEncoding::Base64 => STANDARD.encode(signature),
        SignatureEncoding::Base64url => URL_SAFE_NO_PAD.encode(signature),
        SignatureEncoding::Text => String::from_utf8_lossy(signature).into_owned(),
    };
    let value = format!("{}{text}", rule.prefix);
    let (Some(take), Some(assign), Some(separator)) = (&rule.take, &rule.assign, &rule.separator) else {
        return value;
    };
    let signed = format!("{take}{assign}{value}");
    match entry {
        Some((name, text)) => format!("{name}{assign}{text}{separator}{signed}"),
        None => signed,
    }
}
