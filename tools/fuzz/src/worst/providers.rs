//! Whole callbacks at their worst: every provider with bodies of every kind, with as many key sets as there may be, and
//! genuine callbacks blown up as far as they go.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::credentials::KEY_SETS_MAX;
use paybell_shared::callback::{BODY_BYTES_MAX, Credentials, HEADER_BYTES_MAX, KeySet};
use paybell_shared::sandbox::Payload;
use serde_json::Value;

use super::certificates::{CERTIFICATES, DER_BYTES_MAX};
use super::documents::{BODIES, bomb};
use super::{Worst, repeated};
use crate::cases::{Case, NOW, cases};
use crate::request_text::RequestText;

pub(super) fn all() -> Vec<Worst> {
    cases().iter().flat_map(of_provider).collect()
}

fn of_provider(case: &'static Case) -> Vec<Worst> {
    let Some((payload, genuine)) = case.genuine.first() else { return Vec::new() };
    let mut all = Vec::new();
    for (name, build) in BODIES {
        let genuine = genuine.clone();
        all.push(of_request(case, &format!("body: {name}"), BODY_BYTES_MAX, move |size| RequestText {
            body: build(size).into_bytes(),
            ..genuine.clone()
        }));
    }
    for (index, (name, value)) in genuine.headers.iter().enumerate() {
        for join in [",", " ", ";", ""] {
            let (genuine, value) = (genuine.clone(), value.clone());
            let about = format!("header {name} repeated by `{join}`");
            all.push(of_request(case, &about, HEADER_BYTES_MAX, move |size| {
                let mut request = genuine.clone();
                request.headers[index].1 = repeated(&format!("{value}{join}"), size);
                request
            }));
        }
    }
    all.extend(with_certificates(case, genuine));
    all.extend(blown_up(case, payload));
    if case.provider.name == "quicknode" {
        let genuine = genuine.clone();
        all.push(of_request(case, "body: a decompression bomb", BODY_BYTES_MAX, move |size| {
            let mut request = RequestText { body: bomb(size), ..genuine.clone() };
            request.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
            request
        }));
    }
    all
}

fn of_request(
    case: &'static Case,
    about: &str,
    size: usize,
    build: impl Fn(usize) -> RequestText + 'static,
) -> Worst {
    let key_sets = (0..KEY_SETS_MAX).map(|number| KeySet::new(number.to_string(), case.keys.key_set.clone()));
    let credentials = Credentials { key_sets: key_sets.collect() };
    Worst {
        name: format!("{}, {about}", case.provider.name),
        size,
        prepare: Box::new(move |size| {
            let (raw, credentials) = (build(size).raw(), credentials.clone());
            Box::new(move || {
                let _ = case.provider.handshake(&raw, &credentials);
                if let Some(key_fetch) = case.provider.key_fetch {
                    let _ = key_fetch(&raw, &credentials.key_sets[0]);
                }
                if let Ok(verified) = case.provider.accept(&raw, &credentials, NOW) {
                    let _ = case.provider.normalise(&verified);
                }
            })
        }),
    }
}

/// The places of a JSON body, of the header of a JWS in it, and of a form, where certificates are.
fn with_certificates(case: &'static Case, genuine: &RequestText) -> Vec<Worst> {
    let mut all = Vec::new();
    for (name, build) in CERTIFICATES {
        for place in ["signature", "x5c", "signPubKeyCert"] {
            if with_certificate(genuine, place, &[]).is_none() {
                continue;
            }
            let genuine = genuine.clone();
            let about = format!("{place}: a certificate with {name}");
            all.push(of_request(case, &about, DER_BYTES_MAX * 2 / 3, move |size| {
                with_certificate(&genuine, place, &build(size)).unwrap_or_else(|| genuine.clone())
            }));
        }
    }
    all
}

fn with_certificate(genuine: &RequestText, place: &str, der: &[u8]) -> Option<RequestText> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    if place == "signPubKeyCert" {
        return with_certificate_in_form(genuine, place, der);
    }
    let mut body: Value = serde_json::from_slice(&genuine.body).ok()?;
    let text = STANDARD.encode(der);
    match place {
        "signature" => *body.get_mut("signature")? = Value::from(text),
        _ => {
            let signed = body.get_mut("signedPayload")?;
            let (header, rest) = signed.as_str()?.split_once('.')?;
            let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
            *header.pointer_mut("/x5c/0")? = Value::from(text);
            *signed = Value::from(format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string())));
        }
    }
    Some(RequestText { body: body.to_string().into_bytes(), ..genuine.clone() })
}

fn with_certificate_in_form(genuine: &RequestText, parameter: &str, der: &[u8]) -> Option<RequestText> {
    let body = std::str::from_utf8(&genuine.body).ok()?;
    let (before, rest) = body.split_once(&format!("{parameter}="))?;
    let behind = rest.find('&').map_or("", |at| &rest[at..]);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
    let escaped = [("+", "%2B"), ("/", "%2F"), ("=", "%3D"), ("\n", "%0A"), (" ", "+")];
    let escaped = escaped.into_iter().fold(pem, |text, (from, to)| text.replace(from, to));
    let body = format!("{before}{parameter}={escaped}{behind}");
    Some(RequestText { body: body.into_bytes(), ..genuine.clone() })
}

/// Genuine callbacks of which every array has as many members as fit, and one with as many unknown members.
fn blown_up(case: &'static Case, payload: &'static str) -> Vec<Worst> {
    let Ok(told) = case.provider.payload(payload, &case.facts(), &case.keys) else { return Vec::new() };
    let Ok(document) = serde_json::from_str::<Value>(&told.content) else { return Vec::new() };
    let mut pointers = Vec::new();
    arrays(&document, String::new(), &mut pointers);
    let mut all = Vec::new();
    for pointer in pointers {
        let (document, about) = (document.clone(), format!("genuine, with a long array at {pointer}"));
        all.push(signed(case, &about, move |size| {
            let mut document = document.clone();
            if let Some(Value::Array(members)) = document.pointer_mut(&pointer) {
                let one = members.first().cloned().unwrap_or_default();
                let count = size / (one.to_string().len() + 1);
                *members = vec![one; count];
            }
            document.to_string()
        }));
    }
    all.push(signed(case, "genuine, with many further members", move |size| {
        let mut document = document.clone();
        if let Value::Object(members) = &mut document {
            for number in 0..size / 24 {
                members.insert(format!("zz_more_{number}"), Value::from("1"));
            }
        }
        document.to_string()
    }));
    all
}

/// What the sandbox signs of half of a body's size: some protocols write it in base64.
fn signed(case: &'static Case, about: &str, content: impl Fn(usize) -> String + 'static) -> Worst {
    of_request(case, about, BODY_BYTES_MAX / 2, move |size| {
        let facts = case.facts();
        let payload =
            Payload { content: content(size), event_id: facts.event_id, sent_at: NOW, path: facts.path };
        let request = case.provider.sandbox.sign(&case.keys, &payload);
        request.map_or_else(|_| case.genuine[0].1.clone(), |request| case.sent(&request))
    })
}

fn arrays(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Array(members) => {
            if let Some(first) = members.first() {
                arrays(first, format!("{at}/0"), pointers);
            }
            pointers.push(at);
        }
        Value::Object(members) => {
            for (name, member) in members {
                arrays(member, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        _ => {}
    }
}
