//! What an account holds to check one provider's callbacks.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::UnixSeconds;
use super::json::Json;
use super::rejection::Rejection;

/// Most key sets that one account may hold for one provider.
pub const KEY_SETS_MAX: usize = 8;
const FINGERPRINT_BYTES: usize = 8;

/// All key sets of one account for one provider. Rotation adds a set, waits, and retires the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The key sets; only active ones are tried.
    pub key_sets: Vec<KeySet>,
}

impl Credentials {
    /// The sets that may prove a callback, in order, at most [`KEY_SETS_MAX`].
    pub fn active(&self) -> impl Iterator<Item = &KeySet> {
        self.key_sets.iter().filter(|set| set.status == KeyStatus::Active).take(KEY_SETS_MAX)
    }
}

/// Whether a key set may prove callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It may.
    Active,
    /// It may not any more.
    Retired,
}

/// One set of keys and ids, named as the provider names them. It prints without values, and wipes them from memory when it
/// is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// Its id within the account and provider.
    pub id: String,
    /// Whether it may prove callbacks.
    pub status: KeyStatus,
    /// Since when it may, where that was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_at: Option<UnixSeconds>,
    /// Since when it may not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<UnixSeconds>,
    fields: Map<String, Value>,
}

impl KeySet {
    /// An active set with these fields.
    pub fn new(id: impl Into<String>, fields: Map<String, Value>) -> Self {
        Self { id: id.into(), status: KeyStatus::Active, added_at: None, retired_at: None, fields }
    }

    /// This set with a key that was fetched: as the field, or under an id among the field's keys.
    pub fn with_key(&self, field: &str, id: Option<&str>, key: Value) -> Self {
        let mut set = self.clone();
        let value = match id {
            None => key,
            Some(id) => {
                let mut keys = match set.fields.remove(field) {
                    Some(Value::Object(keys)) => keys,
                    _ => Map::new(),
                };
                keys.insert(id.to_owned(), key);
                Value::Object(keys)
            }
        };
        set.fields.insert(field.to_owned(), value);
        set
    }

    /// The names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Its fields, values included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether another set has the same fields and values.
    pub fn has_same_fields(&self, other: &Self) -> bool {
        self.fields == other.fields
    }

    /// Sixteen hexadecimal digits that tell key sets apart without telling what is in them: the beginning of the
    /// SHA-256 of all fields.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash_members(&self.fields, &mut hash);
        hex::encode(&hash.finalize()[..FINGERPRINT_BYTES])
    }

    /// Whether a field is there at all, even if empty or null.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A text that must be there and not be blank.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is absent, blank or not a text.
    pub fn text(&self, name: &str) -> Result<&str, Rejection> {
        self.text_if_any(name)?.ok_or_else(|| Rejection::unconfigured(name))
    }

    /// A text that may be absent (or null) but not blank.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is there and blank or not a text: a half-configured check must not pass.
    pub fn text_if_any(&self, name: &str) -> Result<Option<&str>, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(_) => Err(Rejection::unconfigured(name)),
        }
    }

    /// One text or a list of texts, at least one, none blank.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when absent, empty, or any member is blank or not a text.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, Rejection> {
        let unconfigured = || Rejection::unconfigured(name);
        let members = match self.fields.get(name) {
            Some(Value::Array(members)) => members.as_slice(),
            Some(single @ Value::String(_)) => std::slice::from_ref(single),
            _ => return Err(unconfigured()),
        };
        let texts: Vec<&str> = members
            .iter()
            .map(|member| member.as_str().filter(|text| !text.trim().is_empty()))
            .collect::<Option<_>>()
            .ok_or_else(unconfigured)?;
        if texts.is_empty() { Err(unconfigured()) } else { Ok(texts) }
    }

    /// A list of texts that may be empty, none blank; `None` when the field is absent.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is no list, or any member is blank or not a text.
    pub fn list_if_any(&self, name: &str) -> Result<Option<Vec<&str>>, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(members)) if members.is_empty() => Ok(Some(Vec::new())),
            Some(Value::Array(_)) => self.texts(name).map(Some),
            Some(_) => Err(Rejection::unconfigured(name)),
        }
    }

    /// Keys by key id; empty when the field is absent.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is not a map of non-blank texts.
    pub fn keys_by_id(&self, name: &str) -> Result<Vec<(&str, &str)>, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(id, key)| match key.as_str() {
                    Some(key) if !key.trim().is_empty() => Ok((id.as_str(), key)),
                    _ => Err(Rejection::unconfigured(name)),
                })
                .collect(),
            Some(_) => Err(Rejection::unconfigured(name)),
        }
    }

    /// A JSON document, in place or as the text that was fetched.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is absent, neither an object nor the text of one, or repeats a name.
    pub fn document(&self, name: &str) -> Result<Json, Rejection> {
        let document = match self.fields.get(name) {
            Some(Value::String(text)) => Json::parse(text.as_bytes()),
            Some(object @ Value::Object(_)) => Json::parse(object.to_string().as_bytes()),
            _ => return Err(Rejection::unconfigured(name)),
        };
        document
            .ok()
            .filter(|document| matches!(document, Json::Object(_)))
            .ok_or_else(|| Rejection::unconfigured(name))
    }

    /// A switch; absent means off.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is neither true nor false.
    pub fn flag(&self, name: &str) -> Result<bool, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(Rejection::unconfigured(name)),
        }
    }

    /// A switch that is on unless it is switched off in so many words.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is neither true nor false.
    pub fn flag_unless_off(&self, name: &str) -> Result<bool, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(true),
            Some(_) => self.flag(name),
        }
    }

    /// A whole number that may be absent (or null).
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is there and not a whole number.
    pub fn integer_if_any(&self, name: &str) -> Result<Option<i64>, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| Rejection::unconfigured(name)),
        }
    }
}

