//! The two implementations of RSA that are linked agree.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use paybell_shared::callback::signature::{RsaHash, RsaKey};
use proptest::prelude::*;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::{Digest, Sha256, Sha512};
use rsa::signature::{SignatureEncoding, Signer, Verifier};
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;

static KEYS: LazyLock<Vec<(RsaPrivateKey, RsaKey)>> =
    LazyLock::new(|| [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096].map(key).into());

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
    fn f5_both_give_the_same_verdict(
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// RSASSA-PSS with SHA-512; another length of the salt or another hash is another algorithm.
    #[test]
    fn f10_both_give_the_same_verdict_on_pss(
        key in 0_usize..2,
        salt_bytes in prop::sample::select(vec![64_usize, 0, 32, 63]),
        sha256 in prop::bool::weighted(0.2),
        message in prop::collection::vec(any::<u8>(), 0..200),
        change in any::<Change>(),
    ) {
        let (private, ours) = &KEYS[key];
        let mut random = rsa::rand_core::OsRng;
        let signature = if sha256 {
            let padding = rsa::Pss::new_with_salt::<Sha256>(salt_bytes.min(32));
            private.sign_with_rng(&mut random, padding, &Sha256::digest(&message)).unwrap()
        } else {
            let padding = rsa::Pss::new_with_salt::<Sha512>(salt_bytes);
            private.sign_with_rng(&mut random, padding, &Sha512::digest(&message)).unwrap()
        };
        let genuine = !sha256 && salt_bytes == 64 && matches!(change, Change::Nothing);
        let signature = change.apply(signature);
        let padding = rsa::Pss::new_with_salt::<Sha512>(64);
        let theirs = private.to_public_key().verify(padding, &Sha512::digest(&message), &signature).is_ok();
        let ours = ours.require_pss_sha512(&message, &signature).is_ok();
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(ours, genuine);
    }

    /// No second implementation of MD5 signatures is linked: genuine ones pass, and nothing else.
    #[test]
    fn f5_only_a_genuine_md5_signature_passes(
        key in 0_usize..2, message in prop::collection::vec(any::<u8>(), 0..200), change in any::<Change>(),
    ) {
        let (private, ours) = &KEYS[key];
        let signature = private.sign(rsa::Pkcs1v15Sign::new::<md5::Md5>(), &md5::Md5::digest(&message)).unwrap();
        let genuine = matches!(change, Change::Nothing);
        let ours = ours.require_md5_signature(&message, &change.apply(signature));
        prop_assert_eq!(ours.is_ok(), genuine);
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
    /// A zero in front, which leaves the number as it is.
    Lengthen,
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
            Self::Lengthen => signature.insert(0, 0),
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
            1 => Just(Self::Lengthen),
            1 => Just(Self::Zero),
        ]
        .boxed()
    }
}
