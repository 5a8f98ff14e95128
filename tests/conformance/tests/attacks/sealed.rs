//! What is encrypted, by a sender whose outer signature is right: the seal itself must hold.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_conformance::{Case, Findings, NOW, cases, word};
use paybell_shared::sandbox::vector::Verdict;
use paybell_shared::sandbox::{SignedRequest, rsa_keys};
use serde_json::{Value, json};

/// WeChat Pay's resource is AES-256-GCM inside of what is signed: each change of it is signed anew here, so that only
/// the tag is left to find it.
#[test]
fn f12_a_changed_seal_opens_nothing() {
    let Some(case) = cases().iter().find(|case| case.name() == "wechatpay_v3") else { return };
    let genuine = case.request(case.main());
    let body: Value = serde_json::from_slice(&genuine.body).unwrap();
    assert_eq!(word(&case.judge(&signed_anew(case, &genuine, &body))), "genuine");
    let sealed = STANDARD.decode(body["resource"]["ciphertext"].as_str().unwrap()).unwrap();
    let mut findings = Findings::default();
    let mut expect_shut = |about: &str, field: &str, value: Value| {
        let mut changed = body.clone();
        changed["resource"][field] = value;
        let verdict = case.judge(&signed_anew(case, &genuine, &changed));
        if !matches!(verdict, Verdict::Rejected(_)) {
            findings.note(format!("{about}: {}", word(&verdict)));
        }
    };
    let flipped = |at: usize| {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        json!(STANDARD.encode(changed))
    };
    for at in [0, sealed.len() / 2, sealed.len() - 17, sealed.len() - 16, sealed.len() - 1] {
        expect_shut("a flipped bit", "ciphertext", flipped(at));
    }
    for length in [0, 1, 15, 16, 17, sealed.len() - 16, sealed.len() - 1] {
        expect_shut("cut short", "ciphertext", json!(STANDARD.encode(&sealed[..length])));
    }
    for nonce in ["", "0", "00000000000", "000000000000", "0000000000000", "0000000000000000"] {
        expect_shut("another nonce", "nonce", json!(nonce));
    }
    for data in ["", "transactio", "transaction ", "refund"] {
        expect_shut("other associated data", "associated_data", json!(data));
    }
    expect_shut("no associated data", "associated_data", Value::Null);
    for algorithm in ["", "AEAD_AES_128_GCM", "AES_256_ECB", "none"] {
        expect_shut("another algorithm", "algorithm", json!(algorithm));
    }
    findings.assert_none();
}

fn signed_anew(case: &Case, genuine: &SignedRequest, body: &Value) -> SignedRequest {
    let body = body.to_string();
    let mut request = SignedRequest { body: body.clone().into_bytes(), ..genuine.clone() };
    let nonce = request.headers.iter().find(|(name, _)| name == "Wechatpay-Nonce").unwrap().1.clone();
    let message = format!("{}\n{nonce}\n{body}\n", NOW.0);
    let signature = rsa_keys::sign_sha256(&case.keys.private, "pkcs8_base64", message.as_bytes());
    request.headers.iter_mut().find(|(name, _)| name == "Wechatpay-Signature").unwrap().1 = signature;
    request
}
