//! Braintree webhooks. Mapping: `fixtures/braintree/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{Covers, CredentialField, Normalise, Provider, Rail, Reply, Verify};
use crate::callback::form::Form;
use crate::callback::signature::{HmacHash, hmac_tag, require_hmac};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// Braintree.
pub static PROVIDER: Provider = Provider {
    name: "braintree",
    title: "Braintree",
    rail: Rail::Card,
    scheme: "HMAC-SHA1 over the payload, by public key",
    events: events::KINDS,
    documents: &[
        "https://developer.paypal.com/braintree/docs/guides/webhooks/parse",
        "https://developer.paypal.com/braintree/docs/reference/general/webhooks",
    ],
    answers: Answers::EMPTY,
    handshake: Some(handshake),
    retry_schedule: "every hour for 24 hours (3 hours in the sandbox), until the answer within 30 s is 2xx",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| mac_key(keys).and(keys.text("public_key")).map(drop),
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "public_key",
        required: true,
        about: "the public key of the API key pair; it says which signature is meant",
    },
    CredentialField {
        name: "private_key",
        required: true,
        about: "the private key of the API key pair, as the control panel shows it",
    },
];

/// # Source
/// braintree_python, `WebhookNotificationGateway`: `bt_signature` holds a pair `public key|signature` for each key of the
/// merchant; the payload may have lost the newline at its end.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = Form::parse(raw.body())?;
    if form.iter().any(|(name, _)| !["bt_signature", "bt_payload"].contains(&name)) {
        return Err(Rejection::malformed("body"));
    }
    let payload = form.text("bt_payload").ok_or(Rejection::MissingField { name: "bt_payload".to_owned() })?;
    if !payload.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=\n".contains(&byte)) {
        return Err(Rejection::malformed("body"));
    }
    let key = mac_key(keys)?;
    let signatures = signatures(form.text("bt_signature").ok_or(Rejection::MissingSignature)?, keys)?;
    let proof = require_hmac(HmacHash::Sha1, &key, &[payload.as_bytes()], &signatures)
        .or_else(|_| require_hmac(HmacHash::Sha1, &key, &[payload.as_bytes(), b"\n"], &signatures))?;
    let document = STANDARD.decode(payload.replace('\n', "")).map_err(|_| Rejection::malformed("body"))?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(document))
}

fn mac_key(keys: &KeySet) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    let private_key = keys.text("private_key")?;
    let key = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, private_key.as_bytes());
    Ok(Zeroizing::new(key.as_ref().to_vec()))
}

/// The signatures that are said to be of the configured public key.
fn signatures(text: &str, keys: &KeySet) -> Result<Vec<Vec<u8>>, Rejection> {
    let public_key = keys.text("public_key")?;
    let own: Vec<&str> = text
        .split('&')
        .filter_map(|pair| pair.split_once('|'))
        .filter(|(of, _)| *of == public_key)
        .map(|(_, signature)| signature)
        .collect();
    if own.is_empty() {
        return Err(Rejection::UnknownKey);
    }
    let decode = |text: &str| {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        hex::decode(text).ok().filter(|_| !upper).ok_or_else(|| Rejection::malformed("signature"))
    };
    own.into_iter().map(decode).collect()
}

/// Braintree asks for the signature of a challenge before it sends to an address.
///
/// # Source
/// braintree_python, `WebhookNotificationGateway.verify`.
fn handshake(raw: &RawCallback, keys: &KeySet) -> Result<Option<Reply>, Rejection> {
    if raw.method != "GET" {
        return Ok(None);
    }
    let query = Form::parse(raw.query().as_bytes())?;
    let Some(challenge) = query.text("bt_challenge") else { return Ok(None) };
    let plain = challenge.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !plain || !(20..=32).contains(&challenge.len()) {
        return Err(Rejection::malformed("challenge"));
    }
    let tag = hmac_tag(HmacHash::Sha1, &mac_key(keys)?, &[challenge.as_bytes()]);
    Ok(Some(Reply {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: format!("{}|{}", keys.text("public_key")?, hex::encode(tag)),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn keys() -> KeySet {
        let texts = [("public_key", "integration_public_key"), ("private_key", "integration_private_key")];
        KeySet::new("k", Map::from_iter(texts.map(|(name, value)| (name.to_owned(), Value::from(value)))))
    }

    /// # Source
    /// braintree_python, `tests/unit/test_webhooks.py`: the answer to the challenge of the test keys.
    #[test]
    fn the_challenge_is_signed_and_nothing_else_is() {
        let challenge = "20f9f8ed05f77439fe955c977e4c8a53";
        let signed = "integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4";
        for (method, query, answer) in [
            ("GET", format!("?bt_challenge={challenge}"), Ok(Some(signed))),
            ("POST", format!("?bt_challenge={challenge}"), Ok(None)),
            ("GET", String::new(), Ok(None)),
            ("GET", "?bt_challenge=goodbye%20cruel%20world".to_owned(), Err(())),
            ("GET", format!("?bt_challenge={challenge}{challenge}"), Err(())),
            ("GET", "?bt_challenge=20F9F8ED05F77439FE95".to_owned(), Err(())),
        ] {
            let raw = RawCallback::new("a", "braintree", method, format!("/x{query}"), [], Vec::new());
            let reply = handshake(&raw, &keys()).map_err(drop);
            let body = reply.map(|reply| reply.map(|reply| reply.body));
            assert_eq!(body, answer.map(|answer| answer.map(str::to_owned)), "{method} {query}");
        }
    }
}
