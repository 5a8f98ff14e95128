//! Amazon SNS over HTTPS. Mapping: `fixtures/aws_sns/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::read::rfc3339;
use super::{Covers, CredentialField, FetchRequest, Inquiry, KeyRequest, Normalise, Provider, Rail, Verify};
use crate::callback::address::https_file;
use crate::callback::certificate::Certificate;
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey, require_fresh, require_identity};
use crate::callback::{CertificateProblem, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::EventKind;

const NAME: &str = "aws_sns";

/// Amazon SNS.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Amazon SNS",
    rail: Rail::Generic,
    scheme: "RSA-SHA256 (or SHA-1) over the message's named fields; certificate from SNS",
    events: EventKind::ALL,
    documents: &[
        "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        "https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html",
        "https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html",
    ],
    retry_schedule: "as the subscription's delivery policy says; unless told 50 times in an hour: 3 at once, then after growing delays",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    key_fetch: Some(key_fetch),
    verify: Verify::Coded(verify),
    readable,
    // SNS signs the messages of all its customers with one key.
    addressee: |keys| keys.texts(TOPIC).map(|_| ()),
    normalise: Normalise::Coded(events::normalise),
    inquiry: Some(Inquiry::Coded {
        asks: events::is_subscription,
        requests: events::confirmation,
        // That SNS answered at all is the confirmation.
        require_answer: |_, _| Ok(()),
        normalise: |_| Ok(Vec::new()),
    }),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const TOPIC: &str = "allowed_topic_arns";
const CERTIFICATES: &str = "certs_by_url";
const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: TOPIC,
        required: false,
        about: "the ARNs of the topics, a text or a list; needed for live callbacks, because anybody can have a topic",
    },
    CredentialField {
        name: CERTIFICATES,
        required: false,
        about: "certificates in PEM by their SigningCertURL; those that are not there are fetched",
    },
    CredentialField {
        name: "cert_pem",
        required: false,
        about: "the certificate behind SigningCertURL in PEM; only to pin it",
    },
    CredentialField {
        name: "signature_version",
        required: false,
        about: "`2` refuses SHA-1, where the topic's SignatureVersion is 2; either counts unless told",
    },
    CredentialField {
        name: "tolerance_seconds",
        required: false,
        about: "how far Timestamp may be from our time; no limit unless told, since the delivery policy may repeat for days",
    },
];

/// What is behind an address does not change: a new certificate has a new one.
const CERTIFICATE_KEPT_SECONDS: i64 = 24 * 60 * 60;

/// # Source
/// Amazon SNS, "Verifying the signatures of Amazon SNS messages".
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let message = Message::parse(raw.body())?;
    let hash = message.hash(keys)?;
    let signature = STANDARD.decode(message.text("Signature").ok_or(Rejection::MissingSignature)?);
    let signature = signature.map_err(|_| Rejection::malformed("signature"))?;
    let key = signer(&message, keys, now)?;
    let proof = key.require_signature(hash, &message.signed_text()?, &signature)?;
    if let Some(tolerance_seconds) = keys.integer_if_any("tolerance_seconds")? {
        let sent_at = message.text("Timestamp").and_then(rfc3339);
        require_fresh(sent_at.ok_or_else(|| Rejection::malformed("timestamp"))?, now, tolerance_seconds)?;
    }
    require_identity(keys, TOPIC, "TopicArn", message.text("TopicArn"))?;
    Ok(Verified::from_checked(raw, proof, now))
}

/// An SNS message. SNS itself writes `SigningCertURL`, its Lambda events `SigningCertUrl`.
struct Message(Json);

impl Message {
    fn parse(body: &[u8]) -> Result<Self, Rejection> {
        let json = Json::parse(body)?;
        for name in ["SigningCertURL", "SubscribeURL"] {
            let other = name.replace("URL", "Url");
            if json.at(&format!("/{name}")).is_some() && json.at(&format!("/{other}")).is_some() {
                return Err(Rejection::Duplicate { name: name.to_owned() });
            }
        }
        Ok(Self(json))
    }

    /// A field's text, empty or not; `null` and absent are the same.
    fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.at(&format!("/{name}")).or_else(|| {
            let other = name.strip_suffix("URL")?;
            self.0.at(&format!("/{other}Url"))
        });
        match value {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn required(&self, name: &'static str) -> Result<&str, Rejection> {
        self.text(name).ok_or_else(|| Rejection::MissingField { name: name.to_owned() })
    }

    /// Which hash is not signed, so the account may insist on one.
    fn hash(&self, keys: &KeySet) -> Result<RsaHash, Rejection> {
        let version = self.required("SignatureVersion")?;
        let wanted = wanted_version(keys)?;
        match version {
            _ if wanted.is_some_and(|wanted| wanted != version) => Err(Rejection::AlgorithmNotAllowed),
            "1" => Ok(RsaHash::Sha1),
            "2" => Ok(RsaHash::Sha256),
            _ => Err(Rejection::AlgorithmNotAllowed),
        }
    }

    /// Names and values on lines of their own, in the order of the names. A value may hold line ends: what follows
    /// then still has to be read as the names say, so a second reading needs other names than these.
    fn signed_text(&self) -> Result<Vec<u8>, Rejection> {
        let names: &[&'static str] = match self.required("Type")? {
            "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
            }
            _ => return Err(Rejection::malformed("body")),
        };
        let mut text = String::new();
        for name in names {
            match self.text(name) {
                None if *name == "Subject" => {}
                None => return Err(Rejection::MissingField { name: (*name).to_owned() }),
                Some(value) => text.push_str(&format!("{name}\n{value}\n")),
            }
        }
        Ok(text.into_bytes())
    }

