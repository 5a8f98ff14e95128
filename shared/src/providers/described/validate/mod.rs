//! What a description must not say. Everything that would accept an unsigned request is refused here, at load.

mod check;
mod covers;
mod events;

use super::DescriptionError;
use super::grammar::{CoversRule, Grammar};
use super::place::{Place, Root, URL_FIELDS};
use super::verify::PART_KEY_FIELD;

pub(super) use events::{events, names_read, needs};

/// Names stand in addresses and in keys of the data.
const NAME_BYTES_MAX: usize = 64;

/// What the simulator can tell; its faults are made from these.
const SCENARIOS: &[&str] = &["paid", "refunded", "partial-refund", "failed"];

/// What is wrong with which field.
pub(super) struct Problem {
    field: String,
    problem: String,
}

impl Problem {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same with the field below another one, instead of below `events`.
    pub(super) fn within(self, parent: &str) -> Self {
        let field = self.field.strip_prefix("events").unwrap_or(&self.field);
        Self { field: format!("{parent}{field}"), ..self }
    }

    pub(super) fn of(self, provider: &str) -> DescriptionError {
        DescriptionError { provider: provider.to_owned(), field: self.field, problem: self.problem }
    }
}

pub(super) fn require(
    holds: bool,
    field: impl Into<String>,
    problem: impl Into<String>,
) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(Problem::new(field, problem)) }
}

/// Checks everything but the events.
pub(super) fn signature(name: &str, grammar: &Grammar) -> Result<(), Problem> {
    let well_named = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    require(well_named, "name", "must be 1 to 64 of a-z, 0-9 and `_`")?;
    require(!grammar.title.trim().is_empty(), "title", "must not be blank")?;
    let status = grammar.answers.success_status.unwrap_or(200);
    require((200..300).contains(&status), "answers.success_status", "must be 200 to 299")?;
    for (index, field) in grammar.credentials.iter().enumerate() {
        let repeated = grammar.credentials[..index].iter().any(|earlier| earlier.name == field.name);
        require(!repeated, format!("credentials[{index}].name"), "occurs twice")?;
        require(!field.name.trim().is_empty(), format!("credentials[{index}].name"), "must not be blank")?;
    }
    let hints = grammar.inquiry.as_ref().is_some_and(|rule| !rule.unsigned.is_empty());
    let problem = "at least one is needed: nothing is accepted unsigned";
    require(hints || !grammar.checks.is_empty(), "checks", problem)?;
    for place in grammar.answers.success_body.places() {
        in_request(place, "answers.success_body")?;
    }
    if let Some(rule) = &grammar.handshake {
        in_request(&rule.when, "handshake.when")?;
        rule.body.places().try_for_each(|place| in_request(place, "handshake.body"))?;
    }
    let covers_nothing = grammar.covers == CoversRule::Nothing;
    require(covers_nothing || !grammar.checks.is_empty(), "covers", "must be `nothing`: there is no check")?;
    for (index, rule) in grammar.checks.iter().enumerate() {
        check::check(grammar, rule, &format!("checks[{index}]"))?;
    }
    check::timestamps(grammar)?;
    for (index, place) in grammar.required.iter().enumerate() {
        in_request(place, &format!("required[{index}]"))?;
    }
    for (index, rule) in grammar.identity.iter().enumerate() {
        let field = format!("identity[{index}].at");
        match rule.at.root {
            Root::Item(_) => covers::signed_in_items(grammar, &rule.at, &field)?,
            _ => {
                in_request(&rule.at, &field)?;
                covers::signed_in_all(grammar, &rule.at, &field)?;
            }
        }
        credential(grammar, &rule.expected, &format!("identity[{index}].expected"))?;
    }
    for scenario in grammar.payloads.keys() {
        let problem = format!("is not a scenario; there are {}", SCENARIOS.join(", "));
        require(SCENARIOS.contains(&scenario.as_str()), format!("payloads.{scenario}"), problem)?;
    }
    for (index, _) in grammar.parts.iter().enumerate() {
        credential(grammar, PART_KEY_FIELD, &format!("parts[{index}].check"))?;
    }
    Ok(())
}

fn in_request(place: &Place, field: &str) -> Result<(), Problem> {
    let outside = matches!(
        place.root,
        Root::Item(_) | Root::Credential(_) | Root::Url | Root::Variant | Root::Key | Root::Sorted
    );
    require(!outside, field, format!("`{place}` is not part of the request"))
}

pub(super) fn credential(grammar: &Grammar, name: &str, field: &str) -> Result<(), Problem> {
    let listed = grammar.credentials.iter().any(|have| have.name == name);
    require(listed, field, format!("`{name}` is not listed in `credentials`"))
}

fn url(grammar: &Grammar, field: &str) -> Result<(), Problem> {
    let listed = grammar.credentials.iter().any(|have| URL_FIELDS.contains(&have.name.as_str()));
    require(listed, field, format!("`url` needs `{}` among the `credentials`", URL_FIELDS[0]))
}
