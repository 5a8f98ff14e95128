//! A queue as Lambda's poller reads it, for handlers that run in the process of a test.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

/// Up to ten messages that can be received now.
pub async fn receive(sqs: &Client, queue_url: &str) -> Vec<Message> {
    let receive = sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
    let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
    receive.send().await.expect("the queue answers").messages.unwrap_or_default()
}

/// Sends any text.
pub async fn send(sqs: &Client, queue_url: &str, text: &str) {
    let sent = sqs.send_message().queue_url(queue_url).message_body(text).send().await;
    sent.unwrap_or_else(|error| panic!("the queue takes no message: {error:?}"));
}

/// Deletes a message that was received.
pub async fn delete(sqs: &Client, queue_url: &str, message: &Message) {
    let handle = message.receipt_handle.as_ref().expect("messages have handles");
    let delete = sqs.delete_message().queue_url(queue_url).receipt_handle(handle);
    delete.send().await.expect("the queue answers");
}

/// The event with which Lambda calls a function for these messages.
pub fn event_of<'a>(messages: impl IntoIterator<Item = &'a Message>) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = messages.into_iter().map(record).collect();
    event
}

fn record(message: &Message) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = message.message_id.clone();
    record.receipt_handle = message.receipt_handle.clone();
    record.body = message.body.clone();
    let attributes = message.attributes.iter().flatten();
    record.attributes = attributes.map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
    record
}
