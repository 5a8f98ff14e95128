//! ECDSA keys that the sandbox makes and signs with. Its signatures follow from the key and the message alone, so
//! that the fixtures are the same whenever they are made.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::pkcs8::DecodePrivateKey;
use p521::elliptic_curve::rand_core::{self, CryptoRng, RngCore};
use serde_json::{Map, Value};
use sha2::{Digest, Sha512};

use crate::callback::signature::EcdsaForm;

/// The curve of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-521.
    P521,
}

/// A fresh key.
pub struct GeneratedKey {
    /// PKCS#8 of the private half, in base64.
    pub pkcs8_base64: String,
    /// SubjectPublicKeyInfo of the public half, in base64.
    pub spki_base64: String,
    /// The uncompressed point of the public half.
    pub point: Vec<u8>,
}

const MADE_HERE: &str = "sandbox keys hold what the sandbox made";

/// Makes a fresh key.
pub fn generate(curve: Curve) -> GeneratedKey {
    let algorithm = match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    };
    let pair = EcdsaKeyPair::generate(algorithm).expect("the system provides randomness");
    let private = pair.to_pkcs8v1().expect("a generated key encodes");
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("a generated key encodes");
    GeneratedKey {
        pkcs8_base64: STANDARD.encode(private.as_ref()),
        spki_base64: STANDARD.encode(public.as_ref()),
        point: pair.public_key().as_ref().to_vec(),
    }
}

/// The ECDSA signature over the SHA-256 of `message` by the P-256 key stored under `field`.
pub fn sign_p256(private: &Map<String, Value>, field: &str, message: &[u8], form: EcdsaForm) -> Vec<u8> {
    use p256::ecdsa::{Signature, SigningKey, signature::Signer};
    let key = SigningKey::from_pkcs8_der(&stored(private, field)).expect(MADE_HERE);
    let signature: Signature = key.sign(message);
    match form {
        EcdsaForm::Der => signature.to_der().as_bytes().to_vec(),
        EcdsaForm::Raw => signature.to_vec(),
    }
}

/// The ECDSA signature over the SHA-512 of `message` by the P-521 key stored under `field`: both numbers, 66 bytes each.
pub fn sign_p521(private: &Map<String, Value>, field: &str, message: &[u8]) -> Vec<u8> {
    use p521::ecdsa::{Signature, SigningKey, signature::RandomizedSigner};
    let pkcs8 = stored(private, field);
    let secret = p521::SecretKey::from_pkcs8_der(&pkcs8).expect(MADE_HERE);
    let key = SigningKey::from_bytes(&secret.to_bytes()).expect(MADE_HERE);
    let mut nonces = Derived { seed: Sha512::new().chain_update(&pkcs8).chain_update(message), count: 0 };
    let signature: Signature = key.sign_with_rng(&mut nonces, message);
    signature.to_bytes().to_vec()
}

/// A source of bytes that nobody without the seed can guess, and that are the same each time.
pub fn derived_random(seed: &[u8]) -> impl CryptoRng + RngCore + use<> {
    Derived { seed: Sha512::new().chain_update(seed), count: 0 }
}

/// Bytes that nobody without the key can guess, and that are the same each time: what a signature's nonce needs.
struct Derived {
    seed: Sha512,
    count: u64,
}

impl RngCore for Derived {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for block in bytes.chunks_mut(64) {
            self.count += 1;
            let derived = self.seed.clone().chain_update(self.count.to_be_bytes()).finalize();
            block.copy_from_slice(&derived[..block.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Derived {}

fn stored(private: &Map<String, Value>, field: &str) -> Vec<u8> {
    let text = private.get(field).and_then(Value::as_str);
    text.and_then(|text| STANDARD.decode(text).ok()).expect(MADE_HERE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::signature::EcdsaP256Key;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};

    #[test]
    fn signatures_match_and_repeat() {
        let p256 = generate(Curve::P256);
        let private = Map::from_iter([("key".to_owned(), Value::String(p256.pkcs8_base64))]);
        let public = EcdsaP256Key::from_public_key_text(&p256.spki_base64, "key").unwrap();
        for form in [EcdsaForm::Der, EcdsaForm::Raw] {
            let signature = sign_p256(&private, "key", b"message", form);
            assert_eq!(signature, sign_p256(&private, "key", b"message", form));
            assert!(public.require_signature(form, b"message", &signature).is_ok(), "{form:?}");
            assert!(public.require_signature(form, b"massage", &signature).is_err(), "{form:?}");
        }
        let p521 = generate(Curve::P521);
        let private = Map::from_iter([("key".to_owned(), Value::String(p521.pkcs8_base64))]);
        let signature = sign_p521(&private, "key", b"message");
        assert_eq!(signature, sign_p521(&private, "key", b"message"));
        let public = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, &p521.point);
        assert!(public.verify(b"message", &signature).is_ok());
        assert!(public.verify(b"massage", &signature).is_err());
    }
}
