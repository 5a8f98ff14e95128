//! WeChat Pay API v3 notifications. Mapping: `fixtures/wechatpay_v3/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Covers, CredentialField, Normalise, Part, Provider, Rail, Verify};
use crate::callback::certificate::Certificate;
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey, require_fresh, sha256};
use crate::callback::{Answer, Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// WeChat Pay, API v3.
pub static PROVIDER: Provider = Provider {
    name: "wechatpay_v3",
    title: "WeChat Pay 微信支付 (API v3)",
    rail: Rail::Wallet,
    home_currency: "CNY",
    scheme: "RSA-SHA256 over time, nonce and body; AES-256-GCM resource",
    events: events::KINDS,
    documents: &[
        "https://pay.weixin.qq.com/doc/v3/merchant/4012071382",
        "https://pay.weixin.qq.com/doc/v3/merchant/4013053249",
        "https://pay.weixin.qq.com/doc/v2/partner/4011989265",
    ],
    answers: Answers {
        success: Answer { status: 200, content_type: "", body: "" },
        failure_content_type: "application/json",
        failure_body: r#"{"code":"FAIL","message":"失败"}"#,
    },
    retry_schedule: "15 repetitions within 24 h 4 min: after 15 s, 15 s, 30 s, 3 min, 10 min, 20 min, 30 min ×3, 1 h, 3 h ×3, 6 h ×2; \
        payment score and entrusted deductions have their own",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable,
    // Only the account's own key opens the resource.
    addressee: |_| Ok(()),
    normalise: Normalise::CodedEach(events::normalise),
    parts: &[Part {
        scheme: "wechatpay_v3_aead",
        about: "the encrypted resource in the body opens with the key set's API v3 key",
        check: check_resource,
    }],
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CERTIFICATES: &str = "platform_certs";
const PUBLIC_KEYS: &str = "platform_public_keys";

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "api_v3_key",
        required: true,
        about: "the API v3 key, 32 bytes, of the merchant platform's API security page",
    },
    CredentialField {
        name: CERTIFICATES,
        required: false,
        about: "platform certificates (not the merchant's) in PEM by serial number; old and new at once during a rotation",
    },
    CredentialField {
        name: PUBLIC_KEYS,
        required: false,
        about: "WeChat Pay public keys in PEM by id, PUB_KEY_ID_…; may stand beside platform certificates",
    },
    CredentialField {
        name: "expected_mchid",
        required: false,
        about: "the merchant number; a resource that names another one is rejected",
    },
    CredentialField {
        name: "expected_appid",
        required: false,
        about: "the appid; a resource that names another one is rejected",
    },
    CredentialField {
        name: "tolerance_s",
        required: false,
        about: "how far the signed time may be from ours, in seconds, 1 to 300; 300 when absent",
    },
    CredentialField {
        name: "aes_key_len_check",
        required: false,
        about: "only for an official test key: false lets api_v3_key have 16 bytes; never set it for a real merchant",
    },
];

/// The signed time must be nearer than this to ours.
const TOLERANCE_SECONDS: i64 = 300;
const SIGNATURE_TYPE: &str = "WECHATPAY2-SHA256-RSA2048";
/// How signatures begin by which WeChat Pay probes whether they are checked at all.
const PROBE_PREFIX: &str = "WECHATPAY/SIGNTEST/";
const PUBLIC_KEY_ID_PREFIX: &str = "PUB_KEY_ID_";

/// # Source
/// WeChat Pay API v3, "如何验证签名" and "如何解密回调报文": `timestamp\nnonce\nbody\n` is signed by the platform key that
/// `Wechatpay-Serial` names; the official Go library accepts less than five minutes of difference, both ways.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let timestamp = raw.header("wechatpay-timestamp")?;
    let nonce = raw.header("wechatpay-nonce")?;
    let serial = raw.header("wechatpay-serial")?;
    let signature = raw.header("wechatpay-signature")?;
    if raw.header_if_any("wechatpay-signature-type")?.is_some_and(|told| told != SIGNATURE_TYPE) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    if signature.starts_with(PROBE_PREFIX) {
        return Err(Rejection::SignatureMismatch);
    }
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    require_fresh(read_timestamp(timestamp)?, now, tolerance_seconds(keys)? - 1)?;
    let key = platform_key(keys, serial, now)?;
    let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", raw.body(), b"\n"].concat();
    let proof = key.require_signature(RsaHash::Sha256, &message, &signature)?;
    let envelope = Json::parse(raw.body())?;
    let resource = open_resource(&envelope, keys)?;
    require_addressee(&Json::parse(&resource)?, keys)?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(resource))
}

fn read_timestamp(text: &str) -> Result<UnixSeconds, Rejection> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = canonical.then(|| text.parse().ok()).flatten();
    seconds.map(UnixSeconds).ok_or_else(|| Rejection::malformed("timestamp"))
}

fn tolerance_seconds(keys: &KeySet) -> Result<i64, Rejection> {
    match keys.integer_if_any("tolerance_s")? {
        None => Ok(TOLERANCE_SECONDS),
        Some(seconds) if (1..=TOLERANCE_SECONDS).contains(&seconds) => Ok(seconds),
        Some(_) => Err(Rejection::unconfigured("tolerance_s")),
    }
}

