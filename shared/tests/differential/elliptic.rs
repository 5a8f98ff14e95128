//! aws-lc-rs, which checks signatures on P-256, against RustCrypto's implementation.

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use paybell_shared::callback::signature::{EcdsaForm, EcdsaP256Key};
use proptest::prelude::*;

/// The order of the curve's group.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn keys(seed: u8) -> (SigningKey, EcdsaP256Key) {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    (key, EcdsaP256Key::from_point(point.as_bytes()).unwrap())
}

/// What is done to a signature of two numbers.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    /// `s` is replaced by the order less `s`, which is as genuine.
    OtherHalf,
    /// A number of zero, of the order, or beyond it.
    Zero(bool),
    Order(bool),
    Ones(bool),
    Flip(prop::sample::Index, u8),
    Cut,
    Extend(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::Nothing),
        2 => Just(Change::OtherHalf),
        1 => any::<bool>().prop_map(Change::Zero),
        1 => any::<bool>().prop_map(Change::Order),
        1 => any::<bool>().prop_map(Change::Ones),
        3 => (any::<prop::sample::Index>(), 1_u8..=255).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => Just(Change::Cut),
        1 => any::<u8>().prop_map(Change::Extend),
    ]
}

impl Change {
    fn apply(&self, mut raw: Vec<u8>) -> Vec<u8> {
        let half = |of_s: bool| if of_s { 32..64 } else { 0..32 };
        match self {
            Self::Nothing => {}
            Self::OtherHalf => {
                let s = raw[32..].to_vec();
                raw[32..].copy_from_slice(&less(&ORDER, &s));
            }
            Self::Zero(of_s) => raw[half(*of_s)].fill(0),
            Self::Order(of_s) => raw[half(*of_s)].copy_from_slice(&ORDER),
            Self::Ones(of_s) => raw[half(*of_s)].fill(0xff),
            Self::Flip(at, bits) => {
                let at = at.index(raw.len());
                raw[at] ^= bits;
            }
            Self::Cut => drop(raw.pop()),
            Self::Extend(byte) => raw.push(*byte),
        }
        raw
    }
}

fn less(from: &[u8; 32], number: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference = vec![0; 32];
    for at in (0..32).rev() {
        let digit = i16::from(from[at]) - i16::from(number[at]) - borrow;
        borrow = i16::from(digit < 0);
        difference[at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    difference
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn f10_both_give_the_same_verdict_on_two_numbers(
        signer in 1_u8..4, verifier in 1_u8..4, message in prop::collection::vec(any::<u8>(), 0..80), change in change(),
    ) {
        let signature: Signature = keys(signer).0.sign(&message);
        let raw = change.apply(signature.to_bytes().to_vec());
        let (key, ours) = keys(verifier);
        let ours = ours.require_signature(EcdsaForm::Raw, &message, &raw).is_ok();
        let theirs = Signature::from_slice(&raw).is_ok_and(|signature| accepts(key.verifying_key(), &message, &signature));
        prop_assert_eq!(ours, theirs);
        let genuine = signer == verifier && matches!(change, Change::Nothing | Change::OtherHalf);
        prop_assert_eq!(ours, genuine);
    }

    #[test]
    fn f10_both_give_the_same_verdict_on_der(
        message in prop::collection::vec(any::<u8>(), 0..80), change in change(), at_der in any::<bool>(),
    ) {
        let (key, ours) = keys(1);
        let signature: Signature = key.sign(&message);
        let der = if at_der {
            let mut der = signature.to_der().as_bytes().to_vec();
            match &change {
                Change::Flip(at, bits) => {
                    let at = at.index(der.len());
                    der[at] ^= bits;
                }
                Change::Cut => drop(der.pop()),
                Change::Extend(byte) => der.push(*byte),
                // A length in the long form, as BER allows and DER does not.
                Change::Ones(_) => drop(der.splice(1..2, [0x81, u8::try_from(signature.to_der().as_bytes().len() - 2).unwrap()])),
                // A zero in front of a number that needs none.
                Change::Zero(_) => {
                    der[1] += 1;
                    der[3] += 1;
                    der.insert(4, 0);
                }
                _ => {}
            }
            der
        } else {
            match Signature::from_slice(&change.apply(signature.to_bytes().to_vec())) {
                Ok(changed) => changed.to_der().as_bytes().to_vec(),
                Err(_) => return Ok(()),
            }
        };
        let ours = ours.require_signature(EcdsaForm::Der, &message, &der).is_ok();
        let theirs = DerSignature::from_bytes(&der)
            .ok()
            .and_then(|signature| Signature::try_from(signature).ok())
            .is_some_and(|signature| accepts(key.verifying_key(), &message, &signature));
        prop_assert_eq!(ours, theirs);
    }
}

fn accepts(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    key.verify(message, signature).is_ok()
}
