//! aws-lc-rs, which checks signatures of Ed25519, against curve25519-dalek's implementation.

use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use paybell_shared::callback::signature::require_ed25519;
use proptest::prelude::*;

/// The order of the base point, the least significant byte first, as numbers stand in signatures.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn we_accept(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    require_ed25519(key, message, &[signature.to_vec()]).is_ok()
}

fn they_accept(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), Signature::from_slice(signature)) else { return false };
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

/// What is done to a signature: a point in 32 bytes, then a number.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    /// The number plus the order, which would be as genuine if it were not too large.
    PlusOrder,
    /// The point or the number is zero, the order, or ones.
    Fill(bool, [u8; 32]),
    Flip(prop::sample::Index, u8),
    Cut,
    Extend(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let filling = prop::sample::select(vec![[0; 32], ORDER, [0xff; 32]]);
    prop_oneof![
        2 => Just(Change::Nothing),
        2 => Just(Change::PlusOrder),
        2 => (any::<bool>(), filling).prop_map(|(number, filling)| Change::Fill(number, filling)),
        3 => (any::<prop::sample::Index>(), 1_u8..=255).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => Just(Change::Cut),
        1 => any::<u8>().prop_map(Change::Extend),
    ]
}

impl Change {
    fn apply(&self, mut signature: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => {}
            Self::PlusOrder => {
                let mut carry = 0;
                for (digit, more) in signature[32..].iter_mut().zip(ORDER) {
                    let sum = u16::from(*digit) + u16::from(more) + carry;
                    *digit = sum.to_le_bytes()[0];
                    carry = sum >> 8;
                }
            }
            Self::Fill(true, filling) => signature[32..].copy_from_slice(filling),
            Self::Fill(false, filling) => signature[..32].copy_from_slice(filling),
            Self::Flip(at, bits) => {
                let at = at.index(signature.len());
                signature[at] ^= bits;
            }
            Self::Cut => drop(signature.pop()),
            Self::Extend(byte) => signature.push(*byte),
        }
        signature
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn f5_f10_both_give_the_same_verdict_on_ed25519(
        signer in 1_u8..4, verifier in 1_u8..4, message in prop::collection::vec(any::<u8>(), 0..80),
        change in change(), other_message in any::<bool>(),
    ) {
        let signature = change.apply(key(signer).sign(&message).to_bytes().to_vec());
        let public = key(verifier).verifying_key().to_bytes();
        let told = if other_message { [&message[..], b"."].concat() } else { message };
        let ours = we_accept(&public, &told, &signature);
        prop_assert_eq!(ours, they_accept(&public, &told, &signature));
        prop_assert_eq!(ours, signer == verifier && !other_message && matches!(change, Change::Nothing));
    }

    #[test]
    fn f5_both_give_the_same_verdict_on_changed_keys(
        message in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), bits in any::<u8>(),
        length in prop::sample::select(vec![0_usize, 31, 32, 33, 64]),
    ) {
        let signature = key(1).sign(&message).to_bytes();
        let mut public = key(1).verifying_key().to_bytes().to_vec();
        let at = at.index(public.len());
        public[at] ^= bits;
        public.resize(length, 0);
        let ours = we_accept(&public, &message, &signature);
        prop_assert_eq!(ours, they_accept(&public, &message, &signature));
        prop_assert_eq!(ours, bits == 0 && length == 32);
    }
}

/// The points of small order in every way to write them, those first that are written as they should be.
const SMALL_ORDER: &[&str] = &[
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];
/// How many points there are.
const SMALL_ORDER_POINTS: usize = 8;

/// Where the two differ: for a key of small order, such as 32 zeros, everybody can sign, and they accept it as RFC 8032
/// does. Nobody has such a key by right, so we are the stricter one.
#[test]
fn f3_f5_a_key_for_which_everybody_can_sign_proves_nothing() {
    let points: Vec<Vec<u8>> = SMALL_ORDER.iter().map(|text| hex::decode(text).unwrap()).collect();
    let signatures: Vec<_> =
        points[..SMALL_ORDER_POINTS].iter().map(|point| [point, &[0; 32][..]].concat()).collect();
    for key in &points {
        // One of eight messages fits.
        let (message, forged) = (0..=u8::MAX)
            .flat_map(|number| signatures.iter().map(move |signature| ([number], signature)))
            .find(|(message, signature)| they_accept(key, message, signature))
            .unwrap_or_else(|| panic!("{key:02x?}: no message fits"));
        assert!(!we_accept(key, &message, forged), "{key:02x?} proves a forgery");
    }
}
