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
fn only_hosts_of_sns_in_a_region_hold_certificates() {
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
fn messages_of_other_topics_and_other_signers_are_refused() {
    let keys = sandbox::generate();
    let with = |field: &str, value: Value| {
        let mut fields = keys.key_set.clone();
        fields.insert(field.to_owned(), value);
        KeySet::new("k", fields)
    };
    let own = KeySet::new("k", keys.key_set.clone());
    let genuine = message(&keys, "Notification");
    let changed = |name: &str, value: Value| {
        let mut changed = genuine.clone();
        changed[name] = value;
        changed
    };
    let mut both_spellings = genuine.clone();
    both_spellings["SigningCertUrl"] = json!("https://evil.example/a.pem");
    let certificate = |problem| Some(Rejection::Certificate(problem));
    let (other, _) = crate::sandbox::rsa_keys::root("sandbox").leaf("sns.amazonaws.com.evil.example");
    let foreign = with(CERTIFICATES, json!({ sandbox::CERTIFICATE_URL: other.pem() }));
    let mut no_topic = keys.key_set.clone();
    no_topic.remove(TOPIC);
    for (about, keys, body, expected) in [
        ("genuine", own.clone(), genuine.clone(), None),
        ("one of several topics", with(TOPIC, json!(["arn:a", keys.key_set[TOPIC]])), genuine.clone(), None),
        ("a null subject", own.clone(), changed("Subject", Value::Null), None),
        ("a subject", own.clone(), changed("Subject", json!("")), Some(Rejection::SignatureMismatch)),
        (
            "another topic",
            with(TOPIC, json!("arn:a")),
            genuine.clone(),
            Some(Rejection::IdentityMismatch { field: "TopicArn".into() }),
        ),
        ("no topic", KeySet::new("k", no_topic), genuine.clone(), Some(Rejection::unconfigured(TOPIC))),
        (
            "SHA-1 said",
            own.clone(),
            changed("SignatureVersion", json!("1")),
            Some(Rejection::SignatureMismatch),
        ),
        (
            "SHA-1 refused",
            with("signature_version", json!("2")),
            changed("SignatureVersion", json!("1")),
            Some(Rejection::AlgorithmNotAllowed),
        ),
        (
            "version 3",
            own.clone(),
            changed("SignatureVersion", json!("3")),
            Some(Rejection::AlgorithmNotAllowed),
        ),
        ("another type", own.clone(), changed("Type", json!("Other")), Some(Rejection::malformed("body"))),
        (
            "another message",
            own.clone(),
            changed("Message", json!("{ }")),
            Some(Rejection::SignatureMismatch),
        ),
        (
            "a foreign address",
            own.clone(),
            changed("SigningCertURL", json!("https://evil.example/a.pem")),
            certificate(CertificateProblem::AddressNotAllowed),
        ),
        (
            "another file",
            own.clone(),
            changed("SigningCertURL", json!("https://sns.eu-central-1.amazonaws.com/other.pem")),
            certificate(CertificateProblem::AddressNotAllowed),
        ),
        (
            "an unknown certificate",
            own.clone(),
            changed(
                "SigningCertURL",
                json!("https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem"),
            ),
            certificate(CertificateProblem::Unavailable),
        ),
        (
            "both spellings",
            own.clone(),
            both_spellings,
            Some(Rejection::Duplicate { name: "SigningCertURL".into() }),
        ),
        ("a foreign owner", foreign, genuine.clone(), certificate(CertificateProblem::Identity)),
    ] {
        assert_eq!(judge(&keys, &body).err(), expected, "{about}");
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
