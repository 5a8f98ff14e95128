//! The grammar of `[inquiry]`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::event_rules::{EventsRule, one_or_many};
use super::super::grammar::IdentityRule;
use super::super::place::{Place, Root};
use super::super::template::Template;
use super::reference::ReferenceRule;
use super::token::TokenRule;

/// How the provider is asked about callbacks that do not prove the money.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InquiryRule {
    /// The host of its API, the only one that is asked.
    #[serde(default)]
    pub host: Option<String>,
    /// The one that is asked instead when the key set's `environment` is `sandbox`.
    #[serde(default)]
    pub sandbox_host: Option<String>,
    /// What stands before the path of every question.
    #[serde(default)]
    pub base_path: String,
    /// The same for `sandbox_host`.
    #[serde(default)]
    pub sandbox_base_path: String,
    /// The credential with the address of the merchant's own server, in place of `host`.
    #[serde(default)]
    pub base_url: Option<String>,
    /// How the host of `base_url` must end, such as `.myshopify.com`.
    #[serde(default)]
    pub host_suffix: Option<String>,
    /// A callback without any signature is taken as a hint when one of these is there.
    #[serde(default)]
    pub unsigned: Vec<Place>,
    /// Where the token comes from that questions need.
    #[serde(default)]
    pub token: Option<TokenRule>,
    /// Where a callback names what it is about.
    pub asked: Vec<Place>,
    /// Where an answer names it, the first that is there; it must be one that the callback names.
    pub answered: Vec<Place>,
    /// How an answer says that there is no such thing, where its status does not.
    #[serde(default)]
    pub absent: Option<Condition>,
    /// Ids in the answer that must be the account's.
    #[serde(default)]
    pub identity: Vec<IdentityRule>,
    /// Every one of these whose conditions hold is sent.
    pub requests: Vec<RequestRule>,
    /// What is asked about an id that a merchant has registered, without any callback: one table, or several of which the
    /// first counts that is for such ids.
    #[serde(default, deserialize_with = "one_or_many")]
    pub reference: Vec<ReferenceRule>,
    /// What an answer means: the answer as a whole, or the members of its lists, with the places of the answer. One with
    /// `when` reads the answers that have something there.
    pub events: Vec<EventsRule>,
}

impl InquiryRule {
    /// The credentials that asking needs, whatever is asked.
    pub fn credentials(&self) -> BTreeSet<&str> {
        let tokens = self.token.iter().flat_map(TokenRule::templates);
        let templates = self.requests.iter().flat_map(RequestRule::templates).chain(tokens);
        let named = templates.flat_map(Template::places).filter_map(|place| match &place.root {
            Root::Credential(field) => Some(field.as_str()),
            _ => None,
        });
        named.chain(self.base_url.as_deref()).collect()
    }
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestRule {
    /// Pointer to an array in the callback with one request for each member; then places are usually `item:`.
    #[serde(default)]
    pub items: Option<String>,
    /// It is sent when all of these hold.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The address behind the host, query included; the callback's values are percent-encoded.
    pub path: Template,
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// User and password of HTTP Basic authentication.
    #[serde(default)]
    pub basic: Option<BasicRule>,
}

impl RequestRule {
    /// Everything that is filled in.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let basic = self.basic.iter().flat_map(|basic| [&basic.user, &basic.password]);
        [&self.path].into_iter().chain(self.headers.values()).chain(basic)
    }
}

/// HTTP Basic authentication.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BasicRule {
    pub user: Template,
    pub password: Template,
}

/// A place at which something must stand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    pub at: Place,
    /// One of these; anything when empty.
    #[serde(default)]
    pub one_of: Vec<String>,
    #[serde(default)]
    pub starts_with: Option<String>,
}
