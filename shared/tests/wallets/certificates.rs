//! The chain check against chains that lack one thing each.

use paybell_shared::callback::certificate::{Certificate, Sha1Signatures, require_chain};
use paybell_shared::callback::{CertificateProblem, Rejection, UnixSeconds};
use paybell_shared::sandbox::rsa_keys::{Authority, root};

use super::NOW;

fn read(certificate: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(certificate.der()).unwrap()
}

fn problem(
    leaf: &rcgen::Certificate,
    between: &[&Authority],
    anchors: &[&Authority],
    now: UnixSeconds,
) -> Option<CertificateProblem> {
    let read_all =
        |all: &[&Authority]| -> Vec<Certificate> { all.iter().map(|one| read(&one.certificate)).collect() };
    match require_chain(&read(leaf), &read_all(between), &read_all(anchors), now, Sha1Signatures::Refused) {
        Ok(()) => None,
        Err(Rejection::Certificate(problem)) => Some(problem),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn f9_only_whole_chains_to_a_pinned_anchor_are_trusted() {
    use CertificateProblem::{Expired, Untrusted};
    let ours = root("root");
    let middle = ours.intermediate("middle");
    let lower = middle.intermediate("lower");
    let (leaf, _) = lower.leaf("leaf");
    // The same names by other keys.
    let theirs = root("root");
    let their_middle = theirs.intermediate("middle");
    let both = [&middle, &lower];
    assert_eq!(problem(&leaf, &both, &[&ours], NOW), None, "the whole chain");
    assert_eq!(problem(&leaf, &[&lower, &middle], &[&theirs, &ours], NOW), None, "in any order");
    assert_eq!(problem(&leaf, &[], &[&lower], NOW), None, "a pinned authority need not be a root");
    assert_eq!(problem(&leaf, &[&lower], &[&ours], NOW), Some(Untrusted), "one is missing");
    assert_eq!(problem(&leaf, &both, &[], NOW), Some(Untrusted), "no anchor");
    assert_eq!(problem(&leaf, &both, &[&theirs], NOW), Some(Untrusted), "an anchor of the same name");
    assert_eq!(
        problem(&leaf, &[&their_middle, &lower], &[&ours], NOW),
        Some(Untrusted),
        "another's authority"
    );
    assert_eq!(problem(&leaf, &both, &[&ours], UnixSeconds(0)), Some(Expired), "before");
    assert_eq!(problem(&leaf, &both, &[&ours], UnixSeconds(4_000_000_000)), Some(Expired), "after");
}

#[test]
fn f9_a_leaf_cannot_issue() {
    use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};
    let ours = root("root");
    let (leaf, private) = ours.leaf("leaf");
    let pkcs8 = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, private).unwrap();
    let key = KeyPair::try_from(pkcs8).unwrap();
    let mut leaf_params = CertificateParams::default();
    leaf_params.distinguished_name = DistinguishedName::new();
    leaf_params.distinguished_name.push(DnType::OrganizationName, "Paybell sandbox");
    leaf_params.distinguished_name.push(DnType::CommonName, "leaf");
    let issuer = Issuer::new(leaf_params, key);
    let forged_key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    // A leaf may issue by its signature and name; only its lack of authority refuses it.
    let forged = CertificateParams::default().signed_by(&forged_key, &issuer).unwrap();
    let outcome = require_chain(
        &read(&forged),
        &[read(&leaf)],
        &[read(&ours.certificate)],
        NOW,
        Sha1Signatures::Refused,
    );
    assert_eq!(outcome, Err(Rejection::Certificate(CertificateProblem::Untrusted)));
}

#[test]
fn unreadable_members_of_a_bundle_are_left_out_but_not_of_a_chain() {
    let ours = root("root");
    let bundle = format!(
        "{}-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n{}",
        ours.certificate.pem(),
        ours.certificate.pem()
    );
    assert_eq!(Certificate::readable_in_pem(bundle.as_bytes()).len(), 2);
    assert!(Certificate::all_in_pem(bundle.as_bytes()).is_err());
    for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"] {
        assert!(Certificate::all_in_pem(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

/// Every merchant holds a certificate of the same authority: chain and signature are right, only the owner is not.
#[test]
fn another_owner_of_the_right_authority_is_refused() {
    use paybell_shared::sandbox::SandboxKeys;
    use serde_json::Value;
    let authority = root("root");
    let middle = authority.intermediate("middle");
    for (provider, owner, accepted) in [
        ("unionpay", "041@8310000000083040@中国银联股份有限公司@00000001", true),
        ("unionpay", "041@Z2014-11-11@700000000000001:SIGN@00000003", false),
        ("unionpay", "041@Z@00040000:SIGN@1", false),
        ("unionpay", "中国银联股份有限公司", false),
        ("unionpay", "a@b", false),
        ("unionpay", "中国银联股份有限公司@中国银联股份有限公司@somebody", false),
        ("paypal", "messageverificationcerts.paypal.com", true),
        ("paypal", "messageverificationcerts.paypal.com.evil.example", false),
        ("paypal", "evil.paypal.com", false),
    ] {
        let (leaf, private) = middle.leaf(owner);
        let genuine = super::Bench::of(provider);
        let mut keys =
            SandboxKeys { key_set: genuine.keys.key_set.clone(), private: genuine.keys.private.clone() };
        keys.private.insert("pkcs8_base64".to_owned(), Value::String(private));
        keys.private.insert("leaf_cert_pem".to_owned(), Value::String(leaf.pem()));
        for (field, pem) in [
            ("middle_cert_pem", middle.certificate.pem()),
            ("root_cert_pem", authority.certificate.pem()),
            ("trust_anchor_pem", authority.certificate.pem()),
            ("cert_pem", format!("{}{}", leaf.pem(), middle.certificate.pem())),
        ] {
            keys.key_set.insert(field.to_owned(), Value::String(pem));
        }
        let bench = super::Bench { provider: genuine.provider, keys, paid: Default::default() };
        let expected = match accepted {
            true => Ok(()),
            false => Err(Rejection::Certificate(CertificateProblem::Identity)),
        };
        assert_eq!(bench.verify(&bench.paid()).map(|_| ()), expected, "{provider}: {owner}");
    }
}
