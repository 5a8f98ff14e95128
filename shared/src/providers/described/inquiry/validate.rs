//! What `[inquiry]` must not say.

use crate::callback::address::is_host_name;

use super::super::event_rules::EventsRule;
use super::super::grammar::{Check, CoversRule, Grammar};
use super::super::place::{Place, Root};
use super::super::template::Segment;
use super::super::validate::{self, Problem, credential, require};
use super::rule::{InquiryRule, RequestRule};
use super::{reference, token};

/// Stands for TLS in the check of an answer's events: all of the body is proved, nothing else is there.
const TLS: &str = r#"
algorithm = "hmac-sha256"
key = { field = "tls", encoding = "utf8" }
signature = { at = "header:tls", encoding = "hex" }
signed = "{body}"
"#;

/// Checks the inquiry of a description.
pub(in crate::providers::described) fn validate(grammar: &Grammar) -> Result<(), Problem> {
    let Some(rule) = &grammar.inquiry else { return Ok(()) };
    hosts(grammar, rule)?;
    for (name, places) in [("asked", &rule.asked), ("unsigned", &rule.unsigned)] {
        for place in places {
            let readable = !matches!(
                place.root,
                Root::Credential(_) | Root::Entry(_) | Root::Url | Root::Variant | Root::Key | Root::Sorted
            );
            require(readable, format!("inquiry.{name}"), format!("`{place}` is not part of the callback"))?;
        }
    }
    require(!rule.asked.is_empty(), "inquiry.asked", "is empty: any answer would do")?;
    require(!rule.answered.is_empty(), "inquiry.answered", "is empty: any answer would do")?;
    for place in rule.answered.iter().chain(rule.identity.iter().map(|identity| &identity.at)) {
        in_answer(place, "inquiry.answered")?;
    }
    if let Some(absent) = &rule.absent {
        in_answer(&absent.at, "inquiry.absent")?;
    }
    for identity in &rule.identity {
        credential(grammar, &identity.expected, "inquiry.identity.expected")?;
    }
    if let Some(token) = &rule.token {
        token::validate(grammar, token)?;
    }
    require(!rule.requests.is_empty(), "inquiry.requests", "is empty: nothing would ever be asked")?;
    for (index, wanted) in rule.requests.iter().enumerate() {
        request(grammar, wanted, &format!("inquiry.requests[{index}]"))?;
    }
    reference::validate(grammar, rule)?;
    require(!rule.events.is_empty(), "inquiry.events", "is empty: no answer would mean anything")?;
    for (index, events) in rule.events.iter().enumerate() {
        if let Some(place) = &events.when {
            in_answer(place, &format!("inquiry.events[{index}].when"))?;
        }
        if let Some(place) = &events.subject_asked {
            let mut paths = rule.requests.iter().filter(|wanted| wanted.items.is_none());
            let is_asked = paths.any(|wanted| wanted.path.places().any(|asked| asked == place));
            require(is_asked, format!("inquiry.events[{index}].subject_asked"), "is in no request's `path`")?;
        }
        let check: Check = toml::from_str(TLS)
            .map_err(|error| Problem::new("inquiry.events", error.message().to_owned()))?;
        let answer = Grammar {
            covers: CoversRule::Body,
            checks: vec![check],
            events: vec![EventsRule { when: None, subject_asked: None, ..events.clone() }],
            inquiry: None,
            ..grammar.clone()
        };
        validate::events(&answer).map_err(|problem| problem.within(&format!("inquiry.events[{index}]")))?;
    }
    Ok(())
}

fn hosts(grammar: &Grammar, rule: &InquiryRule) -> Result<(), Problem> {
    let one = rule.host.is_some() != rule.base_url.is_some();
    require(one, "inquiry.host", "either `host` or `base_url` says who is asked")?;
    for (name, host) in [("host", &rule.host), ("sandbox_host", &rule.sandbox_host)] {
        let is_name = |host: &String| is_host_name(host);
        require(host.as_ref().is_none_or(is_name), format!("inquiry.{name}"), "is not a host's name")?;
    }
    if rule.sandbox_host.is_some() {
        credential(grammar, super::ENVIRONMENT_FIELD, "inquiry.sandbox_host")?;
    }
    let paths = [
        ("base_path", &rule.base_path, &rule.host),
        ("sandbox_base_path", &rule.sandbox_base_path, &rule.sandbox_host),
    ];
    for (name, path, host) in paths {
        let is_segment = |segment: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !segment.is_empty() && segment.bytes().all(plain)
        };
        let is_path =
            path.strip_prefix('/').is_some_and(|rest| host.is_some() && rest.split('/').all(is_segment));
        require(path.is_empty() || is_path, format!("inquiry.{name}"), "is not the path `/…` of a host")?;
    }
    match &rule.base_url {
        Some(field) => credential(grammar, field, "inquiry.base_url"),
        None => require(rule.host_suffix.is_none(), "inquiry.host_suffix", "needs `base_url`"),
    }
}

fn request(grammar: &Grammar, wanted: &RequestRule, field: &str) -> Result<(), Problem> {
    let rooted = matches!(wanted.path.0.first(), Some(Segment::Literal(text)) if text.starts_with('/'));
    require(rooted, format!("{field}.path"), "must begin with `/`, so that the host ends there")?;
    let mut asks = false;
    for place in wanted.templates().flat_map(super::Template::places) {
        match &place.root {
            Root::Credential(name) => credential(grammar, name, field)?,
            Root::Entry(_) | Root::Body | Root::Variant | Root::Key | Root::Sorted | Root::Url => {
                return Err(Problem::new(field, format!("`{place}` cannot be asked about")));
            }
            Root::Item(_) if wanted.items.is_none() => {
                return Err(Problem::new(field, format!("`{place}` needs `items`")));
            }
            _ => asks = true,
        }
    }
    require(asks, format!("{field}.path"), "names nothing of the callback")
}

fn in_answer(place: &Place, field: &str) -> Result<(), Problem> {
    let readable = matches!(place.root, Root::Json(_));
    require(readable, field, format!("`{place}` is not in the answer, which is JSON"))
}
