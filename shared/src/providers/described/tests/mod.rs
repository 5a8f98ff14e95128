//! Tests of the declarative scheme.

mod events;
mod inquiries;
mod laws;
mod references;
mod refused;
mod requests;
mod schemes;
mod sorted;
mod templates;
mod tokens;

use serde_json::Value;

use crate::callback::{Credentials, KeySet, RawCallback, UnixSeconds};
use crate::sandbox::{Payload, SandboxKeys, SignedRequest};

use super::{Description, DescriptionError};

/// The smallest description that is accepted.
const MINIMAL: &str = r#"
title = "Minimal"
retry_schedule = "never"
covers = "body"

[[credentials]]
name = "secret"
about = "Secret"

[[checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Signature", encoding = "hex" }
signed = "{body}"

[events]
type = "{json:/type}"

[events.types]
paid = { kind = "payment.captured", facts = "payment" }

[events.facts.payment]
subject_id = ["json:/order"]
transaction_id = ["json:/id"]
amount = { at = ["json:/amount"], unit = "minor", currency = ["json:/currency"] }
"#;

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

/// [`MINIMAL`] with each line that contains the first text replaced by the second.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = MINIMAL.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "`{from}` is not in the minimal description");
        text = text.replacen(from, to, 1);
    }
    text
}

fn read(text: &str) -> Result<Description, DescriptionError> {
    Description::from_text("minimal", text)
}

fn keys(fields: Value) -> KeySet {
    KeySet::new("test", fields.as_object().expect("an object").clone())
}

fn credentials(keys: &SandboxKeys) -> Credentials {
    Credentials { key_sets: vec![KeySet::new("test", keys.key_set.clone())] }
}

fn payload(content: &str) -> Payload {
    Payload {
        content: content.to_owned(),
        event_id: "event-1".to_owned(),
        sent_at: NOW,
        path: "/".to_owned(),
    }
}

fn raw(provider: &str, request: &SignedRequest) -> RawCallback {
    RawCallback::new("account", provider, request.method, "/", request.headers.clone(), request.body.clone())
}
