//! The declarative scheme: a provider as a description of facts, with no code.

use crate::callback::{KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::PaymentEvent;

use super::MappingError;

/// A provider's description.
pub struct Description {}

impl Description {
    /// Proves a callback as the description says.
    ///
    /// # Errors
    /// [`Rejection`] of the check that failed.
    pub fn verify(
        &self,
        _raw: &RawCallback,
        _keys: &KeySet,
        _now: UnixSeconds,
    ) -> Result<Verified, Rejection> {
        Err(Rejection::MissingSignature)
    }

    /// Reads the events as the description says.
    ///
    /// # Errors
    /// [`MappingError`] when a field that an event needs is absent.
    pub fn normalise(&self, _verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
        Err(MappingError::Content)
    }

    /// Makes fresh keys for the sandbox.
    #[cfg(feature = "sandbox")]
    pub fn generate_keys(&self) -> crate::sandbox::SandboxKeys {
        crate::sandbox::SandboxKeys { key_set: Default::default(), private: Default::default() }
    }

    /// Signs a rendered payload: the inverse of [`Description::verify`].
    #[cfg(feature = "sandbox")]
    pub fn sign(
        &self,
        _keys: &crate::sandbox::SandboxKeys,
        payload: &crate::sandbox::Payload,
    ) -> crate::sandbox::SignedRequest {
        crate::sandbox::SignedRequest {
            method: "POST",
            query: String::new(),
            headers: Vec::new(),
            body: payload.content.clone().into_bytes(),
        }
    }
}
