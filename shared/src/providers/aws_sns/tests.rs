//! Whose messages count, and which address confirms a subscription.

use serde_json::{Map, json};

use super::*;
use crate::callback::Credentials;
use crate::sandbox::SandboxKeys;

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

fn judge(keys: &KeySet, body: &Value) -> Result<Verified, Rejection> {
    let raw = RawCallback::new("demo", NAME, "POST", "/", [], body.to_string().into_bytes());
    PROVIDER.accept(&raw, &Credentials { key_sets: vec![keys.clone()] }, NOW)
}

fn message(keys: &SandboxKeys, kind: &str) -> Value {
    let message = json!({
        "Type": kind, "MessageId": "m1", "TopicArn": keys.key_set[TOPIC], "Message": "{}",
        "Timestamp": "2026-01-01T00:00:00.000Z", "Token": "0123abcd",
        "SubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
    });
    serde_json::from_slice(&sandbox::signed(keys, message).body).unwrap()
}

#[test]
fn f8_only_hosts_of_sns_in_a_region_hold_certificates() {
    for (host, accepted) in [
        ("sns.us-east-2.amazonaws.com", true),
        ("sns.us-gov-west-1.amazonaws.com", true),
        ("sns.us-isob-east-1.amazonaws.com", true),
        ("sns.cn-north-1.amazonaws.com.cn", true),
        ("sns.ap-southeast-2.amazonaws.com", true),
        ("sns.s3-ap-southeast-2.amazonaws.com", false),
        ("sns.s3.amazonaws.com", false),
        ("sns.amazonaws.com", false),
        ("s3.amazonaws.com", false),
        ("sns.us-east-2.amazonaws.com.evil.example", false),
        ("evil.sns.us-east-2.amazonaws.com", false),
        ("sns.us-east-2.amazonaws.com.cn.cn", false),
        ("sns.us--2.amazonaws.com", false),
        ("sns.us-east-.amazonaws.com", false),
    ] {
        assert_eq!(is_sns_host(host), accepted, "{host}");
    }
}

#[test]
fn the_account_decides_whose_messages_count() {
    let keys = sandbox::generate();
    let genuine = message(&keys, "Notification");
    let (other, _) = crate::sandbox::rsa_keys::root("sandbox").leaf("sns.amazonaws.com.evil.example");
    let foreign = json!({ sandbox::CERTIFICATE_URL: other.pem() });
    let other_topic = Rejection::IdentityMismatch { field: "TopicArn".to_owned() };
    for (field, value, expected) in [
        (TOPIC, json!(["arn:a", keys.key_set[TOPIC]]), None),
        (TOPIC, json!("arn:a"), Some(other_topic)),
        (TOPIC, Value::Null, Some(Rejection::unconfigured(TOPIC))),
        ("signature_version", json!("2"), None),
        ("signature_version", json!("1"), Some(Rejection::AlgorithmNotAllowed)),
        ("signature_version", json!("3"), Some(Rejection::unconfigured("signature_version"))),
        ("tolerance_seconds", json!(0), None),
        (CERTIFICATES, foreign, Some(Rejection::Certificate(CertificateProblem::Identity))),
        (CERTIFICATES, json!({"a": "b"}), Some(Rejection::Certificate(CertificateProblem::Unavailable))),
    ] {
        let mut fields = keys.key_set.clone();
        fields.insert(field.to_owned(), value.clone());
        assert_eq!(judge(&KeySet::new("k", fields), &genuine).err(), expected, "{field} {value}");
    }
}

#[test]
fn a_changed_message_is_refused() {
    let keys = sandbox::generate();
    let own = KeySet::new("k", keys.key_set.clone());
    let genuine = message(&keys, "Notification");
    let mismatch = Some(Rejection::SignatureMismatch);
    let not_allowed = Some(Rejection::Certificate(CertificateProblem::AddressNotAllowed));
    let host = "https://sns.eu-central-1.amazonaws.com";
    for (name, value, expected) in [
        ("Subject", Value::Null, None),
        ("Subject", json!(""), mismatch.clone()),
        ("Message", json!("{ }"), mismatch.clone()),
        ("SignatureVersion", json!("1"), mismatch),
        ("SignatureVersion", json!("3"), Some(Rejection::AlgorithmNotAllowed)),
        ("Signature", Value::Null, Some(Rejection::MissingSignature)),
        ("Type", json!("Other"), Some(Rejection::malformed("body"))),
        ("MessageId", Value::Null, Some(Rejection::MissingField { name: "MessageId".to_owned() })),
        ("SigningCertURL", json!("https://evil.example/a.pem"), not_allowed.clone()),
        ("SigningCertURL", json!(format!("{host}/other.pem")), not_allowed.clone()),
        ("SigningCertURL", json!(format!("{host}/SimpleNotificationService-.pem")), not_allowed.clone()),
        ("SigningCertURL", json!(format!("{host}:443/SimpleNotificationService-1.pem")), not_allowed),
        ("SigningCertUrl", json!(host), Some(Rejection::Duplicate { name: "SigningCertURL".to_owned() })),
    ] {
        let mut changed = genuine.clone();
        changed[name] = value.clone();
        assert_eq!(judge(&own, &changed).err(), expected, "{name} {value}");
    }
}

