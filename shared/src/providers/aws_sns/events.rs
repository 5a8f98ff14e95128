//! What a message tells, and how a subscription is confirmed.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::{FetchRequest, MappingError, described};
use super::{Message, NAME, TOPIC};
use crate::callback::{KeySet, Verified};
use crate::domain::PaymentEvent;

/// The content belongs to whoever publishes: only our own vocabulary is known.
pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let message = Message::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let told = match message.text("Type") {
        Some("Notification") => message.text("Message").unwrap_or_default(),
        _ => return Ok(Vec::new()),
    };
    if !matches!(serde_json::from_str(told), Ok(serde_json::Value::Object(_))) {
        return Ok(Vec::new());
    }
    let id = message.text("MessageId").ok_or_else(|| MappingError::field("MessageId"))?;
    described::normalise_vocabulary(NAME, verified, told.as_bytes(), Some(id))
}

/// Whether SNS asks whether the subscription is meant.
pub(super) fn is_subscription(verified: &Verified) -> bool {
    let message = Message::parse(verified.raw().body());
    message.is_ok_and(|message| message.text("Type") == Some("SubscriptionConfirmation"))
}

/// The confirmation of a subscription to one of the account's topics. Its address is made anew of the topic and the
/// token: nothing that came in is visited.
pub(super) fn confirmation(verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
    let message = Message::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let (host, _) = message.certificate_address().map_err(|_| MappingError::field("SigningCertURL"))?;
    let topic = message.text("TopicArn").unwrap_or_default();
    let is_ours = keys.texts(TOPIC).is_ok_and(|topics| topics.contains(&topic));
    let token = message.text("Token").filter(|token| token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let (true, Some(token)) = (is_ours, token) else { return Err(MappingError::field("TopicArn")) };
    let topic = utf8_percent_encode(topic, NON_ALPHANUMERIC);
    let address = format!("https://{host}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}");
    Ok(vec![FetchRequest::get(host, address)])
}
