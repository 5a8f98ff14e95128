//! What the sandbox seals opens, and what is not quite so does not.

use serde_json::{Value, json};

use super::*;
use crate::callback::CertificateProblem;
use crate::sandbox::{Payload, SandboxKeys, google_envelope};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const CARD: &str = r#"{"messageId":"m1","messageExpiration":"1767225601000","gatewayMerchantId":"g1",
    "paymentMethod":"CARD","paymentMethodDetails":{"pan":"4111111111111111","expirationMonth":12,
    "expirationYear":2030,"authMethod":"CRYPTOGRAM_3DS","cryptogram":"AAAA"}}"#;

fn sealed(keys: &SandboxKeys, content: &str, protocol: Protocol) -> Value {
    let (event_id, path) = ("e".to_owned(), "/".to_owned());
    let payload = Payload { content: content.to_owned(), event_id, sent_at: NOW, path };
    let request = google_envelope::sign(keys, &payload, "Google", protocol);
    serde_json::from_slice(&request.body).unwrap()
}

fn judge(keys: &SandboxKeys, envelope: &Value, now: UnixSeconds) -> Result<Verified, Rejection> {
    let body = envelope.to_string().into_bytes();
    let raw = RawCallback::new("demo", NAME, "POST", "/", [], body);
    verify(&raw, &KeySet::new("k", keys.key_set.clone()), now)
}

fn with(keys: &SandboxKeys, field: &str, value: Value) -> SandboxKeys {
    let mut keys = keys.clone();
    keys.key_set.insert(field.to_owned(), value);
    keys
}

#[test]
fn a_token_opens_and_its_card_is_not_kept() {
    for protocol in [Protocol::EcV1, Protocol::EcV2] {
        let keys = google_envelope::generate(protocol, "merchant:1");
        let keys = with(&keys, "protocol_version", json!(protocol.name()));
        let verified = judge(&keys, &sealed(&keys, CARD, protocol), NOW).unwrap();
        let events = normalise(&verified).unwrap();
        assert_eq!(events[0].key, "m1");
        assert_eq!(events[0].provider_status, "CRYPTOGRAM_3DS");
        let kept = format!("{} {}", verified.to_message(), String::from_utf8_lossy(verified.content()));
        for personal in ["4111111111111111", "AAAA", "2030", "pan"] {
            assert!(!kept.contains(personal), "{personal}");
        }
    }
}

#[test]
fn a_message_that_is_no_json_tells_nothing() {
    let keys = google_envelope::generate(Protocol::EcV2, "merchant:1");
    let verified = judge(&keys, &sealed(&keys, "plaintext", Protocol::EcV2), NOW).unwrap();
    assert!(normalise(&verified).unwrap().is_empty());
    for twice in [r#"{"messageId":"a","messageId":"b"}"#, "[1", "[]", "{}}"] {
        let outcome = judge(&keys, &sealed(&keys, twice, Protocol::EcV2), NOW);
        assert_eq!(outcome.err(), Some(Rejection::malformed("message")), "{twice}");
    }
}

