//! PayPal webhooks, verified offline. Mapping: `fixtures/paypal/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::read::rfc3339;
use super::{Covers, CredentialField, Normalise, Part, Provider, Rail, Verify};
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
    verify: Verify::Coded(verify),
    // The webhook's id is part of what is signed.
    addressee: |_| Ok(()),
    normalise: Normalise::Coded(events::normalise),
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
        about: "the certificate behind PAYPAL-CERT-URL in PEM, leaf first, intermediates after it",
    },
    CredentialField {
        name: "certs_by_url",
        required: false,
        about: "instead of cert_pem: certificates in PEM by their PAYPAL-CERT-URL; old and new at once during a rotation",
    },
    CredentialField {
        name: "trust_anchor_pem",
        required: true,
        about: "the pinned authority (or several) that must have issued the certificate: DigiCert's",
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
const CERTIFICATE_OWNERS: [&str; 2] =
    ["messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"];

/// # Source
/// PayPal, "Integrate webhooks: verify webhook messages yourself": `id|time|webhook id|CRC-32 of the body` is signed by the
/// certificate at `PAYPAL-CERT-URL`. The address is never fetched here: it only has to be one of PayPal's, and the
/// certificate comes from the key set.
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
    require_certificate_address(address, keys)?;
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

/// `https`, one of the hosts and nothing else in its place (no user, no port), the path of PayPal's certificates.
fn require_certificate_address(address: &str, keys: &KeySet) -> Result<(), Rejection> {
    let hosts = match keys.has("allowed_cert_hosts") {
        true => keys.texts("allowed_cert_hosts")?,
        false => CERTIFICATE_HOSTS.to_vec(),
    };
    let path = address.strip_prefix("https://").and_then(|rest| {
        let (host, _) = rest.split_once('/')?;
        hosts.contains(&host).then(|| &rest[host.len()..])
    });
    let plain = |path: &str| {
        let segments_are_plain = path.split('/').skip(1).all(|segment| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        });
        path.starts_with(CERTIFICATE_PATH) && segments_are_plain
    };
    if path.is_some_and(plain) {
        Ok(())
    } else {
        Err(Rejection::Certificate(CertificateProblem::AddressNotAllowed))
    }
}

fn signer(address: &str, keys: &KeySet, now: UnixSeconds) -> Result<RsaKey, Rejection> {
    let by_address = keys.keys_by_id("certs_by_url")?;
    let mut certificates = match by_address.iter().find(|(have, _)| *have == address) {
        Some((_, pem)) => {
            Certificate::all_in_pem(pem.as_bytes()).map_err(|_| Rejection::unconfigured("certs_by_url"))?
        }
        None if keys.has("cert_pem") => Certificate::configured(keys, "cert_pem")?,
        None if by_address.is_empty() => return Err(Rejection::unconfigured("cert_pem")),
        None => return Err(Rejection::Certificate(CertificateProblem::Unavailable)),
    };
    let anchors = Certificate::configured(keys, "trust_anchor_pem")?;
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
            assert_eq!(require_certificate_address(address, &keys).is_ok(), accepted, "{address}");
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
