//! Which chains lead to an anchor: one row a case, with a key and a name of its own for every certificate.

#![allow(clippy::unwrap_used, reason = "the whole file is a test, its helpers too")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, SignatureAlgorithm, date_time_ymd,
};

use super::*;
use crate::sandbox::rsa_keys::{authority_params, params, sign_sha1};

/// 2026-01-01T00:00:00Z.
const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

type Change = fn(&mut CertificateParams);
/// What is tried, what is changed of root, intermediate and leaf, and what must come out.
type Row = (&'static str, Change, Change, Change, Result<(), CertificateProblem>);

struct Holder {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn root(params: CertificateParams, key: KeyPair) -> Holder {
    let certificate = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    Holder { certificate, issuer: Issuer::new(params, key) }
}

impl Holder {
    fn issue(&self, params: CertificateParams, key: KeyPair) -> Self {
        let issued = params.signed_by(&key, &self.issuer).unwrap();
        Self { certificate: Certificate::from_der(issued.der()).unwrap(), issuer: Issuer::new(params, key) }
    }
}

fn unchanged(_: &mut CertificateParams) {}

fn no_authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::ExplicitNoCa;
}

fn no_constraints(params: &mut CertificateParams) {
    params.is_ca = IsCa::NoCa;
}

fn other_usage(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
}

fn any_usage(params: &mut CertificateParams) {
    params.key_usages = Vec::new();
}

fn none_below(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
}

fn one_below(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
}

fn unknown_extension(is_critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
    extension.set_criticality(is_critical);
    extension
}

fn critical(params: &mut CertificateParams) {
    params.custom_extensions.push(unknown_extension(true));
}

fn uncritical(params: &mut CertificateParams) {
    params.custom_extensions.push(unknown_extension(false));
}

fn some_names_only(params: &mut CertificateParams) {
    let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".to_owned())];
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
}

fn past(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2025, 12, 31);
}

fn future(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2026, 1, 2);
}

fn first_second(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2026, 1, 1);
}

fn last_second(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2026, 1, 1);
}

fn changed(mut params: CertificateParams, change: Change) -> CertificateParams {
    change(&mut params);
    params
}

fn verdict(leaf: &Holder, between: &[&Holder], anchor: &Holder) -> Result<(), CertificateProblem> {
    let between: Vec<Certificate> = between.iter().map(|holder| holder.certificate.clone()).collect();
    let anchors = [anchor.certificate.clone()];
    require_chain(&leaf.certificate, &between, &anchors, NOW, Sha1Signatures::Refused).map_err(|rejection| {
        match rejection {
            Rejection::Certificate(problem) => problem,
            other => panic!("{other}"),
        }
    })
}

/// Whoever holds a certificate of the same authority must not be able to issue another one.
#[test]
fn f9_only_authorities_issue_and_only_while_they_are_valid() {
    use CertificateProblem::{Expired, Untrusted};
    let p256 = || key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let table: &[Row] = &[
        ("all as it should be", unchanged, unchanged, unchanged, Ok(())),
        ("a leaf issues", unchanged, no_authority, unchanged, Err(Untrusted)),
        ("a leaf without constraints issues", unchanged, no_constraints, unchanged, Err(Untrusted)),
        ("a pinned root of old has no constraints", no_constraints, unchanged, unchanged, Ok(())),
        ("a pinned leaf is no root", no_authority, unchanged, unchanged, Err(Untrusted)),
        ("the key may not sign certificates", unchanged, other_usage, unchanged, Err(Untrusted)),
        ("the root's key may not", other_usage, unchanged, unchanged, Err(Untrusted)),
        ("nothing is said of the key's usage", unchanged, any_usage, unchanged, Ok(())),
        ("no authority is allowed below the root", none_below, unchanged, unchanged, Err(Untrusted)),
        ("one is allowed below the root", one_below, unchanged, unchanged, Ok(())),
        ("none is below the intermediate", unchanged, none_below, unchanged, Ok(())),
        ("the intermediate limits names", unchanged, some_names_only, unchanged, Err(Untrusted)),
        ("it has a critical extension", unchanged, critical, unchanged, Err(Untrusted)),
        ("the root has one", critical, unchanged, unchanged, Err(Untrusted)),
        ("the leaf has one", unchanged, unchanged, critical, Err(Untrusted)),
        ("unknown extensions are not critical", uncritical, uncritical, uncritical, Ok(())),
        ("the leaf is over", unchanged, unchanged, past, Err(Expired)),
        ("the leaf is not yet", unchanged, unchanged, future, Err(Expired)),
        ("the leaf in its first second", unchanged, unchanged, first_second, Ok(())),
        ("the leaf in its last second", unchanged, unchanged, last_second, Ok(())),
        ("the intermediate is over", unchanged, past, unchanged, Err(Expired)),
        ("the root is over", past, unchanged, unchanged, Err(Expired)),
    ];
    for (about, of_root, of_intermediate, of_leaf, expected) in table {
        let root = root(changed(authority_params("root"), *of_root), p256());
        let intermediate = root.issue(changed(authority_params("intermediate"), *of_intermediate), p256());
        let leaf = intermediate.issue(changed(params("leaf"), *of_leaf), p256());
        assert_eq!(verdict(&leaf, &[&intermediate], &root), *expected, "{about}");
    }
}

