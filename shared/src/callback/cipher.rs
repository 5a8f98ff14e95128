//! Block ciphers of old protocols. They prove nothing: whoever opens something with them has still to check a
//! signature, or to ask the provider.

use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptingKey, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

use super::rejection::Rejection;

/// Opens AES in ECB mode with PKCS#7 padding; the key has 16 or 32 bytes.
///
/// # Errors
/// [`Rejection::DecryptFailed`], whatever was wrong: a more exact answer would be a padding oracle.
pub fn open_aes_ecb(key: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, Rejection> {
    let key = unbound(key).and_then(|key| PaddedBlockDecryptingKey::ecb_pkcs7(key).ok());
    open(key, DecryptionContext::None, ciphertext)
}

/// Opens AES in CBC mode with PKCS#7 padding; the key has 16 or 32 bytes.
///
/// # Errors
/// [`Rejection::DecryptFailed`], whatever was wrong: a more exact answer would be a padding oracle.
pub fn open_aes_cbc(key: &[u8], iv: [u8; 16], ciphertext: &[u8]) -> Result<Vec<u8>, Rejection> {
    let key = unbound(key).and_then(|key| PaddedBlockDecryptingKey::cbc_pkcs7(key).ok());
    open(key, DecryptionContext::Iv128(FixedLength::from(iv)), ciphertext)
}

/// Opens AES in counter mode whose counter begins at zero, which only a key of a single message allows; sealing is the
/// same. The key has 16 or 32 bytes.
///
/// # Errors
/// [`Rejection::DecryptFailed`] for a key of another length.
pub fn aes_ctr_from_zero(key: &[u8], text: &[u8]) -> Result<Vec<u8>, Rejection> {
    let key = unbound(key).and_then(|key| DecryptingKey::ctr(key).ok());
    let mut buffer = text.to_vec();
    let zero = DecryptionContext::Iv128(FixedLength::from([0; 16]));
    let opened = key.and_then(|key| key.decrypt(&mut buffer, zero).ok().map(|opened| opened.to_vec()));
    opened.ok_or(Rejection::DecryptFailed)
}

fn unbound(key: &[u8]) -> Option<UnboundCipherKey> {
    let algorithm: &'static Algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return None,
    };
    UnboundCipherKey::new(algorithm, key).ok()
}

fn open(
    key: Option<PaddedBlockDecryptingKey>,
    context: DecryptionContext,
    ciphertext: &[u8],
) -> Result<Vec<u8>, Rejection> {
    let mut buffer = ciphertext.to_vec();
    let opened = key.and_then(|key| key.decrypt(&mut buffer, context).ok().map(|opened| opened.to_vec()));
    opened.ok_or(Rejection::DecryptFailed)
}

/// What [`open_aes_ecb`] opens, for the sandbox; `None` for a key of another length.
#[cfg(feature = "sandbox")]
pub fn seal_aes_ecb(key: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let key = aws_lc_rs::cipher::PaddedBlockEncryptingKey::ecb_pkcs7(unbound(key)?).ok()?;
    let mut buffer = plaintext.to_vec();
    key.encrypt(&mut buffer).ok()?;
    Some(buffer)
}

/// What [`open_aes_cbc`] opens, for the sandbox; `None` for a key of another length.
#[cfg(feature = "sandbox")]
pub fn seal_aes_cbc(key: &[u8], iv: [u8; 16], plaintext: &[u8]) -> Option<Vec<u8>> {
    let key = aws_lc_rs::cipher::PaddedBlockEncryptingKey::cbc_pkcs7(unbound(key)?).ok()?;
    let mut buffer = plaintext.to_vec();
    key.less_safe_encrypt(&mut buffer, aws_lc_rs::cipher::EncryptionContext::Iv128(FixedLength::from(iv)))
        .ok()?;
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// # Source
    /// NIST SP 800-38A, F.1.1, F.1.5 and F.2.1: the first block; the padding block is what OpenSSL appends.
    #[test]
    fn published_blocks_open() {
        let plaintext = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
        let key128 = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let key256 = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
        let iv: [u8; 16] = core::array::from_fn(|index| u8::try_from(index).unwrap());
        for (key, block) in
            [(&key128, "3ad77bb40d7a3660a89ecaf32466ef97"), (&key256, "f3eed1bdb5d2a03c064b5a7e3db181f8")]
        {
            let sealed = seal_aes_ecb(key, &plaintext).unwrap();
            assert_eq!(hex::encode(&sealed[..16]), block);
            assert_eq!(open_aes_ecb(key, &sealed).unwrap(), plaintext);
        }
        let sealed = seal_aes_cbc(&key128, iv, &plaintext).unwrap();
        assert_eq!(hex::encode(&sealed[..16]), "7649abac8119b246cee98e9b12e9197d");
        assert_eq!(open_aes_cbc(&key128, iv, &sealed).unwrap(), plaintext);
    }

    #[test]
    fn every_failure_looks_the_same() {
        let key = [7; 32];
        let sealed = seal_aes_ecb(&key, b"twenty bytes of text").unwrap();
        let mut flipped = sealed.clone();
        flipped[31] ^= 1;
        for (key, ciphertext) in [
            (&key[..], &sealed[..16]),
            (&key[..], &sealed[..31]),
            (&key[..], &flipped[..]),
            (&key[..], &[][..]),
            (&[8; 32][..], &sealed[..]),
            (&key[..24], &sealed[..]),
            (&[][..], &sealed[..]),
        ] {
            assert_eq!(open_aes_ecb(key, ciphertext), Err(Rejection::DecryptFailed));
            assert_eq!(open_aes_cbc(key, [0; 16], ciphertext), Err(Rejection::DecryptFailed));
        }
    }
}
