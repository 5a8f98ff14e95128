//! The envelope in which Google signs, and may encrypt, what it tells a recipient: Tink's payment method token.
//!
//! # Source
//! <https://developers.google.com/pay/api/web/guides/resources/payment-data-cryptography> and
//! tink-crypto/tink-java-apps, `PaymentMethodTokenRecipient`.

use std::collections::BTreeMap;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use zeroize::Zeroizing;

use super::cipher::aes_ctr_from_zero;
use super::json::Json;
use super::signature::{EcdsaForm, EcdsaP256Key, HmacHash, require_hmac};
use super::{CertificateProblem, KeySet, Proof, Rejection, UnixSeconds};

/// The key set's field with Google's root keys: the JSON document `{"keys": […]}`.
pub const ROOT_KEYS: &str = "root_signing_keys";
/// The key set's field with the recipient's private keys: PKCS#8 in base64, several during a change.
pub const RECIPIENT_KEYS: &str = "recipient_private_key_pkcs8_b64";

/// Most signatures of an intermediate key that are tried.
const SIGNATURES_MAX: usize = 8;
/// An uncompressed point of the curve P-256.
const POINT_BYTES: usize = 65;

/// What Google does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Signed by a root key, encrypted with 128-bit keys.
    EcV1,
    /// Signed by an intermediate key, encrypted with 256-bit keys.
    EcV2,
    /// Signed by an intermediate key, not encrypted.
    EcV2SigningOnly,
}

impl Protocol {
    /// The protocol of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::EcV1, Self::EcV2, Self::EcV2SigningOnly].into_iter().find(|protocol| protocol.name() == name)
    }

    /// Its name in messages and key lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcV1 => "ECv1",
            Self::EcV2 => "ECv2",
            Self::EcV2SigningOnly => "ECv2SigningOnly",
        }
    }
}

/// Between whom, and how, messages are expected; all of it is part of what is signed.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who sends, such as `Google`.
    pub sender_id: &'a str,
    /// Who receives, such as `merchant:12345`.
    pub recipient_id: &'a str,
    /// The protocol.
    pub protocol: Protocol,
}

/// Proves an envelope and gives its `signedMessage`, still encrypted where the protocol encrypts.
///
/// # Errors
/// [`Rejection::Malformed`] unless it has exactly the members of its protocol, [`Rejection::AlgorithmNotAllowed`] for
/// another protocol, [`Rejection::UnknownKey`] without a root key in force, [`Rejection::Certificate`] when the
/// intermediate key is expired, [`Rejection::SignatureMismatch`].
pub fn open(
    envelope: &[u8],
    expected: Expected<'_>,
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<(Proof, String), Rejection> {
    let protocol = expected.protocol;
    let envelope = Json::parse(envelope)?;
    let names: &[&str] = match protocol {
        Protocol::EcV1 => &["protocolVersion", "signature", "signedMessage"],
        _ => &["intermediateSigningKey", "protocolVersion", "signature", "signedMessage"],
    };
    // The version comes first: an envelope of another one has other members.
    if envelope.text("/protocolVersion").is_some_and(|version| version != protocol.name()) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    let members = exactly(&envelope, names)?;
    let signature = decoded(&members["signature"])?;
    let message = text(&members["signedMessage"])?;
    let roots = root_keys(keys, protocol, now)?;
    let signers = match members.get("intermediateSigningKey") {
        Some(intermediate) => vec![intermediate_key(intermediate, expected, &roots, now)?],
        None => roots,
    };
    let signed = length_prefixed(&[expected.sender_id, expected.recipient_id, protocol.name(), message]);
    let proof = require_any(&signers, &signed, &[signature])?;
    Ok((proof, message.to_owned()))
}

/// Decrypts a `signedMessage` with one of the recipient's private keys; its MAC is checked before it is decrypted.
///
/// # Errors
/// [`Rejection::Unconfigured`] for a key that cannot be used, [`Rejection::Malformed`], [`Rejection::DecryptFailed`].
pub fn decrypt(message: &str, protocol: Protocol, keys: &KeySet) -> Result<Vec<u8>, Rejection> {
    let message = Json::parse(message.as_bytes())?;
    let members = exactly(&message, &["encryptedMessage", "ephemeralPublicKey", "tag"])?;
    let sealed = Sealed {
        ephemeral_key: decoded(&members["ephemeralPublicKey"])?,
        ciphertext: decoded(&members["encryptedMessage"])?,
        tag: decoded(&members["tag"])?,
        key_bytes: if protocol == Protocol::EcV1 { 16 } else { 32 },
    };
    let private_keys = private_keys(keys)?;
    private_keys.iter().find_map(|key| sealed.open(key)).ok_or(Rejection::DecryptFailed)
}

fn private_keys(keys: &KeySet) -> Result<Vec<PrivateKey>, Rejection> {
    let unconfigured = || Rejection::unconfigured(RECIPIENT_KEYS);
    let mut private_keys = Vec::new();
    for text in keys.texts(RECIPIENT_KEYS)? {
        let der = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| unconfigured())?);
        private_keys.push(PrivateKey::from_private_key_der(&ECDH_P256, &der).map_err(|_| unconfigured())?);
    }
    Ok(private_keys)
}

