//! The grammar of `[inquiry.reference]`: how an id that a merchant registers becomes a hint of our own.

use std::collections::BTreeMap;

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::callback::{KeySet, RawCallback, UnixSeconds, Verified};

use super::super::grammar::Grammar;
use super::super::validate::{Problem, require};
use super::{ENCODED, InquiryRule, asked, names, requests};

/// Stands for the id in the texts of a hint.
const REFERENCE: &str = "{reference}";

/// The hint that asks about an id: what a callback of the provider would say that names nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferenceRule {
    /// How an id begins that can be asked about; any does when empty.
    #[serde(default)]
    pub starts_with: String,
    /// Parameters of the address.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// The fields of the body that is a form.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// The members of the body that is JSON, in place of `form`.
    #[serde(default)]
    pub json: Map<String, Value>,
}

/// The hint that asks about an id; `None` where no rule is for such ids, or it could be no part of an address.
pub(in crate::providers::described) fn hint(
    rule: &InquiryRule,
    [account, provider]: [&str; 2],
    id: &str,
    now: UnixSeconds,
) -> Option<Verified> {
    let wanted = rule.reference.iter().find(|wanted| id.starts_with(&wanted.starts_with))?;
    asked(id).ok()?;
    let query = parameters(&wanted.query, id);
    let path = if query.is_empty() { "/".to_owned() } else { format!("/?{query}") };
    let body = match wanted.json.is_empty() {
        true => parameters(&wanted.form, id),
        false => filled(&Value::Object(wanted.json.clone()), id).to_string(),
    };
    let raw = RawCallback::new(account, provider, "POST", path, Vec::new(), body.into_bytes());
    Some(Verified::hint(&raw, now))
}

fn parameters(fields: &BTreeMap<String, String>, id: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(&value.replace(REFERENCE, id))));
    pairs.collect::<Vec<String>>().join("&")
}

/// The same JSON with the id in all its texts; whatever the id is, it stays inside of them.
fn filled(value: &Value, id: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(REFERENCE, id)),
        Value::Array(members) => members.iter().map(|member| filled(member, id)).collect(),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, member)| (name.clone(), filled(member, id)));
            Value::Object(filled.collect())
        }
        plain => plain.clone(),
    }
}

/// Checks that every hint leads to one question about its id, whose answer would be believed.
pub(super) fn validate(grammar: &Grammar, rule: &InquiryRule) -> Result<(), Problem> {
    let last = rule.reference.len().saturating_sub(1);
    for (index, wanted) in rule.reference.iter().enumerate() {
        let field = format!("inquiry.reference[{index}]");
        let of = |name: &str| format!("{field}.{name}");
        require(
            wanted.form.is_empty() || wanted.json.is_empty(),
            of("form"),
            "there is a body of `json` already",
        )?;
        let is_reached = index == last || !wanted.starts_with.is_empty();
        require(is_reached, of("starts_with"), "is empty: no rule behind this one is ever reached")?;
        let id = format!("{}a b1", wanted.starts_with);
        let unfit = "cannot be the beginning of an id";
        let hint = hint(rule, ["account", "provider"], &id, UnixSeconds(0));
        let hint = hint.ok_or_else(|| Problem::new(of("starts_with"), unfit))?;
        let asked = requests(rule, &hint, &example_keys(grammar, rule));
        let asked = asked.map_err(|error| Problem::new(&field, format!("leads to no question: {error}")))?;
        let [question] = asked.as_slice() else {
            return Err(Problem::new(&field, format!("leads to {} questions and not to one", asked.len())));
        };
        let encoded = utf8_percent_encode(&id, ENCODED).to_string();
        let names_it = question.url.contains(&encoded);
        require(names_it, &field, format!("leads to a question that does not name `{REFERENCE}`"))?;
        let is_named = names(rule, hint.raw()).any(|name| name == id);
        require(is_named, &field, format!("has `{REFERENCE}` at no place of `inquiry.asked`"))?;
    }
    Ok(())
}

/// A key set that can ask.
fn example_keys(grammar: &Grammar, rule: &InquiryRule) -> KeySet {
    let host = format!("example{}", rule.host_suffix.as_deref().unwrap_or(".example"));
    let value = |name: &str| if rule.base_url.as_deref() == Some(name) { host.as_str() } else { "example" };
    let fields = grammar.credentials.iter().map(|field| (field.name.clone(), value(&field.name).into()));
    KeySet::new("example", fields.collect())
}
