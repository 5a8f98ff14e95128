//! RSA keys that the sandbox makes and signs with.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyUsagePurpose, date_time_ymd,
};
use serde_json::{Map, Value};

/// A fresh 2048-bit key: PKCS#8 of the private half and SubjectPublicKeyInfo of the public one, both DER in base64.
pub struct GeneratedKey {
    /// The private half.
    pub pkcs8_base64: String,
    /// The public half.
    pub spki_base64: String,
}

/// Makes a fresh 2048-bit key.
pub fn generate() -> GeneratedKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("the system provides randomness");
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("a generated key encodes");
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("a generated key encodes");
    GeneratedKey {
        pkcs8_base64: STANDARD.encode(private.as_ref()),
        spki_base64: STANDARD.encode(public.as_ref()),
    }
}

/// The PKCS#1 v1.5 SHA-256 signature of `message`, in base64, by the PKCS#8 key stored under `field`.
pub fn sign_sha256(private: &Map<String, Value>, field: &str, message: &[u8]) -> String {
    let pair = RsaKeyPair::from_pkcs8(&pkcs8(private, field)).expect(MADE_HERE);
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .expect("the buffer has the modulus' length");
    STANDARD.encode(signature)
}

/// The same with SHA-1, for old protocols.
pub fn sign_sha1(private: &Map<String, Value>, field: &str, message: &[u8]) -> String {
    use rsa::pkcs8::DecodePrivateKey as _;
    use sha1::{Digest as _, Sha1};
    let key = rsa::RsaPrivateKey::from_pkcs8_der(&pkcs8(private, field)).expect(MADE_HERE);
    let signature = key.sign(rsa::Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(message)).expect(MADE_HERE);
    STANDARD.encode(signature)
}

fn pkcs8(private: &Map<String, Value>, field: &str) -> Vec<u8> {
    let text = private.get(field).and_then(Value::as_str);
    text.and_then(|text| STANDARD.decode(text).ok()).expect(MADE_HERE)
}

const MADE_HERE: &str = "sandbox keys hold what the sandbox made";

/// `length` random ASCII letters and digits.
pub fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut bytes = vec![0; length];
    fill(&mut bytes).expect("the system provides randomness");
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// A certificate authority of the sandbox.
pub struct Authority {
    /// Its certificate.
    pub certificate: Certificate,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

/// A self-signed authority.
pub fn root(common_name: &str) -> Authority {
    let key = certificate_key();
    let params = authority_params(common_name);
    let certificate = params.self_signed(&key).expect("the parameters are well-formed");
    Authority { certificate, issuer: Issuer::new(params, key) }
}

impl Authority {
    /// An authority below this one.
    pub fn intermediate(&self, common_name: &str) -> Authority {
        let key = certificate_key();
        let params = authority_params(common_name);
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are well-formed");
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A leaf of this authority and its private key as PKCS#8 in base64.
    pub fn leaf(&self, common_name: &str) -> (Certificate, String) {
        let key = certificate_key();
        let mut params = params(common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are well-formed");
        (certificate, STANDARD.encode(key.serialize_der()))
    }
}

fn certificate_key() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("the system provides randomness")
}

/// The parameters of a certificate that is valid until 2049.
pub fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Paybell sandbox");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2015, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

/// The same of an authority.
pub fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
