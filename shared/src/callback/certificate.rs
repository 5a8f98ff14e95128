//! Certificates and a small chain check to pinned anchors, for providers whose certificates a web verifier refuses
//! (SHA-1 signatures, no server purpose, private authorities).

use aws_lc_rs::signature as verification;
use x509_parser::der_parser::asn1_rs::{Oid, Tag};
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::cms::der;
use super::rejection::{CertificateProblem, Rejection};
use super::signature::{EcdsaP256Key, RsaKey, sha256};
use super::{KeySet, UnixSeconds};

/// Longest chain from a leaf to its anchor, both counted.
pub const CHAIN_LENGTH_MAX: usize = 5;
/// Most certificates that are read from one PEM text.
pub const BUNDLE_LENGTH_MAX: usize = 64;
/// Most bytes of one certificate. Those of providers have a tenth of it; some that strangers may send are read before
/// anything is proved.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Most extensions of one certificate: each is compared with all others.
pub const EXTENSIONS_MAX: usize = 64;
/// Most bytes of a serial number, which is turned into decimal digits.
///
/// # Source
/// RFC 5280, section 4.1.2.2: at most 20; some authorities have used more.
pub const SERIAL_BYTES_MAX: usize = 64;

/// The facts of one certificate that the checks need. Reading it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    signed_part: Vec<u8>,
    signature: Vec<u8>,
    signature_algorithm: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    issuer_text: String,
    serial: Vec<u8>,
    serial_decimal: String,
    common_names: Vec<String>,
    spki_der: Vec<u8>,
    public_key_bits: Vec<u8>,
    not_before: i64,
    not_after: i64,
    /// `None` without basic constraints.
    is_authority: Option<bool>,
    path_length: Option<u32>,
    /// `None` without key usage.
    may_sign_certificates: Option<bool>,
    extensions: Vec<(String, Vec<u8>)>,
    critical_unknown: bool,
}

