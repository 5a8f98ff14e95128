//! Whose signatures count, and what is asked because a webhook does not tell it.

use serde_json::json;

use super::*;
use crate::callback::Fetched;
use crate::domain::EventKind;
use crate::sandbox::{Payload, SandboxKeys};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

fn signed(keys: &SandboxKeys, body: &Value, path: &str) -> RawCallback {
    let payload = Payload {
        content: body.to_string(),
        event_id: "e".to_owned(),
        sent_at: NOW,
        path: "/hook".to_owned(),
    };
    let request = sandbox::sign(keys, &payload);
    RawCallback::new("demo", NAME, "POST", path, request.headers, request.body)
}

fn key_set(keys: &SandboxKeys, changes: &[(&str, Value)]) -> KeySet {
    let mut fields = keys.key_set.clone();
    fields.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    KeySet::new("k", fields)
}

#[test]
fn the_path_may_lose_its_last_slash_and_its_query() {
    let keys = sandbox::generate();
    for (path, accepted) in [
        ("/hook", true),
        ("/hook/", true),
        ("/hook?a=b", true),
        ("/hook/?a=b", true),
        ("/hook//", false),
        ("/other", false),
        ("/", false),
    ] {
        let outcome = verify(&signed(&keys, &json!({}), path), &key_set(&keys, &[]), NOW);
        assert_eq!(outcome.is_ok(), accepted, "{path}");
    }
}

#[test]
fn only_pinned_key_sets_and_signed_headers_count() {
    let keys = sandbox::generate();
    let address = "https://webhooks.truelayer-sandbox.com/.well-known/jwks";
    let kid = keys.key_set[JWKS]["keys"][0]["kid"].clone();
    let judge = |header: Value, changes: &[(&str, Value)]| {
        let text = sandbox::signature(&keys, &header, b"POST /hook\nA: 1\n{}");
        let headers = [("Tl-Signature".to_owned(), text), ("a".to_owned(), "1".to_owned())];
        let raw = RawCallback::new("demo", NAME, "POST", "/hook", headers, b"{}".to_vec());
        let mut changes = changes.to_vec();
        changes.push(("tolerance_seconds", Value::Null));
        verify(&raw, &key_set(&keys, &changes), NOW).map(|_| ())
    };
    let genuine = json!({"alg": "ES512", "kid": kid, "tl_version": "2", "tl_headers": "A", "jku": address});
    let with = |name: &str, value: Value| {
        let mut header = genuine.clone();
        header[name] = value;
        header
    };
    let not_allowed = Some(Rejection::Certificate(CertificateProblem::AddressNotAllowed));
    let malformed = Some(Rejection::malformed("signature"));
    for (about, header, expected) in [
        ("genuine", genuine.clone(), None),
        ("another algorithm", with("alg", json!("ES256")), Some(Rejection::AlgorithmNotAllowed)),
        ("no algorithm", with("alg", json!("none")), Some(Rejection::AlgorithmNotAllowed)),
        ("another version", with("tl_version", json!("1")), Some(Rejection::AlgorithmNotAllowed)),
        ("a number as version", with("tl_version", json!("3")), Some(Rejection::AlgorithmNotAllowed)),
        ("an unknown key", with("kid", json!("other")), Some(Rejection::UnknownKey)),
        ("no key", with("kid", Value::Null), Some(Rejection::UnknownKey)),
        ("no address", with("jku", Value::Null), Some(Rejection::UnknownKey)),
        ("a foreign address", with("jku", json!("https://evil.example/jwks")), not_allowed.clone()),
        (
            "the other environment",
            with("jku", json!("https://webhooks.truelayer.com/.well-known/jwks")),
            not_allowed.clone(),
        ),
        ("a header twice", with("tl_headers", json!("A,a")), Some(Rejection::Duplicate { name: "A".into() })),
        (
            "a header that is not there",
            with("tl_headers", json!("A,B")),
            Some(Rejection::MissingHeader { name: "B".into() }),
        ),
        ("another case of a name", with("tl_headers", json!("a")), Some(Rejection::SignatureMismatch)),
        ("no headers said", with("tl_headers", Value::Null), malformed),
    ] {
        assert_eq!(judge(header, &[]).err(), expected, "{about}");
    }
    let untimed = judge(genuine.clone(), &[("environment", json!("production"))]);
    assert_eq!(untimed.err(), not_allowed);
    assert_eq!(judge(genuine, &[("allowed_jku", json!([address]))]), Ok(()));
}

