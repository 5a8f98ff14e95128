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
fn the_account_decides_whose_tokens_count() {
    let keys = google_envelope::generate(Protocol::EcV2, "merchant:1");
    let other = google_envelope::generate(Protocol::EcV2, "merchant:1");
    let genuine = sealed(&keys, CARD, Protocol::EcV2);
    let private = |keys: &SandboxKeys| keys.key_set[RECIPIENT_KEYS].clone();
    let roots = |change: fn(&mut Value)| {
        let mut roots = keys.key_set[ROOT_KEYS].clone();
        change(&mut roots["keys"]);
        roots
    };
    let unusable_before = roots(|keys| {
        let unusable =
            json!({"keyValue": "AA==", "keyExpiration": "32506264800000", "protocolVersion": "ECv2"});
        keys.as_array_mut().unwrap().insert(0, unusable);
    });
    let endless = roots(|keys| drop(keys[0].as_object_mut().unwrap().remove("keyExpiration")));
    let past = roots(|keys| keys[0]["keyExpiration"] = json!("1767225600000"));
    let other_gateway = Rejection::IdentityMismatch { field: "gatewayMerchantId".to_owned() };
    let mismatch = Rejection::SignatureMismatch;
    for (field, value, expected) in [
        (ROOT_KEYS, unusable_before, None),
        (RECIPIENT_KEYS, json!([private(&other), private(&keys)]), None),
        ("expected_gateway_merchant_id", json!("g1"), None),
        (ROOT_KEYS, endless, Some(Rejection::UnknownKey)),
        (ROOT_KEYS, past, Some(Rejection::UnknownKey)),
        (ROOT_KEYS, other.key_set[ROOT_KEYS].clone(), Some(mismatch.clone())),
        ("recipient_id", json!("merchant:2"), Some(mismatch.clone())),
        ("sender_id", json!("Goggle"), Some(mismatch)),
        ("expected_gateway_merchant_id", json!("g2"), Some(other_gateway)),
        (RECIPIENT_KEYS, private(&other), Some(Rejection::DecryptFailed)),
        (RECIPIENT_KEYS, json!("AA=="), Some(Rejection::unconfigured(RECIPIENT_KEYS))),
        ("protocol_version", json!("ECv1"), Some(Rejection::AlgorithmNotAllowed)),
        ("protocol_version", json!("ECv2SigningOnly"), Some(Rejection::unconfigured("protocol_version"))),
    ] {
        let outcome = judge(&with(&keys, field, value.clone()), &genuine, NOW);
        assert_eq!(outcome.err(), expected, "{field} {value}");
    }
}

#[test]
fn an_envelope_has_exactly_its_members_and_is_in_force() {
    let keys = google_envelope::generate(Protocol::EcV2, "merchant:1");
    let genuine = sealed(&keys, CARD, Protocol::EcV2);
    let signature = &genuine["intermediateSigningKey"]["signatures"][0];
    const SIGNATURES: &str = "/intermediateSigningKey/signatures";
    let malformed = Some(Rejection::malformed("body"));
    for (pointer, value, expected) in [
        (SIGNATURES, json!(["!", "AAAA", signature]), None),
        (SIGNATURES, json!([]), Some(Rejection::malformed("signature"))),
        (SIGNATURES, json!(["AAAA"]), Some(Rejection::SignatureMismatch)),
        ("/signedMessage", json!("{}"), Some(Rejection::SignatureMismatch)),
        ("/signature", Value::Null, malformed.clone()),
        ("/protocolVersion", json!("ECv1"), Some(Rejection::AlgorithmNotAllowed)),
        ("/protocolVersion", json!(2), Some(Rejection::AlgorithmNotAllowed)),
    ] {
        let mut envelope = genuine.clone();
        *envelope.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(judge(&keys, &envelope, NOW).err(), expected, "{pointer} {value}");
    }
    for place in ["", "/intermediateSigningKey"] {
        let mut envelope = genuine.clone();
        envelope.pointer_mut(place).unwrap()["further"] = json!(1);
        assert_eq!(judge(&keys, &envelope, NOW).err(), malformed, "a further member in `{place}`");
    }
    for name in ["intermediateSigningKey", "signature", "signedMessage", "protocolVersion"] {
        let mut envelope = genuine.clone();
        envelope.as_object_mut().unwrap().remove(name);
        assert_eq!(judge(&keys, &envelope, NOW).err(), malformed, "without {name}");
    }
    for (later_seconds, expected) in [
        (0, None),
        (1, Some(Rejection::Stale { age_seconds: 0 })),
        (14 * 86_400, Some(Rejection::Certificate(CertificateProblem::Expired))),
    ] {
        let outcome = judge(&keys, &genuine, UnixSeconds(NOW.0 + later_seconds));
        assert_eq!(outcome.err(), expected, "{later_seconds} s later");
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
