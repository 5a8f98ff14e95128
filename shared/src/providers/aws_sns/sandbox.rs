//! Signs as Amazon SNS would.

use serde_json::{Map, json};

use crate::callback::signature::sha256;
use crate::sandbox::{Payload, SandboxKeys, SignedRequest, rsa_keys};

const PRIVATE: &str = "pkcs8_base64";
const TOPIC_ARN: &str = "arn:aws:sns:eu-central-1:000000000000:payments";
pub(super) const CERTIFICATE_URL: &str =
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-00000000000000000000000000000000.pem";

pub(super) fn generate() -> SandboxKeys {
    let (certificate, pkcs8_base64) = rsa_keys::root("sandbox").leaf("sns.amazonaws.com");
    SandboxKeys {
        key_set: Map::from_iter([
            (super::CERTIFICATES.to_owned(), json!({ CERTIFICATE_URL: certificate.pem() })),
            (super::TOPIC.to_owned(), json!(TOPIC_ARN)),
        ]),
        private: Map::from_iter([(PRIVATE.to_owned(), json!(pkcs8_base64))]),
    }
}

/// The payload is what was published.
pub(super) fn sign(keys: &SandboxKeys, payload: &Payload) -> SignedRequest {
    let sent_at = jiff::Timestamp::from_second(payload.sent_at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let digest = hex::encode(sha256(payload.event_id.as_bytes()));
    let message_id = format!(
        "{}-{}-{}-{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[12..16],
        &digest[16..20],
        &digest[20..32]
    );
    let message = json!({
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": TOPIC_ARN,
        "Message": payload.content,
        "Timestamp": sent_at.to_string(),
    });
    signed(keys, message)
}

/// The message with its signature.
pub(super) fn signed(keys: &SandboxKeys, mut message: serde_json::Value) -> SignedRequest {
    message["SignatureVersion"] = json!("2");
    message["SigningCertURL"] = json!(CERTIFICATE_URL);
    let text =
        super::Message::parse(message.to_string().as_bytes()).and_then(|message| message.signed_text());
    let text = text.expect("the sandbox makes whole messages");
    message["Signature"] = json!(rsa_keys::sign_sha256(&keys.private, PRIVATE, &text));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![
            header("Content-Type", "text/plain; charset=UTF-8"),
            header("x-amz-sns-message-type", message["Type"].as_str().unwrap_or_default()),
        ],
        body: message.to_string().into_bytes(),
    }
}
