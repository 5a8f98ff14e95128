//! Encrypts and signs as Apple's servers would, with a root of its own.

use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, fmt::strtime, tz};
use rcgen::{CustomExtension, KeyPair};
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{MARKS, MERCHANT_CERTIFICATE, MERCHANT_KEY, ROOT, symmetric_key};
use crate::callback::cms::{self, der};
use crate::callback::signature::{EcdsaForm, sha256};
use crate::providers::apple::sandbox::chain;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, ecdsa_keys, rsa_keys};

const MADE_HERE: &str = "sandbox keys hold what the sandbox made";
/// What stands before the point in the SubjectPublicKeyInfo of a P-256 key.
const SPKI_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

pub(super) fn generate() -> SandboxKeys {
    let chain = chain(&MARKS);
    let merchant =
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("the system provides randomness");
    let merchant_id_hash = hex::encode(sha256(rsa_keys::random_text(20).as_bytes())).to_uppercase();
    let mut params = rsa_keys::params("Paybell sandbox merchant");
    params.custom_extensions = vec![CustomExtension::from_oid_content(
        &[1, 2, 840, 113_635, 100, 6, 32],
        der(0x0c, merchant_id_hash.as_bytes()),
    )];
    let certificate = params.self_signed(&merchant).expect("the parameters are well-formed");
    let base64 = |der: &[u8]| Value::from(STANDARD.encode(der));
    SandboxKeys {
        key_set: Map::from_iter([
            (ROOT.to_owned(), Value::from(certificate_pem(&chain.root))),
            (MERCHANT_CERTIFICATE.to_owned(), Value::from(certificate.pem())),
            (MERCHANT_KEY.to_owned(), Value::from(merchant.serialize_pem())),
        ]),
        private: Map::from_iter([
            ("pkcs8_base64".to_owned(), Value::from(chain.pkcs8_base64)),
            ("leaf".to_owned(), base64(&chain.leaf)),
            ("intermediate".to_owned(), base64(&chain.intermediate)),
            ("merchant_point".to_owned(), base64(merchant.public_key_raw())),
            ("merchant_id_hash".to_owned(), Value::from(merchant_id_hash)),
        ]),
    }
}

pub(super) fn certificate_pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The payload is what is encrypted.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    sign_sealed(keys, payload, &seal(keys, payload))
}

/// What only the merchant's key opens.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    /// In SubjectPublicKeyInfo DER.
    pub ephemeral_key: Vec<u8>,
    /// The ciphertext and its tag.
    pub data: Vec<u8>,
}

/// Encrypts the payload.
pub(super) fn seal(keys: &SandboxKeys, payload: &Payload) -> Sealed {
    let merchant_id_hash =
        keys.private.get("merchant_id_hash").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
    let merchant_point = stored(keys, "merchant_point");
    // An ephemeral key must not serve two plaintexts, so it depends on the plaintext.
    let seed = sha256(&[b"ephemeral", payload.event_id.as_bytes(), payload.content.as_bytes()].concat());
    let ephemeral = PrivateKey::from_private_key(&ECDH_P256, &seed).expect("all but a few numbers are keys");
    let point = ephemeral.compute_public_key().expect("a private key has a public one");
    let ephemeral_key = [SPKI_PREFIX, point.as_ref()].concat();
    let key = agree(&ephemeral, UnparsedPublicKey::new(&ECDH_P256, &merchant_point), (), |shared| {
        Ok(symmetric_key(shared, &merchant_id_hash.unwrap_or_default()))
    });
    let mut data = payload.content.as_bytes().to_vec();
    let tag = AesGcm::<Aes256, U16>::new_from_slice(&key.expect(MADE_HERE))
        .expect("the key has 32 bytes")
        .encrypt_in_place_detached(&[0; 16].into(), b"", &mut data)
        .expect("a token is short enough to be sealed");
    data.extend_from_slice(&tag);
    Sealed { ephemeral_key, data }
}

/// Signs whatever is said to be the sealed payload.
pub(super) fn sign_sealed(keys: &SandboxKeys, payload: &Payload, sealed: &Sealed) -> SignedRequest {
    let Sealed { ephemeral_key, data } = sealed;
    let transaction_id = sha256(payload.event_id.as_bytes());
    let content = [&ephemeral_key[..], data, &transaction_id].concat();
    let public_key_hash = sha256(&[SPKI_PREFIX, &stored(keys, "merchant_point")].concat());
    let (leaf, intermediate) = (stored(keys, "leaf"), stored(keys, "intermediate"));
    let signature = signed_data(keys, &content, payload, &leaf, &intermediate);
    let token = json!({
        "version": "EC_v1",
        "data": STANDARD.encode(data),
        "signature": STANDARD.encode(signature),
        "header": {
            "ephemeralPublicKey": STANDARD.encode(ephemeral_key),
            "publicKeyHash": STANDARD.encode(public_key_hash),
            "transactionId": hex::encode(transaction_id),
        },
    });
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: token.to_string().into_bytes(),
    }
}

fn stored(keys: &SandboxKeys, field: &str) -> Vec<u8> {
    let text = keys.private.get(field).and_then(Value::as_str);
    text.and_then(|text| STANDARD.decode(text).ok()).expect(MADE_HERE)
}

/// A CMS `SignedData` beside the `content`.
fn signed_data(
    keys: &SandboxKeys,
    content: &[u8],
    payload: &Payload,
    leaf: &[u8],
    intermediate: &[u8],
) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    const CONTEXT_0: u8 = 0xa0;
    let oid = |content: &[u8]| der(0x06, content);
    let sequence = |parts: &[Vec<u8>]| der(SEQUENCE, &parts.concat());
    let attribute = |name: &[u8], value: Vec<u8>| sequence(&[oid(name), der(SET, &value)]);
    let at = Timestamp::from_second(payload.sent_at.0)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(tz::TimeZone::UTC);
    let signing_time = strtime::format("%y%m%d%H%M%SZ", &at).unwrap_or_default();
    let attributes = [
        attribute(cms::CONTENT_TYPE, oid(cms::DATA)),
        attribute(cms::SIGNING_TIME, der(0x17, signing_time.as_bytes())),
        attribute(cms::MESSAGE_DIGEST, der(0x04, &sha256(content))),
    ]
    .concat();
    let signature =
        ecdsa_keys::sign_p256(&keys.private, "pkcs8_base64", &der(SET, &attributes), EcdsaForm::Der);
    let (_, parsed) = X509Certificate::from_der(leaf).expect(MADE_HERE);
    let sha256_algorithm = sequence(&[oid(cms::SHA256), der(0x05, &[])]);
    let signer = sequence(&[
        der(0x02, &[1]),
        sequence(&[parsed.issuer().as_raw().to_vec(), der(0x02, parsed.raw_serial())]),
        sha256_algorithm.clone(),
        der(CONTEXT_0, &attributes),
        sequence(&[oid(cms::ECDSA_WITH_SHA256)]),
        der(0x04, &signature),
    ]);
    let signed_data = sequence(&[
        der(0x02, &[1]),
        der(SET, &sha256_algorithm),
        sequence(&[oid(cms::DATA)]),
        der(CONTEXT_0, &[leaf, intermediate].concat()),
        der(SET, &signer),
    ]);
    sequence(&[oid(cms::SIGNED_DATA), der(CONTEXT_0, &signed_data)])
}
