//! What `paybell verify` prints.

use std::io::Write as _;

use paybell_shared::domain::PaymentEvent;
use paybell_shared::sandbox::vector::Verdict;
use serde::Serialize;

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

/// Prints a line; a reader that has gone away ends the program without a panic.
pub fn print_line(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(1);
    }
}
