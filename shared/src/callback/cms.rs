//! CMS signatures that lie beside what they sign, read strictly: one signer, ECDSA with SHA-256, signed attributes.
//!
//! BER is accepted because signers send it; everything that is not signed has one permitted form all the same.

use subtle::ConstantTimeEq;
use x509_parser::der_parser::asn1_rs::{Any, Class, FromBer, Tag};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::UnixSeconds;
use super::certificate::Certificate;
use super::rejection::{CertificateProblem, Rejection};
use super::signature::{EcdsaForm, Proof, sha256};

/// Most certificates that a message may carry.
const CERTIFICATES_MAX: usize = 5;

/// A signature that is not checked yet.
pub struct DetachedSignature {
    certificates: Vec<Certificate>,
    signer: usize,
    message_digest: Vec<u8>,
    signing_time: UnixSeconds,
    /// The attributes as they are signed: a DER SET.
    attributes: Vec<u8>,
    signature: Vec<u8>,
}

impl DetachedSignature {
    /// Reads a `SignedData` without content.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] for `signature`; [`Rejection::AlgorithmNotAllowed`] when it is not ECDSA with SHA-256;
    /// [`CertificateProblem::Malformed`] for a certificate that cannot be read.
    ///
    /// # Source
    /// RFC 5652, sections 5.1, 5.3 and 11.
    pub fn from_ber(bytes: &[u8]) -> Result<Self, Rejection> {
        let mut message = Items(bytes);
        let mut content_info = message.inside(Tag::Sequence)?;
        message.end()?;
        content_info.exactly(&[0x06], SIGNED_DATA)?;
        let mut explicit = content_info.tagged(0)?;
        content_info.end()?;
        let mut signed_data = explicit.inside(Tag::Sequence)?;
        explicit.end()?;

        signed_data.exactly(&[0x02], &[1])?;
        let mut digests = signed_data.inside(Tag::Set)?;
        digests.sha256()?;
        digests.end()?;
        let mut content = signed_data.inside(Tag::Sequence)?;
        content.exactly(&[0x06], DATA)?;
        content.end()?;
        let certificates = certificates(signed_data.tagged(0)?)?;
        let mut signers = signed_data.inside(Tag::Set)?;
        signed_data.end()?;
        let signer = signers.inside(Tag::Sequence)?;
        signers.end()?;
        Self::of_signer(certificates, signer)
    }

    fn of_signer(certificates: Vec<Certificate>, mut signer: Items<'_>) -> Result<Self, Rejection> {
        signer.exactly(&[0x02], &[1])?;
        let mut id = signer.inside(Tag::Sequence)?;
        let (_, issuer) = id.next(Tag::Sequence)?;
        let (serial, _) = id.next(Tag::Integer)?;
        id.end()?;
        signer.sha256()?;
        let attributes = signer.tagged(0)?;
        let mut algorithm = signer.inside(Tag::Sequence)?;
        algorithm.exactly(&[0x06], ECDSA_WITH_SHA256).map_err(|_| Rejection::AlgorithmNotAllowed)?;
        algorithm.end()?;
        let (signature, _) = signer.next(Tag::OctetString)?;
        signer.end()?;
        let signer = certificates
            .iter()
            .position(|certificate| certificate.is_issued_as(issuer, serial))
            .ok_or(Rejection::Certificate(CertificateProblem::Unavailable))?;
        let read = Attributes::read(attributes.0)?;
        Ok(Self {
            certificates,
            signer,
            message_digest: read.message_digest,
            signing_time: read.signing_time,
            attributes: der(SET, attributes.0),
            signature: signature.to_vec(),
        })
    }

    /// The certificate that the signer is said to hold.
    pub fn signer(&self) -> &Certificate {
        &self.certificates[self.signer]
    }

    /// The other certificates.
    pub fn others(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != self.signer)
            .map(|(_, other)| other)
    }

    /// When it was signed, as the signer says.
    pub fn signing_time(&self) -> UnixSeconds {
        self.signing_time
    }

    /// Accepts when the signer's key signed this `content`. Whether the signer is to be trusted is another question.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`]; [`CertificateProblem::Malformed`] when the signer's key is not on P-256.
    ///
    /// # Source
    /// RFC 5652, sections 5.4 and 5.6.
    pub fn require_content(&self, content: &[u8]) -> Result<Proof, Rejection> {
        let key = self.signer().ecdsa_p256_key();
        let key = key.ok_or(Rejection::Certificate(CertificateProblem::Malformed))?;
        if !bool::from(sha256(content).ct_eq(&self.message_digest)) {
            return Err(Rejection::SignatureMismatch);
        }
        key.require_signature(EcdsaForm::Der, &self.attributes, &self.signature)
    }
}

