//! The grammar of `[inquiry.token]`: the token with which the provider wants to be asked.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use crate::callback::address::is_host_name;
use crate::callback::json::Json;
use crate::callback::{Fetched, KeySet, RawCallback, UnixSeconds};
use crate::providers::token::{AccessToken, TOKEN, TokenRequest};
use crate::providers::{FetchMethod, FetchRequest, MappingError};

use super::super::grammar::Grammar;
use super::super::place::{Place, Root};
use super::super::request::{Request, Scope, scalar};
use super::super::template::{Segment, Template};
use super::super::validate::{Problem, credential, require};
use super::rule::BasicRule;
use super::{ENCODED, is_sandbox, plain, text};

/// Where a token comes from, by the OAuth 2.0 client credentials grant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRule {
    /// The token endpoint, the only address that gets the client's secret.
    pub url: String,
    /// The one that is asked instead when the key set's `environment` is `sandbox`.
    #[serde(default)]
    pub sandbox_url: Option<String>,
    /// The fields of the form that is posted.
    #[serde(default)]
    pub form: BTreeMap<String, Template>,
    /// The members of the JSON object that is posted, in place of `form`.
    #[serde(default)]
    pub json: BTreeMap<String, Template>,
    /// User and password of HTTP Basic authentication.
    #[serde(default)]
    pub basic: Option<BasicRule>,
    /// Where the answer has the token.
    pub token: Place,
    /// Where the answer has the seconds that the token lives.
    #[serde(default)]
    pub expires_in: Option<Place>,
    /// Where the answer has the moment of its end, in seconds since 1970; it counts before `expires_in`.
    #[serde(default)]
    pub expires_at: Option<Place>,
    /// The headers that every question gets, with the place `{token}`.
    pub headers: BTreeMap<String, String>,
}

impl TokenRule {
    /// Everything that is filled in.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let basic = self.basic.iter().flat_map(|basic| [&basic.user, &basic.password]);
        self.form.values().chain(self.json.values()).chain(basic)
    }
}

/// What to ask the token endpoint, with the client's secret.
pub(super) fn request(rule: &TokenRule, keys: &KeySet) -> Result<TokenRequest, MappingError> {
    let url = if is_sandbox(keys)? { rule.sandbox_url.as_ref() } else { Some(&rule.url) };
    let url = url.ok_or_else(|| MappingError::field(super::ENVIRONMENT_FIELD))?;
    let pinned_host = host_of(url).ok_or_else(|| MappingError::field("url"))?.to_owned();
    // Credentials are all that there is to fill in.
    let nothing = RawCallback::new("", "", "POST", "/", Vec::new(), Vec::new());
    let nothing = Request::new(&nothing, b"");
    let scope = Scope { keys: Some(keys), ..Scope::of(&nothing) };
    let (content_type, body) = body(rule, &scope)?;
    let mut request =
        FetchRequest { method: FetchMethod::Post, url: url.clone(), pinned_host, headers: Vec::new(), body }
            .with_header("content-type", content_type)
            .with_header("accept", "application/json");
    if let Some(basic) = &rule.basic {
        let (user, password) = (text(&basic.user, &scope, plain)?, text(&basic.password, &scope, plain)?);
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        request = request.with_header("authorization", value);
    }
    let headers = rule.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(TokenRequest { request, headers })
}

fn body(rule: &TokenRule, scope: &Scope<'_>) -> Result<(&'static str, Vec<u8>), MappingError> {
    if rule.json.is_empty() {
        let encoded =
            |template| text(template, scope, |value| Ok(utf8_percent_encode(value, ENCODED).into()));
        let fields: Result<Vec<String>, _> = rule
            .form
            .iter()
            .map(|(name, value)| Ok(format!("{}={}", utf8_percent_encode(name, ENCODED), encoded(value)?)))
            .collect();
        return Ok(("application/x-www-form-urlencoded", fields?.join("&").into_bytes()));
    }
    let members: Result<serde_json::Map<_, _>, _> = rule
        .json
        .iter()
        .map(|(name, value)| Ok((name.clone(), text(value, scope, |value| Ok(value.into()))?.into())))
        .collect();
    Ok(("application/json", serde_json::Value::Object(members?).to_string().into_bytes()))
}

