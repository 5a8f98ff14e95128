//! Says of captured requests whether they are genuine, why not, and what they mean.

use std::io::Read as _;
use std::path::Path;

use paybell_shared::callback::{
    CertificateProblem, Credentials, KeySet, RawCallback, Rejection, UnixSeconds,
};
use paybell_shared::domain::PaymentEvent;
use paybell_shared::printable;
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::vector::{Verdict, judge};
use serde_json::{Map, Value};

use super::report::{JsonLine, print_line};
use super::request::CapturedRequest;

/// Judges the requests of a capture and prints what it finds; says whether all are genuine.
///
/// # Errors
/// A sentence that says what cannot be read, and what would be.
pub fn judge_file(
    registry: &Registry,
    provider_name: &str,
    credentials: &Path,
    capture: &Path,
    now: UnixSeconds,
    json: bool,
) -> Result<bool, String> {
    let provider = registry.find(provider_name).ok_or_else(|| {
        let names: Vec<&str> = registry.iter().map(|provider| provider.name).collect();
        format!("there is no provider `{provider_name}`; there are: {}", names.join(", "))
    })?;
    let credentials = read_credentials(credentials, provider_name)?;
    let file_name = capture.display().to_string();
    let bytes = read_capture(capture).map_err(|error| format!("{file_name}: {error}"))?;
    let requests = CapturedRequest::read_all(&bytes).map_err(|error| format!("{file_name}: {error}"))?;
    let mut all_genuine = true;
    for (index, request) in requests.iter().enumerate() {
        let name = if requests.len() == 1 { file_name.clone() } else { format!("{file_name}#{}", index + 1) };
        let raw = RawCallback::new(
            "captured",
            provider.name,
            request.method.clone(),
            request.target.clone(),
            request.headers.iter().cloned(),
            request.body.clone(),
        );
        let verdict = judge(provider, &raw, &credentials, now);
        all_genuine &= verdict.is_genuine() == Some(true);
        if json {
            print_line(&JsonLine::new(&name, provider.name, &verdict).text());
        } else {
            words(&verdict).iter().for_each(|line| print_line(&printable(line)));
        }
    }
    Ok(all_genuine)
}

fn read_capture(capture: &Path) -> std::io::Result<Vec<u8>> {
    if capture == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(capture)
}

/// Reads `{"key_sets": […]}`, one bare key set (`{"secret": "…"}`), or the demo account's file.
fn read_credentials(file: &Path, provider: &str) -> Result<Credentials, String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| about(&error))?;
    // Parse errors of a file of secrets are told by place alone.
    let mut fields: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
        about(&format!("not a JSON object (line {}, column {})", error.line(), error.column()))
    })?;
    if fields.contains_key("key_sets") {
        let credentials = serde_json::from_value(Value::Object(fields));
        return credentials
            .map_err(|_| about(&"`key_sets` must be a list of {\"id\", \"status\", \"fields\"}"));
    }
    if let (Some(Value::Object(providers)), true) = (fields.get_mut("providers"), fields_are_demo(&text)) {
        let keys = providers.get_mut(provider).and_then(|keys| keys.get_mut("key_set"));
        let key_set = keys.and_then(Value::as_object_mut).map(std::mem::take);
        let key_set = key_set.ok_or_else(|| about(&format!("no keys for `{provider}`")))?;
        return Ok(Credentials { key_sets: vec![KeySet::new("demo", key_set)] });
    }
    Ok(Credentials { key_sets: vec![KeySet::new("given", fields)] })
}

fn fields_are_demo(text: &str) -> bool {
    serde_json::from_str::<crate::demo::DemoAccount>(text).is_ok()
}

fn words(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Genuine(events) if events.is_empty() => {
            vec!["genuine".to_owned(), "  of a kind that Paybell does not act on: no events".to_owned()]
        }
        Verdict::Genuine(events) => {
            std::iter::once("genuine".to_owned()).chain(events.iter().map(event_words)).collect()
        }
        Verdict::Unreadable(error) => {
            vec![
                format!("genuine, but its events cannot be read: {error}"),
                "  It would wait in the dead-letter queue for a mapping that reads it.".to_owned(),
            ]
        }
        Verdict::Rejected(rejection) => {
            vec![format!("not genuine: {rejection}"), format!("  {}", advice(rejection))]
        }
        Verdict::GenuinePart | Verdict::UnknownProvider | Verdict::Unusable(_) => Vec::new(),
    }
}

fn event_words(event: &PaymentEvent) -> String {
    let mut words = format!("  {}", event.kind);
    let named = [
        (event.kind.subject_kind().name(), &event.subject_id),
        ("transaction", &event.transaction_id),
        ("refund", &event.refund_id),
        ("dispute", &event.dispute_id),
    ];
    for (name, id) in named {
        if let Some(id) = id {
            words.push_str(&format!("  {name} {id}"));
        }
    }
    if let Some(amount) = &event.amount {
        words.push_str(&format!("  {amount}"));
    }
    words.push_str(&format!("  key {}", event.key));
    words
}

/// What to do next.
fn advice(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::MissingHeader { .. } | Rejection::MissingField { .. } | Rejection::MissingSignature => {
            "Check that the capture is complete and that --provider names the sender; a proxy may drop headers."
        }
        Rejection::Duplicate { .. } => "Send or capture it once: nobody can say which of the two is meant.",
        Rejection::Malformed { .. } => {
            "Capture the request byte for byte: an editor or a parser may have changed it."
        }
        Rejection::SignatureMismatch => {
            "Either the body or a signed header was changed on the way (compare it byte for byte), or the key in --credentials is not the one that the provider signs with now."
        }
        Rejection::UnknownKey => {
            "Add the key that the request names to the credentials: the provider may have rotated it."
        }
        Rejection::AlgorithmNotAllowed => {
            "Set the same signature algorithm at the provider and in the credentials."
        }
        Rejection::Stale { .. } => {
            "An old capture is judged as of its time of receipt with --now; for a live one check the clock of this machine."
        }
        Rejection::Certificate(CertificateProblem::Expired) => {
            "An old capture is judged as of its time of receipt with --now; else fetch the provider's current certificate."
        }
        Rejection::Certificate(_) => {
            "Fetch the provider's certificate again from its documented place, and nothing else."
        }
        Rejection::IdentityMismatch { .. } => {
            "The message is for another app, merchant or webhook: check the ids in the credentials and the address at the provider."
        }
        Rejection::DecryptFailed => {
            "Check the decryption key in the credentials: the provider encrypts with another one."
        }
        Rejection::Unconfigured { .. } => {
            "Put the named field into the credentials as the provider shows it."
        }
        Rejection::TooLarge { .. } => "No provider sends so much: find out who does.",
    }
}
