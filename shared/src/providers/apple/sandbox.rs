//! Certificate chains of the shape of Apple's: root and authority on P-384, the signer on P-256, marked for a purpose.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CustomExtension, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::Marks;
use crate::sandbox::rsa_keys::{authority_params, params};

/// A chain and the key at its end.
pub(in crate::providers) struct Chain {
    /// The root, its authority and the signer's certificate, DER each.
    pub root: Vec<u8>,
    /// The authority that the root has issued.
    pub intermediate: Vec<u8>,
    /// The signer's certificate.
    pub leaf: Vec<u8>,
    /// The signer's key: PKCS#8 in base64.
    pub pkcs8_base64: String,
}

/// Makes a chain with these marks.
pub(in crate::providers) fn chain(marks: &Marks) -> Chain {
    let authority_key =
        || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("the system provides randomness");
    let root_key = authority_key();
    let root_params = authority_params("Paybell sandbox root");
    let root = root_params.self_signed(&root_key).expect("the parameters are well-formed");
    let root_issuer = Issuer::new(root_params, root_key);

    let intermediate_key = authority_key();
    let mut intermediate_params = authority_params("Paybell sandbox intermediate");
    intermediate_params.custom_extensions = vec![mark(marks.intermediate)];
    let intermediate = intermediate_params
        .signed_by(&intermediate_key, &root_issuer)
        .expect("the parameters are well-formed");
    let intermediate_issuer = Issuer::new(intermediate_params, intermediate_key);

    let leaf_key =
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("the system provides randomness");
    let mut leaf_params = params("Paybell sandbox signer");
    leaf_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf_params.is_ca = IsCa::ExplicitNoCa;
    leaf_params.custom_extensions = vec![mark(marks.leaf)];
    let leaf =
        leaf_params.signed_by(&leaf_key, &intermediate_issuer).expect("the parameters are well-formed");
    Chain {
        root: root.der().to_vec(),
        intermediate: intermediate.der().to_vec(),
        leaf: leaf.der().to_vec(),
        pkcs8_base64: STANDARD.encode(leaf_key.serialize_der()),
    }
}

/// An extension that says nothing but that it is there: its value is NULL.
fn mark(oid: &str) -> CustomExtension {
    let numbers: Vec<u64> = oid.split('.').filter_map(|number| number.parse().ok()).collect();
    CustomExtension::from_oid_content(&numbers, vec![0x05, 0x00])
}
