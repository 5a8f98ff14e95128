//! The inverse of a description: sandbox keys, and requests signed as the provider would sign them.

use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rsa::pkcs8::DecodePrivateKey;
use serde_json::{Map, Value, json};

use crate::callback::signature::{EcdsaForm, HmacHash, hmac_tag};
use crate::callback::{KeySet, RawCallback, Rejection};
use crate::sandbox::ecdsa_keys::{self, Curve};
use crate::sandbox::{Payload, PayloadError, SandboxKeys, SignedRequest, rsa_keys};

use super::Description;
use super::grammar::{Algorithm, Check, KeyEncoding, KeyRule, SignatureEncoding, SignatureRule, TimeUnit};
use super::place::{Place, Request, Scope, Template};
use super::verify::{chosen_check, decode_key};

/// The id under which a sandbox key is known where the protocol names keys.
const KEY_ID: &str = "sandbox";

const PKCS8: &str = "sandbox keys hold what the sandbox made";

impl Description {
    /// Fresh keys for the first way in which the provider may sign.
    pub fn generate_keys(&self) -> SandboxKeys {
        match self.grammar.checks.first() {
            Some(check) => self.generate_keys_for(check),
            None => SandboxKeys { key_set: self.made_up(Map::new()), private: Map::new() },
        }
    }

    /// Fresh keys for each way in which the provider may sign.
    pub fn generate_all_keys(&self) -> Vec<SandboxKeys> {
        self.grammar.checks.iter().map(|check| self.generate_keys_for(check)).collect()
    }

    /// A payload template of the description itself.
    pub fn payload_template(&self, scenario: &str) -> Option<&str> {
        self.grammar.payloads.get(scenario).map(String::as_str)
    }

    /// The request that the provider would send.
    ///
    /// # Errors
    /// [`PayloadError::NotSignable`] when the description signs something that the sandbox cannot make up.
    pub fn sign(&self, keys: &SandboxKeys, payload: &Payload) -> Result<SignedRequest, PayloadError> {
        if self.grammar.checks.is_empty() {
            return Ok(unsigned(payload));
        }
        let key_set = KeySet::new(KEY_ID, keys.key_set.clone());
        let check = chosen_check(&self.grammar, &key_set).map_err(|error| self.not_signable(&error))?;
        let Place::Header(signature_header) = &check.signature.at else {
            return Err(PayloadError::NotSignable(format!("{}: {}", self.name, check.signature.at)));
        };
        let mut headers = self.headers(check, &key_set, payload);
        let sent_at = self.grammar.timestamp.as_ref().map(|rule| (&rule.at, time_text(payload, rule.unit)));
        let entry = match &sent_at {
            Some((Place::Entry(name), text)) => Some((name.as_str(), text.as_str())),
            _ => None,
        };
        let body = payload.content.clone().into_bytes();
        let raw = RawCallback::new(KEY_ID, &*self.name, "POST", "/", headers.clone(), body);
        let request = Request::new(&raw, raw.body());
        let scope = Scope {
            request: &request,
            keys: Some(&key_set),
            entries: entry.into_iter().collect(),
            item: None,
        };
        let message = check.signed.as_ref().map(|template| template.bytes(&scope)).transpose();
        let message = message.map_err(|error| self.not_signable(&error))?.unwrap_or_default();
        let signature = sign(check, keys, &message);
        headers.push((signature_header.clone(), written(&check.signature, entry, &signature)));
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        Ok(SignedRequest { method: "POST", query: String::new(), headers, body: raw.body().to_vec() })
    }

    fn generate_keys_for(&self, check: &Check) -> SandboxKeys {
        let (shown, private) = generate(check.algorithm, &check.key);
        let mut key_set = Map::new();
        let mut by_field = Map::new();
        by_field.insert(check.key.field.clone(), Value::String(private));
        let value = match check.key.id_at {
            Some(_) => json!({ KEY_ID: shown }),
            None => Value::String(shown),
        };
        key_set.insert(check.key.field.clone(), value);
        SandboxKeys { key_set: self.made_up(key_set), private: by_field }
    }

    /// The key set with values for what else must be there, and for what asking the provider needs.
    fn made_up(&self, mut key_set: Map<String, Value>) -> Map<String, Value> {
        let inquiry = self.grammar.inquiry.as_ref();
        let server = inquiry.and_then(|rule| rule.base_url.as_deref());
        let suffix = inquiry.and_then(|rule| rule.host_suffix.as_deref()).unwrap_or(".example.com");
        let asking = inquiry.map(|rule| rule.credentials()).unwrap_or_default();
        for field in &self.grammar.credentials {
            let made_up = || match server == Some(field.name.as_str()) {
                true => Value::String(format!("https://sandbox{suffix}")),
                false => Value::String(format!("sandbox-{}", rsa_keys::random_text(12))),
            };
            if field.required || asking.contains(field.name.as_str()) {
                key_set.entry(field.name.clone()).or_insert_with(made_up);
            }
        }
        key_set
    }

