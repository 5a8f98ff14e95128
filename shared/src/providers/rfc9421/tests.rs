//! The policy: what must be covered, by whom, and when.

use serde_json::{Value, json};

use super::*;
use crate::callback::Origin;
use crate::sandbox::SandboxKeys;

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const BODY: &[u8] = b"{}";
const DIGEST: &str = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:";

struct Request<'a> {
    input: String,
    signature: Option<&'a str>,
    base: String,
}

impl Request<'_> {
    fn raw(&self, keys: &SandboxKeys) -> RawCallback {
        let signed = format!("sig=:{}:", sandbox::signature(keys, self.base.as_bytes()));
        let headers = [
            ("Host", "other.example:443"),
            ("Content-Digest", DIGEST),
            ("Signature-Input", &self.input),
            ("Signature", self.signature.unwrap_or(&signed)),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        RawCallback::new("demo", NAME, "POST", "/hook?a=b", headers, BODY.to_vec())
    }
}

/// A request whose signature covers these components with these values.
fn request(covered: &[(&str, &str)], parameters: &str) -> Request<'static> {
    let names: Vec<String> = covered.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let parameters = format!("({}){parameters}", names.join(" "));
    let lines: String = covered.iter().map(|(name, value)| format!("\"{name}\": {value}\n")).collect();
    let base = format!("{lines}\"@signature-params\": {parameters}");
    Request { input: format!("sig={parameters}"), signature: None, base }
}

const ALL: &[(&str, &str)] =
    &[("@method", "POST"), ("@authority", "merchant.example"), ("content-digest", DIGEST)];
const CREATED: &str = ";created=1767225600;keyid=\"sandbox\"";

fn key_set(keys: &SandboxKeys, changes: &[(&str, Value)]) -> KeySet {
    let mut fields = keys.key_set.clone();
    fields.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    KeySet::new("k", fields)
}

#[test]
fn the_policy_decides_which_signature_counts() {
    let keys = sandbox::generate();
    let missing = |name: &str| Some(Rejection::MissingField { name: name.to_owned() });
    let malformed = Some(Rejection::malformed("signature-input"));
    let with = |more: &str| format!("{CREATED}{more}");
    let cases: Vec<(&str, Request<'_>, Vec<(&str, Value)>, Option<Rejection>)> = vec![
        ("genuine", request(ALL, CREATED), vec![], None),
        ("the same algorithm said", request(ALL, &with(";alg=\"ed25519\"")), vec![], None),
        (
            "another algorithm said",
            request(ALL, &with(";alg=\"hmac-sha256\"")),
            vec![],
            Some(Rejection::AlgorithmNotAllowed),
        ),
        ("another key", request(ALL, ";created=1767225600;keyid=\"b\""), vec![], Some(Rejection::UnknownKey)),
        ("no time", request(ALL, ";keyid=\"sandbox\""), vec![], Some(Rejection::malformed("timestamp"))),
        (
            "too old",
            request(ALL, ";created=1767225299;keyid=\"sandbox\""),
            vec![],
            Some(Rejection::Stale { age_seconds: 301 }),
        ),
        (
            "from the future",
            request(ALL, ";created=1767225901;keyid=\"sandbox\""),
            vec![],
            Some(Rejection::Stale { age_seconds: -301 }),
        ),
        (
            "expired",
            request(ALL, &with(";expires=1767225599")),
            vec![],
            Some(Rejection::Stale { age_seconds: 0 }),
        ),
        ("body not covered", request(&ALL[..2], CREATED), vec![], missing("content-digest")),
        ("method not covered", request(&ALL[1..], CREATED), vec![], missing("@method")),
        ("receiver not covered", request(&[ALL[0], ALL[2]], CREATED), vec![], missing("@authority")),
        (
            "receiver covered by the address",
            request(&[ALL[0], ALL[2], ("@target-uri", "https://merchant.example/hook?a=b")], CREATED),
            vec![],
            None,
        ),
        (
            "everything of the address",
            request(
                &[
                    ALL[0],
                    ALL[1],
                    ALL[2],
                    ("@path", "/hook"),
                    ("@query", "?a=b"),
                    ("@scheme", "https"),
                    ("@request-target", "/hook?a=b"),
                ],
                CREATED,
            ),
            vec![],
            None,
        ),
        (
            "for another receiver",
            request(ALL, CREATED),
            vec![("authority", json!("b.example"))],
            Some(Rejection::SignatureMismatch),
        ),
        (
            "more required",
            request(ALL, CREATED),
            vec![("required_components", json!(["@path"]))],
            missing("@path"),
        ),
        ("a component twice", request(&[ALL[0], ALL[1], ALL[2], ALL[0]], CREATED), vec![], malformed.clone()),
        (
            "an unknown component",
            request(&[ALL[0], ALL[1], ALL[2], ("@status", "200")], CREATED),
            vec![],
            malformed,
        ),
        (
            "a field that is not there",
            request(&[ALL[0], ALL[1], ALL[2], ("date", "")], CREATED),
            vec![],
            Some(Rejection::MissingHeader { name: "date".into() }),
        ),
        (
            "another tag",
            request(ALL, CREATED),
            vec![("tag", json!("a"))],
            Some(Rejection::IdentityMismatch { field: "tag".into() }),
        ),
        (
            "another label",
            request(ALL, CREATED),
            vec![("label", json!("a"))],
            Some(Rejection::MissingSignature),
        ),
        (
            "no such label",
            Request { signature: Some("other=:AA==:"), ..request(ALL, CREATED) },
            vec![],
            Some(Rejection::MissingSignature),
        ),
        (
            "no bytes",
            Request { signature: Some("sig=\"AA==\""), ..request(ALL, CREATED) },
            vec![],
            Some(Rejection::MissingSignature),
        ),
    ];
    for (about, request, changes, expected) in cases {
        let outcome = verify(&request.raw(&keys), &key_set(&keys, &changes), NOW);
        assert_eq!(outcome.err(), expected, "{about}");
    }
}

