//! Signs and encrypts as Google Pay would.

use crate::callback::google_envelope::Protocol;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, google_envelope};

pub(super) fn generate() -> SandboxKeys {
    google_envelope::generate(Protocol::EcV2, "merchant:12345678901234567890")
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    google_envelope::sign(keys, payload, "Google", Protocol::EcV2)
}
