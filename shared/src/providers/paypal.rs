//! PayPal webhooks, verified offline. Mapping: `fixtures/paypal/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::read::rfc3339;
use super::{Covers, CredentialField, FetchRequest, KeyRequest, Normalise, Part, Provider, Rail, Verify};
use crate::callback::address::https_file;
use crate::callback::certificate::{Certificate, Sha1Signatures, require_chain};
use crate::callback::signature::{RsaHash, RsaKey, require_fresh};
use crate::callback::{Answers, CertificateProblem, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// PayPal.
pub static PROVIDER: Provider = Provider {
    name: "paypal",
    title: "PayPal",
    rail: Rail::Wallet,
    scheme: "RSA-SHA256 over id, time, webhook id and CRC-32 of the body; certificate chain",
    events: events::KINDS,
    documents: &[
        "https://developer.paypal.com/api/rest/webhooks/rest/",
        "https://developer.paypal.com/api/rest/webhooks/event-names/",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "up to 25 times over 3 days, until the answer is 2xx",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    key_fetch: Some(key_fetch),
    verify: Verify::Coded(verify),
    readable,
    // The webhook's id is part of what is signed.
    addressee: |_| Ok(()),
    normalise: Normalise::CodedEach(events::normalise),
    parts: &[Part {
        scheme: "signing_string_only",
        about: "the text that PayPal signs for this request and the key set's webhook id",
        check: check_signing_string,
    }],
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "webhook_id",
        required: true,
        about: "the webhook's id on the application's page; it is part of what is signed",
    },
    CredentialField {
        name: "cert_pem",
        required: false,
        about: "the certificate behind PAYPAL-CERT-URL in PEM, leaf first; only to pin it, else it is fetched",
    },
    CredentialField {
        name: "certs_by_url",
        required: false,
        about: "certificates in PEM by their PAYPAL-CERT-URL; those that are not there are fetched",
    },
    CredentialField {
        name: "trust_anchor_pem",
        required: false,
        about: "the authority (or several) that must have issued the certificate; DigiCert's roots when absent",
    },
    CredentialField {
        name: "allowed_cert_hosts",
        required: false,
        about: "hosts that PAYPAL-CERT-URL may name; PayPal's four API hosts when absent",
    },
    CredentialField {
        name: "tolerance_seconds",
        required: false,
        about: "how far the signed time may be from ours; no limit when absent, because PayPal repeats for 3 days",
    },
];

const ALGORITHM: &str = "SHA256withRSA";
const CERTIFICATE_HOSTS: [&str; 4] =
    ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"];
const CERTIFICATE_PATH: &str = "/v1/notifications/";
const FETCHED_PATH: &str = "/v1/notifications/certs/";
/// What is behind an address does not change: a new certificate has a new one.
const CERTIFICATE_KEPT_SECONDS: i64 = 24 * 60 * 60;
const DIGICERT_ROOTS: &[u8] = include_bytes!("paypal/digicert_roots.pem");
const CERTIFICATE_OWNERS: [&str; 2] =
    ["messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"];

/// # Source
/// PayPal, "Integrate webhooks: verify webhook messages yourself": `id|time|webhook id|CRC-32 of the body` is signed by the
/// certificate at `PAYPAL-CERT-URL`. Nothing is fetched here: the address has to be one of PayPal's, and the certificate
/// comes from the key set, to which the one that [`key_fetch`] names was added.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let signing_text = signing_text(raw, keys)?;
    let signature = STANDARD
        .decode(raw.header("paypal-transmission-sig")?)
        .map_err(|_| Rejection::malformed("signature"))?;
    if raw.header("paypal-auth-algo")? != ALGORITHM {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    if let Some(tolerance_seconds) = keys.integer_if_any("tolerance_seconds")? {
        let sent_at = rfc3339(raw.header("paypal-transmission-time")?);
        require_fresh(sent_at.ok_or_else(|| Rejection::malformed("timestamp"))?, now, tolerance_seconds)?;
    }
    let address = raw.header("paypal-cert-url")?;
    certificate_address(address, keys)?;
    let key = signer(address, keys, now)?;
    let proof = key.require_signature(RsaHash::Sha256, signing_text.as_bytes(), &signature)?;
    Ok(Verified::from_checked(raw, proof, now))
}

fn signing_text(raw: &RawCallback, keys: &KeySet) -> Result<String, Rejection> {
    let id = raw.header("paypal-transmission-id")?;
    let time = raw.header("paypal-transmission-time")?;
    if id.contains('|') || time.contains('|') {
        return Err(Rejection::malformed("header"));
    }
    Ok(format!("{id}|{time}|{}|{}", keys.text("webhook_id")?, crc32fast::hash(raw.body())))
}

/// Which certificate the callback names, where the key set does not hold it.
fn key_fetch(raw: &RawCallback, keys: &KeySet) -> Result<Option<KeyRequest>, Rejection> {
    let address = raw.header("paypal-cert-url")?;
    let (host, path) = certificate_address(address, keys)?;
    let held = keys.keys_by_id("certs_by_url")?.iter().any(|(have, _)| *have == address);
    if held || keys.has("cert_pem") {
        return Ok(None);
    }
    if !path.starts_with(FETCHED_PATH) {
        return Err(Rejection::Certificate(CertificateProblem::AddressNotAllowed));
    }
    // What cannot be genuine costs no request.
    raw.header("paypal-transmission-sig")?;
    signing_text(raw, keys)?;
    Ok(Some(KeyRequest {
        request: FetchRequest::get(host, address),
        field: "certs_by_url",
        id: Some(address.to_owned()),
        max_age_seconds: CERTIFICATE_KEPT_SECONDS,
        read: read_certificates,
    }))
}

fn read_certificates(body: &[u8]) -> Option<Value> {
    Certificate::all_in_pem(body).ok()?;
    String::from_utf8(body.to_vec()).ok().map(Value::String)
}

/// Host and path of an address that is one of PayPal's.
fn certificate_address<'a>(address: &'a str, keys: &KeySet) -> Result<(&'a str, &'a str), Rejection> {
    let hosts = certificate_hosts(keys)?;
    https_file(address)
        .filter(|(host, path)| hosts.contains(host) && path.starts_with(CERTIFICATE_PATH))
        .ok_or(Rejection::Certificate(CertificateProblem::AddressNotAllowed))
}

