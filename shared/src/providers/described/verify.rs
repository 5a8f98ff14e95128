//! Proving a callback as its description says. Whatever cannot be checked is rejected.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::callback::signature::{HmacHash, require_fresh, require_hmac, require_identity};
use crate::callback::{KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};
use crate::providers::read::china_time;

use super::grammar::{Check, Grammar, SignatureEncoding, TimeUnit, TimestampRule};
use super::inquiry;
use super::keys::{active_keys, candidates, decode_signature, entries, require_one};
use super::place::{Place, Root};
use super::request::{Request, Scope};
use super::sorted::Sorting;

/// The key set's field that overrides a description's tolerance.
pub(super) const TOLERANCE_FIELD: &str = "tolerance_seconds";

/// The key set's field that proves a part.
pub(super) const PART_KEY_FIELD: &str = "secret";

/// From here on a time of [`TimeUnit::Auto`] is in milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

pub(super) fn verify(
    grammar: &Grammar,
    raw: &RawCallback,
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<Verified, Rejection> {
    if let Some(rule) = &grammar.inquiry {
        inquiry::require_usable(rule, keys)?;
    }
    if let Some(outcome) = inquiry::unsigned(grammar, raw, keys, now) {
        return outcome;
    }
    chosen_check(grammar, keys)?;
    let request = Request::new(raw, raw.body());
    let whens = grammar.checks.iter().map(|check| check.when.as_ref());
    let when = present(whens, &Scope::of(&request))?;
    let mut told: Option<Rejection> = None;
    for check in grammar.checks.iter().filter(|check| check.when.as_ref() == when) {
        if !is_configured(check, keys) {
            continue;
        }
        match verify_by(check, grammar, &request, keys, now) {
            // A half-configured check must not hide behind another one.
            Err(rejection @ Rejection::Unconfigured { .. }) => return Err(rejection),
            Err(rejection) if told.as_ref().is_none_or(is_absence) => told = Some(rejection),
            Err(_) => {}
            Ok(proof) => {
                let verified = Verified::from_checked(raw, proof, now);
                return Ok(verified.with_variant(check.variant.as_deref()));
            }
        }
    }
    Err(told.unwrap_or(Rejection::MissingSignature))
}

/// The first of the places that a request has: it chooses among the checks, and among the tables of events.
pub(super) fn present<'a>(
    places: impl Iterator<Item = Option<&'a Place>>,
    scope: &Scope<'_>,
) -> Result<Option<&'a Place>, Rejection> {
    for place in places.flatten() {
        if scope.bytes(place)?.is_some() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Another check may have found its signature, and then says more.
fn is_absence(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::MissingSignature | Rejection::MissingHeader { .. })
}

fn verify_by(
    check: &Check,
    grammar: &Grammar,
    request: &Request<'_>,
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<Proof, Rejection> {
    let scope = Scope { keys: Some(keys), ..Scope::of(request) };
    let prover = Prover { check, grammar, now };
    let Some(pointer) = &check.each_item else {
        return prover.prove(&scope);
    };
    let mut proof = None;
    for item in request.json()?.members(pointer) {
        proof = Some(prover.prove(&Scope { item: Some(item), ..scope.clone() })?);
    }
    proof.ok_or(Rejection::MissingSignature)
}

struct Prover<'a> {
    check: &'a Check,
    grammar: &'a Grammar,
    now: UnixSeconds,
}

impl Prover<'_> {
    fn prove(&self, scope: &Scope<'_>) -> Result<Proof, Rejection> {
        let keys = scope.keys.ok_or_else(|| Rejection::unconfigured(self.check.key.field.as_str()))?;
        let at = &self.check.signature.at;
        let written = scope.text(at)?.ok_or_else(|| at.missing())?;
        let mut scope = scope.clone();
        scope.entries = entries(&self.check.signature, &written);
        require_places(self.grammar, &scope)?;
        if let Some(rule) = self.check.timestamp.as_ref().or(self.grammar.timestamp.as_ref()) {
            let sent_at = sent_at(rule, &scope)?;
            if let Some(tolerance_seconds) = tolerance_seconds(rule, keys)? {
                require_fresh(sent_at, self.now, tolerance_seconds)?;
            }
        }
        let candidates = candidates(&self.check.signature, &written, &scope)?;
        let active = active_keys(&self.check.key, keys, &scope)?;
        scope.sorting = self.check.sorted.as_ref().map(|rule| Sorting {
            rule,
            signature_at: at,
            names_read: &self.grammar.names_read,
        });
        let proof = self.require_any(&active, &mut scope, &candidates)?;
        for rule in self.grammar.identity.iter().filter(|rule| keys.has(&rule.expected)) {
            if scope.item.is_some() || !matches!(rule.at.root, Root::Item(_)) {
                let actual = scope.text(&rule.at)?;
                require_identity(keys, &rule.expected, &rule.at.to_string(), actual.as_deref())?;
            }
        }
        Ok(proof)
    }

    /// Tries every key with every candidate. An unusable key is a mistake of ours and rejects at once.
    fn require_any<'a>(
        &self,
        active: &[&'a str],
        scope: &mut Scope<'a>,
        candidates: &[Vec<u8>],
    ) -> Result<Proof, Rejection> {
        let mut proved = None;
        for text in active {
            scope.key = Some(self.check.key.stripped(text));
            // With some algorithms the key is a part of what is signed.
            let message = Zeroizing::new(match &self.check.signed {
                Some(template) => template.signed_bytes(scope, self.check.free_field.as_ref())?,
                None => Vec::new(),
            });
            match require_one(self.check.algorithm, &self.check.key, text, &message, candidates) {
                Ok(proof) => proved = Some(proof),
                Err(Rejection::SignatureMismatch) => {}
                Err(rejection) => return Err(rejection),
            }
        }
        proved.ok_or(Rejection::SignatureMismatch)
    }
}

