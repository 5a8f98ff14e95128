//! Alipay open platform: asynchronous notifications, messages to the application gateway, and the page return.
//! Mapping: `fixtures/alipay/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(all(test, feature = "sandbox"))]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::read::require_one_reading;
use super::{Covers, CredentialField, Normalise, Part, Provider, Rail, Verify};
use crate::callback::certificate::{Certificate, Sha1Signatures, require_chain};
use crate::callback::cipher::open_aes_cbc;
use crate::callback::form::Form;
use crate::callback::signature::{RsaHash, RsaKey, require_identity};
use crate::callback::{
    Answer, Answers, CertificateProblem, KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified,
};

/// Alipay open platform.
pub static PROVIDER: Provider = Provider {
    name: "alipay",
    title: "Alipay 支付宝",
    rail: Rail::Wallet,
    home_currency: "CNY",
    scheme: "RSA-SHA256 (or SHA1) over the sorted parameters",
    events: events::KINDS,
    documents: &[
        "https://opendocs.alipay.com/open/270/105902",
        "https://opendocs.alipay.com/common/02mse7",
        "https://opendocs.alipay.com/common/02kg5q",
        "https://opendocs.alipay.com/common/02mse3",
    ],
    answers: Answers {
        success: Answer { status: 200, content_type: "text/plain", body: "success" },
        failure_content_type: "text/plain",
        failure_body: "fail",
    },
    retry_schedule: "8 deliveries within 25 hours: after 4 min, 10 min, 10 min, 1 h, 2 h, 6 h, 15 h",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable,
    addressee: require_expectation,
    normalise: Normalise::Coded(events::normalise),
    parts: &[
        Part {
            scheme: "alipay_cert_chain",
            about: "the key set's certificate chains to its root bundle at the time of receipt",
            check: check_chain,
        },
        Part {
            scheme: "alipay_cert_sn",
            about: "the serial number that Alipay's protocol gives to the certificates in the body",
            check: check_serial,
        },
    ],
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "alipay_public_key_spki_b64";
const CERTIFICATE: &str = "alipay_cert_pem";
const ROOT: &str = "alipay_root_cert_pem";
const AES_KEY: &str = "aes_key";

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: PUBLIC_KEY,
        required: false,
        about: "public-key mode: the Alipay public key (not the application's) of the open platform's key page",
    },
    CredentialField {
        name: CERTIFICATE,
        required: false,
        about: "certificate mode: the text of alipayCertPublicKey_RSA2.crt, leaf first",
    },
    CredentialField {
        name: ROOT,
        required: false,
        about: "certificate mode: the text of alipayRootCert.crt; without it the leaf itself is pinned",
    },
    CredentialField {
        name: "sign_type",
        required: false,
        about: "RSA2 (when absent) or RSA, which needs allow_legacy_rsa1",
    },
    CredentialField {
        name: "allow_legacy_rsa1",
        required: false,
        about: "true accepts SHA-1 signatures of the old gateway",
    },
    CredentialField {
        name: AES_KEY,
        required: false,
        about: "the application's AES key in base64, where messages to the application gateway are encrypted",
    },
    CredentialField { name: "expected_app_id", required: false, about: "the application's app_id" },
    CredentialField { name: "expected_seller_id", required: false, about: "the merchant's PID, 2088…" },
];

/// # Source
/// Alipay open platform, "异步通知验签": the form is decoded once, `sign` and `sign_type` are left out, empty values are
/// left out, the rest is sorted by name and joined. Messages to the application gateway may keep `sign_type`
/// (AlipaySignature.rsaCheckV2); the official SDKs differ about empty values, so both strings are tried.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = form(raw)?;
    require_one_reading(form.iter())?;
    let signature = form.text("sign").ok_or(Rejection::MissingSignature)?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let hash = configured_hash(&form, keys)?;
    let key = public_key(keys, now)?;
    let proof = require_any(&key, hash, &signed_texts(&form, hash), &signature)?;
    require_addressee(&form, keys)?;
    let verified = Verified::from_checked(raw, proof, now);
    match opened_content(&form, keys)? {
        Some(content) => Ok(verified.with_resource(content)),
        None => Ok(verified),
    }
}