fn certificate_hosts(keys: &KeySet) -> Result<Vec<&str>, Rejection> {
    match keys.has("allowed_cert_hosts") {
        true => keys.texts("allowed_cert_hosts"),
        false => Ok(CERTIFICATE_HOSTS.to_vec()),
    }
}

fn anchors(keys: &KeySet) -> Result<Vec<Certificate>, Rejection> {
    match keys.has("trust_anchor_pem") {
        true => Certificate::configured(keys, "trust_anchor_pem"),
        false => Ok(Certificate::readable_in_pem(DIGICERT_ROOTS)),
    }
}

fn readable(keys: &KeySet) -> Result<(), Rejection> {
    certificate_hosts(keys)?;
    anchors(keys)?;
    keys.integer_if_any("tolerance_seconds")?;
    if keys.has("cert_pem") {
        Certificate::configured(keys, "cert_pem")?;
    }
    Certificate::require_readable_by_id(keys, "certs_by_url")
}

fn signer(address: &str, keys: &KeySet, now: UnixSeconds) -> Result<RsaKey, Rejection> {
    let by_address = keys.keys_by_id("certs_by_url")?;
    let mut certificates = match by_address.iter().find(|(have, _)| *have == address) {
        Some((_, pem)) => {
            Certificate::all_in_pem(pem.as_bytes()).map_err(|_| Rejection::unconfigured("certs_by_url"))?
        }
        None if keys.has("cert_pem") => Certificate::configured(keys, "cert_pem")?,
        None => return Err(Rejection::Certificate(CertificateProblem::Unavailable)),
    };
    let anchors = anchors(keys)?;
    let intermediates = certificates.split_off(1);
    let leaf = &certificates[0];
    require_chain(leaf, &intermediates, &anchors, now, Sha1Signatures::Refused)?;
    if !leaf.common_name().is_some_and(|name| CERTIFICATE_OWNERS.contains(&name)) {
        return Err(Rejection::Certificate(CertificateProblem::Identity));
    }
    leaf.rsa_key().ok_or(Rejection::Certificate(CertificateProblem::Malformed))
}

