//! How events are read.

use crate::domain::{EventKind, Money, PaymentEvent};
use crate::providers::MappingError;

use super::*;

fn events_of(text: &str, body: &str) -> Result<Vec<PaymentEvent>, MappingError> {
    let description = read(text).unwrap();
    let keys = description.generate_keys();
    let request = description.sign(&keys, &payload(body)).unwrap();
    let key_set = KeySet::new("test", keys.key_set.clone());
    let verified = description.verify(&raw("minimal", &request), &key_set, NOW).unwrap();
    description.normalise(&verified)?.into_iter().collect()
}

fn kinds(events: &[PaymentEvent]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

#[test]
fn what_is_not_listed_is_ignored_and_what_is_needed_must_be_there() {
    let facts = r#""order": "A-1", "id": "p-1", "amount": 1999, "currency": "EUR""#;
    let rows = [
        (format!(r#"{{"type": "paid", {facts}}}"#), Ok(1)),
        (format!(r#"{{"type": "posted", {facts}}}"#), Ok(0)),
        (format!("{{{facts}}}"), Ok(0)),
        (format!(r#"{{"type": "paid", "type": "paid", {facts}}}"#), Err(MappingError::Content)),
        ("[1".to_owned(), Err(MappingError::Content)),
        (
            r#"{"type": "paid", "order": "A-1", "id": "p-1", "currency": "EUR"}"#.to_owned(),
            Err(MappingError::field("json:/amount")),
        ),
        (
            r#"{"type": "paid", "order": "A-1", "id": "p-1", "amount": null, "currency": "EUR"}"#.to_owned(),
            Err(MappingError::field("json:/amount")),
        ),
        (
            r#"{"type": "paid", "order": "A-1", "id": "p-1", "amount": 19.99, "currency": "EUR"}"#.to_owned(),
            Err(MappingError::field("json:/amount")),
        ),
        (
            r#"{"type": "paid", "order": "A-1", "id": "p-1", "amount": -1, "currency": "EUR"}"#.to_owned(),
            Err(MappingError::field("json:/amount")),
        ),
        (
            r#"{"type": "paid", "order": "A-1", "id": "p-1", "amount": 1999, "currency": "XYZ"}"#.to_owned(),
            Err(MappingError::field("json:/currency")),
        ),
        (
            r#"{"type": "paid", "order": "A-1", "id": "", "amount": 1999, "currency": "EUR"}"#.to_owned(),
            Err(MappingError::field("json:/id")),
        ),
        (
            r#"{"type": "paid", "id": "p-1", "amount": 1999, "currency": "EUR"}"#.to_owned(),
            Err(MappingError::field("json:/order")),
        ),
    ];
    for (body, expected) in rows {
        assert_eq!(events_of(MINIMAL, &body).map(|events| events.len()), expected, "{body}");
    }
}

#[test]
fn ids_that_no_store_would_take_are_refused() {
    let description: &'static Description = Box::leak(Box::new(read(MINIMAL).unwrap()));
    let provider = description.provider(&[], crate::providers::Normalise::Described(description), None);
    let keys = description.generate_keys();
    for (bytes, accepted) in [(512, true), (513, false)] {
        let order = "a".repeat(bytes);
        let body = format!(r#"{{"type":"paid","order":"{order}","id":"p-1","amount":1,"currency":"EUR"}}"#);
        let request = description.sign(&keys, &payload(&body)).unwrap();
        let verified = provider.verify(&raw("minimal", &request), &credentials(&keys), NOW).unwrap();
        assert_eq!(provider.normalise(&verified).is_ok(), accepted, "{bytes}");
    }
}

#[test]
fn without_an_id_the_facts_identify_the_event() {
    let body = |id: &str| {
        format!(r#"{{"type": "paid", "order": "A-1", "id": "{id}", "amount": 1999, "currency": "EUR"}}"#)
    };
    let key = |id: &str| events_of(MINIMAL, &body(id)).unwrap()[0].key.clone();
    assert_eq!(key("p-1"), key("p-1"));
    assert_ne!(key("p-1"), key("p-2"));
}

#[test]
fn one_callback_may_tell_several_events_and_fields_may_choose_the_kind() {
    let text = changed(&[
        (
            "type = \"{json:/type}\"",
            "items = \"/events\"\nid = [\"{item:/no}\"]\ntype = \"{item:/of}.{item:/act}\"",
        ),
        (
            "paid = { kind = \"payment.captured\"",
            "\"payment.done\" = { kind_at = \"item:/ok\", kinds = { true = \"payment.captured\", false = \"payment.failed\" }",
        ),
    ]);
    let text = text.replace("json:/order", "item:/order").replace("json:/id", "item:/id");
    let text = text.replace("json:/amount", "item:/amount");
    let events = events_of(
        &text,
        r#"{"currency": "EUR", "events": [
            {"no": 1, "of": "payment", "act": "done", "ok": true, "order": "A-1", "id": "p-1", "amount": 5},
            {"no": 2, "of": "payment", "act": "done", "ok": false, "order": "A-2", "id": "p-2", "amount": 6},
            {"no": 3, "of": "payment", "act": "done", "ok": "perhaps", "order": "A-3", "id": "p-3", "amount": 7},
            {"no": 4, "of": "mandate", "act": "created"}
        ]}"#,
    )
    .unwrap();
    assert_eq!(kinds(&events), [EventKind::PaymentCaptured, EventKind::PaymentFailed]);
    let keys: Vec<&str> = events.iter().map(|event| event.key.as_str()).collect();
    assert_eq!(keys, ["1", "2"]);
    assert_eq!(events_of(&text, r#"{"events": []}"#), Ok(Vec::new()));
    assert_eq!(events_of(&text, "{}"), Err(MappingError::field("/events")));
    let listed = |members: usize| {
        let members = vec![r#"{"of": "mandate", "act": "created"}"#; members].join(",");
        events_of(&text, &format!(r#"{{"events": [{members}]}}"#))
    };
    assert_eq!(listed(500), Ok(Vec::new()));
    assert_eq!(listed(501), Err(MappingError::TooMany("/events".to_owned())));
}

#[test]
fn amounts_become_our_minor_units_exactly_or_not_at_all() {
    // unit, amount, currency, decimals of the provider's own table, what we hold
    let rows = [
        ("minor", "500", "JPY", "", "500 JPY"),
        ("minor", "1999", "eur", "", "19.99 EUR"),
        ("minor", "500", "ISK", "ISK = 2", "5 ISK"),
        ("minor", "501", "ISK", "ISK = 2", "-"),
        ("minor", "5", "PTS", "PTS = 0", "5 PTS"),
        ("major", "19.90", "EUR", "", "19.90 EUR"),
        ("major", "19.999", "EUR", "", "-"),
        ("major", "5", "PTS", "PTS = 0", "5 PTS"),
        ("major", "1e3", "EUR", "", "-"),
    ];
    for (unit, amount, currency, exponents, expected) in rows {
        let text = changed(&[
            ("unit = \"minor\"", &format!("unit = \"{unit}\"")),
            ("type = \"{json:/type}\"", &format!("type = \"{{json:/type}}\"\nexponents = {{ {exponents} }}")),
        ]);
        let body = format!(
            r#"{{"type": "paid", "order": "A", "id": "p", "amount": {amount}, "currency": "{currency}"}}"#
        );
        let events = events_of(&text, &body);
        let got = events.ok().and_then(|events| events[0].amount.as_ref().map(Money::to_string));
        assert_eq!(got.as_deref().unwrap_or("-"), expected, "{unit} {amount} {currency}");
    }
}

/// Where ids are unique only beside a type, a fact is a text with places in it; it is absent when one of them is.
#[test]
fn a_fact_may_be_a_text_with_places() {
    let table = MINIMAL.replace(
        r#"subject_id = ["json:/order"]"#,
        r#"subject_id = ["{json:/kind}:{json:/order}", "json:/order"]"#,
    );
    let subject = |body: &str| events_of(&table, body).unwrap()[0].subject_id.clone().unwrap();
    let body = r#"{"type": "paid", "order": "7", "id": "p-1", "amount": 1, "currency": "EUR"}"#;
    assert_eq!(subject(body), "7");
    assert_eq!(subject(&body.replace(r#""id""#, r#""kind": "invoice", "id""#)), "invoice:7");
    let nothing = MINIMAL.replace(r#"subject_id = ["json:/order"]"#, r#"subject_id = ["{{}}"]"#);
    assert_eq!(
        read(&nothing).unwrap_err().to_string(),
        "provider `minimal`: events.facts.payment.subject_id[0]: names nothing of the request"
    );
}
