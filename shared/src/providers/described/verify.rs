//! Proving a callback as its description says. Whatever cannot be checked is rejected.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::callback::signature::{
    EcdsaForm, EcdsaP256Key, HmacHash, RsaHash, RsaKey, require_ed25519, require_fresh, require_hmac,
    require_identity, require_token,
};
use crate::callback::{KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};

use super::grammar::{
    Algorithm, Check, Grammar, KeyEncoding, KeyRule, SignatureEncoding, SignatureRule, TimeUnit,
    TimestampRule,
};
use super::inquiry;
use super::place::{Request, Scope};

/// The key set's field that overrides a description's tolerance.
pub(super) const TOLERANCE_FIELD: &str = "tolerance_seconds";

/// The key set's field that proves a part.
pub(super) const PART_KEY_FIELD: &str = "secret";

/// Most signatures that one request may carry.
const CANDIDATES_MAX: usize = 16;

/// Some providers write base64 keys without padding.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn verify(
    grammar: &Grammar,
    raw: &RawCallback,
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<Verified, Rejection> {
    if let Some(outcome) = inquiry::unsigned(grammar, raw, keys, now) {
        return outcome;
    }
    chosen_check(grammar, keys)?;
    let mut told: Option<Rejection> = None;
    for check in configured_checks(grammar, keys) {
        match verify_by(check, grammar, raw, keys, now) {
            // A half-configured check must not hide behind another one.
            Err(rejection @ Rejection::Unconfigured { .. }) => return Err(rejection),
            Err(rejection) if told.as_ref().is_none_or(is_absence) => told = Some(rejection),
            Err(_) => {}
            Ok(verified) => return Ok(verified),
        }
    }
    Err(told.unwrap_or(Rejection::MissingSignature))
}

/// Another check may have found its signature, and then says more.
fn is_absence(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::MissingSignature | Rejection::MissingHeader { .. })
}

fn verify_by(
    check: &Check,
    grammar: &Grammar,
    raw: &RawCallback,
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<Verified, Rejection> {
    let request = Request::new(raw, raw.body());
    let mut scope = Scope { request: &request, keys: Some(keys), entries: Vec::new(), item: None };
    let at = &check.signature.at;
    let written = scope.text(at)?.ok_or_else(|| at.missing())?;
    scope.entries = entries(&check.signature, &written);
    for place in &grammar.required {
        scope.bytes(place)?.filter(|value| !value.is_empty()).ok_or_else(|| place.missing())?;
    }
    if let Some(rule) = &grammar.timestamp {
        let sent_at = sent_at(rule, &scope)?;
        require_fresh(sent_at, now, tolerance_seconds(rule, keys)?)?;
    }
    let candidates = candidates(&check.signature, &written, &scope)?;
    let message = match &check.signed {
        Some(template) => {
            template.require_one_reading(&scope)?;
            template.bytes(&scope)?
        }
        None => Vec::new(),
    };
    let active = active_keys(&check.key, keys, &scope)?;
    let proof = require_any(check.algorithm, &check.key, &active, &message, &candidates)?;
    for rule in grammar.identity.iter().filter(|rule| keys.has(&rule.expected)) {
        let actual = scope.text(&rule.at)?;
        require_identity(keys, &rule.expected, &rule.at.to_string(), actual.as_deref())?;
    }
    Ok(Verified::from_checked(raw, proof, now))
}

/// Checks the option `signature` against the option `message`: HMAC-SHA-256 in lower-case hex.
pub(super) fn hmac_sha256_hex_part(
    _raw: &RawCallback,
    keys: &KeySet,
    _now: UnixSeconds,
    options: &Map<String, Value>,
) -> Result<(), Rejection> {
    let option = |name: &str| {
        let text = options.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| Rejection::MissingField { name: name.to_owned() })
    };
    let (message, signature) = (option("message")?, option("signature")?);
    let candidate =
        decode_signature(SignatureEncoding::Hex, signature).ok_or(Rejection::SignatureMismatch)?;
    let candidates = [candidate];
    let secrets = keys.texts(PART_KEY_FIELD)?;
    let matches = |secret: &&str| {
        require_hmac(HmacHash::Sha256, secret.as_bytes(), &[message.as_bytes()], &candidates).is_ok()
    };
    if secrets.iter().any(matches) { Ok(()) } else { Err(Rejection::SignatureMismatch) }
}