fn check_signing_string(
    raw: &RawCallback,
    keys: &KeySet,
    _now: UnixSeconds,
    options: &Map<String, Value>,
) -> Result<(), Rejection> {
    let text = signing_text(raw, keys)?;
    match options.get("signing_string") {
        Some(expected) if expected.as_str() != Some(&text) => Err(Rejection::SignatureMismatch),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paypal_addresses_may_name_the_certificate() {
        let keys = KeySet::new("test", Map::new());
        for (address, accepted) in [
            ("https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-ab66f33d", true),
            ("https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1", true),
            ("http://api.paypal.com/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1", false),
            ("https://user@api.paypal.com/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com:8443/v1/notifications/certs/CERT-1", false),
            ("https://169.254.169.254/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com\\@evil.example/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com/v1/notifications/../../evil", false),
            ("https://api.paypal.com/v1/notifications/%2e%2e/evil", false),
            ("https://api.paypal.com/v1/notifications/certs/CERT-1?redirect=https://evil.example", false),
            ("https://api.paypal.com/evil", false),
            ("https://api.paypal.com", false),
            ("", false),
        ] {
            assert_eq!(certificate_address(address, &keys).is_ok(), accepted, "{address}");
        }
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn m12_a_unit_that_cannot_be_read_does_not_hide_the_others() {
        let unit = |order: &str, value: &str| serde_json::json!({"custom_id": order, "amount": {"currency_code": "EUR", "value": value}});
        let content = serde_json::json!({
            "id": "WH-1", "event_type": "CHECKOUT.ORDER.APPROVED",
            "resource": {"id": "O-1", "purchase_units": [unit("A-1", "much"), unit("A-2", "19.99")]},
        });
        let (keys, now) = (PROVIDER.sandbox.generate(), UnixSeconds(1_767_225_600));
        let payload = crate::sandbox::Payload {
            content: content.to_string(),
            event_id: "1".to_owned(),
            sent_at: now,
            path: "/".to_owned(),
        };
        let request = PROVIDER.sandbox.sign(&keys, &payload).unwrap();
        let raw = RawCallback::new("a", PROVIDER.name, "POST", "/", request.headers, request.body);
        let credentials =
            crate::callback::Credentials { key_sets: vec![KeySet::new("k", keys.key_set.clone())] };
        let read = PROVIDER.read(&PROVIDER.verify(&raw, &credentials, now).unwrap()).unwrap();
        let told: Vec<_> = read.events.iter().map(|event| event.subject_id.as_deref()).collect();
        assert_eq!((told, read.unreadable.len()), (vec![Some("A-2")], 1));
    }

    #[test]
    fn the_bundled_roots_are_read() {
        assert_eq!(Certificate::readable_in_pem(DIGICERT_ROOTS).len(), 6);
        assert_eq!(Certificate::all_in_pem(DIGICERT_ROOTS).unwrap().len(), 6);
    }

    /// The address, what the key set holds, and the outcome: a request, nothing, or a refusal.
    #[test]
    fn only_a_certificate_that_is_not_held_is_fetched_and_only_from_paypal() {
        let mine = "https://api.paypal.com/v1/notifications/certs/CERT-1";
        for (address, held, outcome) in [
            (mine, "", Ok(true)),
            (mine, "cert_pem", Ok(false)),
            (mine, mine, Ok(false)),
            (mine, "https://api.paypal.com/v1/notifications/certs/CERT-2", Ok(true)),
            ("https://api.paypal.com/v1/notifications/test", "", Err(())),
            ("https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1", "", Err(())),
            ("https://169.254.169.254/v1/notifications/certs/CERT-1", "", Err(())),
            ("http://api.paypal.com/v1/notifications/certs/CERT-1", "", Err(())),
        ] {
            let mut fields = Map::from_iter([("webhook_id".to_owned(), Value::from("WEBHOOK"))]);
            if held.starts_with("https") {
                let by_address = Map::from_iter([(held.to_owned(), Value::from("PEM"))]);
                fields.insert("certs_by_url".to_owned(), Value::Object(by_address));
            } else if !held.is_empty() {
                fields.insert(held.to_owned(), Value::from("PEM"));
            }
            let headers = [
                ("PAYPAL-TRANSMISSION-ID", "id"),
                ("PAYPAL-TRANSMISSION-TIME", "time"),
                ("PAYPAL-TRANSMISSION-SIG", "c2ln"),
                ("PAYPAL-CERT-URL", address),
            ];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let raw = RawCallback::new("a", "paypal", "POST", "/", headers, Vec::new());
            let wanted = key_fetch(&raw, &KeySet::new("k", fields));
            if let Ok(Some(wanted)) = &wanted {
                assert_eq!(wanted.request, FetchRequest::get("api.paypal.com", address));
            }
            assert_eq!(wanted.map(|wanted| wanted.is_some()).map_err(drop), outcome, "{address} {held}");
        }
    }

    #[test]
    fn the_checksum_is_of_bytes_and_unsigned() {
        let fields = Map::from_iter([("webhook_id".to_owned(), Value::String("WEBHOOK".to_owned()))]);
        let headers = [("PAYPAL-TRANSMISSION-ID", "id"), ("PAYPAL-TRANSMISSION-TIME", "time")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let raw = RawCallback::new("a", "paypal", "POST", "/", headers, b"123456789".to_vec());
        // The check value of CRC-32 that its definition gives.
        assert_eq!(signing_text(&raw, &KeySet::new("k", fields)).unwrap(), "id|time|WEBHOOK|3421780262");
    }
}