/// Accepts a key set whose private keys can be read, where messages are encrypted, and whose root keys are a list of
/// keys, where it holds any.
///
/// # Errors
/// [`Rejection::Unconfigured`].
pub fn require_readable(keys: &KeySet, protocol: Protocol) -> Result<(), Rejection> {
    if protocol != Protocol::EcV2SigningOnly {
        private_keys(keys)?;
    }
    if !keys.has(ROOT_KEYS) {
        return Ok(());
    }
    let document = keys.document(ROOT_KEYS)?;
    let members = document.members("/keys");
    let is_key = |key: &Json| {
        key.text("/keyValue").is_some_and(|key| EcdsaP256Key::from_public_key_text(key, ROOT_KEYS).is_ok())
    };
    let usable = !members.is_empty() && members.iter().all(is_key);
    if usable { Ok(()) } else { Err(Rejection::unconfigured(ROOT_KEYS)) }
}

/// Accepts when a time in milliseconds, a text or a number, lies after `now`.
///
/// # Errors
/// [`Rejection::Malformed`] when it is no such time, [`Rejection::Stale`] when it has passed.
pub fn require_unexpired(expiration_ms: Option<&str>, now: UnixSeconds) -> Result<(), Rejection> {
    let expiration_ms: i64 =
        expiration_ms.and_then(|text| text.parse().ok()).ok_or_else(|| Rejection::malformed("expiration"))?;
    let now_ms = now.0.saturating_mul(1000);
    if expiration_ms > now_ms {
        Ok(())
    } else {
        Err(Rejection::Stale { age_seconds: now_ms.saturating_sub(expiration_ms) / 1000 })
    }
}