/// The content of a message that the application has encrypted for it; what is signed is the encrypted text.
///
/// # Source
/// Alipay open platform, "接口内容加密方式": AES-128 in CBC mode with PKCS#5 padding and an initialisation vector of zeros.
fn opened_content(form: &Form, keys: &KeySet) -> Result<Option<Vec<u8>>, Rejection> {
    match form.text("encrypt_type") {
        None => return Ok(None),
        Some("AES") => {}
        Some(_) => return Err(Rejection::AlgorithmNotAllowed),
    }
    let key = aes_key(keys)?;
    let sealed = form.text("biz_content").ok_or_else(|| Rejection::malformed("body"))?;
    let sealed = STANDARD.decode(sealed).map_err(|_| Rejection::DecryptFailed)?;
    open_aes_cbc(&key, [0; 16], &sealed).map(Some)
}

fn aes_key(keys: &KeySet) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    let key = STANDARD.decode(keys.text(AES_KEY)?).ok().filter(|key| key.len() == 16);
    key.map(Zeroizing::new).ok_or_else(|| Rejection::unconfigured(AES_KEY))
}

/// The parameters: of the query in the page return, of the body in everything else.
fn form(raw: &RawCallback) -> Result<Form, Rejection> {
    if raw.method == "GET" { Form::parse(raw.query().as_bytes()) } else { Form::parse(raw.body()) }
}

/// The name and the hash of the account's signatures.
fn sign_type(keys: &KeySet) -> Result<(&str, RsaHash), Rejection> {
    match keys.text_if_any("sign_type")?.unwrap_or("RSA2") {
        name @ "RSA2" => Ok((name, RsaHash::Sha256)),
        name @ "RSA" if keys.flag("allow_legacy_rsa1")? => Ok((name, RsaHash::Sha1)),
        "RSA" => Err(Rejection::AlgorithmNotAllowed),
        _ => Err(Rejection::unconfigured("sign_type")),
    }
}

/// The message may only agree with the configuration: `sign_type` is not signed.
fn configured_hash(form: &Form, keys: &KeySet) -> Result<RsaHash, Rejection> {
    let (configured, hash) = sign_type(keys)?;
    match form.bytes("sign_type") {
        None => Ok(hash),
        Some(told) if told == configured.as_bytes() => Ok(hash),
        Some(_) => Err(Rejection::AlgorithmNotAllowed),
    }
}

/// In certificate mode the certificates and in public-key mode the key, and what comes beside them.
fn readable(keys: &KeySet) -> Result<(), Rejection> {
    sign_type(keys).map_err(|_| Rejection::unconfigured("sign_type"))?;
    if keys.has(AES_KEY) {
        aes_key(keys)?;
    }
    if keys.text_if_any(CERTIFICATE)?.is_none() {
        return RsaKey::configured(keys, PUBLIC_KEY).map(drop);
    }
    let key = Certificate::configured(keys, CERTIFICATE)?[0].rsa_key();
    key.ok_or_else(|| Rejection::unconfigured(CERTIFICATE))?;
    let root = keys.text_if_any(ROOT)?;
    match root.is_some_and(|root| Certificate::readable_in_pem(root.as_bytes()).is_empty()) {
        true => Err(Rejection::unconfigured(ROOT)),
        false => Ok(()),
    }
}

fn public_key(keys: &KeySet, now: UnixSeconds) -> Result<RsaKey, Rejection> {
    if keys.text_if_any(CERTIFICATE)?.is_none() {
        return RsaKey::configured(keys, PUBLIC_KEY);
    }
    trusted_leaf(keys, now)?.rsa_key().ok_or_else(|| Rejection::unconfigured(CERTIFICATE))
}

/// The configured leaf is itself a pin; the chain says in addition that Alipay issued it.
fn trusted_leaf(keys: &KeySet, now: UnixSeconds) -> Result<Certificate, Rejection> {
    let mut certificates = Certificate::configured(keys, CERTIFICATE)?;
    let intermediates = certificates.split_off(1);
    let leaf = certificates.pop().ok_or_else(|| Rejection::unconfigured(CERTIFICATE))?;
    leaf.require_valid_at(now)?;
    let root_is_configured = keys.text_if_any(ROOT)?.is_some();
    let chain_is_wanted =
        if keys.has("verify_chain") { keys.flag_unless_off("verify_chain")? } else { root_is_configured };
    if chain_is_wanted {
        let roots = Certificate::readable_in_pem(keys.text(ROOT)?.as_bytes());
        require_chain(&leaf, &intermediates, &roots, now, Sha1Signatures::Refused)?;
    }
    Ok(leaf)
}

