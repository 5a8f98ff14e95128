//! What is signed is verified as it was signed, however it is written.

use paybell_conformance::mutations::is_form;
use paybell_conformance::{Case, Findings, NOW, cases, word};
use paybell_shared::domain::PaymentEvent;
use paybell_shared::sandbox::SignedRequest;
use serde_json::{Value, json};

use super::told;

/// Texts that two canonical forms write in different ways.
const TEXTS: &[&str] = &[
    "",
    " ",
    "a b",
    "a+b",
    "a%20b",
    " a ",
    "a&b",
    "a/b?c",
    "caf\u{e9} \u{4f60}\u{597d} \u{1f600}",
    "\"<'>\\",
    "0",
    "1.0",
];

/// A field that the provider introduces tomorrow, first and last in any order of names, breaks nothing.
#[test]
fn f14_a_new_field_changes_nothing_whatever_stands_in_it() {
    let mut findings = Findings::default();
    let mut tried = 0;
    for case in cases() {
        let document = told(case);
        let Value::Object(members) = &document else { continue };
        let genuine = events(case, &case.signed(document.to_string()));
        if let Err(problem) = &genuine {
            findings.note(format!("{}: without a new field: {problem}", case.name()));
            continue;
        }
        for name in ["a_new_field", "zz_new_field"] {
            for text in TEXTS {
                let mut members = members.clone();
                members.insert(name.to_owned(), json!(text));
                let with_more = events(case, &case.signed(Value::Object(members).to_string()));
                tried += 1;
                if with_more != genuine {
                    let outcome = with_more.err().unwrap_or_else(|| "other events".to_owned());
                    findings.note(format!("{}: `{name}` with {text:?}: {outcome}", case.name()));
                }
            }
        }
    }
    println!("{tried} documents were tried");
    assert!(!paybell_conformance::has_all_cases() || tried > 0);
    findings.assert_none();
}

/// What a request says: its events without the ids that are digests of the whole of it.
fn events(case: &Case, request: &SignedRequest) -> Result<Vec<PaymentEvent>, String> {
    let verified = case.provider.verify(&case.raw(request), &case.credentials(), NOW);
    let verified = verified.map_err(|rejection| rejection.to_string())?;
    let mut events = case.provider.normalise(&verified).map_err(|error| error.to_string())?;
    for event in &mut events {
        event.key.clear();
    }
    Ok(events)
}

/// A proxy may write a form's escapes anew: what was signed are the values, or else the very bytes.
#[test]
fn f14_a_form_that_is_escaped_otherwise_says_the_same_or_is_refused() {
    let mut findings = Findings::default();
    let mut accepted = 0;
    for case in cases() {
        for payload in case.payloads() {
            let genuine = case.request(payload);
            if !is_form(&genuine) {
                continue;
            }
            let expected = case.effect(&genuine);
            let body = String::from_utf8(genuine.body.clone()).unwrap();
            for changed in
                [body.replace('+', "%20"), body.replace("%20", "+"), lower_escapes(&body), all_escaped(&body)]
            {
                let verdict = case.effect(&SignedRequest { body: changed.into_bytes(), ..genuine.clone() });
                if verdict == expected {
                    accepted += 1;
                } else if verdict.reason().is_none() {
                    findings.note(format!("{} {payload}: {}", case.name(), word(&verdict)));
                }
            }
        }
    }
    println!("{accepted} forms said the same");
    assert!(!paybell_conformance::has_all_cases() || accepted > 0);
    findings.assert_none();
}

fn lower_escapes(body: &str) -> String {
    let mut pieces = body.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2.min(piece.len()));
        text.push_str(&format!("%{}{rest}", digits.to_ascii_lowercase()));
    }
    text
}

/// Every letter as an escape as well.
fn all_escaped(body: &str) -> String {
    let mut text = String::new();
    let mut bytes = body.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                text.push('%');
                text.extend(bytes.by_ref().take(2).map(char::from));
            }
            b'&' | b'=' | b'+' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}