#[test]
fn f9_names_alone_make_no_chain() {
    let p256 = || key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (genuine, forged) = (root(authority_params("root"), p256()), root(authority_params("root"), p256()));
    let leaf = forged.issue(params("leaf"), p256());
    assert_eq!(verdict(&leaf, &[], &forged), Ok(()));
    assert_eq!(verdict(&leaf, &[], &genuine), Err(CertificateProblem::Untrusted));
    // What comes with the callback is never an anchor.
    assert_eq!(verdict(&leaf, &[&forged], &genuine), Err(CertificateProblem::Untrusted));
    let elsewhere = root(authority_params("another name"), p256());
    assert_eq!(verdict(&leaf, &[], &elsewhere), Err(CertificateProblem::Untrusted));
    assert_eq!(verdict(&genuine, &[], &genuine), Err(CertificateProblem::Untrusted), "an anchor is no leaf");
}

#[test]
fn f9_a_chain_has_a_longest_length() {
    let p256 = || key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let mut holders = vec![root(authority_params("authority 0"), p256())];
    for depth in 1..CHAIN_LENGTH_MAX {
        let next = holders[depth - 1].issue(authority_params(&format!("authority {depth}")), p256());
        holders.push(next);
    }
    for (length, expected) in [(2, true), (CHAIN_LENGTH_MAX, true), (CHAIN_LENGTH_MAX + 1, false)] {
        let leaf = holders[length - 2].issue(params("leaf"), p256());
        let between: Vec<&Holder> = holders[1..length - 1].iter().collect();
        assert_eq!(verdict(&leaf, &between, &holders[0]).is_ok(), expected, "{length} certificates");
    }
}

#[test]
fn every_algorithm_proves_with_its_own_key_alone() {
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_RSA_SHA384,
        &rcgen::PKCS_RSA_SHA512,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
    ] {
        let (genuine, forged) =
            (root(authority_params("root"), key(algorithm)), root(authority_params("root"), key(algorithm)));
        let leaf = genuine.issue(params("leaf"), key(&rcgen::PKCS_ECDSA_P256_SHA256));
        assert_eq!(verdict(&leaf, &[], &genuine), Ok(()), "{algorithm:?}");
        assert_eq!(verdict(&leaf, &[], &forged), Err(CertificateProblem::Untrusted), "{algorithm:?}");
    }
    let unknown = root(authority_params("root"), key(&rcgen::PKCS_ED25519));
    let leaf = unknown.issue(params("leaf"), key(&rcgen::PKCS_ECDSA_P256_SHA256));
    assert_eq!(verdict(&leaf, &[], &unknown), Err(CertificateProblem::Untrusted), "no Ed25519");
}

