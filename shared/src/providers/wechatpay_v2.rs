//! WeChat Pay API v2 (XML). Mapping: `fixtures/wechatpay_v2/MAPPING.md`.

mod events;
mod refund;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(all(test, feature = "sandbox"))]
mod tests;

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use super::read::require_one_reading;
use super::{Covers, CredentialField, Inquiry, Normalise, Provider, Rail, Verify};
use crate::callback::signature::{HmacHash, hmac_tag, require_hmac, require_identity, require_md5_with_key};
use crate::callback::xml::Xml;
use crate::callback::{Answer, Answers, KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};

/// WeChat Pay, API v2.
pub static PROVIDER: Provider = Provider {
    name: "wechatpay_v2",
    title: "WeChat Pay 微信支付 (API v2, XML)",
    home_currency: "CNY",
    rail: Rail::Wallet,
    scheme: "MD5 or HMAC-SHA256 over the sorted elements; refund notices are only encrypted, and asked for",
    events: events::KINDS,
    documents: &[
        "https://pay.weixin.qq.com/wiki/doc/api/jsapi.php?chapter=4_3",
        "https://pay.weixin.qq.com/wiki/doc/api/jsapi.php?chapter=9_7",
        "https://pay.weixin.qq.com/wiki/doc/api/jsapi.php?chapter=9_16",
        "https://pay.weixin.qq.com/doc/v2/merchant/4011987465",
        "https://pay.weixin.qq.com/wiki/doc/api/wxpay_v2/papay/chapter3_6.shtml",
    ],
    answers: Answers {
        success: Answer {
            status: 200,
            content_type: "text/xml",
            body: "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>",
        },
        failure_content_type: "text/xml",
        failure_body: "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[FAIL]]></return_msg></xml>",
    },
    retry_schedule: "15 repetitions within 24 h 4 min: after 15 s, 15 s, 30 s, 3 min, 10 min, 20 min, 30 min ×3, 1 h, 3 h ×3, 6 h ×2; \
        entrusted deductions and agreements have their own",
    // White space between the elements is not signed.
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| SignType::configured(keys).and(keys.text("api_key")).map(drop),
    // The key is the merchant's own.
    addressee: |_| Ok(()),
    normalise: Normalise::Coded(events::normalise),
    inquiry: Some(Inquiry::Coded {
        asks: |_| false,
        requests: refund::requests,
        require_answer: refund::require_answer,
        normalise: refund::normalise_answer,
    }),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "api_key",
        required: true,
        about: "the API key (v2), 32 characters, of the merchant platform's API security page",
    },
    CredentialField {
        name: "sign_type",
        required: false,
        about: "MD5 (when absent) or HMAC-SHA256, as the orders were placed",
    },
    CredentialField { name: "expected_mch_id", required: false, about: "the merchant number, mch_id" },
    CredentialField { name: "expected_appid", required: false, about: "the appid" },
    CredentialField {
        name: "expected_sub_mch_id",
        required: false,
        about: "for a service provider's account that serves one sub-merchant: its number, sub_mch_id",
    },
];

type Elements<'a> = BTreeMap<&'a str, &'a str>;

/// Payments and agreements are signed. A refund notice has no signature: its `req_info` is encrypted with the API key
/// in blocks that could be cut out of other notices, so it is only a hint.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let document = Xml::parse(raw.body())?;
    if document.name() != "xml" {
        return Err(Rejection::malformed("body"));
    }
    let elements = document.flat()?;
    let text = |name: &str| elements.get(name).copied().filter(|text| !text.is_empty());
    let verified = match (text("sign"), text("req_info")) {
        (Some(sign), _) => {
            let proof = require_sign(&elements, sign, keys)?;
            Verified::from_checked(raw, proof, now)
        }
        (None, Some(sealed)) => Verified::hint(raw, now).with_resource(refund::open(sealed, keys)?),
        (None, None) => return Err(Rejection::MissingSignature),
    };
    require_identity(keys, "expected_mch_id", "mch_id", text("mch_id"))?;
    require_identity(keys, "expected_sub_mch_id", "sub_mch_id", text("sub_mch_id"))?;
    // Notices about agreements name no application.
    if text("appid").is_some() || text("change_type").is_none() {
        require_identity(keys, "expected_appid", "appid", text("appid"))?;
    }
    Ok(verified)
}

/// How an account's messages are signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SignType {
    Md5,
    HmacSha256,
}

impl SignType {
    fn configured(keys: &KeySet) -> Result<Self, Rejection> {
        match keys.text_if_any("sign_type")? {
            None | Some("MD5") => Ok(Self::Md5),
            Some("HMAC-SHA256") => Ok(Self::HmacSha256),
            Some(_) => Err(Rejection::unconfigured("sign_type")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// The signature of a message to WeChat Pay, or of the sandbox's from there.
    fn sign(self, elements: &Elements<'_>, api_key: &str) -> String {
        let signed = signed_text(elements);
        let tag = match self {
            Self::Md5 => Md5::new().chain_update(&signed).chain_update(api_key).finalize().to_vec(),
            Self::HmacSha256 => {
                hmac_tag(HmacHash::Sha256, api_key.as_bytes(), &[signed.as_bytes(), api_key.as_bytes()])
            }
        };
        hex::encode_upper(tag)
    }
}

/// # Source
/// WeChat Pay API v2, "签名算法": the elements without `sign` and without empty ones, sorted and joined, then `&key=`
/// and the API key; MD5 or HMAC-SHA256 (keyed by it once more), in upper-case hexadecimal.
fn require_sign(elements: &Elements<'_>, sign: &str, keys: &KeySet) -> Result<Proof, Rejection> {
    let api_key = keys.text("api_key")?.as_bytes();
    let sign_type = SignType::configured(keys)?;
    // The message may only agree with the configuration.
    if elements.get("sign_type").is_some_and(|told| !told.is_empty() && *told != sign_type.name()) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    if sign.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Rejection::malformed("signature"));
    }
    let sign = hex::decode(sign).map_err(|_| Rejection::malformed("signature"))?;
    let pairs = elements.iter().filter(|(name, _)| **name != "sign");
    require_one_reading(pairs.map(|(name, text)| (*name, text.as_bytes())))?;
    let signed = signed_text(elements);
    match sign_type {
        SignType::Md5 => require_md5_with_key(signed.as_bytes(), api_key, &sign),
        SignType::HmacSha256 => {
            require_hmac(HmacHash::Sha256, api_key, &[signed.as_bytes(), api_key], &[sign])
        }
    }
}

/// The signed text up to where the key is appended; the elements are sorted by name already.
fn signed_text(elements: &Elements<'_>) -> String {
    let signed = elements.iter().filter(|(name, text)| **name != "sign" && !text.is_empty());
    let mut joined = String::new();
    for (name, text) in signed {
        joined.push_str(name);
        joined.push('=');
        joined.push_str(text);
        joined.push('&');
    }
    joined.push_str("key=");
    joined
}