/// Reads the root keys out of Google's answer; `None` when it is no list of keys.
pub fn read_root_keys(body: &[u8]) -> Option<Value> {
    let document = Json::parse(body).ok()?;
    if document.members("/keys").is_empty() {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// The texts, each after its length in bytes as four bytes, the lowest first.
pub(crate) fn length_prefixed(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The keys for AES and for the MAC, of the shared secret.
pub(crate) fn derived_keys(
    ephemeral_key: &[u8],
    shared_secret: &[u8],
    key_bytes: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let secret = Zeroizing::new([ephemeral_key, shared_secret].concat());
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(&secret);
    let mut derived = Zeroizing::new(vec![0; 2 * key_bytes]);
    extracted.expand(&[b"Google"], Length(derived.len())).ok()?.fill(&mut derived).ok()?;
    Some(derived)
}

struct Sealed {
    ephemeral_key: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
    key_bytes: usize,
}

impl Sealed {
    fn open(&self, private_key: &PrivateKey) -> Option<Vec<u8>> {
        if self.ephemeral_key.len() != POINT_BYTES || self.ephemeral_key[0] != 4 {
            return None;
        }
        let peer = UnparsedPublicKey::new(&ECDH_P256, &self.ephemeral_key);
        let derived = agree(private_key, peer, (), |secret| {
            derived_keys(&self.ephemeral_key, secret, self.key_bytes).ok_or(())
        });
        let derived = derived.ok()?;
        let (encryption_key, mac_key) = derived.split_at(self.key_bytes);
        let tags = std::slice::from_ref(&self.tag);
        require_hmac(HmacHash::Sha256, mac_key, &[&self.ciphertext], tags).ok()?;
        aes_ctr_from_zero(encryption_key, &self.ciphertext).ok()
    }
}

/// The members of an object that has these and no others, so that nobody reads what was not meant.
fn exactly<'a>(json: &'a Json, names: &[&str]) -> Result<&'a BTreeMap<String, Json>, Rejection> {
    match json {
        Json::Object(members) if members.keys().eq(names) => Ok(members),
        _ => Err(Rejection::malformed("body")),
    }
}

fn text(json: &Json) -> Result<&str, Rejection> {
    match json {
        Json::Text(text) => Ok(text),
        _ => Err(Rejection::malformed("body")),
    }
}

fn decoded(json: &Json) -> Result<Vec<u8>, Rejection> {
    STANDARD.decode(text(json)?).map_err(|_| Rejection::malformed("signature"))
}

/// Google's keys of this protocol that are in force; one that cannot be used does not spoil the others.
fn root_keys(keys: &KeySet, protocol: Protocol, now: UnixSeconds) -> Result<Vec<EcdsaP256Key>, Rejection> {
    let document = keys.document(ROOT_KEYS)?;
    let in_force = |key: &Json| match key.text("/keyExpiration") {
        // The first protocol left it to the cache's lifetime.
        None => protocol == Protocol::EcV1 && key.at("/keyExpiration").is_none(),
        expiration => require_unexpired(expiration, now).is_ok(),
    };
    let roots: Vec<EcdsaP256Key> = document
        .members("/keys")
        .iter()
        .filter(|key| key.text("/protocolVersion") == Some(protocol.name()) && in_force(key))
        .filter_map(|key| EcdsaP256Key::from_public_key_text(key.text("/keyValue")?, ROOT_KEYS).ok())
        .collect();
    if roots.is_empty() { Err(Rejection::UnknownKey) } else { Ok(roots) }
}

/// The intermediate key, which a root key signs as the very text that it comes in.
fn intermediate_key(
    json: &Json,
    expected: Expected<'_>,
    roots: &[EcdsaP256Key],
    now: UnixSeconds,
) -> Result<EcdsaP256Key, Rejection> {
    let members = exactly(json, &["signatures", "signedKey"])?;
    let signed_key = text(&members["signedKey"])?;
    let signatures = json.members("/signatures");
    if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
        return Err(Rejection::malformed("signature"));
    }
    let signatures: Vec<Vec<u8>> = signatures.iter().filter_map(|one| decoded(one).ok()).collect();
    let signed = length_prefixed(&[expected.sender_id, expected.protocol.name(), signed_key]);
    require_any(roots, &signed, &signatures)?;
    let key = Json::parse(signed_key.as_bytes())?;
    require_unexpired(key.text("/keyExpiration"), now).map_err(|rejection| match rejection {
        Rejection::Stale { .. } => Rejection::Certificate(CertificateProblem::Expired),
        other => other,
    })?;
    let value = key.text("/keyValue").ok_or_else(|| Rejection::malformed("body"))?;
    EcdsaP256Key::from_public_key_text(value, ROOT_KEYS).map_err(|_| Rejection::malformed("body"))
}

fn require_any(keys: &[EcdsaP256Key], message: &[u8], signatures: &[Vec<u8>]) -> Result<Proof, Rejection> {
    let tries = keys.iter().flat_map(|key| signatures.iter().map(move |signature| (key, signature)));
    tries
        .filter_map(|(key, signature)| key.require_signature(EcdsaForm::Der, message, signature).ok())
        .next()
        .ok_or(Rejection::SignatureMismatch)
}
