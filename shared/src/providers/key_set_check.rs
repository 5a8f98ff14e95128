//! Whether a key set can be used, asked when somebody puts it and not only at the first callback.

use std::fmt;

use serde_json::{Map, Value};

use super::chain::node;
use super::{Inquiry, Provider, Verify};
use crate::callback::{KeySet, Rejection};

/// What is wrong with one field of a key set. It names the field and never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProblem {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub fault: KeyFault,
    /// What the provider wants there, in its own words; empty when it has no such field.
    pub wanted: &'static str,
}

/// What may be wrong with a field of a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// The provider has no such field: a mistyped one would be a check that never happens.
    Unknown,
    /// It is needed and absent.
    Missing,
    /// It is there, and is empty, of another type, or no such key or setting.
    Unusable,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, fault, wanted } = self;
        match fault {
            KeyFault::Unknown => write!(f, "`{field}`: there is no such field"),
            KeyFault::Missing => write!(f, "`{field}` is missing: {wanted}"),
            KeyFault::Unusable => write!(f, "`{field}` cannot be used as it is: {wanted}"),
        }
    }
}

impl Provider {
    /// Accepts a key set with which live callbacks can be accepted: it has the fields that the provider wants and no
    /// others, its keys can be read, it says whose callbacks are meant, and it can ask what callbacks leave open.
    ///
    /// # Errors
    /// Every [`KeyProblem`] that was found; after one is repaired there may be another behind it.
    pub fn check_key_set(&self, keys: &KeySet) -> Result<(), Vec<KeyProblem>> {
        let mut problems = self.shape_problems(keys);
        for outcome in [self.require_readable(keys), self.require_inquiry(keys)] {
            if let Err(rejection) = outcome {
                let problem = self.problem_of(&rejection, keys);
                if problems.iter().all(|known| known.field != problem.field) {
                    problems.push(problem);
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn shape_problems(&self, keys: &KeySet) -> Vec<KeyProblem> {
        let known = |name: &str| self.credential_fields.iter().any(|field| field.name == name);
        let unknown = keys.names().filter(|name| !known(name)).map(|name| (name, KeyFault::Unknown));
        let required = self.credential_fields.iter().filter(|field| field.required).map(|field| field.name);
        let missing = required.filter(|name| !keys.has(name)).map(|name| (name, KeyFault::Missing));
        let blank = keys
            .fields()
            .filter(|(name, value)| known(name) && (is_blank(value) || is_placeholder(value)))
            .map(|(name, _)| (name, KeyFault::Unusable));
        unknown.chain(missing).chain(blank).map(|(field, fault)| self.problem(field, fault)).collect()
    }

    fn require_readable(&self, keys: &KeySet) -> Result<(), Rejection> {
        (self.readable)(keys)?;
        match &self.verify {
            Verify::Coded(_) => (self.addressee)(keys),
            Verify::Described(description) => description.require_readable(keys, self.key_fetch.is_some()),
        }
    }

    fn require_inquiry(&self, keys: &KeySet) -> Result<(), Rejection> {
        let Some(inquiry) = &self.inquiry else { return Ok(()) };
        inquiry.require_usable(keys)?;
        inquiry.require_configured(keys)?;
        if let Inquiry::Coded { .. } = inquiry {
            node::require_addresses(keys)?;
        }
        Ok(())
    }

    fn problem_of(&self, rejection: &Rejection, keys: &KeySet) -> KeyProblem {
        // Nothing but credentials was looked at; another rejection would be a certificate's among them.
        let field = match rejection {
            Rejection::Unconfigured { field } => field.as_str(),
            _ => self.credential_fields.first().map_or("key_set", |field| field.name),
        };
        self.problem(field, if keys.has(field) { KeyFault::Unusable } else { KeyFault::Missing })
    }

    fn problem(&self, field: &str, fault: KeyFault) -> KeyProblem {
        let described = self.credential_fields.iter().find(|known| known.name == field);
        KeyProblem { field: field.to_owned(), fault, wanted: described.map_or("", |field| field.about) }
    }
}

/// Whether a value says nothing, or has a member that says nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(members) => members.is_empty() || members.iter().any(is_blank),
        Value::Object(members) => members.is_empty() || any_text(members, is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Keys by id are texts; what lies deeper is a provider's own document, such as a JWKS, and its reader's matter.
fn any_text(members: &Map<String, Value>, is_wrong: fn(&Value) -> bool) -> bool {
    members.values().any(|member| matches!(member, Value::Null | Value::String(_)) && is_wrong(member))
}

/// What stands where a secret belongs in examples and in programs' defaults: everybody knows it.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "default",
    "default secret",
    "example",
    "password",
    "placeholder",
    "secret",
    "todo",
    "webhook secret",
    "your secret",
    "your secret here",
    "your webhook secret",
];

/// Whether a value, or one of its members, is no secret although it has the form of one.
fn is_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let words = text.trim().trim_matches(['<', '>']).to_ascii_lowercase().replace(['_', '-'], " ");
            PLACEHOLDERS.contains(&words.as_str())
        }
        Value::Array(members) => members.iter().any(is_placeholder),
        Value::Object(members) => any_text(members, is_placeholder),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
