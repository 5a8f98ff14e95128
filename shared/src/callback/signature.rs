//! The checks that give out a [`Proof`]. All fail closed and compare in constant time.

mod elliptic;
pub mod sealed;

use aws_lc_rs::{hmac, signature as verification};
use md5::{Digest, Md5};
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use sha2::{Sha256, Sha512};
use sha3::Keccak256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::rejection::Rejection;
use super::{KeySet, UnixSeconds};

pub use elliptic::{EcdsaForm, EcdsaP256Key, EcdsaP384Key, EcdsaP521Key, ed25519_key, require_ed25519};

/// Evidence that a signature was checked and matched. Only this module makes one.
#[derive(Debug)]
pub struct Proof(());

/// Hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacHash {
    /// HMAC-SHA-1, for old protocols.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// Accepts when one of the decoded `candidates` is the HMAC of the concatenated `parts`.
///
/// # Errors
/// [`Rejection::Unconfigured`] for an empty key, [`Rejection::MissingSignature`] without candidates,
/// [`Rejection::SignatureMismatch`] when none has the right length and bytes.
pub fn require_hmac(
    hash: HmacHash,
    key: &[u8],
    parts: &[&[u8]],
    candidates: &[Vec<u8>],
) -> Result<Proof, Rejection> {
    if key.is_empty() {
        return Err(Rejection::unconfigured("secret"));
    }
    if candidates.is_empty() {
        return Err(Rejection::MissingSignature);
    }
    let expected = Zeroizing::new(hmac_tag(hash, key, parts));
    let matches = candidates
        .iter()
        .fold(subtle::Choice::from(0), |found, candidate| found | expected.as_slice().ct_eq(candidate));
    if bool::from(matches) { Ok(Proof(())) } else { Err(Rejection::SignatureMismatch) }
}

/// The HMAC of the concatenated `parts`.
pub fn hmac_tag(hash: HmacHash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let algorithm = match hash {
        HmacHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HmacHash::Sha256 => hmac::HMAC_SHA256,
        HmacHash::Sha512 => hmac::HMAC_SHA512,
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// Accepts when `candidate` is the MD5 of the `message` followed by the `key`.
///
/// # Errors
/// [`Rejection::Unconfigured`] for an empty key, [`Rejection::SignatureMismatch`] for anything but the 16 bytes.
pub fn require_md5_with_key(message: &[u8], key: &[u8], candidate: &[u8]) -> Result<Proof, Rejection> {
    if key.is_empty() {
        return Err(Rejection::unconfigured("api_key"));
    }
    let expected = Md5::new().chain_update(message).chain_update(key).finalize();
    if bool::from(expected.as_slice().ct_eq(candidate)) {
        Ok(Proof(()))
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

/// A hash without a key of its own: what it hashes contains the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// MD5, for old protocols.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// Keccak-256 as Ethereum has it, which is not SHA3-256.
    Keccak256,
}

impl Hash {
    /// The hash of `message`.
    pub fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(message).to_vec(),
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
            Self::Keccak256 => Keccak256::digest(message).to_vec(),
        }
    }
}

/// Accepts when one of the decoded `candidates` is the hash of `message`, which the caller made with the `key`.
///
/// # Errors
/// [`Rejection::Unconfigured`] for an empty key, [`Rejection::MissingSignature`] without candidates,
/// [`Rejection::SignatureMismatch`] when none has the right length and bytes.
pub fn require_keyed_hash(
    hash: Hash,
    key: &[u8],
    message: &[u8],
    candidates: &[Vec<u8>],
) -> Result<Proof, Rejection> {
    if key.is_empty() {
        return Err(Rejection::unconfigured("secret"));
    }
    require_token(&Zeroizing::new(hash.of(message)), candidates)
}

/// Hash of an RSA PKCS#1 v1.5 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaHash {
    /// SHA-1, for old protocols that an account allows by configuration.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// An RSA public key of 1024 to 8192 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaKey {
    pkcs1_der: Vec<u8>,
}

impl RsaKey {
    /// Reads a key in PEM (`BEGIN PUBLIC KEY`), or bare base64 of the same DER.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] naming `field` when it is not such a key.
    pub fn from_public_key_text(text: &str, field: &str) -> Result<Self, Rejection> {
        let unconfigured = || Rejection::unconfigured(field);
        let der = public_key_der(text).ok_or_else(unconfigured)?;
        Self::from_spki_der(&der).ok_or_else(unconfigured)
    }

    /// Reads the key that an account's key set holds under `field`.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is absent or not such a key.
    pub fn configured(keys: &KeySet, field: &str) -> Result<Self, Rejection> {
        Self::from_public_key_text(keys.text(field)?, field)
    }

    /// Reads a key in SubjectPublicKeyInfo DER; `None` when it is not an RSA key.
    pub fn from_spki_der(der: &[u8]) -> Option<Self> {
        use rsa::pkcs1::EncodeRsaPublicKey;
        let key = rsa::RsaPublicKey::from_public_key_der(der).ok()?;
        if !(1024..=8192).contains(&key.n().bits()) {
            return None;
        }
        Some(Self { pkcs1_der: key.to_pkcs1_der().ok()?.into_vec() })
    }

