//! The inverse of a description: sandbox keys, and requests signed as the provider would sign them.

mod crypto;
mod draft;

use serde_json::{Map, Value, json};

use crate::callback::{KeySet, RawCallback, Rejection};
use crate::sandbox::{Payload, PayloadError, SandboxKeys, SignedRequest, rsa_keys};

use super::Description;
use super::grammar::{Check, TimeUnit, TimestampRule};
use super::place::{Place, Root, URL_FIELDS};
use super::request::{Request, Scope};
use super::sorted::Sorting;
use super::template::Template;
use super::verify::chosen_check;
use draft::Draft;

/// The id under which a sandbox key is known where the protocol names keys.
const KEY_ID: &str = "sandbox";

const PKCS8: &str = "sandbox keys hold what the sandbox made";

impl Description {
    /// Fresh keys for the first way in which the provider may sign.
    pub fn generate_keys(&self) -> SandboxKeys {
        match self.grammar.checks.first() {
            Some(check) => self.generate_keys_for(check),
            None => SandboxKeys { key_set: self.made_up(Map::new(), None), private: Map::new() },
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
    /// The content is the body, or for a form or a query the JSON object of its fields. Top members that are named
    /// `query:NAME` or `header:NAME` are sent there instead. What cannot be signed, because a field that is signed is
    /// missing, is sent with a signature of nothing.
    ///
    /// # Errors
    /// [`PayloadError::NotSignable`] when the keys are not this description's.
    pub fn sign(&self, keys: &SandboxKeys, payload: &Payload) -> Result<SignedRequest, PayloadError> {
        if self.grammar.checks.is_empty() {
            return Ok(Draft::new(None, payload).into_request());
        }
        let key_set = KeySet::new(KEY_ID, keys.key_set.clone());
        let check = chosen_check(&self.grammar, &key_set).map_err(|error| self.not_signable(&error))?;
        let mut draft = Draft::new(Some(check), payload);
        self.add_headers(&mut draft, check, &key_set, payload);
        let timestamp = check.timestamp.as_ref().or(self.grammar.timestamp.as_ref());
        let entry = timestamp.and_then(|rule| entry(rule, payload));
        let signer = Signer { description: self, check, key_set: &key_set, keys, entry };
        let at = &check.signature.at;
        match &check.each_item {
            None => {
                let text = signer.text(&draft, None);
                draft.put(at, None, text);
            }
            Some(pointer) => {
                for index in 0..draft.item_count(pointer) {
                    let text = signer.text(&draft, Some((pointer, index)));
                    draft.put(at, Some((pointer, index)), text);
                }
            }
        }
        Ok(draft.into_request())
    }

    fn generate_keys_for(&self, check: &Check) -> SandboxKeys {
        let (shown, kept) = crypto::generate(check.algorithm, &check.key);
        let value = match check.key.id_at {
            Some(_) => json!({ KEY_ID: shown }),
            None => Value::String(shown),
        };
        let key_set = Map::from_iter([(check.key.field.clone(), value)]);
        let private = Map::from_iter([(check.key.field.clone(), Value::String(kept))]);
        SandboxKeys { key_set: self.made_up(key_set, Some(check)), private }
    }

    /// The key set with values for what else must be there, and for what signing and asking the provider need.
    fn made_up(&self, mut key_set: Map<String, Value>, check: Option<&Check>) -> Map<String, Value> {
        let inquiry = self.grammar.inquiry.as_ref();
        let server = inquiry.and_then(|rule| rule.base_url.as_deref());
        let suffix = inquiry.and_then(|rule| rule.host_suffix.as_deref()).unwrap_or(".example.com");
        let asking = inquiry.map(|rule| rule.credentials()).unwrap_or_default();
        let signed = check.iter().flat_map(|check| &check.signed).flat_map(Template::places);
        let signed: Vec<&Root> = signed.map(|place| &place.root).collect();
        for field in &self.grammar.credentials {
            let is_signed = signed.iter().any(|root| match root {
                Root::Credential(name) => *name == field.name,
                Root::Url => URL_FIELDS.contains(&field.name.as_str()),
                _ => false,
            });
            let made_up = || match (&field.sandbox, server == Some(field.name.as_str())) {
                (Some(value), _) => value.clone(),
                (None, true) => Value::String(format!("https://sandbox{suffix}")),
                (None, false) => Value::String(format!("sandbox-{}", rsa_keys::random_text(12))),
            };
            // A public key is everybody's, so the account must say whose callbacks are meant.
            let is_addressee = check.is_some_and(|check| check.algorithm.has_public_key())
                && self.grammar.identity.iter().any(|rule| rule.expected == field.name);
            let is_asked = field.sandbox.is_some() || asking.contains(field.name.as_str());
            if field.required || is_signed || is_addressee || is_asked {
                key_set.entry(field.name.clone()).or_insert_with(made_up);
            }
        }
        key_set
    }

    /// Adds what the description reads from headers and from the query, beside the signature.
    fn add_headers(&self, draft: &mut Draft, check: &Check, key_set: &KeySet, payload: &Payload) {
        if let Some(rule) = check.timestamp.as_ref().or(self.grammar.timestamp.as_ref()) {
            draft.add(&rule.at, &time_text(payload, rule.unit));
        }
        if let Some(place) = &check.key.id_at {
            draft.add(place, KEY_ID);
        }
        for rule in &self.grammar.identity {
            if let Ok(Some(expected)) = key_set.text_if_any(&rule.expected) {
                draft.add(&rule.at, expected);
            }
        }
        let tables = self.grammar.events.iter().filter(|events| events.when == check.when);
        let ids = tables.flat_map(|events| &events.id).flat_map(Template::places);
        let signed = check.signed.iter().flat_map(Template::places);
        for place in ids.chain(signed).chain(&self.grammar.required).chain(&check.when) {
            if *place != check.signature.at {
                draft.add(place, &payload.event_id);
            }
        }
    }

    fn not_signable(&self, rejection: &Rejection) -> PayloadError {
        PayloadError::NotSignable(format!("{}: {rejection}", self.name))
    }
}

/// The signed time where the signature's header carries it.
fn entry(rule: &TimestampRule, payload: &Payload) -> Option<(String, String)> {
    match &rule.at.root {
        Root::Entry(name) => Some((name.clone(), time_text(payload, rule.unit))),
        _ => None,
    }
}

struct Signer<'a> {
    description: &'a Description,
    check: &'a Check,
    key_set: &'a KeySet,
    keys: &'a SandboxKeys,
    entry: Option<(String, String)>,
}

impl Signer<'_> {
    /// The signature of a request, or of one member of its array, as it is written.
    fn text(&self, draft: &Draft, item: Option<(&str, usize)>) -> String {
        let raw: RawCallback = draft.to_raw(KEY_ID, &self.description.name);
        let request = Request::new(&raw, raw.body());
        let item = item.and_then(|(pointer, index)| request.json().ok()?.members(pointer).get(index));
        let entry = self.entry.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let scope = Scope {
            keys: Some(self.key_set),
            key: Some(self.check.key.stripped(crypto::private(&self.check.key, self.keys))),
            entries: entry.into_iter().collect(),
            item,
            sorting: self.check.sorted.as_ref().map(|rule| Sorting {
                rule,
                signature_at: &self.check.signature.at,
                names_read: &self.description.grammar.names_read,
            }),
            ..Scope::of(&request)
        };
        let free = self.check.free_field.as_ref();
        let message = self.check.signed.as_ref().map(|template| template.signed_bytes(&scope, free));
        let message = message.transpose().unwrap_or_default().unwrap_or_default();
        let signature = crypto::sign(self.check.algorithm, &self.check.key, self.keys, &message);
        crypto::written(&self.check.signature, entry, &signature)
    }
}

fn time_text(payload: &Payload, unit: TimeUnit) -> String {
    let at = jiff::Timestamp::from_second(payload.sent_at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    match unit {
        TimeUnit::Seconds | TimeUnit::Auto => payload.sent_at.0.to_string(),
        TimeUnit::Milliseconds => (payload.sent_at.0 * 1000).to_string(),
        TimeUnit::Rfc3339 => at.to_string(),
        TimeUnit::China => {
            let local = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
            local.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
    }
}

/// Whether a place is part of a form.
fn is_form(place: &Place) -> bool {
    matches!(place.root, Root::Form(_) | Root::Param(_))
}
