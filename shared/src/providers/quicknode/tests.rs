//! Packed bodies and messages of other forms.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::*;
use crate::callback::Credentials;
use crate::domain::EventKind;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const TRANSFER: &str = include_str!("../../../fixtures/quicknode/payloads/paid.json");

fn content() -> String {
    let hex = |fact: &str, digits: usize| (format!("{{{{{fact}}}}}"), "a".repeat(digits));
    let facts = [hex("order_address_hex", 40), hex("transaction_hash", 64)];
    let content = TRANSFER.replace("{{amount_units_hex}}", &format!("{:064x}", 5_000_000));
    facts.iter().fold(content, |content, (name, value)| content.replace(name, value))
}

fn signed(content: &str) -> (SandboxKeys, SignedRequest) {
    let keys = sandbox::generate();
    let payload = Payload {
        content: content.to_owned(),
        event_id: "nonce-7".to_owned(),
        sent_at: NOW,
        path: String::new(),
    };
    let request = sandbox::sign(&keys, &payload);
    (keys, request)
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn verdict(keys: &SandboxKeys, request: &SignedRequest) -> Result<Verified, Rejection> {
    let raw = RawCallback::new("a", NAME, "POST", "/", request.headers.iter().cloned(), request.body.clone());
    let credentials = Credentials { key_sets: vec![KeySet::new("own", keys.key_set.clone())] };
    PROVIDER.verify(&raw, &credentials, NOW)
}

#[test]
fn a_packed_body_is_signed_as_it_was_before() {
    let (keys, mut request) = signed(&content());
    let plain = PROVIDER.normalise(&verdict(&keys, &request).unwrap()).unwrap();
    assert_eq!(plain[0].kind, EventKind::PaymentPending);
    assert_eq!(plain[0].amount.as_ref().unwrap().to_string(), "5.000000 USDT");
    request.body = packed(&request.body);
    assert!(verdict(&keys, &request).is_err(), "a packed body that does not say so");
    request.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    let verified = verdict(&keys, &request).unwrap();
    assert_eq!(PROVIDER.normalise(&verified).unwrap(), plain);
    assert!(PROVIDER.must_ask(&verified));
    request.body.truncate(request.body.len() / 2);
    assert!(verdict(&keys, &request).is_err(), "half of a packed body");
}

#[test]
fn a_body_that_unpacks_to_more_than_the_limit_is_refused() {
    let limit = usize::try_from(UNPACKED_BYTES_MAX).unwrap();
    for (length, accepted) in [(limit, true), (limit + 1, false)] {
        let content = format!("{{{}}}", " ".repeat(length - 2));
        let (keys, mut request) = signed(&content);
        request.body = packed(&request.body);
        request.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
        assert_eq!(verdict(&keys, &request).is_ok(), accepted, "{length}");
    }
}

#[test]
fn the_times_digits_cannot_move_into_the_body_or_the_nonce() {
    let (keys, request) = signed(&content());
    let moved = |nonce: &str, time: &str, before: &str| {
        let mut request = request.clone();
        request.headers[0].1 = nonce.to_owned();
        request.headers[1].1 = time.to_owned();
        request.body = [before.as_bytes(), &request.body].concat();
        verdict(&keys, &request).is_ok()
    };
    assert!(moved("nonce-7", "1767225600", ""));
    assert!(!moved("nonce-7", "176722560", "0"));
    assert!(!moved("nonce-", "71767225600x", ""));
}

#[test]
fn what_is_told_in_no_known_form_is_nothing() {
    for content in [
        json!({}),
        json!([]),
        json!({ "network": "polygon-amoy", "logs": [] }),
        json!({ "network": "polygon" }),
    ] {
        let (keys, request) = signed(&content.to_string());
        let verified = verdict(&keys, &request).unwrap();
        assert_eq!(PROVIDER.normalise(&verified), Ok(Vec::new()), "{content}");
        assert!(!PROVIDER.must_ask(&verified));
    }
}
