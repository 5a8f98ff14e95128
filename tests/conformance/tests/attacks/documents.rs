//! Documents that readers disagree about: entities, and names that stand twice.

use paybell_conformance::mutations::is_form;
use paybell_conformance::{Case, Findings, cases, word};
use paybell_shared::sandbox::SignedRequest;
use paybell_shared::sandbox::vector::Verdict;
use serde_json::Value;

use super::{is_accepted, told};

fn with_body(request: &SignedRequest, body: String) -> SignedRequest {
    SignedRequest { body: body.into_bytes(), ..request.clone() }
}

/// A reader that resolves entities finds the genuine values here, and the genuine signature over them.
#[test]
fn f11_an_entity_stands_for_nothing() {
    let mut findings = Findings::default();
    let mut names = Vec::new();
    for case in cases() {
        for payload in case.payloads() {
            let genuine = case.request(payload);
            let Ok(body) = std::str::from_utf8(&genuine.body) else { continue };
            if !body.starts_with('<') {
                continue;
            }
            names.push(case.name());
            let root: String = body[1..].chars().take_while(|it| it.is_ascii_alphanumeric()).collect();
            for (at, text) in leaves(body) {
                let declared = format!("<!DOCTYPE {root} [<!ENTITY e \"{text}\">]>");
                let changed = format!("{declared}{}&e;{}", &body[..at], &body[at + text.len()..]);
                expect_unread(case, &with_body(&genuine, changed), &mut findings);
            }
            for document_type in [
                format!("<!DOCTYPE {root}>"),
                format!("<!DOCTYPE {root} SYSTEM \"http://169.254.169.254/latest/meta-data/\">"),
                format!("<!DOCTYPE {root} [<!ENTITY % e SYSTEM \"file:///etc/passwd\"> %e;]>"),
                bomb(&root),
            ] {
                expect_unread(case, &with_body(&genuine, format!("{document_type}{body}")), &mut findings);
                let declared = format!("<?xml version=\"1.0\"?>{document_type}{body}");
                expect_unread(case, &with_body(&genuine, declared), &mut findings);
            }
        }
    }
    names.dedup();
    println!("providers that send XML: {names:?}");
    assert!(!paybell_conformance::has_all_cases() || !names.is_empty());
    findings.assert_none();
}

/// It must be unreadable, whatever the signature says of it.
fn expect_unread(case: &Case, request: &SignedRequest, findings: &mut Findings) {
    let verdict = case.judge(request);
    if word(&verdict) != "malformed" {
        findings.note(format!("{}: {}", case.name(), word(&verdict)));
    }
}

/// The texts of the elements without children, and where they are.
fn leaves(body: &str) -> Vec<(usize, &str)> {
    let mut leaves = Vec::new();
    for (at, _) in body.match_indices('>') {
        let text = &body[at + 1..];
        let end = text.find('<').unwrap_or(0);
        if text[end..].starts_with("</") && !text[..end].trim().is_empty() {
            leaves.push((at + 1, &text[..end]));
        }
    }
    leaves
}

/// Entities of entities: three kilobytes that become gigabytes.
fn bomb(root: &str) -> String {
    let mut entities = "<!ENTITY e0 \"lol\">".to_owned();
    for level in 1..10 {
        let below = format!("&e{};", level - 1).repeat(10);
        entities.push_str(&format!("<!ENTITY e{level} \"{below}\">"));
    }
    format!("<!DOCTYPE {root} [{entities}]>")
}

/// A name that stands twice, written in every way that decodes to it; one of the two is signed.
#[test]
fn f13_a_parameter_that_stands_twice_is_refused() {
    let mut findings = Findings::default();
    let mut names = Vec::new();
    for case in cases() {
        for payload in case.payloads() {
            let genuine = case.request(payload);
            let parameters = match (is_form(&genuine), genuine.query.is_empty()) {
                (true, _) => String::from_utf8(genuine.body.clone()).unwrap(),
                (false, false) => genuine.query.clone(),
                (false, true) => continue,
            };
            names.push(case.name());
            for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
                let name = pair.split('=').next().unwrap();
                let first = name.bytes().next().map_or(String::new(), |byte| format!("%{byte:02x}"));
                let escaped = format!("{first}{}", name.get(1..).unwrap_or_default());
                for second in [format!("{name}=1"), name.to_owned(), format!("{escaped}=1"), pair.to_owned()]
                {
                    for changed in [format!("{parameters}&{second}"), format!("{second}&{parameters}")] {
                        let changed = match is_form(&genuine) {
                            true => with_body(&genuine, changed),
                            false => SignedRequest { query: changed, ..genuine.clone() },
                        };
                        let verdict = case.effect(&changed);
                        if is_accepted(&verdict) && verdict != Verdict::Genuine(Vec::new()) {
                            findings.note(format!("{}: {second:.40}: {}", case.name(), word(&verdict)));
                        }
                    }
                }
            }
        }
    }
    names.dedup();
    println!("providers that send parameters: {names:?}");
    assert!(!paybell_conformance::has_all_cases() || !names.is_empty());
    findings.assert_none();
}

/// The provider itself signs a document in which a member stands twice, so that only reading it can find that.
#[test]
fn f13_a_member_that_stands_twice_is_never_read() {
    let mut findings = Findings::default();
    let mut tried = 0;
    for case in cases() {
        let document = told(case);
        let Value::Object(members) = &document else { continue };
        let text = document.to_string();
        for (name, value) in members {
            for (written, count) in [(Value::from(name.as_str()).to_string(), 2), (escaped(name), 1)] {
                let again = format!("{written}:{value}");
                for changed in [
                    text.replacen('{', &format!("{{{again},"), 1),
                    format!("{},{again}}}", text.strip_suffix('}').unwrap()),
                ] {
                    let request = case.signed(changed);
                    // Some protocols are signed in a form of their own, in which the sandbox writes the member once.
                    let as_written = String::from_utf8_lossy(&request.body).matches(&again).count() >= count;
                    let verdict = case.judge(&request);
                    let is_read = matches!(&verdict, Verdict::Genuine(events) if !events.is_empty());
                    tried += usize::from(as_written);
                    if as_written && is_read {
                        findings.note(format!("{}: `{name}` twice: {}", case.name(), word(&verdict)));
                    }
                }
            }
        }
    }
    println!("{tried} documents were tried");
    assert!(!paybell_conformance::has_all_cases() || tried > 0);
    findings.assert_none();
}

/// The same name with its first character written as an escape.
fn escaped(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map_or(0, u32::from);
    format!("\"\\u{first:04x}{}\"", characters.as_str())
}
