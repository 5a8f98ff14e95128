//! The project's own vectors: for each provider a file in its fixture folder, signed with generated test keys.
//!
//! `keys.json` is made once and kept; everything else follows from it, the payloads and the fixed time, so that
//! making the vectors again gives the same bytes unless a payload or a protocol has changed.

use std::fs;
use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::PaymentEvent;
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::request::{callback_path, with_flipped_byte};
use paybell_shared::sandbox::vector::Verdict;
use paybell_shared::sandbox::{SandboxKeys, SignedRequest};
use serde_json::{Map, Value, json};

use crate::mutations::{MUTATIONS, Must, Mutation, signature_places};
use crate::{ACCOUNT, Case, NOW, fixture_folder};

/// Name of the vector that is genuine but received a day after it was sent.
pub const RECEIVED_LATER: &str = "received a day later";
/// Said of every vector and of the keys.
const SOURCE: &str = "signed by the sandbox with generated test keys, which protect nothing";
/// A day is beyond every protocol's tolerance.
const DAY_SECONDS: i64 = 86_400;

/// Writes `keys.json` where it is missing, and `vectors.json` of every provider; returns the providers' names.
///
/// # Errors
/// As writing files.
pub fn write_all() -> io::Result<Vec<&'static str>> {
    for provider in Registry::default().iter() {
        let file = fixture_folder(provider.name).join("keys.json");
        if !file.exists() {
            fs::create_dir_all(fixture_folder(provider.name))?;
            fs::write(file, keys_text(&provider.sandbox.generate()))?;
        }
    }
    let mut names = Vec::new();
    for case in crate::cases() {
        fs::write(fixture_folder(case.name()).join("vectors.json"), vectors_text(case))?;
        names.push(case.name());
    }
    Ok(names)
}

/// The text of a provider's `vectors.json`.
pub fn vectors_text(case: &Case) -> String {
    text(&Value::Array(vectors(case)))
}

fn keys_text(keys: &SandboxKeys) -> String {
    let mut value = serde_json::to_value(keys).expect("keys are texts");
    value["note"] = Value::from("Generated test keys, which protect nothing.");
    text(&value)
}

fn text(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value always serialises");
    text.push('\n');
    text
}

fn vectors(case: &Case) -> Vec<Value> {
    let genuine = case.payloads().into_iter().map(|payload| {
        let request = case.request(payload);
        vector(case, payload, &request, NOW, &case.judge(&request))
    });
    let paid = case.request(case.main());
    let rejects = |mutation: &&Mutation| mutation.must_for(case.provider) == Some(Must::Reject);
    let mutated = MUTATIONS.iter().filter(rejects).filter_map(|mutation| {
        let changed = (mutation.apply)(&paid).into_iter().find(|changed| *changed != paid)?;
        Some(vector(case, mutation.name, &changed, NOW, &case.judge(&changed)))
    });
    let places = signature_places(&paid);
    let flipped = places.get(places.len() / 2).map(|middle| {
        let flipped = with_flipped_byte(&paid, *middle, 1);
        vector(case, "one bit of the signature flipped", &flipped, NOW, &case.judge(&flipped))
    });
    let later = UnixSeconds(NOW.0 + DAY_SECONDS);
    let stale =
        vector(case, RECEIVED_LATER, &paid, later, &case.judge_with(&paid, &case.credentials(), later));
    genuine.chain(mutated).chain(flipped).chain([stale]).collect()
}

/// The verdict is what the verifier says now; the conformance tests hold it against what must come out.
fn vector(case: &Case, name: &str, request: &SignedRequest, now: UnixSeconds, verdict: &Verdict) -> Value {
    let headers: Map<String, Value> =
        request.sent_headers().fold(Map::new(), |mut headers, (name, value)| {
            let value = match headers.remove(name) {
                Some(Value::Array(mut values)) => {
                    values.push(value.clone().into());
                    Value::Array(values)
                }
                Some(first) => json!([first, value]),
                None => value.clone().into(),
            };
            headers.insert(name.clone(), value);
            headers
        });
    let expect = match verdict {
        Verdict::Genuine(events) => json!({ "valid": true, "fields": fields(events) }),
        other => json!({ "valid": false, "reason": other.reason() }),
    };
    json!({
        "name": name,
        "source": SOURCE,
        "provenance": "synthetic",
        "provider": case.name(),
        "method": request.method,
        "path": callback_path(ACCOUNT, case.name(), request),
        "headers": headers,
        "raw_body_base64": STANDARD.encode(&request.body),
        "key_material": case.keys.key_set,
        "options": { "now": now.0 },
        "expect": expect,
    })
}

fn fields(events: &[PaymentEvent]) -> Value {
    let Some(event) = events.first() else { return json!({}) };
    let amount = event.amount.as_ref();
    json!({
        "event": event.kind.name(),
        "event_id": event.key,
        "order_id": event.subject_id,
        "transaction_id": event.transaction_id,
        "amount_minor": amount.and_then(|amount| u64::try_from(amount.amount_minor()).ok()),
        "currency": amount.map(|amount| amount.currency().code()),
    })
}
