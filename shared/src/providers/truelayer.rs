//! TrueLayer Payments v3 webhooks. Mapping: `fixtures/truelayer/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::read::rfc3339;
use super::{Covers, CredentialField, FetchRequest, Inquiry, KeyRequest, Normalise, Provider, Rail, Verify};
use crate::callback::json::Json;
use crate::callback::jws::{CompactJws, JwsAlgorithm};
use crate::callback::signature::{EcdsaP521Key, require_fresh};
use crate::callback::{CertificateProblem, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

const NAME: &str = "truelayer";

/// TrueLayer.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "TrueLayer (Payments v3)",
    rail: Rail::Bank,
    scheme: "detached JWS (ES512) over method, path, named headers and body",
    events: events::KINDS,
    documents: &[
        "https://docs.truelayer.com/docs/payments-api-webhook-reference",
        "https://docs.truelayer.com/docs/payment-webhooks",
        "https://github.com/TrueLayer/truelayer-signing",
    ],
    home_currency: "GBP",
    retry_schedule: "quick repetitions, then growing delays for up to 72 hours, until the answer is 2xx",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    key_fetch: Some(key_fetch),
    verify: Verify::Coded(verify),
    readable,
    // TrueLayer signs for all its clients; what a webhook leaves out is asked with the client's own token.
    addressee: |keys| keys.text("access_token").map(|_| ()),
    normalise: Normalise::Coded(events::normalise),
    inquiry: Some(Inquiry::Coded {
        asks: events::asks,
        requests: events::requests,
        require_answer: events::require_answer,
        normalise: events::answered,
    }),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const JWKS: &str = "jwks";
const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "access_token",
        required: false,
        about: "an access token of the Payments API (scope payments), with which the amounts are asked for; it lives an hour, so whoever holds the client secret must renew it. Needed for live callbacks",
    },
    CredentialField {
        name: "environment",
        required: false,
        about: "`sandbox` accepts the sandbox's webhooks and asks its API; production unless told",
    },
    CredentialField {
        name: "allowed_jku",
        required: false,
        about: "addresses of key sets that webhooks may name; the environment's own unless told",
    },
    CredentialField {
        name: JWKS,
        required: false,
        about: "TrueLayer's key set as JSON; fetched where it is absent or lacks the key that a webhook names",
    },
    CredentialField {
        name: "tolerance_seconds",
        required: false,
        about: "how far X-Tl-Webhook-Timestamp may be from our time; it must then be signed. No limit unless told, because TrueLayer repeats for 72 hours",
    },
];

const SIGNATURE: &str = "tl-signature";
const TIMESTAMP: &str = "x-tl-webhook-timestamp";
const KEY_SET_PATH: &str = "/.well-known/jwks";
const HOSTS: [&str; 2] = ["webhooks.truelayer.com", "webhooks.truelayer-sandbox.com"];
const KEY_SET_AGE_MAX_SECONDS: i64 = 24 * 60 * 60;
/// Most headers of one signature.
const HEADERS_MAX: usize = 32;

/// # Source
/// TrueLayer/truelayer-signing, `CustomVerifier`: `METHOD path`, a line for each header in `tl_headers`, then the body; a
/// slash at the end of the path may have been added or taken off.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    // Half-configured, it could prove a payment and never learn its amount.
    keys.text_if_any("access_token")?;
    let text = raw.header(SIGNATURE)?;
    let header = header(text)?;
    require_key_set_address(&header, keys)?;
    if header.text("/tl_version") != Some("2") {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    let names = signed_headers(&header)?;
    let key = signer(&header, keys)?;
    let mut proof = Err(Rejection::SignatureMismatch);
    for path in paths(raw) {
        let payload = payload(raw, &path, &names)?;
        let jws = CompactJws::parse_detached(text, &payload, JwsAlgorithm::Es512, "signature")?;
        proof = proof.or_else(|_| jws.require_es512(&key));
    }
    require_recent(raw, &names, keys, now)?;
    Ok(Verified::from_checked(raw, proof?, now))
}

/// The header, which says which key, before the payload can be known.
fn header(text: &str) -> Result<Json, Rejection> {
    CompactJws::parse_detached(text, b"", JwsAlgorithm::Es512, "signature").map(|jws| jws.header().clone())
}

/// Accepts the address of a key set that is pinned, whichever way its keys came here.
fn require_key_set_address<'a>(header: &'a Json, keys: &KeySet) -> Result<&'a str, Rejection> {
    let named = header.text("/jku").ok_or(Rejection::UnknownKey)?;
    let allowed = match keys.has("allowed_jku") {
        true => keys.texts("allowed_jku")?.contains(&named),
        false => named == format!("https://{}{KEY_SET_PATH}", HOSTS[usize::from(is_sandbox(keys)?)]),
    };
    if allowed { Ok(named) } else { Err(Rejection::Certificate(CertificateProblem::AddressNotAllowed)) }
}

fn is_sandbox(keys: &KeySet) -> Result<bool, Rejection> {
    match keys.text_if_any("environment")? {
        None | Some("production") => Ok(false),
        Some("sandbox") => Ok(true),
        Some(_) => Err(Rejection::unconfigured("environment")),
    }
}

