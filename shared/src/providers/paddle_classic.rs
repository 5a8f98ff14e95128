//! Paddle Classic alerts. Mapping: `fixtures/paddle_classic/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::form::Form;
use crate::callback::signature::{RsaHash, RsaKey};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// Paddle Classic.
pub static PROVIDER: Provider = Provider {
    name: "paddle_classic",
    title: "Paddle Classic",
    rail: Rail::Card,
    scheme: "RSA-SHA1 over the sorted parameters as PHP serialises them",
    events: events::KINDS,
    documents: &[
        "https://developer.paddle.com/classic/webhook-reference/",
        "https://classic.paddle.com/webhooks/verifying-webhooks/",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "every hour for 72 hours, until the answer is 200",
    covers: Covers::Body,
    credential_fields: &[CredentialField {
        name: PUBLIC_KEY,
        required: true,
        about: "the vendor's public key in PEM, under Developer Tools, Public Key",
    }],
    verify: Verify::Coded(verify),
    readable: |keys| RsaKey::configured(keys, PUBLIC_KEY).map(drop),
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "public_key_pem";
const SIGNATURE: &str = "p_signature";

/// # Source
/// Paddle, "Verifying webhooks": all parameters but the signature, sorted by name, as PHP's `serialize` writes an array
/// of strings. Every vendor has a key pair of its own.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = Form::parse(raw.body())?;
    let signature = form.text(SIGNATURE).ok_or(Rejection::MissingSignature)?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let key = RsaKey::configured(keys, PUBLIC_KEY)?;
    let proof = key.require_signature(RsaHash::Sha1, &serialised(&form), &signature)?;
    Ok(Verified::from_checked(raw, proof, now))
}

/// `a:2:{s:1:"a";s:1:"1";s:1:"b";s:0:"";}`: lengths are in bytes, so nothing needs an escape.
fn serialised(form: &Form) -> Vec<u8> {
    let mut parameters: Vec<_> = form.iter().filter(|(name, _)| *name != SIGNATURE).collect();
    parameters.sort_unstable_by_key(|(name, _)| *name);
    let mut text = format!("a:{}:{{", parameters.len()).into_bytes();
    for part in parameters.into_iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
        text.extend_from_slice(format!("s:{}:\"", part.len()).as_bytes());
        text.extend_from_slice(part);
        text.extend_from_slice(b"\";");
    }
    text.push(b'}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_as_php_does() {
        let form = Form::parse("b=%C3%A9%22&a=1&p_signature=x&c=".as_bytes()).unwrap();
        let expected = "a:3:{s:1:\"a\";s:1:\"1\";s:1:\"b\";s:3:\"é\"\";s:1:\"c\";s:0:\"\";}";
        assert_eq!(String::from_utf8(serialised(&form)).unwrap(), expected);
    }
}
