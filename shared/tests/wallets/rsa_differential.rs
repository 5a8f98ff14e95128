//! The two implementations of RSA that are linked agree.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use paybell_shared::callback::signature::{RsaHash, RsaKey};
use proptest::prelude::*;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer, Verifier};
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;

static KEYS: LazyLock<Vec<(RsaPrivateKey, RsaKey)>> =
    LazyLock::new(|| [KeySize::Rsa2048, KeySize::Rsa2048, KeySize::Rsa3072].map(key).into());

fn key(size: KeySize) -> (RsaPrivateKey, RsaKey) {
    let pair = KeyPair::generate(size).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let private = RsaPrivateKey::from_pkcs8_der(private.as_ref()).unwrap();
    (private, RsaKey::from_spki_der(public.as_ref()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_give_the_same_verdict(
        signer in 0_usize..3,
        verifier in 0_usize..3,
        sha1 in any::<bool>(),
        checked_as_sha1 in any::<bool>(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        change in any::<Change>(),
    ) {
        let (private, _) = &KEYS[signer];
        let signature = if sha1 {
            SigningKey::<Sha1>::new(private.clone()).sign(&message).to_vec()
        } else {
            SigningKey::<Sha256>::new(private.clone()).sign(&message).to_vec()
        };
        let genuine = signer == verifier && sha1 == checked_as_sha1 && matches!(change, Change::Nothing);
        let signature = change.apply(signature);
        let (private, ours) = &KEYS[verifier];
        let theirs = accepts(&private.to_public_key(), checked_as_sha1, &message, &signature);
        let hash = if checked_as_sha1 { RsaHash::Sha1 } else { RsaHash::Sha256 };
        let ours = ours.require_signature(hash, &message, &signature).is_ok();
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(ours, genuine);
    }
}

fn accepts(key: &RsaPublicKey, sha1: bool, message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = Signature::try_from(signature) else { return false };
    if sha1 {
        VerifyingKey::<Sha1>::new(key.clone()).verify(message, &signature).is_ok()
    } else {
        VerifyingKey::<Sha256>::new(key.clone()).verify(message, &signature).is_ok()
    }
}

#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Flip(prop::sample::Index, u8),
    Cut,
    Extend(u8),
    Zero,
}

impl Change {
    fn apply(self, mut signature: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => {}
            Self::Flip(at, bits) => {
                let at = at.index(signature.len());
                signature[at] ^= bits;
            }
            Self::Cut => drop(signature.pop()),
            Self::Extend(byte) => signature.push(byte),
            Self::Zero => signature.fill(0),
        }
        signature
    }
}

impl Arbitrary for Change {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        prop_oneof![
            3 => Just(Self::Nothing),
            2 => (any::<prop::sample::Index>(), 1_u8..=255).prop_map(|(at, bits)| Self::Flip(at, bits)),
            1 => Just(Self::Cut),
            1 => any::<u8>().prop_map(Self::Extend),
            1 => Just(Self::Zero),
        ]
        .boxed()
    }
}
