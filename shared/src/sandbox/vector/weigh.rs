//! Whether vectors come out as they state.

use std::path::Path;

use serde_json::Value;

use super::fields::differences;
use super::{Vector, Verdict};
use crate::callback::UnixSeconds;
use crate::printable;
use crate::providers::Registry;

/// Reads a vector file.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn read_vectors(file: &Path) -> Result<Vec<Value>, String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(|error| about(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| about(&format!("not a JSON array of vectors: {error}")))
}

/// Checks one member of a vector file; `real_now` serves those that name no time.
pub fn check_vector(
    registry: &Registry,
    place: &str,
    value: &Value,
    real_now: UnixSeconds,
    fields_count: bool,
) -> (Verdict, Outcome) {
    match serde_json::from_value::<Vector>(value.clone()) {
        Ok(vector) => {
            let verdict = vector.check(registry, real_now);
            let outcome = weigh(place, &vector, &verdict, fields_count);
            (verdict, outcome)
        }
        Err(error) => {
            let line = printable(&format!("FAILED {place}: not a vector: {error}"));
            (Verdict::Unusable("not a vector"), Outcome { passed: false, lines: vec![line] })
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
