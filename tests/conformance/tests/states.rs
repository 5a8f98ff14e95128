//! What a provider's states mean for which it has no payload of its own: `fixtures/PROVIDER/states.json`.
//!
//! A row is a payload of the sandbox, what is set in it by JSON pointer (`null` takes it out), and what the callback
//! comes to: its events, and why the others of them cannot be read. The sandbox signs it as the provider would.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use paybell_conformance::{Case, Findings, NOW, cases, fixture_folder};
use paybell_shared::domain::PaymentEvent;
use serde_json::{Map, Value};

#[test]
fn m12_every_state_comes_to_what_the_mapping_says() {
    let mut findings = Findings::default();
    let mut count = 0;
    for case in cases() {
        for state in states(case) {
            let payload = state["payload"].as_str().unwrap_or(case.main());
            let mut content: Value = serde_json::from_str(&case.content(payload)).unwrap();
            for (pointer, value) in state["set"].as_object().unwrap() {
                set(&mut content, pointer, value.clone());
            }
            let request = case.signed(content.to_string());
            let verified = case.provider.accept(&case.raw(&request), &case.credentials(), NOW);
            let verified =
                verified.unwrap_or_else(|rejection| panic!("{} {state}: {rejection}", case.name()));
            let told = match case.provider.read(&verified) {
                Ok(read) => {
                    let unreadable = read.unreadable.iter().map(ToString::to_string);
                    read.events.iter().map(line).chain(unreadable).collect::<Vec<_>>().join(", ")
                }
                Err(error) => error.to_string(),
            };
            count += 1;
            if Some(told.as_str()) != state["comes_to"].as_str() {
                findings.note(format!("{} {}: {told}", case.name(), state["set"]));
            }
        }
    }
    println!("{count} states");
    assert!(!paybell_conformance::has_all_cases() || count > 0);
    findings.assert_none();
}

fn states(case: &Case) -> Vec<Value> {
    match std::fs::read_to_string(fixture_folder(case.name()).join("states.json")) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", case.name())),
        Err(_) => Vec::new(),
    }
}

/// Sets a member, in objects that are made where they are missing.
fn set(content: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    if !parent.is_empty() && content.pointer(parent).is_none() {
        set(content, parent, Value::Object(Map::new()));
    }
    match (content.pointer_mut(parent).unwrap(), value) {
        (Value::Object(members), Value::Null) => drop(members.remove(name)),
        (Value::Object(members), value) => drop(members.insert(name.to_owned(), value)),
        (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{pointer}: nothing can be set in {other}"),
    }
}

/// Kind, order, amount, and the refund or dispute, as far as the event tells them.
fn line(event: &PaymentEvent) -> String {
    let amount = event.amount.as_ref().map(ToString::to_string);
    let parts = [event.subject_id.clone(), amount, event.refund_id.clone(), event.dispute_id.clone()];
    [event.kind.name().to_owned()]
        .into_iter()
        .chain(parts.into_iter().flatten())
        .collect::<Vec<_>>()
        .join(" ")
}