    /// The region's host and the address of the certificate.
    fn certificate_address(&self) -> Result<(&str, &str), Rejection> {
        let not_allowed = || Rejection::Certificate(CertificateProblem::AddressNotAllowed);
        let address = self.required("SigningCertURL")?;
        let (host, path) = https_file(address).ok_or_else(not_allowed)?;
        let name =
            path.strip_prefix("/SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem"));
        let is_file = name
            .is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if is_sns_host(host) && is_file { Ok((host, address)) } else { Err(not_allowed()) }
    }
}

fn wanted_version(keys: &KeySet) -> Result<Option<&str>, Rejection> {
    match keys.text_if_any("signature_version")? {
        wanted @ (None | Some("1" | "2")) => Ok(wanted),
        Some(_) => Err(Rejection::unconfigured("signature_version")),
    }
}

fn readable(keys: &KeySet) -> Result<(), Rejection> {
    wanted_version(keys)?;
    keys.integer_if_any("tolerance_seconds")?;
    if keys.has("cert_pem") {
        Certificate::configured(keys, "cert_pem")?;
    }
    Certificate::require_readable_by_id(keys, CERTIFICATES)
}

/// `sns.REGION.amazonaws.com`, also in China. A bucket of S3 may be called `sns`, and the old hosts of S3 begin with the
/// bucket, so what stands between must be a region.
fn is_sns_host(host: &str) -> bool {
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    region.is_some_and(is_region)
}

/// Such as `eu-central-1`, `us-gov-west-1`, `us-isob-east-1`.
fn is_region(region: &str) -> bool {
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_partition = |part: &str| part == "gov" || (part.starts_with("iso") && part.len() <= 4);
    let parts: Vec<&str> = region.split('-').collect();
    let (country, place, number) = match parts.as_slice() {
        [country, place, number] => (country, place, number),
        [country, partition, place, number] if is_partition(partition) => (country, place, number),
        _ => return false,
    };
    country.len() == 2
        && is_word(country)
        && is_word(place)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn signer(message: &Message, keys: &KeySet, now: UnixSeconds) -> Result<RsaKey, Rejection> {
    let (host, address) = message.certificate_address()?;
    let by_address = keys.keys_by_id(CERTIFICATES)?;
    let certificates = match by_address.iter().find(|(have, _)| *have == address) {
        Some((_, pem)) => {
            Certificate::all_in_pem(pem.as_bytes()).map_err(|_| Rejection::unconfigured(CERTIFICATES))?
        }
        None if keys.has("cert_pem") => Certificate::configured(keys, "cert_pem")?,
        None if by_address.is_empty() => return Err(Rejection::unconfigured("cert_pem")),
        None => return Err(Rejection::Certificate(CertificateProblem::Unavailable)),
    };
    let leaf = &certificates[0];
    leaf.require_valid_at(now)?;
    let owner = leaf.common_name().unwrap_or_default();
    if owner != host && !matches!(owner, "sns.amazonaws.com" | "sns.amazonaws.com.cn") {
        return Err(Rejection::Certificate(CertificateProblem::Identity));
    }
    leaf.rsa_key().ok_or(Rejection::Certificate(CertificateProblem::Malformed))
}

/// Which certificate the message names, where the key set does not hold it.
fn key_fetch(raw: &RawCallback, keys: &KeySet) -> Result<Option<KeyRequest>, Rejection> {
    let message = Message::parse(raw.body())?;
    let (host, address) = message.certificate_address()?;
    // What cannot be genuine costs no request.
    message.required("Signature")?;
    message.hash(keys)?;
    message.signed_text()?;
    let held = keys.keys_by_id(CERTIFICATES)?.iter().any(|(have, _)| *have == address);
    Ok((!held && !keys.has("cert_pem")).then(|| KeyRequest {
        request: FetchRequest::get(host, address),
        field: CERTIFICATES,
        id: Some(address.to_owned()),
        max_age_seconds: CERTIFICATE_KEPT_SECONDS,
        read: read_certificate,
    }))
}

fn read_certificate(body: &[u8]) -> Option<Value> {
    Certificate::all_in_pem(body).ok()?;
    std::str::from_utf8(body).ok().map(Value::from)
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
