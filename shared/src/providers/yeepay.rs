//! Yeepay's open platform 易宝 YOP. Mapping: `fixtures/yeepay/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::cipher::open_aes_ecb;
use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey, public_key_der, require_identity, sha256};
use crate::callback::{Answer, Answers, KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};

/// Yeepay YOP.
pub static PROVIDER: Provider = Provider {
    name: "yeepay",
    title: "Yeepay 易宝支付 (YOP)",
    rail: Rail::Aggregator,
    home_currency: "CNY",
    scheme: "digital envelope: RSA PKCS#1 v1.5, AES-128-ECB, RSA-SHA256 inside",
    events: events::KINDS,
    documents: &[
        "https://open.yeepay.com/docs/platform/notify/notify-summary",
        "https://github.com/Yeepay-Open-Platform/yeepay-skills",
    ],
    answers: Answers {
        success: Answer { status: 200, content_type: "text/plain", body: "SUCCESS" },
        failure_content_type: "text/plain",
        failure_body: "FAIL",
    },
    retry_schedule: "differs by product; settlements 3 times every 300 s",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| private_key(keys).and(RsaKey::configured(keys, YOP_KEY)).map(drop),
    // Only the merchant's own key opens the envelope.
    addressee: |_| Ok(()),
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const MERCHANT_KEY: &str = "merchant_private_key_pem";
const YOP_KEY: &str = "yop_public_key_pem";
const MERCHANT_NO: &str = "expected_merchant_no";

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: MERCHANT_KEY,
        required: true,
        about: "the application's RSA private key, PKCS#8 as PEM or base64: it opens what Yeepay sends",
    },
    CredentialField {
        name: YOP_KEY,
        required: true,
        about: "Yeepay's RSA public key (平台公钥), PEM or base64",
    },
    CredentialField {
        name: MERCHANT_NO,
        required: false,
        about: "the merchant number; a callback that names another one is rejected",
    },
];

/// The form parameter that carries the envelope; some products send it as the whole body.
const ENVELOPE: &str = "response";
const AES_KEY_BYTES: usize = 16;

/// # Source
/// Yeepay, "回调解密协议": `key$data$AES$SHA256`; the key is for the merchant, and opens the data to `JSON$signature`,
/// which the platform has signed.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let (private, key) = (private_key(keys)?, RsaKey::configured(keys, YOP_KEY)?);
    let text = envelope(raw)?;
    let [encrypted_key, data, "AES", "SHA256"] = text.split('$').collect::<Vec<_>>()[..] else {
        let is_envelope = text.split('$').count() == 4;
        return Err(if is_envelope { Rejection::AlgorithmNotAllowed } else { Rejection::malformed("body") });
    };
    let (encrypted_key, data) = (base64(encrypted_key)?, base64(data)?);
    // One answer to all that fails from here on: what failed would tell an attacker about the key.
    let (proof, document) =
        open(&encrypted_key, &data, &private, &key).ok_or(Rejection::SignatureMismatch)?;
    let content = Json::parse(document.as_bytes())?;
    require_identity(keys, MERCHANT_NO, "merchantNo", content.text("/merchantNo"))?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(document.into_bytes()))
}

fn envelope(raw: &RawCallback) -> Result<String, Rejection> {
    let body = std::str::from_utf8(raw.body()).map_err(|_| Rejection::malformed("body"))?;
    let is_form = body.split('&').any(|pair| pair.split('=').next() == Some(ENVELOPE));
    if !is_form {
        return Ok(body.trim().to_owned());
    }
    let form = Form::parse(raw.body())?;
    form.text(ENVELOPE).map(str::to_owned).ok_or_else(|| Rejection::malformed("body"))
}

/// Standard or URL-safe, with or without padding: Yeepay's SDKs write one and read both.
fn base64(text: &str) -> Result<Vec<u8>, Rejection> {
    let text = text.trim_end_matches('=');
    let is_url_safe = text.contains(['-', '_']);
    let decoded = if is_url_safe { URL_SAFE_NO_PAD.decode(text) } else { STANDARD_NO_PAD.decode(text) };
    decoded.map_err(|_| Rejection::malformed("body"))
}

struct PrivateKey {
    key: Pkcs1PrivateDecryptingKey,
    /// Stands in for a key that cannot be opened, so that it is dealt with like one that can.
    decoy_seed: Vec<u8>,
}

fn private_key(keys: &KeySet) -> Result<PrivateKey, Rejection> {
    let unconfigured = || Rejection::unconfigured(MERCHANT_KEY);
    let der = Zeroizing::new(public_key_der(keys.text(MERCHANT_KEY)?).ok_or_else(unconfigured)?);
    let key = PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| unconfigured())?;
    let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| unconfigured())?;
    Ok(PrivateKey { key, decoy_seed: sha256(&der) })
}

