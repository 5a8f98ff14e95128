//! What `paybell verify` prints.

use std::io::Write as _;

use paybell_shared::domain::PaymentEvent;
use serde::Serialize;

use super::fields::differences;
use super::vector::{Vector, Verdict};

/// The line that `--json` prints of one vector or request.
#[derive(Debug, Serialize)]
pub struct JsonLine<'a> {
    /// The vector's or file's name.
    pub name: &'a str,
    /// The provider.
    pub provider: &'a str,
    /// Whether it is genuine.
    pub valid: bool,
    /// Why not; null when it is.
    pub reason: Option<&'static str>,
    /// The events that a genuine one means.
    pub events: Vec<EventView<'a>>,
}

/// An event as `--json` prints it; the amount is an integer in minor units.
#[derive(Debug, Serialize)]
pub struct EventView<'a> {
    kind: &'static str,
    order_id: Option<&'a str>,
    transaction_id: Option<&'a str>,
    event_key: &'a str,
    amount_minor: Option<i128>,
    currency: Option<&'a str>,
}

impl<'a> JsonLine<'a> {
    /// The line of a verdict.
    pub fn new(name: &'a str, provider: &'a str, verdict: &'a Verdict) -> Self {
        Self {
            name,
            provider,
            valid: verdict.is_genuine() == Some(true),
            reason: verdict.reason(),
            events: verdict.events().iter().map(EventView::new).collect(),
        }
    }

    /// Its text, without the line's end.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and integers always serialise")
    }
}

impl<'a> EventView<'a> {
    fn new(event: &'a PaymentEvent) -> Self {
        let amount = event.amount.as_ref();
        Self {
            kind: event.kind.name(),
            order_id: event.subject_id.as_deref(),
            transaction_id: event.transaction_id.as_deref(),
            event_key: &event.key,
            amount_minor: amount.map(|amount| amount.amount_minor()),
            currency: amount.map(|amount| amount.currency().code()),
        }
    }
}

/// How one vector came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it counts as passed.
    pub passed: bool,
    /// Lines for people; none when there is nothing to say.
    pub lines: Vec<String>,
}

/// Weighs a verdict against its vector.
///
/// The verdict must agree. Fields that differ, and genuine vectors whose events cannot be read, are told;
/// they count only when `fields_count`, because a verdict is about genuineness and the vectors' fields are advisory.
pub fn weigh(place: &str, vector: &Vector, verdict: &Verdict, fields_count: bool) -> Outcome {
    let agrees = verdict.agrees_with(&vector.expect);
    let mut lines = Vec::new();
    if !agrees {
        lines.push(format!(
            "FAILED {place}: expected {}, got {}",
            expected_words(vector),
            verdict_words(verdict)
        ));
    }
    let mut fields_agree = true;
    if vector.expect.valid {
        if let Verdict::Unreadable(error) = verdict {
            fields_agree = false;
            lines.push(format!("warning {place}: genuine, but its events cannot be read: {error}"));
        }
        if let Verdict::Genuine(events) = verdict {
            for difference in differences(&vector.expect.fields, events) {
                fields_agree = false;
                lines.push(format!(
                    "differs {place}: {}: expected {}, got {}",
                    difference.field, difference.expected, difference.got
                ));
            }
        }
    }
    Outcome {
        passed: agrees && (fields_agree || !fields_count),
        lines: lines.iter().map(|line| printable(line)).collect(),
    }
}

fn expected_words(vector: &Vector) -> String {
    match (vector.expect.reason(), vector.expect.valid) {
        (_, true) => "genuine".to_owned(),
        (None, false) => "not genuine".to_owned(),
        (Some(reason), false) => format!("not genuine ({reason})"),
    }
}

fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Genuine(_) | Verdict::GenuinePart | Verdict::Unreadable(_) => "genuine".to_owned(),
        Verdict::Rejected(rejection) => format!("not genuine ({}: {rejection})", rejection.reason()),
        Verdict::UnknownProvider => "no such provider".to_owned(),
        Verdict::Unusable(why) => format!("a vector that cannot be used ({why})"),
    }
}

/// Prints a line; a reader that has gone away ends the program without a panic.
pub fn print_line(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(1);
    }
}

/// Vectors come from anywhere: nothing in them may steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