const SET: u8 = 0x31;
pub(crate) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
pub(crate) const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
pub(crate) const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
pub(crate) const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
pub(crate) const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];
pub(crate) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
pub(crate) const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

fn malformed() -> Rejection {
    Rejection::malformed("signature")
}

fn certificates(mut items: Items<'_>) -> Result<Vec<Certificate>, Rejection> {
    let mut certificates = Vec::new();
    while !items.0.is_empty() {
        let (_, der) = items.next(Tag::Sequence)?;
        let certificate = Certificate::from_der(der)?;
        if !certificate.is_canonical() {
            return Err(Rejection::Certificate(CertificateProblem::Malformed));
        }
        certificates.push(certificate);
    }
    if (1..=CERTIFICATES_MAX).contains(&certificates.len()) { Ok(certificates) } else { Err(malformed()) }
}

struct Attributes {
    message_digest: Vec<u8>,
    signing_time: UnixSeconds,
}

impl Attributes {
    /// The attributes that count must be there once, with one value each; others are signed and left alone.
    fn read(set: &[u8]) -> Result<Self, Rejection> {
        let (mut is_data, mut message_digest, mut signing_time) = (None, None, None);
        let mut items = Items(set);
        while !items.0.is_empty() {
            let mut attribute = items.inside(Tag::Sequence)?;
            let (name, _) = attribute.next(Tag::Oid)?;
            let mut values = attribute.inside(Tag::Set)?;
            attribute.end()?;
            let repeated = match name {
                CONTENT_TYPE => is_data.replace(values.exactly(&[0x06], DATA)?).is_some(),
                MESSAGE_DIGEST => message_digest.replace(values.next(Tag::OctetString)?.0).is_some(),
                SIGNING_TIME => signing_time.replace(values.time()?).is_some(),
                _ => continue,
            };
            values.end()?;
            if repeated {
                return Err(malformed());
            }
        }
        match (is_data, message_digest, signing_time) {
            (Some(()), Some(digest), Some(signing_time)) => {
                Ok(Self { message_digest: digest.to_vec(), signing_time })
            }
            _ => Err(malformed()),
        }
    }
}

/// A value in DER with this tag byte.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    if content.len() >= 0x80 {
        der.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
    }
    der.extend_from_slice(significant);
    der.extend_from_slice(content);
    der
}

/// Encoded values one after the other.
struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The next one's content, and all of it.
    fn any(&mut self) -> Result<(Any<'a>, &'a [u8]), Rejection> {
        let (rest, any) = Any::from_ber(self.0).map_err(|_| malformed())?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Ok((any, whole))
    }

    fn next(&mut self, tag: Tag) -> Result<(&'a [u8], &'a [u8]), Rejection> {
        let (any, whole) = self.any()?;
        let constructed = matches!(tag, Tag::Sequence | Tag::Set);
        let header = &any.header;
        if header.class() != Class::Universal || header.tag() != tag || header.constructed() != constructed {
            return Err(malformed());
        }
        Ok((any.data, whole))
    }

    fn inside(&mut self, tag: Tag) -> Result<Self, Rejection> {
        self.next(tag).map(|(content, _)| Items(content))
    }

    /// What stands under a context-specific tag.
    fn tagged(&mut self, number: u32) -> Result<Self, Rejection> {
        let (any, _) = self.any()?;
        let header = &any.header;
        let fits =
            header.class() == Class::ContextSpecific && header.tag() == Tag(number) && header.constructed();
        if fits { Ok(Items(any.data)) } else { Err(malformed()) }
    }

    /// A primitive value of this tag byte and content.
    fn exactly(&mut self, tag: &[u8], content: &[u8]) -> Result<(), Rejection> {
        let (any, whole) = self.any()?;
        if whole.starts_with(tag) && any.data == content { Ok(()) } else { Err(malformed()) }
    }

    /// The algorithm identifier of SHA-256, whose parameters may be left out.
    fn sha256(&mut self) -> Result<(), Rejection> {
        let mut algorithm = self.inside(Tag::Sequence)?;
        algorithm.exactly(&[0x06], SHA256).map_err(|_| Rejection::AlgorithmNotAllowed)?;
        if !algorithm.0.is_empty() {
            algorithm.exactly(&[0x05], &[])?;
        }
        algorithm.end()
    }

    fn time(&mut self) -> Result<UnixSeconds, Rejection> {
        let (_, whole) = self.any()?;
        let (_, time) = ASN1Time::from_der(whole).map_err(|_| malformed())?;
        Ok(UnixSeconds(time.timestamp()))
    }

    fn end(&self) -> Result<(), Rejection> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed()) }
    }
}
