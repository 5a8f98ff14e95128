//! Whose callbacks count: providers that sign for several merchants with one key name the one they mean.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use std::path::Path;

use paybell_conformance::{Findings, NOW, cases, has_all_cases, key_set, repository, word};
use paybell_shared::callback::Credentials;
use serde_json::{Value, json};

/// Fields of key sets that say whom a callback must be meant for, by the beginning of their names.
const OF_IDENTITY: &[&str] = &["expected_", "allowed_topic", "subscription_id", "webhook_id"];

/// Two accounts with the provider's same key, and one callback: it counts for the one that it names.
#[test]
fn f15_a_callback_for_another_merchant_with_the_same_key_is_refused() {
    let mut findings = Findings::default();
    let mut tried = 0;
    for case in cases() {
        let request = case.request(case.main());
        let fields = case.keys.key_set.keys().filter(|field| is_of_identity(field));
        for field in fields {
            let mut of_another = case.keys.clone();
            of_another.key_set.insert(field.clone(), another(&case.keys.key_set[field]));
            let credentials = Credentials { key_sets: vec![key_set("another", &of_another)] };
            let verdict = case.judge_with(&request, &credentials, NOW);
            tried += 1;
            if verdict.is_genuine() != Some(false) {
                findings.note(format!("{}: `{field}` of another merchant: {}", case.name(), word(&verdict)));
            }
        }
    }
    findings.assert_none();
    assert!(tried >= 16 || !has_all_cases(), "only {tried} fields were tried");
}

fn is_of_identity(field: &str) -> bool {
    OF_IDENTITY.iter().any(|beginning| field.starts_with(beginning))
}

/// A value of the same form that is somebody else's.
fn another(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.bytes().map(turned).collect::<String>()),
        Value::Array(members) => members.iter().map(another).collect(),
        Value::Number(_) => json!(7_777_777),
        other => other.clone(),
    }
}

fn turned(byte: u8) -> char {
    match byte {
        b'0'..=b'9' => char::from((byte - b'0' + 1) % 10 + b'0'),
        b'a'..=b'y' | b'A'..=b'Y' => char::from(byte + 1),
        other => char::from(other),
    }
}

/// A message is believed to be verified by who reads the queue that only `callback` and `reconcile` may write to, and
/// nowhere else.
#[test]
fn f2_only_the_readers_of_the_queues_believe_a_message() {
    let mut believers = Vec::new();
    for room in ["functions", "tools/cli", "shared/src"] {
        collect(&repository().join(room), &mut believers);
    }
    believers.sort();
    assert_eq!(
        believers,
        [
            "functions/apply/src/reading.rs",
            "functions/reconcile/src/handler.rs",
            "shared/src/callback/verified.rs",
            "shared/src/ports/queued_hint.rs",
            "tools/cli/src/redrive/letters.rs"
        ]
    );
}

fn collect(folder: &Path, believers: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" && name != "sandbox" {
            collect(&path, believers);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let source = std::fs::read_to_string(&path).unwrap();
            if source.contains("from_queue(") {
                let place = path.strip_prefix(repository()).unwrap();
                believers.push(place.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
}
