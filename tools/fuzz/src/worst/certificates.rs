//! Certificates and CMS signatures at their worst.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::BODY_BYTES_MAX;
use paybell_shared::callback::certificate::Certificate;
use paybell_shared::callback::cms::DetachedSignature;

use super::documents::of_bytes;
use super::{Worst, repeated};

/// What is left of a body in base64.
pub(super) const DER_BYTES_MAX: usize = BODY_BYTES_MAX / 4 * 3;

/// Object identifiers: P-256 keys, and ECDSA with SHA-256.
const EC_KEY_ON_P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const SHA256: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// A value with its tag and length.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).expect("inputs are small").to_be_bytes();
    let length = match content.len() {
        0..=127 => vec![length[3]],
        _ => [&[0x84], &length[..]].concat(),
    };
    [&[tag], &length[..], &content].concat()
}

/// What a certificate is made of.
struct Made {
    serial: Vec<u8>,
    parameters: Vec<u8>,
    name: Vec<u8>,
    extensions: Vec<u8>,
}

impl Default for Made {
    fn default() -> Self {
        Self { serial: vec![1], parameters: Vec::new(), name: attribute(), extensions: Vec::new() }
    }
}

fn attribute() -> Vec<u8> {
    der(0x31, &[&der(0x30, &[&[0x06, 0x03, 0x55, 0x04, 0x03], &der(0x0c, &[b"a"])])])
}

impl Made {
    fn der(&self) -> Vec<u8> {
        let algorithm = der(0x30, &[ECDSA_WITH_SHA256, &self.parameters]);
        let validity = der(0x30, &[&der(0x17, &[b"250101000000Z"]), &der(0x17, &[b"350101000000Z"])]);
        let key = der(0x30, &[EC_KEY_ON_P256, &der(0x03, &[&[0, 4], &[7; 64]])]);
        let name = der(0x30, &[&self.name]);
        let extensions = match self.extensions.is_empty() {
            true => Vec::new(),
            false => der(0xa3, &[&der(0x30, &[&self.extensions])]),
        };
        let tbs = der(
            0x30,
            &[
                &der(0xa0, &[&[0x02, 0x01, 0x02]]),
                &der(0x02, &[&self.serial]),
                &algorithm,
                &name,
                &validity,
                &name,
                &key,
                &extensions,
            ],
        );
        der(0x30, &[&tbs, &algorithm, &der(0x03, &[&[0], &[0x30, 6, 2, 1, 1, 2, 1, 1]])])
    }
}

/// Extensions that differ in the last arcs of their identifiers.
fn extensions(size: usize) -> Vec<u8> {
    let one = |number: usize| {
        let arcs =
            [0x80 | (number >> 14) as u8 & 0x7f, 0x80 | (number >> 7) as u8 & 0x7f, number as u8 & 0x7f];
        der(0x30, &[&[0x06, 0x05, 0x2a, 0x03], &arcs, &[0x04, 0x00]])
    };
    (0..size / one(0).len()).flat_map(one).collect()
}

/// A certificate of a size, by what is large in it.
pub(super) type Builder = (&'static str, fn(usize) -> Vec<u8>);

/// Certificates by what is large in them.
pub(super) const CERTIFICATES: &[Builder] = &[
    ("a long serial number", |size| Made { serial: vec![0x7f; size], ..Made::default() }.der()),
    ("many extensions", |size| Made { extensions: extensions(size), ..Made::default() }.der()),
    ("a long name", |size| {
        let name = attribute();
        Made { name: name.repeat(size / 2 / name.len()), ..Made::default() }.der()
    }),
    ("long parameters", |size| {
        Made { parameters: der(0x04, &[&vec![0x30; size / 2]]), ..Made::default() }.der()
    }),
    ("nested parameters", |size| {
        let nested = [0x30, 0x80].repeat(size / 4);
        Made { parameters: der(0x30, &[&nested]), ..Made::default() }.der()
    }),
];

/// A signature with these certificates and attributes.
fn signature(certificates: &[u8], attributes: &[u8]) -> Vec<u8> {
    let sha256 = der(0x30, &[SHA256]);
    let signer = der(
        0x30,
        &[
            &[0x02, 0x01, 0x01],
            &der(0x30, &[&der(0x30, &[&attribute()]), &[0x02, 0x01, 0x01]]),
            &sha256,
            &der(0xa0, &[attributes]),
            &der(0x30, &[ECDSA_WITH_SHA256]),
            &der(0x04, &[&[0x30, 6, 2, 1, 1, 2, 1, 1]]),
        ],
    );
    let signed_data = der(
        0x30,
        &[
            &[0x02, 0x01, 0x01],
            &der(0x31, &[&sha256]),
            &der(0x30, &[DATA]),
            &der(0xa0, &[certificates]),
            &der(0x31, &[&signer]),
        ],
    );
    der(0x30, &[SIGNED_DATA, &der(0xa0, &[&signed_data])])
}

pub(super) fn all() -> Vec<Worst> {
    let mut all: Vec<Worst> = CERTIFICATES
        .iter()
        .map(|(name, build)| {
            of_bytes(format!("certificate with {name}"), DER_BYTES_MAX, *build, |der| {
                let _ = Certificate::from_der(der).map(|certificate| certificate.is_canonical());
            })
        })
        .collect();
    all.extend([
        of_bytes("PEM of many certificates", BODY_BYTES_MAX, many_pem, read_pem),
        of_bytes(
            "PEM of lines",
            BODY_BYTES_MAX,
            |size| repeated("-----BEGIN A-----\n", size).into(),
            read_pem,
        ),
        of_bytes(
            "PEM without an end",
            BODY_BYTES_MAX,
            |size| repeated("-----BEGIN A-----\nMA==\n", size).into(),
            read_pem,
        ),
        of_bytes(
            "CMS of many certificates",
            DER_BYTES_MAX,
            |size| {
                let one = Made::default().der();
                signature(&one.repeat(size / one.len()), &[])
            },
            read_cms,
        ),
        of_bytes(
            "CMS of many attributes",
            DER_BYTES_MAX,
            |size| {
                let one = der(0x30, &[&[0x06, 0x01, 0x2a], &[0x31, 0x00]]);
                signature(&Made::default().der(), &one.repeat(size / one.len()))
            },
            read_cms,
        ),
        of_bytes("CMS, nested", DER_BYTES_MAX, |size| [0x30, 0x80].repeat(size / 2), read_cms),
    ]);
    all
}

fn many_pem(size: usize) -> Vec<u8> {
    let body = STANDARD.encode(Made::default().der());
    repeated(&format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"), size).into()
}

fn read_pem(text: &[u8]) {
    let _ = (Certificate::readable_in_pem(text), Certificate::all_in_pem(text));
}

fn read_cms(ber: &[u8]) {
    let _ = DetachedSignature::from_ber(ber).map(|signature| signature.others().count());
}
