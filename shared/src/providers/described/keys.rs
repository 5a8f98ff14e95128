//! Keys and signatures as a description says they are written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::callback::signature::{
    EcdsaForm, EcdsaP256Key, HmacHash, RsaHash, RsaKey, require_ed25519, require_hmac, require_keyed_hash,
    require_token,
};
use crate::callback::{KeySet, Proof, Rejection};

use super::grammar::{Algorithm, KeyEncoding, KeyRule, SignatureEncoding, SignatureRule};
use super::request::{BASE64, Scope};

/// Most signatures that one request may carry.
const CANDIDATES_MAX: usize = 16;

const ED25519_KEY_BYTES: usize = 32;

pub(super) fn entries<'a>(rule: &SignatureRule, written: &'a str) -> Vec<(&'a str, &'a str)> {
    match (&rule.separator, &rule.assign) {
        (Some(separator), Some(assign)) => written
            .split(separator.as_str())
            .filter_map(|entry| entry.trim().split_once(assign.as_str()))
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn candidates(
    rule: &SignatureRule,
    written: &str,
    scope: &Scope<'_>,
) -> Result<Vec<Vec<u8>>, Rejection> {
    let texts: Vec<&str> = match (&rule.take, &rule.separator) {
        (Some(take), _) => {
            scope.entries.iter().filter(|(name, _)| name == take).map(|(_, value)| *value).collect()
        }
        (None, Some(separator)) => written.split(separator.as_str()).map(str::trim).collect(),
        (None, None) => vec![written],
    };
    if texts.is_empty() {
        return Err(Rejection::MissingSignature);
    }
    if texts.len() > CANDIDATES_MAX {
        return Err(Rejection::malformed("signature"));
    }
    let decoded: Vec<Vec<u8>> = texts
        .into_iter()
        .filter_map(|text| text.strip_prefix(rule.prefix.as_str()))
        .filter_map(|text| decode_signature(rule.encoding, text))
        .collect();
    if decoded.is_empty() { Err(Rejection::SignatureMismatch) } else { Ok(decoded) }
}

/// The bytes of a written signature; nothing when it is empty or not exactly so encoded.
pub(super) fn decode_signature(encoding: SignatureEncoding, text: &str) -> Option<Vec<u8>> {
    let decoded = match encoding {
        SignatureEncoding::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => return None,
        SignatureEncoding::Hex | SignatureEncoding::HexAnyCase => hex::decode(text).ok(),
        SignatureEncoding::Base64 => STANDARD.decode(text).ok(),
        SignatureEncoding::Base64url => URL_SAFE_NO_PAD.decode(text).ok(),
        SignatureEncoding::Text => Some(text.as_bytes().to_vec()),
    };
    decoded.filter(|bytes| !bytes.is_empty())
}

pub(super) fn active_keys<'a>(
    rule: &KeyRule,
    keys: &'a KeySet,
    scope: &Scope<'_>,
) -> Result<Vec<&'a str>, Rejection> {
    let Some(place) = &rule.id_at else {
        return keys.texts(&rule.field);
    };
    let id = scope.text(place)?.ok_or_else(|| place.missing())?;
    let by_id = keys.keys_by_id(&rule.field)?;
    if by_id.is_empty() {
        return Err(Rejection::unconfigured(rule.field.as_str()));
    }
    let (_, key) = by_id.into_iter().find(|(have, _)| *have == id).ok_or(Rejection::UnknownKey)?;
    Ok(vec![key])
}

pub(super) fn require_one(
    algorithm: Algorithm,
    rule: &KeyRule,
    text: &str,
    message: &[u8],
    candidates: &[Vec<u8>],
) -> Result<Proof, Rejection> {
    if let Some(hash) = algorithm.hash() {
        return require_keyed_hash(hash, &rule.decoded(text)?, message, candidates);
    }
    let hmac = |hash| require_hmac(hash, &rule.decoded(text)?, &[message], candidates);
    let rsa_key = || RsaKey::from_public_key_text(rule.stripped(text), &rule.field);
    let rsa = |hash| {
        let key = rsa_key()?;
        first_proof(candidates, |candidate| key.require_signature(hash, message, candidate))
    };
    let ecdsa = |form| {
        let key = EcdsaP256Key::from_public_key_text(rule.stripped(text), &rule.field)?;
        first_proof(candidates, |candidate| key.require_signature(form, message, candidate))
    };
    match algorithm {
        Algorithm::HmacSha1 => hmac(HmacHash::Sha1),
        Algorithm::HmacSha256 => hmac(HmacHash::Sha256),
        Algorithm::HmacSha512 => hmac(HmacHash::Sha512),
        Algorithm::RsaMd5 => {
            let key = rsa_key()?;
            first_proof(candidates, |candidate| key.require_md5_signature(message, candidate))
        }
        Algorithm::RsaSha1 => rsa(RsaHash::Sha1),
        Algorithm::RsaSha256 => rsa(RsaHash::Sha256),
        Algorithm::EcdsaP256Der => ecdsa(EcdsaForm::Der),
        Algorithm::EcdsaP256Raw => ecdsa(EcdsaForm::Raw),
        Algorithm::Ed25519 => {
            let key = rule.decoded(text)?;
            if key.len() != ED25519_KEY_BYTES {
                return Err(Rejection::unconfigured(rule.field.as_str()));
            }
            require_ed25519(&key, message, candidates)
        }
        Algorithm::Token => require_token(&rule.decoded(text)?, candidates),
        Algorithm::Md5 | Algorithm::Sha256 | Algorithm::Sha512 | Algorithm::Keccak256 => {
            Err(Rejection::MissingSignature)
        }
    }
}

fn first_proof(
    candidates: &[Vec<u8>],
    require: impl Fn(&[u8]) -> Result<Proof, Rejection>,
) -> Result<Proof, Rejection> {
    candidates.iter().find_map(|candidate| require(candidate).ok()).ok_or(Rejection::SignatureMismatch)
}

impl KeyRule {
    /// The bytes of a written key, which are wiped after use.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is empty or not so encoded.
    pub(super) fn decoded(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, Rejection> {
        let text = self.stripped(text);
        let decoded = match self.encoding {
            KeyEncoding::Utf8 => Some(text.as_bytes().to_vec()),
            KeyEncoding::Hex => hex::decode(text).ok(),
            KeyEncoding::Base64 => BASE64.decode(text).ok(),
            KeyEncoding::Pem => None,
        };
        let decoded = decoded.map(Zeroizing::new).filter(|key| !key.is_empty());
        decoded.ok_or_else(|| Rejection::unconfigured(self.field.as_str()))
    }

    /// A written key without its prefix.
    pub(super) fn stripped<'a>(&self, text: &'a str) -> &'a str {
        self.strip_prefixes.iter().find_map(|prefix| text.strip_prefix(prefix.as_str())).unwrap_or(text)
    }
}