/// RSA with SHA-256 and with SHA-1 differ in the last byte of their identifiers.
const RSA_SHA256_DER: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const SHA1_END: u8 = 0x05;

/// The certificate signed again, with SHA-1.
fn signed_with_sha1(certificate: &Certificate, key: &KeyPair) -> Vec<u8> {
    let mut der = certificate.der().to_vec();
    let places: Vec<usize> = (0..der.len()).filter(|at| der[*at..].starts_with(RSA_SHA256_DER)).collect();
    assert_eq!(places.len(), 2, "inside of what is signed, and beside it");
    for at in places {
        der[at + RSA_SHA256_DER.len() - 1] = SHA1_END;
    }
    let unsigned = Certificate::from_der(&der).unwrap();
    let private =
        serde_json::Map::from_iter([("key".to_owned(), STANDARD.encode(key.serialize_der()).into())]);
    let signature = STANDARD.decode(sign_sha1(&private, "key", &unsigned.signed_part)).unwrap();
    let start = der.len() - signature.len();
    der[start..].copy_from_slice(&signature);
    der
}

#[test]
fn sha1_counts_only_where_it_is_accepted() {
    let rsa = key(&rcgen::PKCS_RSA_SHA256);
    let root = root(authority_params("root"), KeyPair::try_from(rsa.serialize_der()).unwrap());
    let leaf = root.issue(params("leaf"), key(&rcgen::PKCS_ECDSA_P256_SHA256));
    let leaf = Certificate::from_der(&signed_with_sha1(&leaf.certificate, &rsa)).unwrap();
    let anchors = [root.certificate];
    let verdict = |sha1| require_chain(&leaf, &[], &anchors, NOW, sha1);
    assert_eq!(verdict(Sha1Signatures::Accepted), Ok(()));
    assert_eq!(verdict(Sha1Signatures::Refused), Err(Rejection::Certificate(CertificateProblem::Untrusted)));
}

#[test]
fn the_two_statements_of_the_algorithm_must_agree() {
    let root = root(authority_params("root"), key(&rcgen::PKCS_RSA_SHA256));
    let genuine = root.certificate.der();
    let last = (0..genuine.len()).rev().find(|at| genuine[*at..].starts_with(RSA_SHA256_DER)).unwrap();
    let mut changed = genuine.to_vec();
    changed[last + RSA_SHA256_DER.len() - 1] = SHA1_END;
    let malformed = Some(Rejection::Certificate(CertificateProblem::Malformed));
    assert_eq!(Certificate::from_der(&changed).err(), malformed);
    assert_eq!(Certificate::from_der(&[genuine, b"\0"].concat()).err(), malformed);
}

/// How providers name a certificate: UnionPay by its number in decimal, Alipay by its issuer's attributes too.
#[test]
fn names_and_numbers_are_read_as_providers_write_them() {
    let mut of_root = authority_params("root");
    of_root.distinguished_name.push(DnType::OrganizationalUnitName, "unit");
    of_root.distinguished_name.push(DnType::CountryName, "CN");
    let root = root(of_root, key(&rcgen::PKCS_ECDSA_P256_SHA256));
    let mut of_leaf = params("leaf");
    of_leaf.serial_number = Some(vec![1, 2, 3].into());
    let leaf = root.issue(of_leaf, key(&rcgen::PKCS_ECDSA_P256_SHA256)).certificate;
    assert_eq!(leaf.issuer_text(), "C=CN,OU=unit,CN=root,O=Paybell sandbox");
    assert_eq!(leaf.serial_decimal(), "66051");
    assert_eq!(leaf.signature_algorithm(), ECDSA_WITH_SHA256);
    assert_eq!(leaf.common_name(), Some("leaf"));
    assert!(leaf.is_issued_as(&root.certificate.subject_der, &[1, 2, 3]));
    assert!(!leaf.is_issued_as(&root.certificate.subject_der, &[1, 2, 4]));
    assert!(!leaf.is_issued_as(&leaf.subject_der, &[1, 2, 3]));
}