impl Certificate {
    /// Reads a certificate in DER; nothing may follow it.
    ///
    /// # Errors
    /// [`CertificateProblem::Malformed`], also beyond [`CERTIFICATE_BYTES_MAX`], [`EXTENSIONS_MAX`] and
    /// [`SERIAL_BYTES_MAX`].
    pub fn from_der(der: &[u8]) -> Result<Self, Rejection> {
        let malformed = || Rejection::Certificate(CertificateProblem::Malformed);
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(malformed());
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| malformed())?;
        let one_algorithm = parsed.signature_algorithm == parsed.tbs_certificate.signature;
        if !rest.is_empty() || !one_algorithm {
            return Err(malformed());
        }
        read(der, &parsed).ok_or_else(malformed)
    }

    /// Reads the certificates of a PEM text in their order, leaving out members that cannot be read:
    /// bundles of roots hold national algorithms and old encodings that nobody needs here.
    pub fn readable_in_pem(text: &[u8]) -> Vec<Self> {
        Pem::iter_from_buffer(text)
            .take(BUNDLE_LENGTH_MAX)
            .filter_map(Result::ok)
            .filter(|block| block.label == "CERTIFICATE")
            .filter_map(|block| Self::from_der(&block.contents).ok())
            .collect()
    }

    /// Reads a PEM text that holds certificates only, at least one, each readable.
    ///
    /// # Errors
    /// [`CertificateProblem::Malformed`].
    pub fn all_in_pem(text: &[u8]) -> Result<Vec<Self>, Rejection> {
        let malformed = || Rejection::Certificate(CertificateProblem::Malformed);
        let mut certificates = Vec::new();
        for block in Pem::iter_from_buffer(text).take(BUNDLE_LENGTH_MAX) {
            let block = block.map_err(|_| malformed())?;
            if block.label != "CERTIFICATE" {
                return Err(malformed());
            }
            certificates.push(Self::from_der(&block.contents)?);
        }
        if certificates.is_empty() { Err(malformed()) } else { Ok(certificates) }
    }

    /// Reads the certificates that an account's key set holds under `field`.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when it is absent or one of them cannot be read.
    pub fn configured(keys: &KeySet, field: &str) -> Result<Vec<Self>, Rejection> {
        Self::all_in_pem(keys.text(field)?.as_bytes()).map_err(|_| Rejection::unconfigured(field))
    }

    /// Accepts a key set whose certificates by id, if it holds any under `field`, can be read.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`].
    pub fn require_readable_by_id(keys: &KeySet, field: &str) -> Result<(), Rejection> {
        keys.keys_by_id(field)?.into_iter().try_for_each(|(_, pem)| {
            let certificates = Self::all_in_pem(pem.as_bytes());
            certificates.map(drop).map_err(|_| Rejection::unconfigured(field))
        })
    }

    /// The DER that it was read from.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether what lies outside of its signature, too, is written the one way that DER allows.
    pub fn is_canonical(&self) -> bool {
        let signature = der(0x03, &[&[0], self.signature.as_slice()].concat());
        let signed = self.signed_part.as_slice();
        let start = (2..6).find(|start| self.der.get(*start..).is_some_and(|rest| rest.starts_with(signed)));
        let end = self.der.len().saturating_sub(signature.len());
        let algorithm = start.and_then(|start| self.der.get(start + signed.len()..end));
        algorithm.filter(|algorithm| !algorithm.is_empty()).is_some_and(|algorithm| {
            let is_signed_too = signed.windows(algorithm.len()).any(|window| window == algorithm);
            is_signed_too && self.der == der(0x30, &[signed, algorithm, &signature].concat())
        })
    }

    /// Its public key, when that is RSA.
    pub fn rsa_key(&self) -> Option<RsaKey> {
        RsaKey::from_spki_der(&self.spki_der)
    }

    /// Its public key, when that is on the curve P-256.
    pub fn ecdsa_p256_key(&self) -> Option<EcdsaP256Key> {
        EcdsaP256Key::from_spki_der(&self.spki_der)
    }

    /// The subject's common name, when there is exactly one.
    pub fn common_name(&self) -> Option<&str> {
        match self.common_names.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The issuer's attributes, most specific first: `CN=…,OU=…,O=…,C=…`.
    pub fn issuer_text(&self) -> &str {
        &self.issuer_text
    }

    /// The serial number in decimal.
    pub fn serial_decimal(&self) -> &str {
        &self.serial_decimal
    }

    /// Whether it is the one that this issuer, a name in DER, has given this serial number.
    pub fn is_issued_as(&self, issuer_der: &[u8], serial: &[u8]) -> bool {
        self.issuer_der == issuer_der && self.serial == serial
    }

    /// The identifier of the algorithm that signed it, such as `1.2.840.113549.1.1.11`.
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// The DER value of the extension with this identifier, such as `1.2.840.113635.100.6.29`.
    pub fn extension(&self, oid: &str) -> Option<&[u8]> {
        self.extensions.iter().find(|(have, _)| have == oid).map(|(_, value)| value.as_slice())
    }

    /// The SHA-256 of its public key in SubjectPublicKeyInfo DER.
    pub fn public_key_sha256(&self) -> Vec<u8> {
        sha256(&self.spki_der)
    }

    /// Accepts when `now` is within its validity, the bounds included.
    ///
    /// # Errors
    /// [`CertificateProblem::Expired`].
    pub fn require_valid_at(&self, now: UnixSeconds) -> Result<(), Rejection> {
        if (self.not_before..=self.not_after).contains(&now.0) {
            Ok(())
        } else {
            Err(Rejection::Certificate(CertificateProblem::Expired))
        }
    }

    fn may_issue(&self, as_anchor: bool, authorities_below: usize) -> bool {
        let is_authority = self.is_authority.unwrap_or(as_anchor);
        let path_fits = self.path_length.is_none_or(|limit| authorities_below as u64 <= u64::from(limit));
        is_authority && path_fits && self.may_sign_certificates.unwrap_or(true) && !self.critical_unknown
    }

    fn has_signed(&self, other: &Self, sha1: Sha1Signatures) -> bool {
        use verification as v;
        let algorithm: &dyn v::VerificationAlgorithm = match other.signature_algorithm.as_str() {
            SHA1_WITH_RSA if sha1 == Sha1Signatures::Accepted => {
                &v::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY
            }
            SHA256_WITH_RSA => &v::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            SHA384_WITH_RSA => &v::RSA_PKCS1_2048_8192_SHA384,
            SHA512_WITH_RSA => &v::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            ECDSA_WITH_SHA256 if self.public_key_bits.len() == P384_POINT_BYTES => &v::ECDSA_P384_SHA256_ASN1,
            ECDSA_WITH_SHA256 => &v::ECDSA_P256_SHA256_ASN1,
            ECDSA_WITH_SHA384 if self.public_key_bits.len() == P384_POINT_BYTES => &v::ECDSA_P384_SHA384_ASN1,
            ECDSA_WITH_SHA384 => &v::ECDSA_P256_SHA384_ASN1,
            _ => return false,
        };
        v::UnparsedPublicKey::new(algorithm, &self.public_key_bits)
            .verify(&other.signed_part, &other.signature)
            .is_ok()
    }
}

