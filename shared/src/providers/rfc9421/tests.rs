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
fn what_must_be_covered_is_covered() {
    let keys = sandbox::generate();
    let missing = |name: &str| Some(Rejection::MissingField { name: name.to_owned() });
    let no_header = |name: &str| Some(Rejection::MissingHeader { name: name.to_owned() });
    let malformed = Some(Rejection::malformed("signature-input"));
    let [method, authority, digest] = [ALL[0], ALL[1], ALL[2]];
    let target = ("@target-uri", "https://merchant.example/hook?a=b");
    let path =
        [("@path", "/hook"), ("@query", "?a=b"), ("@scheme", "https"), ("@request-target", "/hook?a=b")];
    for (covered, expected) in [
        (vec![method, authority, digest], None),
        (vec![method, target, digest], None),
        ([ALL, &path].concat(), None),
        (vec![method, authority], missing("content-digest")),
        (vec![authority, digest], missing("@method")),
        (vec![method, digest], missing("@authority")),
        (vec![method, ("@authority", "b.example"), digest], Some(Rejection::SignatureMismatch)),
        (vec![method, authority, digest, method], malformed.clone()),
        (vec![method, authority, digest, ("@status", "200")], malformed.clone()),
        (vec![method, authority, digest, ("Host", "other.example")], malformed),
        (vec![method, authority, digest, ("date", "")], no_header("date")),
    ] {
        let outcome = verify(&request(&covered, CREATED).raw(&keys), &key_set(&keys, &[]), NOW);
        assert_eq!(outcome.err(), expected, "{covered:?}");
    }
}

#[test]
fn parameters_agree_with_the_account_and_are_recent() {
    let keys = sandbox::generate();
    let with = |more: &str| format!("{CREATED}{more}");
    let stale = |age_seconds: i64| Some(Rejection::Stale { age_seconds });
    for (parameters, expected) in [
        (with(";alg=\"ed25519\";nonce=\"n\";tag=\"t\""), None),
        (with(";alg=\"hmac-sha256\""), Some(Rejection::AlgorithmNotAllowed)),
        (with(";expires=1767225600"), None),
        (with(";expires=1767225599"), stale(0)),
        (";created=1767225600;keyid=\"b\"".to_owned(), Some(Rejection::UnknownKey)),
        (";created=1767225600".to_owned(), Some(Rejection::UnknownKey)),
        (";keyid=\"sandbox\"".to_owned(), Some(Rejection::malformed("timestamp"))),
        (";created=\"now\";keyid=\"sandbox\"".to_owned(), Some(Rejection::malformed("timestamp"))),
        (";created=1767225300;keyid=\"sandbox\"".to_owned(), None),
        (";created=1767225299;keyid=\"sandbox\"".to_owned(), stale(301)),
        (";created=1767225901;keyid=\"sandbox\"".to_owned(), stale(-301)),
    ] {
        let outcome = verify(&request(ALL, &parameters).raw(&keys), &key_set(&keys, &[]), NOW);
        assert_eq!(outcome.err(), expected, "{parameters}");
    }
}

#[test]
fn labels_tags_and_receivers_are_the_accounts() {
    let keys = sandbox::generate();
    let tag = Rejection::IdentityMismatch { field: "tag".to_owned() };
    let path = Rejection::MissingField { name: "@path".to_owned() };
    for (field, value, expected) in [
        ("label", json!("sig"), None),
        ("label", json!("a"), Some(Rejection::MissingSignature)),
        ("tag", json!("a"), Some(tag)),
        ("authority", json!("b.example"), Some(Rejection::SignatureMismatch)),
        ("required_components", json!(["@path"]), Some(path)),
        ("required_components", json!(["Content-Digest"]), None),
        ("max_age_seconds", json!(0), None),
        ("alg", json!("ecdsa-p256-sha256"), Some(Rejection::unconfigured("public_key_pem"))),
        ("alg", json!("none"), Some(Rejection::unconfigured("alg"))),
    ] {
        let outcome =
            verify(&request(ALL, CREATED).raw(&keys), &key_set(&keys, &[(field, value.clone())]), NOW);
        assert_eq!(outcome.err(), expected, "{field} {value}");
    }
    for signature in ["other=:AA==:", "sig=\"AA==\"", "sig"] {
        let request = Request { signature: Some(signature), ..request(ALL, CREATED) };
        let outcome = verify(&request.raw(&keys), &key_set(&keys, &[]), NOW);
        assert_eq!(outcome.err(), Some(Rejection::MissingSignature), "{signature}");
    }
}

#[test]
fn a_key_on_p384_signs_too() {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    let keys = sandbox::generate();
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let of_p384 = key_set(
        &keys,
        &[("alg", json!("ecdsa-p384-sha384")), ("public_key_pem", json!(STANDARD.encode(public.as_ref())))],
    );
    let unsigned = request(ALL, CREATED);
    let signature = pair.sign(&SystemRandom::new(), unsigned.base.as_bytes()).unwrap();
    let signature = format!("sig=:{}:", STANDARD.encode(signature.as_ref()));
    let signed = Request { signature: Some(&signature), ..request(ALL, CREATED) };
    assert!(verify(&signed.raw(&keys), &of_p384, NOW).is_ok());
    assert_eq!(verify(&unsigned.raw(&keys), &of_p384, NOW).err(), Some(Rejection::SignatureMismatch));
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
