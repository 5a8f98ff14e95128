//! UnionPay gateway notifications 5.1.0, and the QR acquiring (QRA) variant. Mapping: `fixtures/unionpay/MAPPING.md`.

mod events;
mod qra;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::read::require_one_reading;
use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::certificate::{Certificate, Sha1Signatures, require_chain};
use crate::callback::form::Form;
use crate::callback::signature::{RsaHash, RsaKey, require_identity, sha256};
use crate::callback::{
    Answer, Answers, CertificateProblem, KeySet, RawCallback, Rejection, UnixSeconds, Verified,
};

/// UnionPay.
pub static PROVIDER: Provider = Provider {
    name: "unionpay",
    title: "UnionPay 银联",
    rail: Rail::Card,
    home_currency: "CNY",
    scheme: "RSA-SHA256 over the SHA-256 of the sorted parameters; certificate chain",
    events: events::KINDS,
    documents: &[
        "https://open.unionpay.com/tjweb/acproduct/APIList?apiservId=448&acpAPIId=754&bussType=0",
        "https://open.unionpay.com/tjweb/support/faq/mchlist?id=4",
    ],
    answers: Answers {
        success: Answer { status: 200, content_type: "text/plain", body: "ok" },
        failure_content_type: "text/plain",
        failure_body: "fail",
    },
    retry_schedule: "not documented; anything but HTTP 200 is repeated",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable,
    addressee: require_expectation,
    normalise: Normalise::Coded(normalise),
    parts: &[],
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "middle_cert_pem",
        required: false,
        about: "gateway: the intermediate certificate of UnionPay's kit (acp_prod_middle.cer)",
    },
    CredentialField {
        name: "root_cert_pem",
        required: false,
        about: "gateway: the root certificate of UnionPay's kit (acp_prod_root.cer)",
    },
    CredentialField {
        name: "expected_cn_identity",
        required: false,
        about: "gateway: whom the signing certificate must belong to; 中国银联股份有限公司 when absent",
    },
    CredentialField {
        name: "allow_test_identity_00040000_SIGN",
        required: false,
        about: "gateway, test environment only: true accepts the signer 00040000:SIGN as well",
    },
    CredentialField {
        name: "expected_mer_id",
        required: false,
        about: "gateway: the merchant number, merId",
    },
    CredentialField { name: "api_key", required: false, about: "QR acquiring: the key of MD5 signatures" },
    CredentialField {
        name: "expected_mch_id",
        required: false,
        about: "QR acquiring: the merchant number, mch_id",
    },
];

/// The only version, and the only method (RSA with a certificate), that are accepted.
const VERSION: &str = "5.1.0";
const SIGN_METHOD: &str = "01";
const UNIONPAY_IDENTITY: &str = "中国银联股份有限公司";
const TEST_IDENTITY: &str = "00040000:SIGN";

/// An account that holds only one kind of key cannot be talked into the other kind's check.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    if qra::is_qra(raw) && keys.has("api_key") {
        return qra::verify(raw, keys, now);
    }
    verify_gateway(raw, keys, now)
}

/// # Source
/// UnionPay gateway 5.1.0, "报文签名": the parameters without `signature` and without empty values, sorted and joined, are
/// hashed; the lower-case hexadecimal text of the hash is what RSA with SHA-256 signs. The certificate comes in
/// `signPubKeyCert`, inside of what is signed; its common name is `type@id@owner@serial`.
fn verify_gateway(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = Form::parse(raw.body())?;
    require_one_reading(form.iter())?;
    let signature = form.text("signature").ok_or(Rejection::MissingSignature)?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    if form.text("version") != Some(VERSION) || form.text("signMethod") != Some(SIGN_METHOD) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    let key = signer(&form, keys, now)?;
    let digest = hex::encode(sha256(&form.sorted_pairs(&["signature"], true)));
    let proof = key.require_signature(RsaHash::Sha256, digest.as_bytes(), &signature)?;
    require_identity(keys, "expected_mer_id", "merId", form.text("merId"))?;
    Ok(Verified::from_checked(raw, proof, now))
}

/// Any merchant's certificate comes from the same authority: chain and owner must both be right.
fn signer(form: &Form, keys: &KeySet, now: UnixSeconds) -> Result<RsaKey, Rejection> {
    let intermediates = Certificate::configured(keys, "middle_cert_pem")?;
    let roots = Certificate::configured(keys, "root_cert_pem")?;
    let owners = accepted_owners(keys)?;
    let pem = form
        .bytes("signPubKeyCert")
        .filter(|pem| !pem.is_empty())
        .ok_or_else(|| Rejection::MissingField { name: "signPubKeyCert".to_owned() })?;
    let malformed = || Rejection::Certificate(CertificateProblem::Malformed);
    let mut certificates = Certificate::all_in_pem(pem)?;
    let leaf = certificates.pop().filter(|_| certificates.is_empty()).ok_or_else(malformed)?;
    require_chain(&leaf, &intermediates, &roots, now, Sha1Signatures::Accepted)?;
    let owner = leaf.common_name().and_then(|name| name.split('@').nth(2));
    if !owner.is_some_and(|owner| owners.contains(&owner)) {
        return Err(Rejection::Certificate(CertificateProblem::Identity));
    }
    leaf.rsa_key().ok_or_else(malformed)
}

fn accepted_owners(keys: &KeySet) -> Result<Vec<&str>, Rejection> {
    let mut owners = match keys.has("expected_cn_identity") {
        true => keys.texts("expected_cn_identity")?,
        false => vec![UNIONPAY_IDENTITY],
    };
    if keys.flag("allow_test_identity_00040000_SIGN")? {
        owners.push(TEST_IDENTITY);
    }
    Ok(owners)
}

/// The keys of the gateway, of QR acquiring, or of both.
fn readable(keys: &KeySet) -> Result<(), Rejection> {
    if keys.text_if_any("api_key")?.is_some() && !keys.has("root_cert_pem") && !keys.has("middle_cert_pem") {
        return Ok(());
    }
    Certificate::configured(keys, "root_cert_pem")?;
    Certificate::configured(keys, "middle_cert_pem")?;
    accepted_owners(keys).map(drop)
}

/// The gateway signs for all merchants with one certificate; QR acquiring with each merchant's own key.
fn require_expectation(keys: &KeySet) -> Result<(), Rejection> {
    if keys.has("root_cert_pem") { keys.text("expected_mer_id").map(|_| ()) } else { Ok(()) }
}

fn normalise(verified: &Verified) -> Result<Vec<crate::domain::PaymentEvent>, super::MappingError> {
    if qra::is_qra(verified.raw()) { qra::normalise(verified) } else { events::normalise(verified) }
}