/// The signed document, and the proof that the platform signed it.
fn open(encrypted_key: &[u8], data: &[u8], private: &PrivateKey, key: &RsaKey) -> Option<(Proof, String)> {
    let decoy = sha256(&[private.decoy_seed.as_slice(), encrypted_key].concat());
    let mut buffer = Zeroizing::new(vec![0; private.key.min_output_size()]);
    let aes_key = match private.key.decrypt(encrypted_key, &mut buffer) {
        Ok(aes_key) if aes_key.len() == AES_KEY_BYTES => &*aes_key,
        _ => &decoy[..AES_KEY_BYTES],
    };
    let inner = String::from_utf8(open_aes_ecb(aes_key, data).ok()?).ok()?;
    let (document, signature) = inner.rsplit_once('$')?;
    let signature = base64(signature).ok()?;
    let proof = key.require_signature(RsaHash::Sha256, document.as_bytes(), &signature).ok()?;
    Some((proof, document.to_owned()))
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::callback::Credentials;
    use crate::sandbox::{Payload, SandboxKeys};

    const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

    fn signed(keys: &SandboxKeys, content: &str) -> String {
        let (content, event_id) = (content.to_owned(), "e".to_owned());
        let payload = Payload { content, event_id, sent_at: NOW, path: "/".to_owned() };
        String::from_utf8(sandbox::sign(keys, &payload).body).unwrap()
    }

    fn verdict(keys: &SandboxKeys, body: &str) -> Result<Verified, Rejection> {
        let raw = RawCallback::new("a", PROVIDER.name, "POST", "/", [], body.as_bytes().to_vec());
        PROVIDER.verify(&raw, &Credentials { key_sets: vec![KeySet::new("k", keys.key_set.clone())] }, NOW)
    }

    #[test]
    fn all_that_fails_inside_of_an_envelope_fails_alike() {
        let (keys, others) = (sandbox::generate(), sandbox::generate());
        let body = signed(&keys, r#"{"merchantNo":"10080000001","orderId":"A$1"}"#);
        assert!(verdict(&keys, &body).is_ok());
        let form = Form::parse(body.as_bytes()).unwrap();
        let plain = form.text(ENVELOPE).unwrap();
        assert!(verdict(&keys, plain).is_ok());
        assert!(verdict(&keys, &plain.replace('+', "-").replace('/', "_").replace('=', "")).is_ok());

        let other = signed(&keys, r#"{"orderId":"A2"}"#);
        let other = Form::parse(other.as_bytes()).unwrap().text(ENVELOPE).unwrap().to_owned();
        let parts: Vec<&str> = plain.split('$').collect();
        let other_parts: Vec<&str> = other.split('$').collect();
        let mut foreign_platform = keys.clone();
        foreign_platform.key_set.insert(YOP_KEY.to_owned(), others.key_set[YOP_KEY].clone());
        let mut foreign_merchant = keys.clone();
        foreign_merchant.key_set.insert(MERCHANT_KEY.to_owned(), others.key_set[MERCHANT_KEY].clone());
        let envelope = |key: &str, data: &str| format!("{key}${data}$AES$SHA256");
        for (about, keys, body) in [
            ("another platform", &foreign_platform, plain.to_owned()),
            ("another merchant", &foreign_merchant, plain.to_owned()),
            ("the key of another message", &keys, envelope(other_parts[0], parts[1])),
            ("the data of another message", &keys, envelope(parts[0], other_parts[1])),
            ("no key", &keys, envelope("", parts[1])),
            ("a short key", &keys, envelope("AAAA", parts[1])),
            ("no data", &keys, envelope(parts[0], "")),
            ("half a block", &keys, envelope(parts[0], "AAAA")),
        ] {
            assert_eq!(verdict(keys, &body).err(), Some(Rejection::SignatureMismatch), "{about}");
        }
    }

    #[test]
    fn envelopes_of_other_shapes_and_algorithms_are_refused() {
        let keys = sandbox::generate();
        for (body, expected) in [
            ("a$b$AES$MD5", Rejection::AlgorithmNotAllowed),
            ("a$b$DES$SHA256", Rejection::AlgorithmNotAllowed),
            ("a$b$aes$SHA256", Rejection::AlgorithmNotAllowed),
            ("a$b$AES", Rejection::malformed("body")),
            ("a$b$AES$SHA256$", Rejection::malformed("body")),
            ("", Rejection::malformed("body")),
            ("response=", Rejection::malformed("body")),
            ("a!$b$AES$SHA256", Rejection::malformed("body")),
        ] {
            assert_eq!(verdict(&keys, body).err(), Some(expected), "{body}");
        }
        let mut damaged = keys.clone();
        damaged.key_set.insert(MERCHANT_KEY.to_owned(), json!("AAAA"));
        assert_eq!(verdict(&damaged, "a$b$AES$SHA256").err(), Some(Rejection::unconfigured(MERCHANT_KEY)));
    }
}
