//! Tokens that open, and what is refused.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::callback::Credentials;
use crate::sandbox::{Payload, SandboxKeys};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const PAN: &str = "4111111111111111";

static KEYS: LazyLock<SandboxKeys> = LazyLock::new(sandbox::generate);

fn payload(content: &Value) -> Payload {
    Payload { content: content.to_string(), event_id: "e".to_owned(), sent_at: NOW, path: "/".to_owned() }
}

fn token(content: &Value) -> Value {
    serde_json::from_slice(&sandbox::sign(&KEYS, &payload(content)).body).unwrap()
}

fn plain() -> Value {
    json!({ "applicationPrimaryAccountNumber": PAN, "applicationExpirationDate": "301231", "paymentDataType": "EMV" })
}

fn verify_at(body: &Value, keys: &SandboxKeys, now: UnixSeconds) -> Result<Verified, Rejection> {
    let raw = RawCallback::new("a", NAME, "POST", "/", [], body.to_string().into_bytes());
    PROVIDER.verify(&raw, &Credentials { key_sets: vec![KeySet::new("k", keys.key_set.clone())] }, now)
}

fn verdict(body: &Value) -> Result<Verified, Rejection> {
    verify_at(body, &KEYS, NOW)
}

#[test]
fn a_token_is_told_without_its_card() {
    let mut content = plain();
    let verified = verdict(&token(&content)).unwrap();
    let [event] = &PROVIDER.normalise(&verified).unwrap()[..] else { panic!("one event") };
    assert_eq!((event.kind, event.subject_id.as_deref()), (EventKind::TokenUpdated, Some(&*event.key)));
    assert_eq!(event.provider_status, "EMV");
    let carried = String::from_utf8_lossy(verified.content()).into_owned();
    for told in [carried, verified.to_message(), format!("{verified:?} {event:?}")] {
        assert!(!told.contains(PAN) && !told.contains("301231"), "{told}");
    }
    content["merchantTokenIdentifier"] = json!("MTOKEN1");
    let verified = verdict(&token(&content)).unwrap();
    assert_eq!(PROVIDER.normalise(&verified).unwrap()[0].subject_id.as_deref(), Some("MTOKEN1"));
}

#[test]
fn the_object_around_a_token_may_be_sent_and_must_agree() {
    let inner = token(&plain());
    let id = inner["header"]["transactionId"].clone();
    let around = |id: Value| json!({ "paymentData": inner, "transactionIdentifier": id });
    assert!(verdict(&around(json!(id.as_str().unwrap().to_uppercase()))).is_ok());
    assert!(verdict(&json!({ "paymentData": inner })).is_ok());
    assert_eq!(verdict(&around(json!("00"))).err(), Some(Rejection::malformed("body")));
    assert!(verdict(&around(json!("other"))).is_err());
}

#[test]
fn no_part_of_a_token_can_be_another() {
    let (genuine, other) = (token(&plain()), token(&json!({ "applicationPrimaryAccountNumber": "1" })));
    let swapped = |pointer: &str, value: Value| {
        let mut changed = genuine.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        verdict(&changed).err()
    };
    let mismatch = Some(Rejection::SignatureMismatch);
    for (pointer, value, expected) in [
        ("/data", other["data"].clone(), mismatch.clone()),
        ("/header/ephemeralPublicKey", other["header"]["ephemeralPublicKey"].clone(), mismatch.clone()),
        ("/header/transactionId", json!("00"), mismatch.clone()),
        ("/signature", other["signature"].clone(), mismatch.clone()),
        ("/header", json!({}), Some(Rejection::malformed("body"))),
        ("/version", json!("RSA_v1"), Some(Rejection::AlgorithmNotAllowed)),
        ("/version", json!("EC_v2"), Some(Rejection::AlgorithmNotAllowed)),
        ("/header/publicKeyHash", json!("AAAA"), Some(Rejection::UnknownKey)),
    ] {
        assert_eq!(swapped(pointer, value.clone()), expected, "{pointer} {value}");
    }
    let mut with_application_data = genuine.clone();
    with_application_data["header"]["applicationData"] = json!("00");
    assert_eq!(verdict(&with_application_data).err(), mismatch);
}

#[test]
fn flipped_bits_of_the_signature_are_noticed() {
    let genuine = token(&plain());
    let signature = STANDARD.decode(genuine["signature"].as_str().unwrap()).unwrap();
    for at in 0..signature.len() {
        for bit in [0, 5] {
            let (mut changed, mut bytes) = (genuine.clone(), signature.clone());
            bytes[at] ^= 1 << bit;
            changed["signature"] = json!(STANDARD.encode(bytes));
            assert!(verdict(&changed).is_err(), "byte {at} of {}, bit {bit}", signature.len());
        }
    }
}

