//! Keys on elliptic curves.

use aws_lc_rs::signature as verification;
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Proof, public_key_der};
use crate::callback::Rejection;

/// How an ECDSA signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcdsaForm {
    /// ASN.1 DER.
    Der,
    /// Both numbers with 32 bytes each.
    Raw,
}

/// An uncompressed point of the curve P-256.
const P256_POINT_BYTES: usize = 65;

/// A public key on the curve P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcdsaP256Key {
    point: Vec<u8>,
}

impl EcdsaP256Key {
    /// Reads a key in PEM (`BEGIN PUBLIC KEY`), or bare base64 of the same DER.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] naming `field` when it is not such a key.
    pub fn from_public_key_text(text: &str, field: &str) -> Result<Self, Rejection> {
        let der = public_key_der(text);
        der.and_then(|der| Self::from_spki_der(&der)).ok_or_else(|| Rejection::unconfigured(field))
    }

    /// Reads a key in SubjectPublicKeyInfo DER; `None` when it is not a key on this curve.
    pub fn from_spki_der(der: &[u8]) -> Option<Self> {
        point_on_curve(der, OID_EC_P256).map(|point| Self { point })
    }

    /// Takes an uncompressed point (`04`, then both coordinates); `None` for another form or length.
    ///
    /// Whether it lies on the curve is checked with every signature.
    pub fn from_point(point: &[u8]) -> Option<Self> {
        let is_uncompressed = point.len() == P256_POINT_BYTES && point.first() == Some(&4);
        is_uncompressed.then(|| Self { point: point.to_vec() })
    }

    /// The point, as the key was written.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// Accepts when `signature` is this key's over the SHA-256 of `message`.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`].
    pub fn require_signature(
        &self,
        form: EcdsaForm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<Proof, Rejection> {
        let algorithm = match form {
            EcdsaForm::Der => &verification::ECDSA_P256_SHA256_ASN1,
            EcdsaForm::Raw => &verification::ECDSA_P256_SHA256_FIXED,
        };
        verification::UnparsedPublicKey::new(algorithm, &self.point)
            .verify(message, signature)
            .map(|()| Proof(()))
            .map_err(|_| Rejection::SignatureMismatch)
    }
}

/// A public key on the curve P-384.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcdsaP384Key {
    point: Vec<u8>,
}

impl EcdsaP384Key {
    /// Reads a key in PEM (`BEGIN PUBLIC KEY`), or bare base64 of the same DER.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] naming `field` when it is not such a key.
    pub fn from_public_key_text(text: &str, field: &str) -> Result<Self, Rejection> {
        let point = public_key_der(text).and_then(|der| point_on_curve(&der, OID_NIST_EC_P384));
        point.map(|point| Self { point }).ok_or_else(|| Rejection::unconfigured(field))
    }

    /// Accepts when `signature`, both numbers with 48 bytes each, is this key's over the SHA-384 of `message`.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`].
    pub fn require_signature(&self, message: &[u8], signature: &[u8]) -> Result<Proof, Rejection> {
        verification::UnparsedPublicKey::new(&verification::ECDSA_P384_SHA384_FIXED, &self.point)
            .verify(message, signature)
            .map(|()| Proof(()))
            .map_err(|_| Rejection::SignatureMismatch)
    }
}

/// A public key on the curve P-521.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcdsaP521Key {
    point: Vec<u8>,
}

impl EcdsaP521Key {
    /// A key from the coordinates of its point, whose leading zeros may be left out; `None` for longer ones.
    pub fn from_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
        const COORDINATE_BYTES: usize = 66;
        let mut point = vec![4];
        for coordinate in [x, y] {
            point.resize(point.len() + COORDINATE_BYTES.checked_sub(coordinate.len())?, 0);
            point.extend_from_slice(coordinate);
        }
        Some(Self { point })
    }

    /// Accepts when `signature`, both numbers with 66 bytes each, is this key's over the SHA-512 of `message`.
    ///
    /// # Errors
    /// [`Rejection::SignatureMismatch`].
    pub fn require_signature(&self, message: &[u8], signature: &[u8]) -> Result<Proof, Rejection> {
        verification::UnparsedPublicKey::new(&verification::ECDSA_P521_SHA512_FIXED, &self.point)
            .verify(message, signature)
            .map(|()| Proof(()))
            .map_err(|_| Rejection::SignatureMismatch)
    }
}

/// The y-coordinates of the points of Ed25519 whose order is small, the least significant byte first. For a key among
/// them, such as 32 zeros, everybody can sign.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Whether everybody can sign for this key. Its highest bit says which of two points with one y-coordinate it is.
fn is_of_small_order(public_key: &[u8]) -> bool {
    let Some((last, rest)) = public_key.split_last() else { return false };
    SMALL_ORDER_Y.iter().any(|y| rest == &y[..31] && last & 0x7f == y[31])
}

/// Accepts when one of `candidates` is the Ed25519 signature of `message` by the 32-byte `public_key`. A key for which
/// everybody can sign, such as 32 zeros, proves nothing.
///
/// # Errors
/// [`Rejection::MissingSignature`] without candidates, [`Rejection::SignatureMismatch`] when none matches.
pub fn require_ed25519(
    public_key: &[u8],
    message: &[u8],
    candidates: &[Vec<u8>],
) -> Result<Proof, Rejection> {
    if candidates.is_empty() {
        return Err(Rejection::MissingSignature);
    }
    let key = verification::UnparsedPublicKey::new(&verification::ED25519, public_key);
    if is_of_small_order(public_key) {
        Err(Rejection::SignatureMismatch)
    } else if candidates.iter().any(|candidate| key.verify(message, candidate).is_ok()) {
        Ok(Proof(()))
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

/// The 32 bytes of an Ed25519 key in PEM (`BEGIN PUBLIC KEY`), or bare base64 of the same DER.
///
/// # Errors
/// [`Rejection::Unconfigured`] naming `field` when it is not such a key.
pub fn ed25519_key(text: &str, field: &str) -> Result<Vec<u8>, Rejection> {
    let unconfigured = || Rejection::unconfigured(field);
    let der = public_key_der(text).ok_or_else(unconfigured)?;
    let (rest, key) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| unconfigured())?;
    let is_ed25519 = rest.is_empty() && key.algorithm.algorithm == OID_SIG_ED25519;
    if !is_ed25519 || key.subject_public_key.data.len() != 32 {
        return Err(unconfigured());
    }
    Ok(key.subject_public_key.data.to_vec())
}

/// The point of a key in SubjectPublicKeyInfo DER; `None` when it is on another curve.
fn point_on_curve(der: &[u8], wanted: Oid<'_>) -> Option<Vec<u8>> {
    let (rest, key) = SubjectPublicKeyInfo::from_der(der).ok()?;
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let on_curve =
        rest.is_empty() && key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == wanted;
    on_curve.then(|| key.subject_public_key.data.to_vec())
}