fn require_places(grammar: &Grammar, scope: &Scope<'_>) -> Result<(), Rejection> {
    for place in &grammar.required {
        scope.bytes(place)?.filter(|value| !value.is_empty()).ok_or_else(|| place.missing())?;
    }
    Ok(())
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
    let first = grammar.checks.iter().find(|check| is_configured(check, keys));
    first.ok_or_else(|| {
        let field = grammar.checks.first().map(|check| check.key.field.as_str());
        field.map_or(Rejection::MissingSignature, Rejection::unconfigured)
    })
}

/// Whether the account holds the check's key: the configured keys choose the algorithms, never the request.
fn is_configured(check: &Check, keys: &KeySet) -> bool {
    keys.has(&check.key.field)
}

pub(super) fn require_addressee(grammar: &Grammar, keys: &KeySet) -> Result<(), Rejection> {
    let unsigned = grammar.inquiry.as_ref().is_some_and(|rule| !rule.unsigned.is_empty());
    if !grammar.checks.is_empty() && !unsigned {
        chosen_check(grammar, keys)?;
    }
    let mut configured = grammar.checks.iter().filter(|check| is_configured(check, keys));
    if !configured.any(|check| check.algorithm.has_public_key()) {
        return Ok(());
    }
    grammar.identity.iter().try_for_each(|rule| keys.texts(&rule.expected).map(|_| ()))
}

/// Accepts a key set that expects the ids that the description names, wherever any of its checks has a public key:
/// what [`require_addressee`] asks once the keys have been fetched.
pub(super) fn require_expectations(grammar: &Grammar, keys: &KeySet) -> Result<(), Rejection> {
    if !grammar.checks.iter().any(|check| check.algorithm.has_public_key()) {
        return Ok(());
    }
    grammar.identity.iter().try_for_each(|rule| keys.texts(&rule.expected).map(drop))
}

/// Accepts a key set of which every key can be read, tried on nothing: a signature that does not match says that the
/// key could be read. The ids that it expects are texts, the tolerance is a number.
pub(super) fn require_readable(grammar: &Grammar, keys: &KeySet) -> Result<(), Rejection> {
    for check in grammar.checks.iter().filter(|check| is_configured(check, keys)) {
        let field = check.key.field.as_str();
        let texts = match check.key.id_at {
            Some(_) => keys.keys_by_id(field)?.into_iter().map(|(_, key)| key).collect(),
            None => keys.texts(field)?,
        };
        if texts.is_empty() {
            return Err(Rejection::unconfigured(field));
        }
        for text in texts {
            let tried = require_one(check.algorithm, &check.key, text, b"", &[vec![0]]);
            if let Err(Rejection::Unconfigured { .. }) = tried {
                return Err(Rejection::unconfigured(field));
            }
        }
    }
    for rule in grammar.identity.iter().filter(|rule| keys.has(&rule.expected)) {
        keys.texts(&rule.expected)?;
    }
    match keys.integer_if_any(TOLERANCE_FIELD)? {
        Some(seconds) if seconds <= 0 => Err(Rejection::unconfigured(TOLERANCE_FIELD)),
        _ => Ok(()),
    }
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
        TimeUnit::Auto => digits()
            .map(|number| UnixSeconds(if number >= MILLISECONDS_MIN { number / 1000 } else { number })),
        TimeUnit::Rfc3339 => text.parse::<jiff::Timestamp>().ok().map(|time| UnixSeconds(time.as_second())),
        TimeUnit::China => china_time(text),
    }
}

fn tolerance_seconds(rule: &TimestampRule, keys: &KeySet) -> Result<Option<i64>, Rejection> {
    match keys.integer_if_any(TOLERANCE_FIELD)? {
        Some(seconds) if seconds <= 0 => Err(Rejection::unconfigured(TOLERANCE_FIELD)),
        Some(seconds) => Ok(Some(seconds)),
        None => Ok(rule.tolerance_seconds),
    }
}