/// Whether certificates signed with SHA-1 may be part of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sha1Signatures {
    /// They may not.
    Refused,
    /// They may: the provider's private authority still signs so, and its anchors are pinned.
    Accepted,
}

/// Accepts when `leaf` chains over some of `intermediates` to one of the pinned `anchors`,
/// every certificate on the way being valid at `now` and allowed to issue the one below it.
///
/// # Errors
/// [`CertificateProblem::Expired`] when the leaf, or else every way to an anchor, is not valid at `now`;
/// [`CertificateProblem::Untrusted`] when there is no way.
///
/// # Source
/// RFC 5280, section 6, without names, policies and revocation.
pub fn require_chain(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Certificate],
    now: UnixSeconds,
    sha1: Sha1Signatures,
) -> Result<(), Rejection> {
    leaf.require_valid_at(now)?;
    if leaf.critical_unknown {
        return Err(Rejection::Certificate(CertificateProblem::Untrusted));
    }
    Path { intermediates, anchors, now, sha1 }.climb(leaf, 0).map_err(Rejection::Certificate)
}

struct Path<'a> {
    intermediates: &'a [Certificate],
    anchors: &'a [Certificate],
    now: UnixSeconds,
    sha1: Sha1Signatures,
}

impl Path<'_> {
    fn climb(&self, from: &Certificate, authorities_below: usize) -> Result<(), CertificateProblem> {
        let mut problem = CertificateProblem::Untrusted;
        for (issuer, is_anchor) in self.issuers(from) {
            if !issuer.may_issue(is_anchor, authorities_below) || !issuer.has_signed(from, self.sha1) {
                continue;
            }
            if issuer.require_valid_at(self.now).is_err() {
                problem = CertificateProblem::Expired;
                continue;
            }
            if is_anchor {
                return Ok(());
            }
            if authorities_below + 3 <= CHAIN_LENGTH_MAX {
                match self.climb(issuer, authorities_below + 1) {
                    Ok(()) => return Ok(()),
                    Err(CertificateProblem::Expired) => problem = CertificateProblem::Expired,
                    Err(_) => {}
                }
            }
        }
        Err(problem)
    }

    fn issuers<'s>(&'s self, of: &'s Certificate) -> impl Iterator<Item = (&'s Certificate, bool)> {
        let anchors = self.anchors.iter().map(|anchor| (anchor, true));
        let between = self.intermediates.iter().map(|between| (between, false));
        anchors
            .chain(between)
            .filter(move |(issuer, _)| issuer.subject_der == of.issuer_der && issuer.der != of.der)
    }
}

