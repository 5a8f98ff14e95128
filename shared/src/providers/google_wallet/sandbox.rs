//! Signs as Google Wallet would.

use crate::callback::google_envelope::Protocol;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, google_envelope};

pub(super) fn generate() -> SandboxKeys {
    google_envelope::generate(Protocol::EcV2SigningOnly, "3388000000012345678")
}

pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    google_envelope::sign(keys, payload, "GooglePayPasses", Protocol::EcV2SigningOnly)
}
