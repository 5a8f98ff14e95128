//! The edges of the time window, and the ways in which a certificate's number may be written.

use serde_json::json;

use super::*;
use crate::callback::Credentials;
use crate::sandbox::{Payload, SandboxKeys};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

fn verdict(keys: &SandboxKeys, changes: &[(&str, Value)], sent_at: UnixSeconds) -> Result<(), Rejection> {
    let content =
        json!({"event_type": "TRANSACTION.SUCCESS", "resource": {"mchid": "1900000001"}}).to_string();
    let payload = Payload { content, event_id: "1".to_owned(), sent_at, path: "/".to_owned() };
    let request = PROVIDER.sandbox.sign(keys, &payload).unwrap();
    let raw = RawCallback::new("a", PROVIDER.name, "POST", "/", request.headers, request.body);
    let mut fields = keys.key_set.clone();
    fields.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    PROVIDER.verify(&raw, &Credentials { key_sets: vec![KeySet::new("k", fields)] }, NOW).map(drop)
}

/// WeChat Pay's own library takes less than five minutes of difference, both ways.
#[test]
fn f7_s12_the_window_ends_where_the_official_library_ends_it() {
    let keys = PROVIDER.sandbox.generate();
    for (tolerance, difference, is_accepted) in [
        (Value::Null, 299, true),
        (Value::Null, 300, false),
        (json!(300), 299, true),
        (json!(300), 300, false),
        (json!(60), 59, true),
        (json!(60), 60, false),
        (json!(1), 0, true),
        (json!(1), 1, false),
    ] {
        for difference in [difference, -difference] {
            let outcome =
                verdict(&keys, &[("tolerance_s", tolerance.clone())], UnixSeconds(NOW.0 - difference));
            let expected =
                if is_accepted { Ok(()) } else { Err(Rejection::Stale { age_seconds: difference }) };
            assert_eq!(outcome, expected, "{tolerance} {difference}");
        }
    }
    for tolerance in [json!(0), json!(301), json!(-1), json!("60")] {
        let outcome = verdict(&keys, &[("tolerance_s", tolerance.clone())], NOW);
        assert_eq!(outcome, Err(Rejection::unconfigured("tolerance_s")), "{tolerance}");
    }
}

#[test]
fn a_serial_number_is_a_number_however_it_is_written() {
    for (one, other) in [("0A1", "a1"), ("a1", "A1"), ("00", "0"), ("5E7F", "0005e7f")] {
        assert!(hex_number(one).is_some(), "{one}");
        assert_eq!(hex_number(one), hex_number(other), "{one} {other}");
    }
    assert_ne!(hex_number("A1"), hex_number("A10"));
    for text in ["", "0x1", "G1", " 1", "1 "] {
        assert_eq!(hex_number(text), None, "{text:?}");
    }
}

/// Nothing but the key that the callback names is tried.
#[test]
fn a_certificate_is_found_by_its_number_alone() {
    let keys =
        KeySet::new("k", json!({CERTIFICATES: {"00a1": "no certificate"}}).as_object().unwrap().clone());
    for (serial, problem) in [
        ("A1", Rejection::unconfigured(CERTIFICATES)),
        ("0a1", Rejection::unconfigured(CERTIFICATES)),
        ("A2", Rejection::UnknownKey),
        ("", Rejection::UnknownKey),
        ("no number", Rejection::UnknownKey),
        ("PUB_KEY_ID_A1", Rejection::UnknownKey),
    ] {
        assert_eq!(platform_key(&keys, serial, NOW).err(), Some(problem), "{serial:?}");
    }
}