/// The first check whose key the account holds.
pub(super) fn chosen_check<'a>(grammar: &'a Grammar, keys: &KeySet) -> Result<&'a Check, Rejection> {
    let unconfigured = || {
        grammar
            .checks
            .first()
            .map_or(Rejection::MissingSignature, |check| Rejection::unconfigured(&check.key.field))
    };
    configured_checks(grammar, keys).next().ok_or_else(unconfigured)
}

/// The checks whose keys the account holds: the configured keys choose the algorithms, never the request.
fn configured_checks<'a>(grammar: &'a Grammar, keys: &KeySet) -> impl Iterator<Item = &'a Check> {
    grammar.checks.iter().filter(|check| keys.has(&check.key.field))
}

pub(super) fn require_addressee(grammar: &Grammar, keys: &KeySet) -> Result<(), Rejection> {
    if !grammar.checks.is_empty() && !has_unsigned(grammar) {
        chosen_check(grammar, keys)?;
    }
    if !configured_checks(grammar, keys).any(|check| has_public_key(check.algorithm)) {
        return Ok(());
    }
    grammar.identity.iter().try_for_each(|rule| keys.text(&rule.expected).map(|_| ()))
}

/// Whether a callback may be a hint without any signature.
fn has_unsigned(grammar: &Grammar) -> bool {
    grammar.inquiry.as_ref().is_some_and(|rule| !rule.unsigned.is_empty())
}

fn has_public_key(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 | Algorithm::Token => false,
        Algorithm::RsaSha1
        | Algorithm::RsaSha256
        | Algorithm::EcdsaP256Der
        | Algorithm::EcdsaP256Raw
        | Algorithm::Ed25519 => true,
    }
}

fn entries<'a>(rule: &SignatureRule, written: &'a str) -> Vec<(&'a str, &'a str)> {
    match (&rule.separator, &rule.assign) {
        (Some(separator), Some(assign)) => written
            .split(separator.as_str())
            .filter_map(|entry| entry.trim().split_once(assign.as_str()))
            .collect(),
        _ => Vec::new(),
    }
}