    /// The headers beside the signature that the description reads.
    fn headers(&self, check: &Check, key_set: &KeySet, payload: &Payload) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut set = |place: &Place, value: String| {
            if let Place::Header(name) = place
                && headers.iter().all(|(have, _)| have != name)
            {
                headers.push((name.clone(), value));
            }
        };
        if let Some(rule) = &self.grammar.timestamp {
            set(&rule.at, time_text(payload, rule.unit));
        }
        if let Some(place) = &check.key.id_at {
            set(place, KEY_ID.to_owned());
        }
        for rule in &self.grammar.identity {
            if let Ok(Some(expected)) = key_set.text_if_any(&rule.expected) {
                set(&rule.at, expected.to_owned());
            }
        }
        let ids = self.grammar.events.iter().flat_map(|events| &events.id).flat_map(Template::places);
        let signed = check.signed.iter().flat_map(Template::places);
        for place in ids.chain(signed).chain(&self.grammar.required) {
            set(place, payload.event_id.clone());
        }
        headers
    }

    fn not_signable(&self, rejection: &Rejection) -> PayloadError {
        PayloadError::NotSignable(format!("{}: {rejection}", self.name))
    }
}

/// The request of a provider that signs nothing.
fn unsigned(payload: &Payload) -> SignedRequest {
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: payload.content.clone().into_bytes(),
    }
}

fn time_text(payload: &Payload, unit: TimeUnit) -> String {
    match unit {
        TimeUnit::Seconds => payload.sent_at.0.to_string(),
        TimeUnit::Milliseconds => (payload.sent_at.0 * 1000).to_string(),
        TimeUnit::Rfc3339 => {
            jiff::Timestamp::from_second(payload.sent_at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
        }
    }
}

/// What the account's key set holds, and what the provider holds.
fn generate(algorithm: Algorithm, rule: &KeyRule) -> (String, String) {
    match algorithm {
        Algorithm::RsaSha1 | Algorithm::RsaSha256 => {
            let key = rsa_keys::generate();
            (key.spki_base64, key.pkcs8_base64)
        }
        Algorithm::EcdsaP256Der | Algorithm::EcdsaP256Raw => {
            let key = ecdsa_keys::generate(Curve::P256);
            (key.spki_base64, key.pkcs8_base64)
        }
        Algorithm::Ed25519 => {
            let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect(PKCS8);
            let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).expect(PKCS8);
            (encoded(rule, pair.public_key().as_ref()), STANDARD.encode(private.as_ref()))
        }
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 | Algorithm::Token => {
            let mut secret = [0; 32];
            fill(&mut secret).expect("the system provides randomness");
            let shown = encoded(rule, &secret);
            (shown.clone(), shown)
        }
    }
}

fn encoded(rule: &KeyRule, key: &[u8]) -> String {
    let prefix = rule.strip_prefixes.first().map_or("", String::as_str);
    let text = match rule.encoding {
        KeyEncoding::Utf8 | KeyEncoding::Hex => hex::encode(key),
        KeyEncoding::Base64 | KeyEncoding::Pem => STANDARD.encode(key),
    };
    format!("{prefix}{text}")
}

fn sign(check: &Check, keys: &SandboxKeys, message: &[u8]) -> Vec<u8> {
    let private = keys.private.get(&check.key.field).and_then(Value::as_str).expect(PKCS8);
    let pkcs8 = || STANDARD.decode(private).expect(PKCS8);
    let secret = || decode_key(&check.key, private).expect(PKCS8);
    let ecdsa = |form| ecdsa_keys::sign_p256(&keys.private, &check.key.field, message, form);
    match check.algorithm {
        Algorithm::HmacSha1 => hmac_tag(HmacHash::Sha1, &secret(), &[message]),
        Algorithm::HmacSha256 => hmac_tag(HmacHash::Sha256, &secret(), &[message]),
        Algorithm::HmacSha512 => hmac_tag(HmacHash::Sha512, &secret(), &[message]),
        Algorithm::Token => secret(),
        Algorithm::RsaSha256 => {
            let base64 = rsa_keys::sign_sha256(&keys.private, &check.key.field, message);
            STANDARD.decode(base64).expect(PKCS8)
        }
        Algorithm::RsaSha1 => {
            use sha1::{Digest, Sha1};
            let key = rsa::RsaPrivateKey::from_pkcs8_der(&pkcs8()).expect(PKCS8);
            key.sign(rsa::Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(message)).expect(PKCS8)
        }
        Algorithm::EcdsaP256Der => ecdsa(EcdsaForm::Der),
        Algorithm::EcdsaP256Raw => ecdsa(EcdsaForm::Raw),
        Algorithm::Ed25519 => {
            Ed25519KeyPair::from_pkcs8(&pkcs8()).expect(PKCS8).sign(message).as_ref().to_vec()
        }
    }
}

fn written(rule: &SignatureRule, entry: Option<(&str, &str)>, signature: &[u8]) -> String {
    let text = match rule.encoding {
        SignatureEncoding::Hex => hex::encode(signature),
        SignatureEncoding::HexAnyCase => hex::encode_upper(signature),
        SignatureEncoding::Base64 => STANDARD.encode(signature),
        SignatureEncoding::Base64url => URL_SAFE_NO_PAD.encode(signature),
        SignatureEncoding::Text => String::from_utf8_lossy(signature).into_owned(),
    };
    let value = format!("{}{text}", rule.prefix);
    let (Some(take), Some(assign), Some(separator)) = (&rule.take, &rule.assign, &rule.separator) else {
        return value;
    };
    let signed = format!("{take}{assign}{value}");
    match entry {
        Some((name, text)) => format!("{name}{assign}{text}{separator}{signed}"),
        None => signed,
    }
}
