//! The text that many Chinese gateways sign: all parameters, sorted by name and joined.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::callback::Rejection;
use crate::callback::json::Json;
use crate::providers::read::require_one_reading_among;

use super::place::{Place, Root};
use super::request::{Scope, scalar_text};

/// What `{sorted}` stands for in what is signed. The signature itself is never part of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SortedRule {
    pub of: SortedOf,
    /// Names that are left out beside the signature's own.
    #[serde(default)]
    pub except: Vec<String>,
    /// Whether empty values are left out.
    #[serde(default)]
    pub skip_empty: bool,
    /// Whether only the values are signed, not their names.
    #[serde(default)]
    pub values_only: bool,
    #[serde(default = "ampersand")]
    pub join: String,
    /// What is sorted in beside the parameters, by name; the key itself, for example.
    #[serde(default)]
    pub include: BTreeMap<String, Place>,
}

fn ampersand() -> String {
    "&".to_owned()
}

/// Where the parameters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SortedOf {
    Form,
    Query,
    /// The form, or the query of a request without a body.
    Parameters,
    /// The members of the JSON object that is the body; one that is not a text, a number or a switch is refused.
    Json,
    /// The elements inside of the top one of the XML document that is the body, which must be texts.
    Xml,
}

/// A [`SortedRule`] in one check.
#[derive(Clone, Copy)]
pub(super) struct Sorting<'a> {
    pub(super) rule: &'a SortedRule,
    /// Where the signature is.
    pub(super) signature_at: &'a Place,
    /// The parameters that events are read from: none of them may hide inside of a value.
    pub(super) names_read: &'a BTreeSet<String>,
}

impl SortedRule {
    /// Whether the value at a place is one of those that are signed under their names.
    pub(super) fn covers(&self, place: &Root, signature_at: &Place) -> bool {
        let name = match (self.of, place) {
            (SortedOf::Form | SortedOf::Parameters, Root::Param(name))
            | (SortedOf::Form, Root::Form(name))
            | (SortedOf::Query, Root::Query(name)) => Some(name.as_str()),
            (SortedOf::Json, Root::Json(pointer)) => member(pointer),
            (SortedOf::Xml, Root::Xml(path)) => element(path),
            _ => None,
        };
        let left_out =
            |name: &str| Some(name) == own_name(signature_at) || self.except.iter().any(|it| it == name);
        !self.values_only && place != &signature_at.root && name.is_some_and(|name| !left_out(name))
    }
}

impl Sorting<'_> {
    /// The text in one request.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] when there are no parameters, or one is not a plain value; [`Rejection::Duplicate`]
    /// when a name could be read in two ways.
    pub(super) fn text(&self, scope: &Scope<'_>) -> Result<Vec<u8>, Rejection> {
        let rule = self.rule;
        let mut parameters = self.parameters(scope)?;
        if parameters.is_empty() {
            return Err(Rejection::malformed("body"));
        }
        for (name, place) in &rule.include {
            let value = scope.bytes(place)?.ok_or_else(|| place.missing())?;
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Rejection::Duplicate { name: name.clone() });
            }
        }
        if rule.values_only {
            return self.values(&parameters);
        }
        let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_ref()));
        require_one_reading_among(pairs.clone(), &rule.join, self.names_read.iter().map(String::as_str))?;
        let pairs: Vec<Vec<u8>> =
            pairs.map(|(name, value)| [name.as_bytes(), b"=", value].concat()).collect();
        Ok(pairs.join(rule.join.as_bytes()))
    }

    fn values(&self, parameters: &BTreeMap<String, Cow<'_, [u8]>>) -> Result<Vec<u8>, Rejection> {
        let join = self.rule.join.as_bytes();
        let ends = |value: &[u8]| !value.windows(join.len().max(1)).any(|window| window == join);
        if !parameters.values().all(|value| ends(value)) {
            return Err(Rejection::malformed("body"));
        }
        let values: Vec<&[u8]> = parameters.values().map(AsRef::as_ref).collect();
        Ok(values.join(join))
    }

    /// The parameters that are signed, sorted by name in byte order.
    fn parameters<'a>(&self, scope: &Scope<'a>) -> Result<BTreeMap<String, Cow<'a, [u8]>>, Rejection> {
        let request = scope.request;
        let mut parameters: BTreeMap<String, Cow<'a, [u8]>> = BTreeMap::new();
        let mut add = |name: &str, value: &'a [u8]| {
            let left_out = Some(name) == own_name(self.signature_at)
                || self.rule.except.iter().any(|it| it == name)
                || self.rule.skip_empty && value.is_empty();
            if !left_out {
                parameters.insert(name.to_owned(), Cow::Borrowed(value));
            }
        };
        match self.rule.of {
            SortedOf::Form => request.form()?.iter().for_each(|(name, value)| add(name, value)),
            SortedOf::Query => request.query()?.iter().for_each(|(name, value)| add(name, value)),
            SortedOf::Parameters => request.parameters()?.iter().for_each(|(name, value)| add(name, value)),
            SortedOf::Xml => {
                request.xml()?.flat()?.into_iter().for_each(|(name, value)| add(name, value.as_bytes()));
            }
            SortedOf::Json => {
                let Json::Object(members) = request.json()? else { return Err(Rejection::malformed("body")) };
                for (name, member) in members {
                    let value = match member {
                        Json::Null => Some(&b""[..]),
                        member => scalar_text(member),
                    };
                    add(name, value.ok_or_else(|| Rejection::malformed("body"))?);
                }
            }
        }
        Ok(parameters)
    }
}

/// The name of a member of the top object.
fn member(pointer: &str) -> Option<&str> {
    pointer.strip_prefix('/').filter(|name| !name.contains(['/', '~']))
}

/// The name of an element inside of the top one.
fn element(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(_, name)| name).filter(|name| !name.contains('/'))
}

/// The name of the parameter at a place.
pub(super) fn own_name(place: &Place) -> Option<&str> {
    match &place.root {
        Root::Form(name) | Root::Query(name) | Root::Param(name) => Some(name),
        Root::Json(pointer) => member(pointer),
        Root::Xml(path) => element(path),
        _ => None,
    }
}