/// The token of an answer.
pub(super) fn read(rule: &TokenRule, answer: &Fetched) -> Result<AccessToken, MappingError> {
    let content = Json::parse(answer.body()).map_err(|_| MappingError::Content)?;
    let at = |place: &Place| match &place.root {
        Root::Json(pointer) => scalar(&content, pointer).and_then(|text| std::str::from_utf8(text).ok()),
        _ => None,
    };
    let seconds = |place: &Option<Place>| {
        let written = place.as_ref().and_then(at);
        let read = |text: &str| text.parse::<i64>().map_err(|_| MappingError::field("expires"));
        written.map(read).transpose()
    };
    let lives_until = |seconds: i64| UnixSeconds(answer.fetched_at().0.saturating_add(seconds));
    let expires_at = match seconds(&rule.expires_at)? {
        Some(at) => Some(UnixSeconds(at)),
        None => seconds(&rule.expires_in)?.map(lives_until),
    };
    let token = at(&rule.token).and_then(|text| AccessToken::new(text, expires_at));
    token.ok_or_else(|| MappingError::field(rule.token.to_string()))
}

/// The host of `https://host/path`; `None` for any other address.
fn host_of(url: &str) -> Option<&str> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
    (is_host_name(host) && !path.is_empty() && plain).then_some(host)
}

/// Checks where a token comes from and where it goes.
pub(super) fn validate(grammar: &Grammar, rule: &TokenRule) -> Result<(), Problem> {
    for (name, url) in [("url", Some(&rule.url)), ("sandbox_url", rule.sandbox_url.as_ref())] {
        let is_url = url.is_none_or(|url| host_of(url).is_some());
        require(is_url, format!("inquiry.token.{name}"), "is not an address `https://HOST/PATH`")?;
    }
    if rule.sandbox_url.is_some() {
        credential(grammar, super::ENVIRONMENT_FIELD, "inquiry.token.sandbox_url")?;
    }
    let both = [
        grammar.inquiry.as_ref().and_then(|inquiry| inquiry.sandbox_host.as_ref()),
        rule.sandbox_url.as_ref(),
    ];
    let fits = both.iter().all(Option::is_some) || both.iter().all(Option::is_none);
    require(fits, "inquiry.token.sandbox_url", "must be there exactly where `inquiry.sandbox_host` is")?;
    let one = rule.form.is_empty() != rule.json.is_empty();
    require(one, "inquiry.token.form", "either `form` or `json` says what is posted")?;
    for place in rule.templates().flat_map(Template::places) {
        match &place.root {
            Root::Credential(name) => credential(grammar, name, "inquiry.token")?,
            _ => return Err(Problem::new("inquiry.token", format!("`{place}` is no credential"))),
        }
    }
    let with_gap = |segment: &Segment| matches!(segment, Segment::AtIfAny(_) | Segment::Group(_));
    let gap = rule.templates().any(|template| template.0.iter().any(with_gap));
    require(!gap, "inquiry.token", "must not leave anything out")?;
    let asks = rule.templates().flat_map(Template::places).next().is_some();
    require(asks, "inquiry.token.form", "names no credential")?;
    for place in [&rule.token].into_iter().chain(&rule.expires_in).chain(&rule.expires_at) {
        let readable = matches!(place.root, Root::Json(_)) && place.steps.is_empty();
        require(readable, "inquiry.token.token", format!("`{place}` is not in the answer, which is JSON"))?;
    }
    let lives = rule.expires_in.is_some() || rule.expires_at.is_some();
    require(lives, "inquiry.token.expires_in", "is missing: nothing says how long a token lives")?;
    require(!rule.headers.is_empty(), "inquiry.token.headers", "is empty: the token would go nowhere")?;
    for (name, value) in &rule.headers {
        let once = value.matches(TOKEN).count() == 1 && !value.chars().any(char::is_control);
        let field = format!("inquiry.token.headers.{name}");
        require(once, &field, "must have the place `{token}` once")?;
        let requests = grammar.inquiry.iter().flat_map(|inquiry| &inquiry.requests);
        let is_authorization = name.eq_ignore_ascii_case("authorization");
        let mut others = requests.map(|request| {
            let named = request.headers.keys().any(|other| other.eq_ignore_ascii_case(name));
            named || (is_authorization && request.basic.is_some())
        });
        require(!others.any(|twice| twice), &field, "is a header of the questions already")?;
    }
    Ok(())
}
