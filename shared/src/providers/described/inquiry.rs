//! Asking the provider, as a description says: what to ask about a hint, which answers are believed, what they mean.

mod reference;
mod rule;
mod token;
mod validate;

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::callback::address::is_host_name;
use crate::callback::json::Json;
use crate::callback::{Fetched, KeySet, Origin, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::PaymentEvent;

use super::super::{AccessToken, FetchMethod, FetchRequest, MappingError, TokenRequest};
use super::event_rules::EventsRule;
use super::grammar::Grammar;
use super::normalise;
use super::place::{Place, Root};
use super::request::{Request, Scope};
use super::template::{Segment, Template};

pub(super) use reference::hint;
pub(crate) use rule::InquiryRule;
use rule::{Condition, RequestRule};
pub(super) use validate::validate;

/// Most bytes of a value that a callback puts into an address.
pub const ASKED_BYTES_MAX: usize = 128;
/// Most requests that one callback may cause; GoCardless sends up to 250 events at once.
pub const REQUESTS_MAX: usize = 256;
/// The key set's field that chooses the test environment.
pub const ENVIRONMENT_FIELD: &str = "environment";
/// The value of [`ENVIRONMENT_FIELD`] that chooses it.
const SANDBOX_NAME: &str = "sandbox";
/// The word in place of a kind for a type of which the provider must be asked.
pub(super) const ASK: &str = "ask";

/// What stands in an address as it is; everything else is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A callback without a signature, taken as a hint where the description allows that; `None` where it does not, or
/// where there is a signature, which must then be right.
pub(super) fn unsigned(
    grammar: &Grammar,
    raw: &RawCallback,
    keys: &KeySet,
    now: UnixSeconds,
) -> Option<Result<Verified, Rejection>> {
    let rule = grammar.inquiry.as_ref().filter(|_| is_unsigned(grammar, raw))?;
    let request = Request::new(raw, raw.body());
    let scope = Scope { keys: Some(keys), ..Scope::of(&request) };
    Some(unsigned_hint(rule, raw, &scope, now))
}

/// Whether a callback has no signature where none is needed, so that anybody may have sent it.
pub(super) fn is_unsigned(grammar: &Grammar, raw: &RawCallback) -> bool {
    let request = Request::new(raw, raw.body());
    let scope = Scope::of(&request);
    let is_signed = || {
        grammar.checks.iter().any(|check| match scope.bytes(&check.signature.at) {
            Ok(value) => value.is_some(),
            // Twice, or in a body that cannot be read: for the check to refuse.
            Err(_) => matches!(check.signature.at.root, Root::Header(_)),
        })
    };
    grammar.inquiry.as_ref().is_some_and(|rule| !rule.unsigned.is_empty()) && !is_signed()
}

fn unsigned_hint(
    rule: &InquiryRule,
    raw: &RawCallback,
    scope: &Scope<'_>,
    now: UnixSeconds,
) -> Result<Verified, Rejection> {
    let mut missing = None;
    let is_there = rule.unsigned.iter().any(|place| match scope.text(place) {
        Ok(Some(_)) => true,
        Ok(None) => {
            missing.get_or_insert_with(|| place.missing());
            false
        }
        Err(rejection) => {
            missing.get_or_insert(rejection);
            false
        }
    });
    if !is_there {
        return Err(missing.unwrap_or(Rejection::MissingSignature));
    }
    scope.keys.map_or(Err(Rejection::MissingSignature), |keys| require_configured(rule, keys))?;
    Ok(Verified::hint(raw, now))
}

/// Accepts a key set that can ask. Whoever cannot must not acknowledge what he would have to ask about: nobody would
/// ever learn of it.
pub(super) fn require_configured(rule: &InquiryRule, keys: &KeySet) -> Result<(), Rejection> {
    rule.credentials().into_iter().try_for_each(|field| keys.text(field).map(|_| ()))?;
    match &rule.base_url {
        Some(field) => own_server(keys.text(field)?, rule.host_suffix.as_deref())
            .map(|_| ())
            .ok_or_else(|| Rejection::unconfigured(field.as_str())),
        None => Ok(()),
    }
}

/// Refuses a key set that holds something else than a text where asking needs one: it is half-configured.
pub(super) fn require_usable(rule: &InquiryRule, keys: &KeySet) -> Result<(), Rejection> {
    rule.credentials().into_iter().try_for_each(|field| keys.text_if_any(field).map(|_| ()))
}

/// Whether a signed callback says something of which the provider must be asked.
pub(super) fn asks(grammar: &Grammar, verified: &Verified) -> bool {
    let request = Request::new(verified.raw(), verified.content());
    let Ok(mut tables) = normalise::tables(grammar, verified) else { return false };
    tables.any(|events| {
        let asks = |item| {
            let scope = Scope { item, variant: verified.variant(), ..Scope::of(&request) };
            normalise::word(events, &scope).ok().flatten().is_some_and(|(_, _, word)| word == ASK)
        };
        match items(events.items.as_deref(), &request) {
            None => asks(None),
            Some(items) => items.iter().any(|item| asks(Some(item))),
        }
    })
}

/// What to ask about a callback.
pub(super) fn requests(
    rule: &InquiryRule,
    verified: &Verified,
    keys: &KeySet,
) -> Result<Vec<FetchRequest>, MappingError> {
    let request = Request::new(verified.raw(), verified.content());
    // A key set without a client cannot ask, so another one may have to.
    token_request(rule, keys)?;
    let mut requests = Vec::new();
    for wanted in &rule.requests {
        let scope = |item| Scope { keys: Some(keys), item, ..Scope::of(&request) };
        match items(wanted.items.as_deref(), &request) {
            None if wanted.items.is_some() => {}
            None => requests.extend(fetch(rule, wanted, &scope(None))?),
            Some(items) => {
                for item in items {
                    requests.extend(fetch(rule, wanted, &scope(Some(item)))?);
                }
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    requests.retain(|request| seen.insert(request.clone()));
    if requests.len() > REQUESTS_MAX { Err(MappingError::field("requests")) } else { Ok(requests) }
}

/// How the questions get their token.
pub(super) fn token_request(rule: &InquiryRule, keys: &KeySet) -> Result<Option<TokenRequest>, MappingError> {
    rule.token.as_ref().map(|rule| token::request(rule, keys)).transpose()
}

/// The token that was answered.
pub(super) fn access_token(rule: &InquiryRule, answer: &Fetched) -> Result<AccessToken, MappingError> {
    let rule = rule.token.as_ref().ok_or_else(|| MappingError::field("inquiry.token"))?;
    token::read(rule, answer)
}

fn items<'a>(pointer: Option<&str>, request: &'a Request<'_>) -> Option<&'a [Json]> {
    match request.json().ok()?.at(pointer?)? {
        Json::Array(items) => Some(items),
        _ => None,
    }
}

/// The request of a rule whose conditions hold.
fn fetch(
    rule: &InquiryRule,
    wanted: &RequestRule,
    scope: &Scope<'_>,
) -> Result<Option<FetchRequest>, MappingError> {
    if !wanted.when.iter().all(|condition| holds(condition, scope)) {
        return Ok(None);
    }
    let (host, base_path) = host(rule, scope)?;
    let path = text(&wanted.path, scope, |value| Ok(utf8_percent_encode(asked(value)?, ENCODED).into()))?;
    let mut request = FetchRequest {
        method: FetchMethod::Get,
        url: format!("https://{host}{base_path}{path}"),
        pinned_host: host,
        headers: Vec::new(),
        body: Vec::new(),
    };
    for (name, value) in &wanted.headers {
        request = request.with_header(name, text(value, scope, plain)?);
    }
    if let Some(basic) = &wanted.basic {
        let (user, password) = (text(&basic.user, scope, plain)?, text(&basic.password, scope, plain)?);
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        request = request.with_header("authorization", value);
    }
    Ok(Some(request))
}

fn holds(condition: &Condition, scope: &Scope<'_>) -> bool {
    // What cannot be read there is not there: a form has no JSON.
    let Some(value) = scope.text(&condition.at).ok().flatten() else { return false };
    let begins = condition.starts_with.as_deref().is_none_or(|prefix| value.starts_with(prefix));
    begins && (condition.one_of.is_empty() || condition.one_of.iter().any(|have| *have == value))
}

/// The pinned host, and the path before what is asked: from the description, or from the account's own server.
fn host(rule: &InquiryRule, scope: &Scope<'_>) -> Result<(String, String), MappingError> {
    let credential = |field: &str| {
        let keys = scope.keys.ok_or_else(|| MappingError::field(field))?;
        keys.text_if_any(field).map_err(|_| MappingError::field(field))
    };
    if let Some(field) = &rule.base_url {
        let base = credential(field)?.ok_or_else(|| MappingError::field(field.as_str()))?;
        return own_server(base, rule.host_suffix.as_deref())
            .ok_or_else(|| MappingError::field(field.as_str()));
    }
    let (host, base_path) = match credential(ENVIRONMENT_FIELD)? {
        Some(SANDBOX_NAME) => (&rule.sandbox_host, &rule.sandbox_base_path),
        _ => (&rule.host, &rule.base_path),
    };
    let host = host.as_ref().ok_or_else(|| MappingError::field(ENVIRONMENT_FIELD))?;
    Ok((host.clone(), base_path.clone()))
}

fn is_sandbox(keys: &KeySet) -> Result<bool, MappingError> {
    let name = keys.text_if_any(ENVIRONMENT_FIELD).map_err(|_| MappingError::field(ENVIRONMENT_FIELD))?;
    Ok(name == Some(SANDBOX_NAME))
}

/// Host and path of `https://host[/path]`, or of a bare host, without anything else that an address may hold.
fn own_server(base: &str, suffix: Option<&str>) -> Option<(String, String)> {
    let rest = match base.split_once("://") {
        Some(("https", rest)) => rest,
        Some(_) => return None,
        None => base,
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let is_path = path.is_empty() || path.split('/').all(is_segment);
    let fits = suffix.is_none_or(|suffix| host.len() > suffix.len() && host.ends_with(suffix));
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    (is_host_name(host) && is_path && fits).then(|| (host.to_owned(), path))
}

/// A value that a callback wants asked about: anybody may have made it up.
fn asked(value: &str) -> Result<&str, MappingError> {
    let plain = !value.is_empty()
        && value.len() <= ASKED_BYTES_MAX
        && !matches!(value, "." | "..")
        && !value.chars().any(|character| character.is_control() || matches!(character, '/' | '\\'));
    if plain { Ok(value) } else { Err(MappingError::field("id")) }
}

/// A value of a header: nothing that could end it.
fn plain(value: &str) -> Result<Cow<'_, str>, MappingError> {
    if value.chars().any(char::is_control) { Err(MappingError::field("header")) } else { Ok(value.into()) }
}

fn text(
    template: &Template,
    scope: &Scope<'_>,
    write: impl Fn(&str) -> Result<Cow<'_, str>, MappingError>,
) -> Result<String, MappingError> {
    let mut text = String::new();
    for segment in &template.0 {
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::At(place) => {
                let absent = || MappingError::field(place.to_string());
                let value = scope.text(place).map_err(|_| absent())?.ok_or_else(absent)?;
                text.push_str(&write(&value)?);
            }
            // `validate` refuses them: a question with a gap is another question.
            Segment::AtIfAny(_) | Segment::Group(_) => return Err(MappingError::field("inquiry")),
        }
    }
    Ok(text)
}

/// Accepts an answer about what the callback names, and about this account.
pub(super) fn require_answer(
    rule: &InquiryRule,
    answer: &Verified,
    keys: &KeySet,
) -> Result<(), MappingError> {
    let content = Request::new(answer.raw(), answer.content());
    let scope = Scope { keys: Some(keys), ..Scope::of(&content) };
    content.json().map_err(|_| MappingError::Content)?;
    let mismatch = || MappingError::field(rule.answered.first().map_or("id".to_owned(), ToString::to_string));
    let answered = scope.first_text(&rule.answered).map_err(|_| mismatch())?.ok_or_else(mismatch)?;
    if !names(rule, answer.raw()).any(|asked| asked == answered) {
        return Err(mismatch());
    }
    for identity in rule.identity.iter().filter(|identity| keys.has(&identity.expected)) {
        let wrong = || MappingError::field(identity.at.to_string());
        let actual = scope.text(&identity.at).map_err(|_| wrong())?;
        let expected = keys.text(&identity.expected).map_err(|_| wrong())?;
        if actual.as_deref() != Some(expected) {
            return Err(wrong());
        }
    }
    Ok(())
}

/// Whether an answer says that there is nothing of what was asked.
pub(super) fn says_absent(rule: &InquiryRule, answer: &Verified) -> bool {
    let content = Request::new(answer.raw(), answer.content());
    rule.absent.as_ref().is_some_and(|condition| holds(condition, &Scope::of(&content)))
}

/// Every id that a callback names, in each of its members too.
fn names(rule: &InquiryRule, raw: &RawCallback) -> impl Iterator<Item = String> {
    let request = Request::new(raw, raw.body());
    let mut names = Vec::new();
    let mut collect = |item| {
        let scope = Scope { item, ..Scope::of(&request) };
        let found = rule.asked.iter().filter_map(|place| scope.text(place).ok().flatten());
        names.extend(found.map(Cow::into_owned));
    };
    collect(None);
    let lists = rule.requests.iter().filter_map(|wanted| items(wanted.items.as_deref(), &request));
    lists.flatten().for_each(|item| collect(Some(item)));
    names.into_iter()
}

/// The events of an answer: of it as a whole, and of the members of its lists.
pub(super) fn normalise(
    rule: &InquiryRule,
    provider: &str,
    answer: &Verified,
) -> Result<Vec<PaymentEvent>, MappingError> {
    if answer.origin() != Origin::Answer {
        return Err(MappingError::Content);
    }
    let request = Request::new(answer.raw(), answer.content());
    let content = request.json().map_err(|_| MappingError::Content)?;
    let mut events = Vec::new();
    let is_there = |place| Scope::of(&request).bytes(place).ok().flatten().is_some();
    for rule in rule.events.iter().filter(|rule| has_items(rule, content)) {
        if rule.when.as_ref().is_none_or(is_there) {
            let mut read = normalise::read(rule, provider, answer)?;
            if let Some(place) = &rule.subject_asked {
                let subject = asked_text(place, answer.raw())?;
                read.iter_mut().for_each(|event| event.subject_id = Some(subject.clone()));
            }
            events.extend(read);
        }
    }
    Ok(events)
}

/// The id by which the callback had its order asked about.
fn asked_text(place: &Place, raw: &RawCallback) -> Result<String, MappingError> {
    let request = Request::new(raw, raw.body());
    let absent = || MappingError::field(place.to_string());
    let text = Scope::of(&request).text(place).map_err(|_| absent())?.ok_or_else(absent)?;
    asked(&text).map(str::to_owned)
}

/// A list that is not there is empty: most payments have no refunds.
fn has_items(rule: &EventsRule, content: &Json) -> bool {
    let list = rule.items.as_deref().map(|pointer| content.at(pointer));
    !matches!(list, Some(None | Some(Json::Null)))
}