#[test]
fn a_subscription_is_confirmed_at_sns_and_only_for_the_accounts_topic() {
    let keys = sandbox::generate();
    let own = KeySet::new("k", keys.key_set.clone());
    let verified = judge(&own, &message(&keys, "SubscriptionConfirmation")).unwrap();
    assert!(PROVIDER.must_ask(&verified));
    assert!(PROVIDER.normalise(&verified).unwrap().is_empty());
    let asked = PROVIDER.inquiries(&verified, &own).unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].pinned_host, "sns.eu-central-1.amazonaws.com");
    assert_eq!(
        asked[0].url,
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription\
         &TopicArn=arn%3Aaws%3Asns%3Aeu%2Dcentral%2D1%3A000000000000%3Apayments&Token=0123abcd"
    );
    let others = KeySet::new("k", Map::from_iter([(TOPIC.to_owned(), json!("arn:other"))]));
    assert!(PROVIDER.inquiries(&verified, &others).is_err());
    for kind in ["Notification", "UnsubscribeConfirmation"] {
        assert!(!PROVIDER.must_ask(&judge(&own, &message(&keys, kind)).unwrap()), "{kind}");
    }
}

#[test]
fn certificates_are_fetched_from_sns_and_kept() {
    let keys = sandbox::generate();
    let raw = |body: &Value| RawCallback::new("demo", NAME, "POST", "/", [], body.to_string().into_bytes());
    let genuine = message(&keys, "Notification");
    let none = KeySet::new("k", Map::new());
    let asked = key_fetch(&raw(&genuine), &none).unwrap().unwrap();
    assert_eq!(asked.id.as_deref(), Some(sandbox::CERTIFICATE_URL));
    assert!(key_fetch(&raw(&genuine), &KeySet::new("k", keys.key_set.clone())).unwrap().is_none());
    for name in ["Signature", "SigningCertURL", "MessageId", "Type", "SignatureVersion"] {
        let mut without = genuine.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(key_fetch(&raw(&without), &none).is_err(), "{name}");
    }
    let pem = keys.key_set[CERTIFICATES][sandbox::CERTIFICATE_URL].as_str().unwrap();
    assert_eq!(read_certificate(pem.as_bytes()), Some(json!(pem)));
    assert_eq!(read_certificate(b"<html>"), None);
}

/// A look-alike would be a bucket of S3 in which anybody keeps a certificate of their own.
#[test]
fn f8_only_regions_of_sns_are_its_hosts() {
    for (host, is_one) in [
        ("sns.eu-central-1.amazonaws.com", true),
        ("sns.cn-north-1.amazonaws.com.cn", true),
        ("sns.us-gov-west-1.amazonaws.com", true),
        ("sns.us-iso-east-1.amazonaws.com", true),
        ("sns.us-isob-east-1.amazonaws.com", true),
        ("sns.us-isobucket-east-1.amazonaws.com", false),
        ("sns.us-s3-east-1.amazonaws.com", false),
        ("sns.us-a-east-1.amazonaws.com", false),
        ("sns.s3-east-1.amazonaws.com", false),
        ("sns.usa-east-1.amazonaws.com", false),
        ("sns.u-east-1.amazonaws.com", false),
        ("sns.us-3ast-1.amazonaws.com", false),
        ("sns.us--1.amazonaws.com", false),
        ("sns.us-east-.amazonaws.com", false),
        ("sns.us-east-x.amazonaws.com", false),
        ("sns.s3.amazonaws.com", false),
        ("sns.amazonaws.com", false),
        ("sns.eu-central-1.amazonaws.com.example", false),
        ("sns.eu-central-1.example.com", false),
    ] {
        assert_eq!(is_sns_host(host), is_one, "{host}");
    }
}
