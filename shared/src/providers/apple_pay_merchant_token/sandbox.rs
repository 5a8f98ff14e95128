//! Calls as Apple would.

use serde_json::Map;

use crate::sandbox::{FURTHER_PATH, Payload, SandboxKeys, SignedRequest};

pub(super) fn generate() -> SandboxKeys {
    SandboxKeys { key_set: Map::new(), private: Map::new() }
}

/// The payload is the event's id.
pub(super) fn sign(_keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let id = payload.content.trim().trim_matches('"');
    SignedRequest {
        method: "GET",
        query: String::new(),
        headers: vec![(FURTHER_PATH.to_owned(), format!("{}{id}", super::EVENT_PATH))],
        body: Vec::new(),
    }
}