/// The names of the signed headers as the signature writes them, in its order.
fn signed_headers(header: &Json) -> Result<Vec<&str>, Rejection> {
    let names: Vec<&str> = match header.at("/tl_headers") {
        Some(Json::Text(names)) => names.split(',').filter(|name| !name.is_empty()).collect(),
        _ => return Err(Rejection::malformed("signature")),
    };
    let is_twice = |name: &&str| names.iter().filter(|other| other.eq_ignore_ascii_case(name)).count() > 1;
    if let Some(twice) = names.iter().find(|name| is_twice(name)) {
        return Err(Rejection::Duplicate { name: (*twice).to_owned() });
    }
    if names.len() > HEADERS_MAX { Err(Rejection::malformed("signature")) } else { Ok(names) }
}

/// The path, with the query and without it (TrueLayer's own examples leave it out), each with and without its last slash.
fn paths(raw: &RawCallback) -> Vec<String> {
    let (path, query) = match raw.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw.path.as_str(), None),
    };
    let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    let mut paths = vec![path.to_owned(), other];
    if let Some(query) = query {
        let with_query: Vec<String> = paths.iter().map(|path| format!("{path}?{query}")).collect();
        paths.extend(with_query);
    }
    paths
}

fn payload(raw: &RawCallback, path: &str, names: &[&str]) -> Result<Vec<u8>, Rejection> {
    let mut head = format!("{} {path}\n", raw.method);
    for name in names {
        let missing = || Rejection::MissingHeader { name: (*name).to_owned() };
        let value = raw.header_if_any(name)?.ok_or_else(missing)?;
        head.push_str(&format!("{name}: {value}\n"));
    }
    Ok([head.as_bytes(), raw.body()].concat())
}

fn require_recent(
    raw: &RawCallback,
    names: &[&str],
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<(), Rejection> {
    let Some(tolerance_seconds) = keys.integer_if_any("tolerance_seconds")? else { return Ok(()) };
    if !names.iter().any(|name| name.eq_ignore_ascii_case(TIMESTAMP)) {
        return Err(Rejection::MissingHeader { name: TIMESTAMP.to_owned() });
    }
    let sent_at = rfc3339(raw.header(TIMESTAMP)?).ok_or_else(|| Rejection::malformed("timestamp"))?;
    require_fresh(sent_at, now, tolerance_seconds)
}

fn signer(header: &Json, keys: &KeySet) -> Result<EcdsaP521Key, Rejection> {
    let document = keys.document(JWKS)?;
    let key = key_of(&document, header).ok_or(Rejection::UnknownKey)?;
    ecdsa_key(key).ok_or_else(|| Rejection::unconfigured(JWKS))
}

fn ecdsa_key(key: &Json) -> Option<EcdsaP521Key> {
    let number = |pointer: &str| URL_SAFE_NO_PAD.decode(key.text(pointer)?).ok();
    let (x, y) = number("/x").zip(number("/y"))?;
    EcdsaP521Key::from_coordinates(&x, &y)
}

/// The curve and the use of a key are what a webhook's header must find, so those that have another are passed over.
fn readable(keys: &KeySet) -> Result<(), Rejection> {
    is_sandbox(keys)?;
    keys.integer_if_any("tolerance_seconds")?;
    if keys.has("allowed_jku") {
        keys.texts("allowed_jku")?;
    }
    if !keys.has(JWKS) {
        return Ok(());
    }
    let document = keys.document(JWKS)?;
    let mut candidates = document.members("/keys").iter().filter(|key| is_es512(key)).peekable();
    let usable = candidates.peek().is_some() && candidates.all(|key| ecdsa_key(key).is_some());
    if usable { Ok(()) } else { Err(Rejection::unconfigured(JWKS)) }
}

/// The key that the header names: on the curve that the algorithm needs.
fn key_of<'a>(document: &'a Json, header: &Json) -> Option<&'a Json> {
    let wanted = header.text("/kid")?;
    document.members("/keys").iter().find(|key| key.text("/kid") == Some(wanted) && is_es512(key))
}

fn is_es512(key: &Json) -> bool {
    key.text("/kty") == Some("EC")
        && key.text("/crv") == Some("P-521")
        && key.text("/alg").is_none_or(|alg| alg == "ES512")
}

/// TrueLayer's keys, where the key set lacks the one that the webhook names.
fn key_fetch(raw: &RawCallback, keys: &KeySet) -> Result<Option<KeyRequest>, Rejection> {
    let header = header(raw.header(SIGNATURE)?)?;
    let address = require_key_set_address(&header, keys)?;
    if keys.has(JWKS) && key_of(&keys.document(JWKS)?, &header).is_some() {
        return Ok(None);
    }
    let host = HOSTS.into_iter().find(|host| address == format!("https://{host}{KEY_SET_PATH}"));
    let host = host.ok_or(Rejection::Certificate(CertificateProblem::AddressNotAllowed))?;
    Ok(Some(KeyRequest {
        request: FetchRequest::get(host, address),
        field: JWKS,
        id: None,
        max_age_seconds: KEY_SET_AGE_MAX_SECONDS,
        read: read_key_set,
    }))
}

fn read_key_set(body: &[u8]) -> Option<Value> {
    let document = Json::parse(body).ok()?;
    (!document.members("/keys").is_empty()).then(|| serde_json::from_slice(body).ok()).flatten()
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