#[test]
fn keys_are_fetched_from_truelayers_pinned_addresses() {
    let keys = sandbox::generate();
    let raw = signed(&keys, &json!({}), "/hook");
    assert!(key_fetch(&raw, &key_set(&keys, &[])).unwrap().is_none());
    for held in [Value::Null, json!({"keys": [{"kid": "other"}]})] {
        let mut fields = keys.key_set.clone();
        match held {
            Value::Null => drop(fields.remove(JWKS)),
            held => drop(fields.insert(JWKS.to_owned(), held)),
        }
        let asked = key_fetch(&raw, &KeySet::new("k", fields)).unwrap().unwrap();
        assert_eq!(asked.request.url, "https://webhooks.truelayer-sandbox.com/.well-known/jwks");
        assert_eq!(asked.request.pinned_host, "webhooks.truelayer-sandbox.com");
    }
    let elsewhere = key_set(&keys, &[("environment", Value::Null)]);
    assert!(key_fetch(&raw, &elsewhere).is_err());
    assert!(read_key_set(br#"{"keys":[{}]}"#).is_some());
    assert!(read_key_set(b"{}").is_none());
}

#[test]
fn amounts_are_asked_for_and_believed_only_about_what_was_asked() {
    use EventKind as K;
    let keys = sandbox::generate();
    let own = key_set(&keys, &[]);
    for (body, asked, answer, expected) in [
        (
            json!({"type": "payment_settled", "event_id": "e", "payment_id": "p-1"}),
            "/v3/payments/p-1",
            json!({"id": "p-1", "amount_in_minor": 1, "currency": "GBP", "status": "settled"}),
            Some(K::PaymentCaptured),
        ),
        (
            json!({"type": "payment_executed", "event_id": "e", "payment_id": "p-1"}),
            "/v3/payments/p-1",
            json!({"id": "p-1", "amount_in_minor": 1, "currency": "GBP", "status": "executed"}),
            Some(K::PaymentAuthorized),
        ),
        (
            json!({"type": "refund_executed", "event_id": "e", "payment_id": "p-1", "refund_id": "r"}),
            "/v3/payments/p-1/refunds/r",
            json!({"id": "r", "amount_in_minor": 1, "currency": "GBP", "status": "executed"}),
            Some(K::RefundSucceeded),
        ),
        (
            json!({"type": "payout_executed", "event_id": "e", "payout_id": "o"}),
            "/v3/payouts/o",
            json!({"id": "o", "amount_in_minor": 1, "currency": "GBP", "status": "executed"}),
            Some(K::TransferSucceeded),
        ),
        (
            json!({"type": "payment_settled", "event_id": "e", "payment_id": "p-1"}),
            "/v3/payments/p-1",
            json!({"id": "p-1", "amount_in_minor": 1, "currency": "GBP", "status": "authorizing"}),
            None,
        ),
    ] {
        let verified = verify(&signed(&keys, &body, "/hook"), &own, NOW).unwrap();
        assert!(PROVIDER.must_ask(&verified), "{body}");
        let requests = PROVIDER.inquiries(&verified, &own).unwrap();
        assert_eq!(requests[0].url, format!("https://api.truelayer-sandbox.com{asked}"));
        let fetched =
            |answer: &Value| verified.answered(&Fetched::new(200, answer.to_string().into_bytes(), NOW));
        assert_eq!(events::require_answer(&fetched(&answer), &own), Ok(()), "{body}");
        let kinds: Vec<K> =
            PROVIDER.normalise(&fetched(&answer)).unwrap().iter().map(|event| event.kind).collect();
        assert_eq!(kinds, expected.into_iter().collect::<Vec<K>>(), "{body}");
        let mut other = answer.clone();
        other["id"] = json!("another");
        assert!(events::require_answer(&fetched(&other), &own).is_err());
    }
    let strange = json!({"type": "payment_settled", "event_id": "e", "payment_id": "../../other"});
    let verified = verify(&signed(&keys, &strange, "/hook"), &own, NOW).unwrap();
    assert!(PROVIDER.inquiries(&verified, &own).is_err());
    for quiet in ["payment_failed", "refund_failed", "payout_failed", "mandate_revoked", "something_new"] {
        let body = json!({"type": quiet, "event_id": "e"});
        assert!(!PROVIDER.must_ask(&verify(&signed(&keys, &body, "/hook"), &own, NOW).unwrap()), "{quiet}");
    }
}

#[test]
fn a_signature_covers_so_many_headers() {
    let covered = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("x-{number}")).collect();
        let header = json!({ "tl_headers": names.join(",") }).to_string();
        signed_headers(&Json::parse(header.as_bytes()).unwrap()).map(|names| names.len())
    };
    assert_eq!(covered(HEADERS_MAX), Ok(HEADERS_MAX));
    assert_eq!(covered(HEADERS_MAX + 1), Err(Rejection::malformed("signature")));
}