/// The texts that the signature may cover, without repetitions.
///
/// # Source
/// alipay-sdk-nodejs-all, `checkNotifySign`: a `sign_type` that was taken out on the way is put back.
fn signed_texts(form: &Form, hash: RsaHash) -> Vec<Vec<u8>> {
    let sign_type = match hash {
        RsaHash::Sha256 => "RSA2",
        RsaHash::Sha1 => "RSA",
    };
    let typed = form.with_default("sign_type", sign_type);
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for skip_empty in [true, false] {
        for excluded in [&["sign", "sign_type"][..], &["sign"]] {
            let text = typed.sorted_pairs(excluded, skip_empty);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts
}

fn require_any(key: &RsaKey, hash: RsaHash, texts: &[Vec<u8>], signature: &[u8]) -> Result<Proof, Rejection> {
    texts
        .iter()
        .find_map(|text| key.require_signature(hash, text, signature).ok())
        .ok_or(Rejection::SignatureMismatch)
}

/// All merchants of a service provider share its keys, so the ids inside must be this account's.
///
/// Agreement messages of the old gateway name the merchant as `partner_id` and have no `app_id`; messages about
/// agreements and sub-merchants have no `seller_id`, messages about money must have one.
fn require_addressee(form: &Form, keys: &KeySet) -> Result<(), Rejection> {
    let seller = form.text("seller_id").or_else(|| form.text("partner_id"));
    if seller.is_some() || form.text("trade_status").is_some() {
        require_identity(keys, "expected_seller_id", "seller_id", seller)?;
    }
    let app = form.text("app_id").or_else(|| form.text("auth_app_id"));
    let old_gateway = app.is_none() && form.text("partner_id").is_some();
    if old_gateway && keys.text_if_any("expected_seller_id")?.is_some() {
        return Ok(());
    }
    require_identity(keys, "expected_app_id", "app_id", app)
}

/// Alipay may sign for several applications with one key.
fn require_expectation(keys: &KeySet) -> Result<(), Rejection> {
    match (keys.text_if_any("expected_app_id")?, keys.text_if_any("expected_seller_id")?) {
        (None, None) => Err(Rejection::unconfigured("expected_app_id")),
        _ => Ok(()),
    }
}

fn check_chain(
    _raw: &RawCallback,
    keys: &KeySet,
    now: UnixSeconds,
    _options: &Map<String, Value>,
) -> Result<(), Rejection> {
    keys.text(ROOT)?;
    trusted_leaf(keys, now).map(|_| ())
}

fn check_serial(
    raw: &RawCallback,
    _keys: &KeySet,
    _now: UnixSeconds,
    options: &Map<String, Value>,
) -> Result<(), Rejection> {
    let of_root_bundle = options.get("root_bundle").and_then(Value::as_bool).unwrap_or(false);
    let serial = if of_root_bundle { root_serial(raw.body())? } else { leaf_serial(raw.body())? };
    match options.get("sn") {
        Some(expected) if expected.as_str() != Some(&serial) => Err(Rejection::SignatureMismatch),
        _ => Ok(()),
    }
}

/// The serial number of a certificate in Alipay's protocol.
///
/// # Source
/// AntCertificationUtil: MD5 of the issuer's attributes, most specific first, and the decimal serial number.
fn serial(certificate: &Certificate) -> String {
    let text = format!("{}{}", certificate.issuer_text(), certificate.serial_decimal());
    hex::encode(Md5::digest(text))
}

fn leaf_serial(pem: &[u8]) -> Result<String, Rejection> {
    Ok(serial(&Certificate::all_in_pem(pem)?[0]))
}

/// # Source
/// AntCertificationUtil.getRootCertSN: members signed with an RSA algorithm only, joined by `_`.
fn root_serial(pem: &[u8]) -> Result<String, Rejection> {
    let serials: Vec<String> = Certificate::readable_in_pem(pem)
        .iter()
        .filter(|member| member.signature_algorithm().starts_with("1.2.840.113549.1.1."))
        .map(serial)
        .collect();
    if serials.is_empty() {
        return Err(Rejection::Certificate(CertificateProblem::Malformed));
    }
    Ok(serials.join("_"))
}
