//! Circle, described in `circle.toml`: where the public key is that a callback names.

use serde_json::Value;

use super::described::described_with_key_fetch;
use super::{FetchRequest, KeyRequest, Provider};
use crate::callback::json::Json;
use crate::callback::signature::EcdsaP256Key;
use crate::callback::{KeySet, RawCallback, Rejection};

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_with_key_fetch("circle", include_str!("circle.toml"), key_fetch, readable)
}

const KEYS: &str = "public_keys";
/// Keys do not change: another one has another id.
const KEPT_SECONDS: i64 = 24 * 60 * 60;

/// # Source
/// Circle, "Verify webhook signatures": the flow is the same across products, only the address of the keys differs.
fn key_fetch(raw: &RawCallback, keys: &KeySet) -> Result<Option<KeyRequest>, Rejection> {
    let id = raw.header("x-circle-key-id")?;
    let held = keys.keys_by_id(KEYS)?.iter().any(|(have, _)| *have == id);
    let Some(api_key) = keys.text_if_any("api_key")?.filter(|_| !held) else { return Ok(None) };
    // What cannot be genuine costs no request.
    raw.header("x-circle-signature")?;
    if id.len() != 36 || !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(Rejection::UnknownKey);
    }
    let (host, path) = place_of_keys(keys)?;
    let request = FetchRequest::get(host, format!("https://{host}{path}{id}"))
        .with_header("Accept", "application/json")
        .with_header("Authorization", format!("Bearer {api_key}"));
    let id = Some(id.to_owned());
    Ok(Some(KeyRequest { request, field: KEYS, id, max_age_seconds: KEPT_SECONDS, read }))
}

/// Host and path of Circle's keys.
fn place_of_keys(keys: &KeySet) -> Result<(&'static str, &'static str), Rejection> {
    let host = match keys.text_if_any("environment")? {
        None | Some("production") => "api.circle.com",
        Some("sandbox") => "api-sandbox.circle.com",
        Some(_) => return Err(Rejection::unconfigured("environment")),
    };
    let path = match keys.text_if_any("product")? {
        None => "/v2/notifications/publicKey/",
        Some("cpn") => "/v2/cpn/notifications/publicKey/",
        Some("stablefx") => "/v2/stablefx/notifications/publicKey/",
        Some(_) => return Err(Rejection::unconfigured("product")),
    };
    Ok((host, path))
}

/// A key set holds public keys, or the API key with which they are fetched.
fn readable(keys: &KeySet) -> Result<(), Rejection> {
    place_of_keys(keys)?;
    let fetched = keys.text_if_any("api_key")?.is_some();
    if fetched || keys.has(KEYS) { Ok(()) } else { Err(Rejection::unconfigured(KEYS)) }
}

/// The key in Circle's answer, which must be one for the algorithm that is checked.
fn read(body: &[u8]) -> Option<Value> {
    let told = Json::parse(body).ok()?;
    let key =
        told.text("/data/publicKey").filter(|_| told.text("/data/algorithm") == Some("ECDSA_SHA_256"))?;
    EcdsaP256Key::from_public_key_text(key, KEYS).ok()?;
    Some(Value::from(key))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    const ID: &str = "879dc113-5ca4-4ff7-a6b7-54652083fcf8";
    /// Made for this test.
    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEx3ASXvr4hRUDRSEFXXPzRghUmmvFPvOQ5Z\
        GdPNJRm6jN30pzckR5KYiTMaSGDuOxQBBcl94cZykomkFySBk2dQ==";

    fn asked(id: &str, fields: Value) -> Result<Option<String>, Rejection> {
        let headers = [("X-Circle-Key-Id", id), ("X-Circle-Signature", "c2ln")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let raw = RawCallback::new("a", "circle", "POST", "/", headers, Vec::new());
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let wanted = key_fetch(&raw, &KeySet::new("k", fields))?;
        Ok(wanted.map(|wanted| wanted.request.url))
    }

    #[test]
    fn a_key_that_is_not_held_is_asked_for_with_the_accounts_key() {
        let at = |path: &str| Ok(Some(format!("https://{path}/{ID}")));
        let api_key = json!("TEST_API_KEY");
        for (id, fields, expected) in [
            (ID, json!({"api_key": api_key}), at("api.circle.com/v2/notifications/publicKey")),
            (
                ID,
                json!({"api_key": api_key, "product": "cpn", "environment": "sandbox"}),
                at("api-sandbox.circle.com/v2/cpn/notifications/publicKey"),
            ),
            (ID, json!({"api_key": api_key, "public_keys": {ID: "k"}}), Ok(None)),
            (ID, json!({"public_keys": {"other": "k"}}), Ok(None)),
            (ID, json!({"api_key": ""}), Err(Rejection::unconfigured("api_key"))),
            (ID, json!({"api_key": api_key, "product": "other"}), Err(Rejection::unconfigured("product"))),
            ("../../v1/wallets?", json!({"api_key": api_key}), Err(Rejection::UnknownKey)),
        ] {
            assert_eq!(asked(id, fields), expected, "{id}");
        }
        assert_eq!(
            asked("", Value::Object(Map::new())).err().map(|told| told.reason()),
            Some("missing_header")
        );
    }

    #[test]
    fn only_a_key_for_the_algorithm_that_is_checked_is_read() {
        let answer = |algorithm: &str, key: &str| {
            read(json!({"data": {"id": ID, "algorithm": algorithm, "publicKey": key}}).to_string().as_bytes())
        };
        assert_eq!(answer("ECDSA_SHA_256", KEY), Some(Value::from(KEY)));
        for (algorithm, key) in [("RSA", KEY), ("ECDSA_SHA_256", "bm8ga2V5"), ("ECDSA_SHA_256", "")] {
            assert_eq!(answer(algorithm, key), None, "{algorithm} {key}");
        }
        assert_eq!(read(b"<html>"), None);
    }
}
