//! Antom, formerly Alipay Global, and Alipay+. Mapping: `fixtures/alipay_global/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(all(test, feature = "sandbox"))]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey};
use crate::callback::{Answer, Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// Antom.
pub static PROVIDER: Provider = Provider {
    name: "alipay_global",
    title: "Antom, Alipay+ (Alipay Global)",
    rail: Rail::Wallet,
    scheme: "RSA-SHA256 over method, path, client id, time and body",
    events: events::KINDS,
    documents: &[
        "https://docs.antom.com/ac/ams/digital_signature.md",
        "https://docs.antom.com/ac/ams/paymentrn_online.md",
        "https://docs.antom.com/ac/ams/notify_capture.md",
        "https://docs.antom.com/ac/ams/notify_dispute.md",
        "https://docs.antom.com/ac/aba/notifypayout",
        "https://github.com/alipay/global-open-sdk-java",
    ],
    answers: Answers {
        success: Answer {
            status: 200,
            content_type: "application/json",
            body: r#"{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}"#,
        },
        failure_content_type: "application/json",
        failure_body: r#"{"result":{"resultCode":"PROCESS_FAIL","resultStatus":"F","resultMessage":"fail"}}"#,
    },
    retry_schedule: "8 deliveries within 25 hours: after 2 min, 10 min, 10 min, 1 h, 2 h, 6 h, 15 h",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| RsaKey::configured(keys, PUBLIC_KEY).map(drop),
    addressee: |keys| keys.text(CLIENT_ID).map(|_| ()),
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "antom_public_key_spki_b64";
const CLIENT_ID: &str = "expected_client_id";
const KEY_VERSION: &str = "key_version";
const SIGNED_PATH: &str = "signed_path";

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: PUBLIC_KEY,
        required: true,
        about: "the Antom public key (not the merchant's) of the dashboard's developer page, in base64",
    },
    CredentialField {
        name: CLIENT_ID,
        required: false,
        about: "the client id of the dashboard, which live callbacks need; a notice for another one is rejected",
    },
    CredentialField {
        name: KEY_VERSION,
        required: false,
        about: "the version of the public key, as the signature names it; when absent any version is tried with this key",
    },
    CredentialField {
        name: SIGNED_PATH,
        required: false,
        about: "path and query of the notification address as Antom was given it, where a gateway rewrites them",
    },
];

const ALGORITHM: &str = "RSA256";

/// The time is signed, but no document says how old it may be, and deliveries are repeated for a day.
///
/// # Source
/// Antom, "Sign a request and verify the signature", and WebhookTool of the official Java SDK:
/// `METHOD path\nclient-id.request-time.body` is signed with RSA PKCS#1 v1.5 and SHA-256; the signature is standard
/// base64, percent-encoded.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let client_id = raw.header("client-id")?;
    let request_time = raw.header("request-time")?;
    let header = raw.header("signature")?;
    let signature = signature(header, keys.text_if_any(KEY_VERSION)?)?;
    let path = keys.text_if_any(SIGNED_PATH)?.unwrap_or(&raw.path);
    let head = format!("{} {path}\n{client_id}.{request_time}.", raw.method);
    let key = RsaKey::configured(keys, PUBLIC_KEY)?;
    let proof =
        key.require_signature(RsaHash::Sha256, &[head.as_bytes(), raw.body()].concat(), &signature)?;
    if keys.text_if_any(CLIENT_ID)?.is_some_and(|expected| expected != client_id) {
        return Err(Rejection::IdentityMismatch { field: "client-id".to_owned() });
    }
    Json::parse(raw.body())?;
    Ok(Verified::from_checked(raw, proof, now))
}

/// The signature in `algorithm=RSA256,keyVersion=1,signature=…`; each name at most once.
fn signature(header: &str, key_version: Option<&str>) -> Result<Vec<u8>, Rejection> {
    let malformed = || Rejection::malformed("signature");
    let (mut algorithm, mut version, mut signature) = (None, None, None);
    for part in header.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(malformed)?;
        let place = match name.trim() {
            "algorithm" => &mut algorithm,
            "keyVersion" => &mut version,
            "signature" => &mut signature,
            _ => return Err(malformed()),
        };
        if place.replace(value.trim()).is_some() {
            return Err(Rejection::Duplicate { name: name.trim().to_owned() });
        }
    }
    // The message may only agree.
    if algorithm.is_some_and(|told| told != ALGORITHM) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    if key_version.is_some() && version != key_version {
        return Err(Rejection::UnknownKey);
    }
    let encoded = signature.filter(|text| !text.is_empty()).ok_or(Rejection::MissingSignature)?;
    // Only percent escapes are decoded: a plus sign in base64 is no space.
    let base64: Vec<u8> = percent_decode_str(encoded).collect();
    STANDARD.decode(base64).map_err(|_| malformed())
}