#[test]
fn an_uncovered_body_is_only_a_hint() {
    let keys = sandbox::generate();
    let raw = request(&ALL[..2], CREATED).raw(&keys);
    let lax = key_set(&keys, &[("required_components", json!([]))]);
    assert_eq!(verify(&raw, &lax, NOW).unwrap().origin(), Origin::Hint);
    let raw = request(ALL, CREATED).raw(&keys);
    assert_eq!(verify(&raw, &lax, NOW).unwrap().origin(), Origin::Signed);
}

#[test]
fn a_public_key_needs_to_know_its_receiver() {
    let keys = sandbox::generate();
    assert_eq!(require_expectation(&key_set(&keys, &[])), Ok(()));
    let anybody = key_set(&keys, &[("authority", Value::Null)]);
    assert_eq!(require_expectation(&anybody), Err(Rejection::unconfigured("authority")));
    let shared = key_set(&keys, &[("authority", Value::Null), ("alg", json!("hmac-sha256"))]);
    assert_eq!(require_expectation(&shared), Ok(()));
}

#[test]
fn every_known_digest_must_fit() {
    let raw = |digest: &str| {
        let headers = [("Content-Digest".to_owned(), digest.to_owned())];
        RawCallback::new("demo", NAME, "POST", "/", headers, BODY.to_vec())
    };
    let malformed = Some(Rejection::malformed(CONTENT_DIGEST));
    for (digest, expected) in [
        (DIGEST.to_owned(), None),
        (format!("md5=:AA==:, {DIGEST}"), None),
        (format!("{DIGEST}, sha-512=:AA==:"), Some(Rejection::SignatureMismatch)),
        ("sha-256=:AA==:".to_owned(), Some(Rejection::SignatureMismatch)),
        ("md5=:AA==:".to_owned(), malformed.clone()),
        ("sha-256=\"a\"".to_owned(), malformed.clone()),
        (String::new(), malformed),
    ] {
        assert_eq!(require_digest(&raw(&digest)).err(), expected, "{digest}");
    }
}
