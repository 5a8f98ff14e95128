//! A digest that is proved by being encrypted with the shared key.

use subtle::ConstantTimeEq;

use super::{Proof, sha256};
use crate::callback::Rejection;
use crate::callback::cipher::open_aes_cbc;

/// Characters of the salt at the end of what is sealed.
pub const SALT_BYTES: usize = 4;

/// Accepts when `sealed` opens, as AES-CBC with the `key` of 16 bytes, to the hex SHA-256 of `message`, `|` and a salt,
/// followed by that salt.
///
/// # Errors
/// [`Rejection::SignatureMismatch`], whatever was wrong: a more exact answer would be a padding oracle.
pub fn require_sealed_sha256(
    key: &[u8],
    iv: [u8; 16],
    message: &[u8],
    sealed: &[u8],
) -> Result<Proof, Rejection> {
    let opened = open_aes_cbc(key, iv, sealed).map_err(|_| Rejection::SignatureMismatch)?;
    let salt = opened.len().checked_sub(SALT_BYTES).map_or(&[][..], |at| &opened[at..]);
    if bool::from(salted_digest(message, salt).ct_eq(&opened)) {
        Ok(Proof(()))
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

/// What is sealed: the hex digest of the message and the salt, then the salt.
pub fn salted_digest(message: &[u8], salt: &[u8]) -> Vec<u8> {
    let digest = hex::encode(sha256(&[message, b"|", salt].concat()));
    [digest.as_bytes(), salt].concat()
}
