//! Tokens that choose their own algorithm or key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paybell_conformance::{Case, Findings, cases, word};
use paybell_shared::callback::signature::{HmacHash, hmac_tag};
use paybell_shared::sandbox::SignedRequest;
use serde_json::{Value, json};

use super::is_accepted;

/// Algorithms that are none, that are another kind of key, or that merely look like the right one.
const ALGORITHMS: &[&str] = &[
    "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "PS256", "ES256",
    "ES384", "ES512", "ES256K", "EdDSA", "es256", "RSA-OAEP", "dir",
];

/// The token of a request, and the request with another one in its place.
fn token(request: &SignedRequest) -> Option<(String, impl Fn(&str) -> SignedRequest + use<>)> {
    let is_token_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let find = |bytes: &[u8]| {
        let start = bytes.windows(3).position(|window| window == b"eyJ")?;
        let end = bytes[start..].iter().position(|byte| !is_token_byte(byte));
        let end = end.map_or(bytes.len(), |end| start + end);
        let is_token = bytes[start..end].iter().filter(|byte| **byte == b'.').count() == 2;
        is_token.then_some(start..end)
    };
    let header = request
        .headers
        .iter()
        .enumerate()
        .find_map(|(index, (_, value))| find(value.as_bytes()).map(|range| (Some(index), range)));
    let (header, range) = header.or_else(|| find(&request.body).map(|range| (None, range)))?;
    let whole = header.map_or(request.body.clone(), |index| request.headers[index].1.clone().into_bytes());
    let text = String::from_utf8(whole[range.clone()].to_vec()).ok()?;
    let request = request.clone();
    let replaced = move |token: &str| {
        let changed = [&whole[..range.start], token.as_bytes(), &whole[range.end..]].concat();
        let mut request = request.clone();
        match header {
            Some(index) => request.headers[index].1 = String::from_utf8(changed).unwrap(),
            None => request.body = changed,
        }
        request
    };
    Some((text, replaced))
}

/// Everything in the keys that somebody could take for the key of an HMAC.
fn public_texts(case: &Case) -> Vec<String> {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(members) => members.iter().for_each(|member| collect(member, texts)),
            Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
            _ => {}
        }
    }
    let mut texts = vec![String::new()];
    case.keys.key_set.values().for_each(|value| collect(value, &mut texts));
    texts
}

#[test]
fn f10_a_token_chooses_neither_its_algorithm_nor_its_key() {
    let mut findings = Findings::default();
    let mut names = Vec::new();
    let mut tried = 0;
    for case in cases() {
        let Some((token, replaced)) = token(&case.request(case.main())) else { continue };
        names.push(case.name());
        for changed in confused(case, &token) {
            tried += 1;
            let verdict = case.judge(&replaced(&changed));
            if changed != token && is_accepted(&verdict) {
                findings.note(format!("{}: {}: {changed:.60}", case.name(), word(&verdict)));
            }
        }
    }
    println!("{tried} tokens were tried for {names:?}");
    assert!(!paybell_conformance::has_all_cases() || names.len() >= 3, "{names:?}");
    findings.assert_none();
}

fn confused(case: &Case, token: &str) -> Vec<String> {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let encoded = |header: &Value| URL_SAFE_NO_PAD.encode(header.to_string());
    let with = |name: &str, value: Value| {
        let mut header = decoded.clone();
        header[name] = value;
        encoded(&header)
    };
    let mut all = Vec::new();
    // Numbers of zero, as CVE-2022-21449 accepted them, raw and in DER; and no signature at all.
    let zeros = [vec![0; 64], vec![0; 132], vec![0; 256], vec![0x30, 6, 2, 1, 0, 2, 1, 0], Vec::new()];
    for zero in &zeros {
        all.push(format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(zero)));
    }
    for algorithm in ALGORITHMS {
        let header = with("alg", json!(algorithm));
        all.push(format!("{header}.{payload}.{signature}"));
        all.extend(zeros.iter().map(|zero| format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(zero))));
    }
    // What is public serves as the key of an HMAC, as in CVE-2016-10555.
    for key in public_texts(case).iter().filter(|key| !key.is_empty()) {
        let input = format!("{}.{payload}", with("alg", json!("HS256")));
        let tag = hmac_tag(HmacHash::Sha256, key.as_bytes(), &[input.as_bytes()]);
        all.push(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)));
    }
    // A key that the token brings along, as in CVE-2018-0114.
    let (own_header, signed) = signed_by_own_key(&decoded, payload);
    all.push(format!("{own_header}.{payload}.{signed}"));
    for (name, value) in [
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5c", json!([])),
        ("kid", json!("../../../../dev/null")),
        ("zip", json!("DEF")),
    ] {
        all.push(format!("{}.{payload}.{signature}", with(name, value)));
    }
    all.push(format!("{header}.{payload}"));
    all.push(format!("{header}.{payload}.{signature}."));
    all.push(format!("{header}.{payload}.{signature}.{signature}"));
    all
}

/// A header with a key of one's own in it, and the signature by that key.
fn signed_by_own_key(header: &Value, payload: &str) -> (String, String) {
    use p256::ecdsa::{Signature, SigningKey, signature::Signer};
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<_>| URL_SAFE_NO_PAD.encode(bytes.unwrap());
    let mut header = header.clone();
    header["alg"] = json!("ES256");
    header["jwk"] = json!({
        "kty": "EC", "crv": "P-256", "x": coordinate(point.x()), "y": coordinate(point.y()),
    });
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let signature: Signature = key.sign(format!("{header}.{payload}").as_bytes());
    (header, URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}
