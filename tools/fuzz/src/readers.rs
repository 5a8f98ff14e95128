//! Readers of signatures, keys, certificates and amounts.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use paybell_shared::callback::certificate::{Certificate, Sha1Signatures, require_chain};
use paybell_shared::callback::cms::DetachedSignature;
use paybell_shared::callback::jws::{CompactJws, JwsAlgorithm};
use paybell_shared::callback::signature::{
    EcdsaForm, EcdsaP256Key, EcdsaP384Key, RsaHash, RsaKey, ed25519_key, require_ed25519,
};
use paybell_shared::domain::{Currency, Money};
use paybell_shared::providers::described::Description;

use crate::cases::NOW;
use crate::harvest;

/// The example of RFC 7515, appendix A.3, by whose key nothing else is signed.
const EXAMPLE_JWS: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn example_key() -> &'static EcdsaP256Key {
    static KEY: LazyLock<EcdsaP256Key> = LazyLock::new(|| {
        let coordinates =
            ["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"];
        let point = coordinates.iter().fold(vec![4], |point, text| {
            [point, URL_SAFE_NO_PAD.decode(text).expect("the example is in base64url")].concat()
        });
        EcdsaP256Key::from_point(&point).expect("the example's key is a point")
    });
    &KEY
}

/// Of all JSON Web Signatures the example's key has signed one.
pub fn jws(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for algorithm in [JwsAlgorithm::Es256, JwsAlgorithm::Es512, JwsAlgorithm::Rs256] {
        let Ok(jws) = CompactJws::parse(text, algorithm, "token") else { continue };
        assert_eq!(jws.header().text("/alg"), Some(algorithm.name()), "another algorithm is read");
        assert!(jws.header().at("/crit").is_none());
        if jws.require_es256(example_key()).is_ok() {
            assert_eq!(text, EXAMPLE_JWS, "a forged JWS is accepted");
        }
    }
    let (header, payload) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(jws) = CompactJws::parse_detached(header, payload.as_bytes(), JwsAlgorithm::Es256, "token") {
        assert_eq!(jws.payload(), payload.as_bytes());
    }
}

/// The example, tokens of fixtures, and headers that confuse algorithms.
pub fn jws_seeds() -> Vec<Vec<u8>> {
    let mut seeds = harvest::texts_where(|text| text.starts_with(b"eyJ"));
    seeds.push(EXAMPLE_JWS.into());
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"},"x5c":["MA=="]}"#,
    ] {
        seeds.push(format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header)).into());
        seeds.push(format!("{}..AA\n{{}}", URL_SAFE_NO_PAD.encode(header)).into());
    }
    seeds
}

/// The roots that fixtures pin, by whose keys a mutated certificate is not signed.
fn anchors() -> &'static [Certificate] {
    static ANCHORS: LazyLock<Vec<Certificate>> = LazyLock::new(|| {
        let pem = harvest::texts_where(|text| text.starts_with(b"-----BEGIN CERTIFICATE"));
        let mut anchors: Vec<Certificate> =
            pem.iter().flat_map(|text| Certificate::readable_in_pem(text)).collect();
        anchors.truncate(8);
        anchors
    });
    &ANCHORS
}

/// What of fixtures' certificates is signed: the authorities that fixtures pin have signed nothing else.
fn signed_parts() -> &'static BTreeSet<Vec<u8>> {
    static KNOWN: LazyLock<BTreeSet<Vec<u8>>> = LazyLock::new(|| {
        let der = harvest::texts().iter().filter_map(|text| Certificate::from_der(text).ok());
        let pem = harvest::texts().iter().flat_map(|text| Certificate::readable_in_pem(text));
        der.chain(pem).filter_map(|known| signed_part(known.der()).map(<[u8]>::to_vec)).collect()
    });
    &KNOWN
}

/// The first member of a certificate, which is what its issuer signs: what follows may be written in several ways.
fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let inner = der.get(header_bytes(der)?..)?;
    let end = header_bytes(inner)? + content_bytes(inner)?;
    inner.get(..end)
}

/// How long the tag and the length of an element are.
fn header_bytes(der: &[u8]) -> Option<usize> {
    let length = *der.get(1)?;
    Some(if length < 0x80 { 2 } else { 2 + usize::from(length & 0x7f) })
}

/// How long the content of an element is.
fn content_bytes(der: &[u8]) -> Option<usize> {
    let bytes = match *der.get(1)? {
        short @ ..0x80 => return Some(usize::from(short)),
        _ => der.get(2..header_bytes(der)?)?,
    };
    bytes.iter().try_fold(0_usize, |length, byte| Some(length.checked_mul(256)? + usize::from(*byte)))
}

/// What is read of a certificate is the same whenever it is read, all readers of PEM read the same, and nothing leads to
/// a pinned authority but what that one has signed.
pub fn certificate(input: &[u8]) {
    let mut certificates = Certificate::readable_in_pem(input);
    if let Ok(all) = Certificate::all_in_pem(input) {
        assert!(certificates == all, "two readers of PEM read different certificates");
    }
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(Certificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
        certificates.push(certificate);
    }
    certificates.truncate(4);
    for certificate in &certificates {
        let _ = (certificate.is_canonical(), certificate.rsa_key(), certificate.ecdsa_p256_key());
        let _ = (certificate.common_name(), certificate.issuer_text().len(), certificate.serial_decimal());
        for sha1 in [Sha1Signatures::Accepted, Sha1Signatures::Refused] {
            let is_trusted = require_chain(certificate, &certificates, anchors(), NOW, sha1).is_ok();
            let is_known =
                || signed_part(certificate.der()).is_some_and(|part| signed_parts().contains(part));
            assert!(!is_trusted || is_known(), "a forged chain is trusted");
        }
    }
}