const SHA1_WITH_RSA: &str = "1.2.840.113549.1.1.5";
const SHA256_WITH_RSA: &str = "1.2.840.113549.1.1.11";
const SHA384_WITH_RSA: &str = "1.2.840.113549.1.1.12";
const SHA512_WITH_RSA: &str = "1.2.840.113549.1.1.13";
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const ECDSA_WITH_SHA384: &str = "1.2.840.10045.4.3.3";
/// An uncompressed point of the curve P-384.
const P384_POINT_BYTES: usize = 97;

fn read(der: &[u8], parsed: &X509Certificate<'_>) -> Option<Certificate> {
    let tbs = &parsed.tbs_certificate;
    if tbs.extensions().len() > EXTENSIONS_MAX || tbs.raw_serial().len() > SERIAL_BYTES_MAX {
        return None;
    }
    let mut certificate = Certificate {
        der: der.to_vec(),
        signed_part: tbs.as_ref().to_vec(),
        signature: parsed.signature_value.data.to_vec(),
        signature_algorithm: parsed.signature_algorithm.algorithm.to_id_string(),
        subject_der: tbs.subject.as_raw().to_vec(),
        issuer_der: tbs.issuer.as_raw().to_vec(),
        issuer_text: attributes_reversed(&tbs.issuer)?,
        serial: tbs.raw_serial().to_vec(),
        serial_decimal: tbs.serial.to_string(),
        common_names: common_names(&tbs.subject)?,
        spki_der: tbs.subject_pki.raw.to_vec(),
        public_key_bits: tbs.subject_pki.subject_public_key.data.to_vec(),
        not_before: tbs.validity.not_before.timestamp(),
        not_after: tbs.validity.not_after.timestamp(),
        is_authority: None,
        path_length: None,
        may_sign_certificates: None,
        extensions: Vec::new(),
        critical_unknown: false,
    };
    for extension in tbs.extensions() {
        let oid = extension.oid.to_id_string();
        if certificate.extension(&oid).is_some() {
            return None;
        }
        certificate.extensions.push((oid, extension.value.to_vec()));
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                certificate.is_authority = Some(constraints.ca);
                certificate.path_length = constraints.path_len_constraint;
            }
            ParsedExtension::KeyUsage(usage) => {
                certificate.may_sign_certificates = Some(usage.key_cert_sign());
            }
            ParsedExtension::ParseError { .. } | ParsedExtension::Unparsed if extension.critical => {
                certificate.critical_unknown = true;
            }
            // Name constraints are not evaluated here, so an authority that has them cannot be trusted.
            ParsedExtension::NameConstraints(_) => certificate.critical_unknown = true,
            ParsedExtension::UnsupportedExtension { .. } if extension.critical => {
                certificate.critical_unknown = true;
            }
            _ => {}
        }
    }
    Some(certificate)
}

fn common_names(name: &X509Name<'_>) -> Option<Vec<String>> {
    name.iter_common_name().map(text_of).collect()
}

fn attributes_reversed(name: &X509Name<'_>) -> Option<String> {
    let mut attributes: Vec<String> = name
        .iter_attributes()
        .map(|attribute| Some(format!("{}={}", short_name(attribute.attr_type()), text_of(attribute)?)))
        .collect::<Option<_>>()?;
    attributes.reverse();
    Some(attributes.join(","))
}

/// The text of an attribute, in the old encodings too: certificates of UnionPay's test environment use T.61.
fn text_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    match value.tag() {
        // As everybody else does, read as Latin-1.
        Tag::T61String => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let (units, rest) = value.data.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
        }
        _ => attribute.as_str().ok().map(str::to_owned),
    }
}

fn short_name(oid: &Oid<'_>) -> String {
    match oid.to_id_string().as_str() {
        "2.5.4.3" => "CN".to_owned(),
        "2.5.4.6" => "C".to_owned(),
        "2.5.4.7" => "L".to_owned(),
        "2.5.4.8" => "ST".to_owned(),
        "2.5.4.10" => "O".to_owned(),
        "2.5.4.11" => "OU".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(all(test, feature = "sandbox"))]
mod chain_tests;

#[cfg(test)]
mod tests;
