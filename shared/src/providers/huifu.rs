//! Huifu's Dougong platform 汇付斗拱. Mapping: `fixtures/huifu/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey, require_identity, require_md5_with_key};
use crate::callback::{Answer, Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// Huifu Dougong.
pub static PROVIDER: Provider = Provider {
    name: "huifu",
    title: "Huifu 汇付斗拱",
    rail: Rail::Aggregator,
    home_currency: "CNY",
    scheme: "RSA-SHA256 over resp_data; webhooks MD5 over body and key",
    events: events::KINDS,
    documents: &[
        "https://spin.cloudpnr.com/topds/asynNotice.html",
        "https://paas.huifu.com/open/doc/devtools/#/webhook_jieshao",
        "https://pypi.org/project/dg-sdk/",
    ],
    answers: Answers {
        success: Answer { status: 200, content_type: "text/plain", body: "" },
        failure_content_type: "",
        failure_body: "",
    },
    success_body: Some(events::success_body),
    retry_schedule: "3 times when there is no 2xx within 5 s; webhooks 3 times, then every hour until it succeeds",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable,
    addressee,
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "public_key_spki_b64";
const ENDPOINT_KEY: &str = "endpoint_key";
const HUIFU_ID: &str = "expected_huifu_id";

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: PUBLIC_KEY,
        required: false,
        about: "for notify_url: Huifu's RSA public key, base64 or PEM, from the console",
    },
    CredentialField {
        name: ENDPOINT_KEY,
        required: false,
        about: "for platform webhooks: the endpoint's key (终端密钥), from the console",
    },
    CredentialField {
        name: HUIFU_ID,
        required: false,
        about: "the merchant's huifu_id; a callback that names another one is rejected. Needed with the public key, which is the same for all merchants",
    },
];

/// The field that carries what is signed.
const SIGNED: &str = "resp_data";

/// The public key is Huifu's, and signs for all merchants.
fn addressee(keys: &KeySet) -> Result<(), Rejection> {
    if keys.has(PUBLIC_KEY) { keys.text(HUIFU_ID).map(drop) } else { Ok(()) }
}

/// A platform webhook is JSON with `sign` in the query; a notification is a form. An account has the key of each that
/// it uses, so neither can stand in for the other.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    require_one_key(keys)?;
    if keys.has(PUBLIC_KEY) && (!keys.has(ENDPOINT_KEY) || is_form(raw)?) {
        verify_form(raw, keys, now)
    } else {
        verify_webhook(raw, keys, now)
    }
}

fn require_one_key(keys: &KeySet) -> Result<(), Rejection> {
    let one = keys.has(PUBLIC_KEY) || keys.has(ENDPOINT_KEY);
    if one { Ok(()) } else { Err(Rejection::unconfigured(PUBLIC_KEY)) }
}

fn readable(keys: &KeySet) -> Result<(), Rejection> {
    require_one_key(keys)?;
    keys.text_if_any(ENDPOINT_KEY)?;
    if keys.has(PUBLIC_KEY) { RsaKey::configured(keys, PUBLIC_KEY).map(drop) } else { Ok(()) }
}

fn is_form(raw: &RawCallback) -> Result<bool, Rejection> {
    let content_type = raw.header_if_any("content-type")?.unwrap_or_default();
    Ok(content_type.starts_with("application/x-www-form-urlencoded"))
}

/// # Source
/// Huifu, "异步消息": `sign` is SHA256withRSA over `resp_data`; the SDK checks the same after sorting the members.
fn verify_form(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = Form::parse(raw.body())?;
    let missing = |name: &str| Rejection::MissingField { name: name.to_owned() };
    let signature = form.text("sign").ok_or(Rejection::MissingSignature)?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let data = form.text(SIGNED).ok_or_else(|| missing(SIGNED))?;
    let key = RsaKey::configured(keys, PUBLIC_KEY)?;
    let proof = key.require_signature(RsaHash::Sha256, data.as_bytes(), &signature).or_else(|mismatch| {
        let sorted = sorted_compact(data).filter(|sorted| sorted != data).ok_or(mismatch)?;
        key.require_signature(RsaHash::Sha256, sorted.as_bytes(), &signature)
    })?;
    let content = Json::parse(data.as_bytes())?;
    require_identity(keys, HUIFU_ID, "huifu_id", content.text("/huifu_id"))?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(data.as_bytes().to_vec()))
}

/// # Source
/// `dg_sdk`, `verify_webhook_sign`: the MD5 of the body and the key behind it, in hexadecimal of either case.
fn verify_webhook(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let key = keys.text(ENDPOINT_KEY)?;
    let query = Form::parse(raw.query().as_bytes())?;
    let signature = query.text("sign").ok_or(Rejection::MissingSignature)?;
    let signature = hex::decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let proof = require_md5_with_key(raw.body(), key.as_bytes(), &signature)?;
    let content = Json::parse(raw.body())?;
    require_identity(keys, HUIFU_ID, "huifu_id", events::data(&content).text("/huifu_id"))?;
    Ok(Verified::from_checked(raw, proof, now))
}

/// The text that the SDK signs: the members of the outer object sorted by name, without nulls and without spaces.
fn sorted_compact(data: &str) -> Option<String> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(data).ok()?;
    let mut sorted = Vec::new();
    for (name, value) in members.iter().filter(|(_, value)| value.get() != "null") {
        let value = match serde_json::from_str::<String>(value.get()) {
            Ok(text) => serde_json::to_string(&text).ok()?,
            Err(_) => without_spaces(value.get()),
        };
        sorted.push(format!("{}:{value}", serde_json::to_string(name).ok()?));
    }
    Some(format!("{{{}}}", sorted.join(",")))
}

/// JSON without the white space between its tokens.
fn without_spaces(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    json.chars()
        .filter(|character| {
            let kept = in_text || !character.is_ascii_whitespace();
            match character {
                '"' if !escaped => in_text = !in_text,
                _ => {}
            }
            escaped = in_text && *character == '\\' && !escaped;
            kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdks_text_is_sorted_outside_and_compact() {
        let data = r#"{ "b" : "\u4e2d\/ x", "a" : {"z" : 1.00, "y": "p \" q"}, "n": null, "c": [1, 2] }"#;
        let sorted = r#"{"a":{"z":1.00,"y":"p \" q"},"b":"中/ x","c":[1,2]}"#;
        assert_eq!(sorted_compact(data).as_deref(), Some(sorted));
        assert_eq!(sorted_compact("[]"), None);
    }

    #[test]
    fn a_key_of_all_merchants_needs_an_id() {
        let keys =
            |fields: serde_json::Value| KeySet::new("k", fields.as_object().cloned().unwrap_or_default());
        for (fields, accepted) in [
            (serde_json::json!({ PUBLIC_KEY: "k", HUIFU_ID: "6666" }), true),
            (serde_json::json!({ PUBLIC_KEY: "k" }), false),
            (serde_json::json!({ ENDPOINT_KEY: "k" }), true),
        ] {
            assert_eq!(addressee(&keys(fields.clone())).is_ok(), accepted, "{fields}");
        }
    }
}