/// Certificates of fixtures, in DER and PEM.
pub fn certificate_seeds() -> Vec<Vec<u8>> {
    let mut seeds = harvest::texts_where(|text| text.starts_with(b"-----BEGIN CERTIFICATE"));
    seeds.extend(harvest::texts_where(|text| Certificate::from_der(text).is_ok()));
    seeds.push(STANDARD.decode("MIIBADCBqA==").unwrap_or_default());
    seeds
}

/// A signature that is read has its signer's certificate, and is not of a content that nobody signed.
pub fn cms(input: &[u8]) {
    let Ok(signature) = DetachedSignature::from_ber(input) else { return };
    let others = signature.others().count();
    assert!(others < 5, "more certificates are read than may be");
    assert!(signature.require_content(b"nobody has signed this").is_err(), "a forged CMS is accepted");
    let _ = (signature.signing_time(), signature.signer().is_canonical());
}

/// Signatures of fixtures.
pub fn cms_seeds() -> Vec<Vec<u8>> {
    let mut seeds = harvest::texts_where(|text| DetachedSignature::from_ber(text).is_ok());
    seeds
        .push(vec![0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x80]);
    seeds
}

/// No key accepts a signature that is not there, in any form.
pub fn public_key(input: &[u8]) {
    const MESSAGE: &[u8] = b"nobody has signed this";
    let text = String::from_utf8_lossy(input);
    let (key, signature) = text.split_once("\n\n").unwrap_or((&text, ""));
    let signature = STANDARD.decode(signature.trim()).unwrap_or_default();
    if let Ok(key) = RsaKey::from_public_key_text(key, "key") {
        // With a public exponent of one everybody can sign, so such keys must not be read as usable.
        for hash in [RsaHash::Sha1, RsaHash::Sha256] {
            assert!(key.require_signature(hash, MESSAGE, &signature).is_err(), "a forged RSA signature");
        }
        assert!(key.require_md5_signature(MESSAGE, &signature).is_err(), "a forged MD5 signature");
        assert!(key.require_pss_sha512(MESSAGE, &signature).is_err(), "a forged PSS signature");
    }
    if let Ok(key) = EcdsaP256Key::from_public_key_text(key, "key") {
        for form in [EcdsaForm::Der, EcdsaForm::Raw] {
            assert!(key.require_signature(form, MESSAGE, &signature).is_err(), "a forged ECDSA signature");
        }
    }
    if let Ok(key) = EcdsaP384Key::from_public_key_text(key, "key") {
        assert!(key.require_signature(MESSAGE, &signature).is_err(), "a forged ECDSA signature");
    }
    if let Ok(key) = ed25519_key(key, "key") {
        assert!(require_ed25519(&key, MESSAGE, &[signature]).is_err(), "a forged Ed25519 signature");
    }
}

/// Public keys of fixtures, each with signatures of zeros, of ones, and of nothing.
pub fn public_key_seeds() -> Vec<Vec<u8>> {
    let pem = harvest::texts_where(|text| text.starts_with(b"-----BEGIN PUBLIC KEY"));
    let der = harvest::texts_where(|text| RsaKey::from_spki_der(text).is_some());
    let keys = pem.into_iter().chain(der.into_iter().map(|der| STANDARD.encode(der).into_bytes()));
    let mut seeds = Vec::new();
    for (index, key) in keys.enumerate() {
        let signature = match index % 3 {
            0 => vec![0; 64],
            1 => vec![0x30, 6, 2, 1, 1, 2, 1, 1],
            _ => vec![1; 256],
        };
        seeds.push([&key[..], b"\n\n", STANDARD.encode(signature).as_bytes()].concat());
    }
    seeds
}

/// An amount that is read is what is written: no sign, no exponent, no rounding.
pub fn money(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (code, amount) = text.split_once(' ').unwrap_or(("EUR", text));
    let exponent = code.bytes().next_back().map_or(2, |byte| byte % 20);
    for currency in [Currency::new(code), Currency::with_exponent(code, exponent)].into_iter().flatten() {
        if let Ok(money) = Money::parse_minor(amount, currency.clone()) {
            let digits = amount.trim_start_matches('0');
            assert_eq!(money.amount_minor().to_string(), if digits.is_empty() { "0" } else { digits });
        }
        if let Ok(money) = Money::parse_major(amount, currency.clone()) {
            let again = Money::parse_major(&money.to_major_text(), currency.clone());
            assert_eq!(again.as_ref(), Ok(&money), "an amount changes when it is written anew");
            assert_eq!(plain(&money.to_major_text()), plain(amount), "an amount is rounded");
        }
    }
}

/// A decimal without what says nothing: zeros in front, and behind the point.
fn plain(decimal: &str) -> String {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{}.{}", whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
}

/// Amounts that were misread somewhere.
pub fn money_seeds() -> Vec<Vec<u8>> {
    [
        "EUR 19.99",
        "JPY 1999",
        "KWD 1.999",
        "ETH 0.000000000000000001",
        "USD 1e999999",
        "USD -1",
        "USD +1",
        "USD .5",
        "USD 5.",
        "USD 1,00",
        "USD 0x10",
        "USD 1_000",
        "USD 19.990000",
        "USD ١٩",
        "BTC 00001.00000000",
        "USD 999999999999999999999999999999999999.99",
        "USD NaN",
        "usd 1",
        "Q 1",
        "TOKENTOKENTO 7.1",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// A description is read or refused with the place of what is wrong.
pub fn description(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(error) = Description::from_text("fuzz", text) {
        assert!(!error.to_string().is_empty());
    }
}

/// The descriptions of the checkout.
pub fn description_seeds() -> Vec<Vec<u8>> {
    let folder = harvest::fixtures().join("../src/providers");
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = files.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}