/// The signature is made anew over each change, so that only the tag is left to find it.
#[test]
fn f12_a_changed_seal_opens_nothing() {
    let (payload, other) = (payload(&plain()), payload(&json!({ "applicationPrimaryAccountNumber": "1" })));
    let genuine = sandbox::seal(&KEYS, &payload);
    let opened = |sealed: &sandbox::Sealed| {
        let request = sandbox::sign_sealed(&KEYS, &payload, sealed);
        verdict(&serde_json::from_slice(&request.body).unwrap()).map(drop)
    };
    assert_eq!(opened(&genuine), Ok(()));
    let length = genuine.data.len();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = genuine.clone();
        change(&mut changed.data);
        changed
    };
    let flipped = (0..length).map(|at| with(&|data| data[at] ^= 1));
    let cut = (1..length).map(|end| with(&|data| data.truncate(end)));
    let extended = [with(&|data| data.push(0)), with(&|data| data.insert(0, 0))];
    let tagged =
        [with(&|data| data[length - TAG_BYTES..].fill(0)), with(&|data| drop(data.drain(..TAG_BYTES)))];
    let elsewhere = sandbox::Sealed { data: genuine.data.clone(), ..sandbox::seal(&KEYS, &other) };
    for changed in flipped.chain(cut).chain(extended).chain(tagged).chain([elsewhere]) {
        assert_eq!(opened(&changed), Err(Rejection::DecryptFailed), "{changed:?}");
    }
}

#[test]
fn tokens_count_for_a_few_minutes_and_one_merchant() {
    let genuine = token(&plain());
    let at = |seconds: i64| verify_at(&genuine, &KEYS, UnixSeconds(NOW.0 + seconds)).err();
    assert_eq!(at(300), None);
    assert_eq!(at(-300), None);
    assert_eq!(at(301), Some(Rejection::Stale { age_seconds: 301 }));
    assert_eq!(at(-301), Some(Rejection::Stale { age_seconds: -301 }));
    let with = |field: &str, value: Value| {
        let mut keys = KEYS.clone();
        keys.key_set.insert(field.to_owned(), value);
        verify_at(&genuine, &keys, UnixSeconds(NOW.0 + 301)).err()
    };
    assert_eq!(with("tolerance_s", json!(301)), None);
    assert_eq!(with("check_signing_time", json!(false)), None);
    assert_eq!(with("tolerance_s", json!(-1)), Some(Rejection::unconfigured("tolerance_s")));

    let others = sandbox::generate();
    let with_others = |fields: &[&str]| {
        let mut keys = KEYS.clone();
        for field in fields {
            keys.key_set.insert((*field).to_owned(), others.key_set[*field].clone());
        }
        verify_at(&genuine, &keys, NOW).err()
    };
    assert_eq!(with_others(&[ROOT]), Some(Rejection::Certificate(CertificateProblem::Untrusted)));
    assert_eq!(with_others(&[MERCHANT_KEY]), Some(Rejection::DecryptFailed));
    assert_eq!(with_others(&[MERCHANT_KEY, MERCHANT_CERTIFICATE]), Some(Rejection::UnknownKey));
}

#[test]
fn f9_a_chain_to_apple_for_another_purpose_does_not_count() {
    let receipts = Marks { leaf: "1.2.840.113635.100.6.11.1", intermediate: "1.2.840.113635.100.6.2.1" };
    let chain = crate::providers::apple::sandbox::chain(&receipts);
    let mut keys = KEYS.clone();
    keys.key_set.insert(ROOT.to_owned(), Value::from(sandbox::certificate_pem(&chain.root)));
    keys.private.insert("pkcs8_base64".to_owned(), Value::from(chain.pkcs8_base64));
    keys.private.insert("leaf".to_owned(), Value::from(STANDARD.encode(&chain.leaf)));
    keys.private.insert("intermediate".to_owned(), Value::from(STANDARD.encode(&chain.intermediate)));
    let body = serde_json::from_slice(&sandbox::sign(&keys, &payload(&plain())).body).unwrap();
    assert_eq!(
        verify_at(&body, &keys, NOW).err(),
        Some(Rejection::Certificate(CertificateProblem::Identity))
    );
}