/// The key that the request names, exactly: a public key's id is opaque, a certificate's serial number is a number
/// in hexadecimal. No other key is tried.
fn platform_key(keys: &KeySet, serial: &str, now: UnixSeconds) -> Result<RsaKey, Rejection> {
    let (certificates, public_keys) = (keys.keys_by_id(CERTIFICATES)?, keys.keys_by_id(PUBLIC_KEYS)?);
    if certificates.is_empty() && public_keys.is_empty() {
        return Err(Rejection::unconfigured(CERTIFICATES));
    }
    if serial.starts_with(PUBLIC_KEY_ID_PREFIX) {
        let (_, pem) = public_keys.iter().find(|(id, _)| *id == serial).ok_or(Rejection::UnknownKey)?;
        return RsaKey::from_public_key_text(pem, PUBLIC_KEYS);
    }
    let wanted = hex_number(serial).ok_or(Rejection::UnknownKey)?;
    let (_, pem) = certificates
        .iter()
        .find(|(id, _)| hex_number(id).as_ref() == Some(&wanted))
        .ok_or(Rejection::UnknownKey)?;
    let unusable = || Rejection::unconfigured(CERTIFICATES);
    let certificates = Certificate::all_in_pem(pem.as_bytes()).map_err(|_| unusable())?;
    certificates[0].require_valid_at(now)?;
    certificates[0].rsa_key().ok_or_else(unusable)
}

fn readable(keys: &KeySet) -> Result<(), Rejection> {
    resource_key(keys)?;
    tolerance_seconds(keys)?;
    let public_keys = keys.keys_by_id(PUBLIC_KEYS)?;
    if public_keys.is_empty() && keys.keys_by_id(CERTIFICATES)?.is_empty() {
        return Err(Rejection::unconfigured(PUBLIC_KEYS));
    }
    for (_, pem) in public_keys {
        RsaKey::from_public_key_text(pem, PUBLIC_KEYS)?;
    }
    Certificate::require_readable_by_id(keys, CERTIFICATES)
}

fn hex_number(text: &str) -> Option<String> {
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.trim_start_matches('0').to_ascii_uppercase())
}

/// Opens `/resource` of the envelope; the tag is checked before a byte of the plaintext is used.
fn open_resource(envelope: &Json, keys: &KeySet) -> Result<Vec<u8>, Rejection> {
    let text = |pointer: &str| envelope.text(pointer).ok_or_else(|| Rejection::malformed("body"));
    if text("/resource/algorithm")? != "AEAD_AES_256_GCM" {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    let key = resource_key(keys)?;
    let nonce: [u8; NONCE_LEN] =
        text("/resource/nonce")?.as_bytes().try_into().map_err(|_| Rejection::DecryptFailed)?;
    let associated_data = envelope.text("/resource/associated_data").unwrap_or_default();
    let mut sealed =
        STANDARD.decode(text("/resource/ciphertext")?).map_err(|_| Rejection::malformed("body"))?;
    let plaintext = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(associated_data), &mut sealed)
        .map_err(|_| Rejection::DecryptFailed)?;
    Ok(plaintext.to_vec())
}

fn resource_key(keys: &KeySet) -> Result<LessSafeKey, Rejection> {
    const FIELD: &str = "api_v3_key";
    let bytes = keys.text(FIELD)?.as_bytes();
    let algorithm: &'static Algorithm = match bytes.len() {
        32 => &AES_256_GCM,
        16 if !keys.flag_unless_off("aes_key_len_check")? => &AES_128_GCM,
        _ => return Err(Rejection::unconfigured(FIELD)),
    };
    UnboundKey::new(algorithm, bytes).map(LessSafeKey::new).map_err(|_| Rejection::unconfigured(FIELD))
}

fn require_addressee(resource: &Json, keys: &KeySet) -> Result<(), Rejection> {
    let merchants = ["/mchid", "/sp_mchid", "/sub_mchid", "/combine_mchid", "/mch_id"];
    require_one_of(resource, &merchants, keys, "expected_mchid", "mchid")?;
    let apps = ["/appid", "/sp_appid", "/sub_appid", "/combine_appid"];
    require_one_of(resource, &apps, keys, "expected_appid", "appid")
}

/// A service provider's id and its sub-merchant's may both stand in a resource; one of them must be expected.
/// Some resources name neither.
fn require_one_of(
    resource: &Json,
    pointers: &[&str],
    keys: &KeySet,
    expected_field: &str,
    name: &str,
) -> Result<(), Rejection> {
    let Some(expected) = keys.text_if_any(expected_field)? else { return Ok(()) };
    let mut named = pointers.iter().filter_map(|pointer| resource.text(pointer)).peekable();
    if named.peek().is_none() || named.any(|id| id == expected) {
        Ok(())
    } else {
        Err(Rejection::IdentityMismatch { field: name.to_owned() })
    }
}

fn check_resource(
    raw: &RawCallback,
    keys: &KeySet,
    _now: UnixSeconds,
    options: &Map<String, Value>,
) -> Result<(), Rejection> {
    let plaintext = open_resource(&Json::parse(raw.body())?, keys)?;
    match options.get("plaintext_sha256") {
        Some(expected) if expected.as_str() != Some(&hex::encode(sha256(&plaintext))) => {
            Err(Rejection::DecryptFailed)
        }
        _ => Ok(()),
    }
}