    /// Accepts when `signature` is this key's PKCS#1 v1.5 signature over `message`.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`].
    pub fn require_signature(
        &self,
        hash: RsaHash,
        message: &[u8],
        signature: &[u8],
    ) -> Result<Proof, Rejection> {
        let algorithm = match hash {
            RsaHash::Sha1 => &verification::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            RsaHash::Sha256 => &verification::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        };
        verification::UnparsedPublicKey::new(algorithm, &self.pkcs1_der)
            .verify(message, signature)
            .map(|()| Proof(()))
            .map_err(|_| Rejection::SignatureMismatch)
    }

    /// Accepts when `signature` is this key's PKCS#1 v1.5 signature over the MD5 of `message`, for old protocols.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`].
    pub fn require_md5_signature(&self, message: &[u8], signature: &[u8]) -> Result<Proof, Rejection> {
        use rsa::pkcs1::DecodeRsaPublicKey;
        let mismatch = || Rejection::SignatureMismatch;
        let key = rsa::RsaPublicKey::from_pkcs1_der(&self.pkcs1_der).map_err(|_| mismatch())?;
        key.verify(rsa::Pkcs1v15Sign::new::<Md5>(), &Md5::digest(message), signature)
            .map(|()| Proof(()))
            .map_err(|_| mismatch())
    }

    /// Accepts when `signature` is this key's RSASSA-PSS signature over `message`, with SHA-512 and a salt of 64 bytes.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`].
    pub fn require_pss_sha512(&self, message: &[u8], signature: &[u8]) -> Result<Proof, Rejection> {
        verification::UnparsedPublicKey::new(&verification::RSA_PSS_2048_8192_SHA512, &self.pkcs1_der)
            .verify(message, signature)
            .map(|()| Proof(()))
            .map_err(|_| Rejection::SignatureMismatch)
    }
}

/// The DER in a PEM text or in bare base64.
pub(crate) fn public_key_der(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let base64: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .flat_map(|line| line.chars().filter(|character| !character.is_whitespace()))
        .collect();
    STANDARD.decode(base64).ok()
}

/// Accepts when one of `candidates` is the shared `token` itself: it proves the sender, not the content.
///
/// # Errors
/// [`Rejection::Unconfigured`] for an empty token, [`Rejection::MissingSignature`] without candidates,
/// [`Rejection::SignatureMismatch`] when none equals it.
pub fn require_token(token: &[u8], candidates: &[Vec<u8>]) -> Result<Proof, Rejection> {
    if token.is_empty() {
        return Err(Rejection::unconfigured("token"));
    }
    if candidates.is_empty() {
        return Err(Rejection::MissingSignature);
    }
    let matches =
        candidates.iter().fold(subtle::Choice::from(0), |found, candidate| found | token.ct_eq(candidate));
    if bool::from(matches) { Ok(Proof(())) } else { Err(Rejection::SignatureMismatch) }
}

/// Accepts a callback signed at most `tolerance_seconds` before or after `now`, the bound included.
///
/// # Errors
/// [`Rejection::Stale`] with `now - sent_at` in seconds, negative when it comes from the future.
///
/// # Source
/// Standard Webhooks, "Verifying signatures".
pub fn require_fresh(
    sent_at: UnixSeconds,
    now: UnixSeconds,
    tolerance_seconds: i64,
) -> Result<(), Rejection> {
    let age_seconds = now.0.saturating_sub(sent_at.0);
    if age_seconds.saturating_abs() <= tolerance_seconds {
        Ok(())
    } else {
        Err(Rejection::Stale { age_seconds })
    }
}

/// Accepts when a non-secret id inside the message is the one that the account expects, or one of several, if it
/// expects any.
///
/// # Errors
/// [`Rejection::IdentityMismatch`] when it differs or is absent; [`Rejection::Unconfigured`] for a blank expectation.
pub fn require_identity(
    keys: &KeySet,
    expected_field: &str,
    name: &str,
    actual: Option<&str>,
) -> Result<(), Rejection> {
    let expected = match keys.text_if_any(expected_field) {
        Ok(None) => return Ok(()),
        Ok(Some(expected)) => vec![expected],
        Err(_) => keys.texts(expected_field)?,
    };
    match actual.is_some_and(|actual| expected.contains(&actual)) {
        true => Ok(()),
        false => Err(Rejection::IdentityMismatch { field: name.to_owned() }),
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    #[test]
    fn an_expected_id_may_be_one_of_several() {
        let check = |expected: Value, actual: Option<&str>| {
            let keys = KeySet::new("k", Map::from_iter([("id".to_owned(), expected)]));
            require_identity(&keys, "id", "id", actual).map_err(|rejection| rejection.reason())
        };
        for (expected, actual, outcome) in [
            (json!("a"), Some("a"), Ok(())),
            (json!(["b", "a"]), Some("a"), Ok(())),
            (Value::Null, Some("a"), Ok(())),
            (json!("a"), Some("b"), Err("identity_mismatch")),
            (json!(["b", "c"]), Some("a"), Err("identity_mismatch")),
            (json!("a"), None, Err("identity_mismatch")),
            (json!([]), Some("a"), Err("unconfigured")),
            (json!(["a", ""]), Some("a"), Err("unconfigured")),
            (json!(""), Some(""), Err("unconfigured")),
            (json!(7), Some("7"), Err("unconfigured")),
        ] {
            assert_eq!(check(expected.clone(), actual), outcome, "{expected} {actual:?}");
        }
    }
}