#[test]
fn what_is_not_this_merchants_token_in_force_is_refused() {
    let keys = google_envelope::generate(Protocol::EcV2, "merchant:1");
    let other = google_envelope::generate(Protocol::EcV2, "merchant:1");
    let genuine = sealed(&keys, CARD, Protocol::EcV2);
    let without = |name: &str| {
        let mut envelope = genuine.clone();
        envelope.as_object_mut().unwrap().remove(name);
        envelope
    };
    let changed = |pointer: &str, value: Value| {
        let mut envelope = genuine.clone();
        *envelope.pointer_mut(pointer).unwrap() = value;
        envelope
    };
    let mut further = genuine.clone();
    further["further"] = json!(1);
    let mut further_below = genuine.clone();
    further_below["intermediateSigningKey"]["further"] = json!(1);
    let second = |keys: &SandboxKeys| keys.key_set[RECIPIENT_KEYS].clone();
    let mut no_roots = keys.key_set[ROOT_KEYS].clone();
    no_roots["keys"][0].as_object_mut().unwrap().remove("keyExpiration");
    let mut two_roots = keys.key_set[ROOT_KEYS].clone();
    two_roots["keys"] = json!([{"keyValue": "AA==", "keyExpiration": "32506264800000", "protocolVersion": "ECv2"},
        two_roots["keys"][0]]);
    let malformed = Some(Rejection::malformed("body"));
    let mismatch = Some(Rejection::SignatureMismatch);
    let stale = Some(Rejection::Stale { age_seconds: 0 });
    let expired = Some(Rejection::Certificate(CertificateProblem::Expired));
    let other_gateway = Some(Rejection::IdentityMismatch { field: "gatewayMerchantId".to_owned() });
    let signature = &genuine["intermediateSigningKey"]["signatures"][0];
    let cases: Vec<(&str, SandboxKeys, Value, i64, Option<Rejection>)> = vec![
        ("genuine", keys.clone(), genuine.clone(), 0, None),
        ("one unusable root", with(&keys, ROOT_KEYS, two_roots), genuine.clone(), 0, None),
        (
            "a new key beside",
            with(&keys, RECIPIENT_KEYS, json!([second(&other), second(&keys)])),
            genuine.clone(),
            0,
            None,
        ),
        (
            "a wrong signature before the right one",
            keys.clone(),
            changed("/intermediateSigningKey/signatures", json!(["!", "AAAA", signature])),
            0,
            None,
        ),
        ("expired message", keys.clone(), genuine.clone(), 1, stale),
        ("expired intermediate", keys.clone(), genuine.clone(), 14 * 86_400, expired),
        (
            "no root in force",
            with(&keys, ROOT_KEYS, no_roots),
            genuine.clone(),
            0,
            Some(Rejection::UnknownKey),
        ),
        (
            "another recipient",
            with(&keys, "recipient_id", json!("merchant:2")),
            genuine.clone(),
            0,
            mismatch.clone(),
        ),
        ("another sender", with(&keys, "sender_id", json!("Goggle")), genuine.clone(), 0, mismatch.clone()),
        (
            "another gateway merchant",
            with(&keys, "expected_gateway_merchant_id", json!("g2")),
            genuine.clone(),
            0,
            other_gateway,
        ),
        (
            "another private key",
            with(&keys, RECIPIENT_KEYS, second(&other)),
            genuine.clone(),
            0,
            Some(Rejection::DecryptFailed),
        ),
        (
            "another version wanted",
            with(&keys, "protocol_version", json!("ECv1")),
            genuine.clone(),
            0,
            Some(Rejection::AlgorithmNotAllowed),
        ),
        (
            "another version said",
            keys.clone(),
            changed("/protocolVersion", json!("ECv1")),
            0,
            Some(Rejection::AlgorithmNotAllowed),
        ),
        (
            "a version that is no text",
            keys.clone(),
            changed("/protocolVersion", json!(2)),
            0,
            Some(Rejection::AlgorithmNotAllowed),
        ),
        ("a member too many", keys.clone(), further, 0, malformed.clone()),
        ("a member too many below", keys.clone(), further_below, 0, malformed.clone()),
        ("no intermediate key", keys.clone(), without("intermediateSigningKey"), 0, malformed.clone()),
        ("no signature", keys.clone(), without("signature"), 0, malformed),
        (
            "no signature of the intermediate key",
            keys.clone(),
            changed("/intermediateSigningKey/signatures", json!([])),
            0,
            Some(Rejection::malformed("signature")),
        ),
        ("another message", keys.clone(), changed("/signedMessage", json!("{}")), 0, mismatch),
    ];
    for (about, keys, envelope, later_seconds, expected) in cases {
        let outcome = judge(&keys, &envelope, UnixSeconds(NOW.0 + later_seconds));
        assert_eq!(outcome.err(), expected, "{about}");
    }
}

#[test]
fn root_keys_are_fetched_from_google_alone_and_only_when_they_are_not_at_hand() {
    let raw = RawCallback::new("demo", NAME, "POST", "/", [], Vec::new());
    let ask = |fields: Value| {
        let keys = KeySet::new("k", fields.as_object().unwrap().clone());
        key_fetch(&raw, &keys).map(|asked| asked.map(|asked| asked.request.url))
    };
    assert!(ask(json!({})).unwrap().unwrap().ends_with("/paymentmethodtoken/keys.json"));
    assert!(ask(json!({"environment": "test"})).unwrap().unwrap().ends_with("/test/keys.json"));
    assert!(ask(json!({"environment": "https://evil.example"})).is_err());
    assert_eq!(ask(json!({"root_signing_keys": {"keys": []}})), Ok(None));
    assert!(read_root_keys(br#"{"keys":[{"keyValue":"x"}]}"#).is_some());
    for bad in [&b"{}"[..], b"", b"[]", br#"{"keys":[]}"#] {
        assert!(read_root_keys(bad).is_none());
    }
}