/// Hashes JSON with the members of every object in the order of their names. It is never a text, of which a copy would
/// stay in memory.
fn hash_members(members: &Map<String, Value>, hash: &mut Sha256) {
    let sorted: BTreeMap<&String, &Value> = members.iter().collect();
    hash.update("{");
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        hash.update(if index > 0 { "," } else { "" });
        hash_scalar(name, hash);
        hash.update(":");
        hash_value(value, hash);
    }
    hash.update("}");
}

fn hash_value(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(members) => hash_members(members, hash),
        Value::Array(members) => {
            hash.update("[");
            for (index, member) in members.iter().enumerate() {
                hash.update(if index > 0 { "," } else { "" });
                hash_value(member, hash);
            }
            hash.update("]");
        }
        scalar => hash_scalar(scalar, hash),
    }
}

fn hash_scalar(value: &impl Serialize, hash: &mut Sha256) {
    serde_json::to_writer(hash, value)
        .expect("a hash takes everything, and texts and numbers always serialise");
}

impl Drop for KeySet {
    fn drop(&mut self) {
        self.fields.values_mut().for_each(wipe);
    }
}

/// Overwrites every text in a value, which stays of its kind.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(members) => members.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("names", &self.fields.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fingerprint_is_a_hash_of_the_sorted_fields() {
        let fields = json!({"b": ["x\"", {"d": true, "c": null}, 7], "a": {"é": "y"}});
        let Value::Object(fields) = fields else { panic!("an object") };
        let sorted = r#"{"a":{"é":"y"},"b":["x\"",{"c":null,"d":true},7]}"#;
        let expected = hex::encode(Sha256::digest(sorted));
        assert_eq!(KeySet::new("one", fields).fingerprint(), expected[..2 * FINGERPRINT_BYTES]);
    }

    #[test]
    fn every_text_of_a_key_set_is_wiped() {
        let mut fields = json!({"a": "secret", "b": ["secret", {"c": "secret"}], "d": 1, "e": null});
        wipe(&mut fields);
        assert_eq!(fields, json!({"a": "", "b": ["", {"c": ""}], "d": 1, "e": null}));
    }

    fn set(fields: Value) -> KeySet {
        KeySet::new("k", fields.as_object().unwrap().clone())
    }

    #[test]
    fn a_fetched_key_stands_beside_those_that_are_there() {
        let set = set(json!({"certificates": {"a": "A"}}));
        let both = set.with_key("certificates", Some("b"), json!("B"));
        assert_eq!(both.keys_by_id("certificates"), Ok(vec![("a", "A"), ("b", "B")]));
        let only = set.with_key("others", Some("b"), json!("B"));
        assert_eq!(only.keys_by_id("others"), Ok(vec![("b", "B")]));
        assert_eq!(set.with_key("one", None, json!("B")).text("one"), Ok("B"));
    }

    #[test]
    fn f3_a_blank_key_among_others_is_a_half_configured_check() {
        for keys in [json!({"a": "A", "b": " "}), json!({"a": ""}), json!({"a": 1}), json!(["A"]), json!("A")]
        {
            let outcome = set(json!({ "keys": keys })).keys_by_id("keys").err();
            assert_eq!(outcome, Some(Rejection::unconfigured("keys")), "{keys}");
        }
    }

    #[test]
    fn a_document_is_given_in_place_or_as_its_text() {
        let document = |value: Value| set(json!({ "keys": value })).document("keys");
        assert_eq!(document(json!({"a": 1})), document(json!("{\"a\": 1}")));
        assert!(document(json!({"a": 1})).is_ok());
        for value in [json!("[1]"), json!([1]), json!("{\"a\": 1, \"a\": 2}"), json!(1), json!("{")] {
            assert_eq!(document(value.clone()), Err(Rejection::unconfigured("keys")), "{value}");
        }
    }
}