fn candidates(rule: &SignatureRule, written: &str, scope: &Scope<'_>) -> Result<Vec<Vec<u8>>, Rejection> {
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
fn decode_signature(encoding: SignatureEncoding, text: &str) -> Option<Vec<u8>> {
    let decoded = match encoding {
        SignatureEncoding::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => return None,
        SignatureEncoding::Hex | SignatureEncoding::HexAnyCase => hex::decode(text).ok(),
        SignatureEncoding::Base64 => STANDARD.decode(text).ok(),
        SignatureEncoding::Base64url => URL_SAFE_NO_PAD.decode(text).ok(),
        SignatureEncoding::Text => Some(text.as_bytes().to_vec()),
    };
    decoded.filter(|bytes| !bytes.is_empty())
}

fn sent_at(rule: &TimestampRule, scope: &Scope<'_>) -> Result<UnixSeconds, Rejection> {
    let text = scope.text(&rule.at)?.ok_or_else(|| rule.at.missing())?;
    parse_time(&text, rule.unit).ok_or_else(|| Rejection::malformed("timestamp"))
}

/// Reads a time; nothing when it is not exactly in that unit.
pub(super) fn parse_time(text: &str, unit: TimeUnit) -> Option<UnixSeconds> {
    let digits = || {
        let well_formed =
            !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
        if well_formed { text.parse::<i64>().ok() } else { None }
    };
    match unit {
        TimeUnit::Seconds => digits().map(UnixSeconds),
        TimeUnit::Milliseconds => digits().map(|milliseconds| UnixSeconds(milliseconds / 1000)),
        TimeUnit::Rfc3339 => text.parse::<jiff::Timestamp>().ok().map(|time| UnixSeconds(time.as_second())),
    }
}

fn tolerance_seconds(rule: &TimestampRule, keys: &KeySet) -> Result<i64, Rejection> {
    match keys.integer_if_any(TOLERANCE_FIELD)? {
        Some(seconds) if seconds <= 0 => Err(Rejection::unconfigured(TOLERANCE_FIELD)),
        Some(seconds) => Ok(seconds),
        None => Ok(rule.tolerance_seconds),
    }
}

fn active_keys<'a>(rule: &KeyRule, keys: &'a KeySet, scope: &Scope<'_>) -> Result<Vec<&'a str>, Rejection> {
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

/// Tries every key with every candidate. An unusable key is a mistake of ours and rejects at once.
fn require_any(
    algorithm: Algorithm,
    rule: &KeyRule,
    active: &[&str],
    message: &[u8],
    candidates: &[Vec<u8>],
) -> Result<Proof, Rejection> {
    let mut proved = None;
    for text in active {
        match require_one(algorithm, rule, text, message, candidates) {
            Ok(proof) => proved = Some(proof),
            Err(Rejection::SignatureMismatch) => {}
            Err(rejection) => return Err(rejection),
        }
    }
    proved.ok_or(Rejection::SignatureMismatch)
}

fn require_one(
    algorithm: Algorithm,
    rule: &KeyRule,
    text: &str,
    message: &[u8],
    candidates: &[Vec<u8>],
) -> Result<Proof, Rejection> {
    let hmac = |hash| require_hmac(hash, &decode_key(rule, text)?, &[message], candidates);
    let rsa = |hash| {
        let key = RsaKey::from_public_key_text(strip(rule, text), &rule.field)?;
        first_proof(candidates, |candidate| key.require_signature(hash, message, candidate))
    };
    let ecdsa = |form| {
        let key = EcdsaP256Key::from_public_key_text(strip(rule, text), &rule.field)?;
        first_proof(candidates, |candidate| key.require_signature(form, message, candidate))
    };
    match algorithm {
        Algorithm::HmacSha1 => hmac(HmacHash::Sha1),
        Algorithm::HmacSha256 => hmac(HmacHash::Sha256),
        Algorithm::HmacSha512 => hmac(HmacHash::Sha512),
        Algorithm::RsaSha1 => rsa(RsaHash::Sha1),
        Algorithm::RsaSha256 => rsa(RsaHash::Sha256),
        Algorithm::EcdsaP256Der => ecdsa(EcdsaForm::Der),
        Algorithm::EcdsaP256Raw => ecdsa(EcdsaForm::Raw),
        Algorithm::Ed25519 => {
            let key = decode_key(rule, text)?;
            if key.len() != ED25519_KEY_BYTES {
                return Err(Rejection::unconfigured(rule.field.as_str()));
            }
            require_ed25519(&key, message, candidates)
        }
        Algorithm::Token => require_token(&decode_key(rule, text)?, candidates),
    }
}

const ED25519_KEY_BYTES: usize = 32;

fn first_proof(
    candidates: &[Vec<u8>],
    require: impl Fn(&[u8]) -> Result<Proof, Rejection>,
) -> Result<Proof, Rejection> {
    candidates.iter().find_map(|candidate| require(candidate).ok()).ok_or(Rejection::SignatureMismatch)
}

pub(super) fn decode_key(rule: &KeyRule, text: &str) -> Result<Vec<u8>, Rejection> {
    let text = strip(rule, text);
    let decoded = match rule.encoding {
        KeyEncoding::Utf8 => Some(text.as_bytes().to_vec()),
        KeyEncoding::Hex => hex::decode(text).ok(),
        KeyEncoding::Base64 => KEY_BASE64.decode(text).ok(),
        KeyEncoding::Pem => None,
    };
    decoded.filter(|key| !key.is_empty()).ok_or_else(|| Rejection::unconfigured(rule.field.as_str()))
}

fn strip<'a>(rule: &KeyRule, text: &'a str) -> &'a str {
    rule.strip_prefixes.iter().find_map(|prefix| text.strip_prefix(prefix.as_str())).unwrap_or(text)
}
