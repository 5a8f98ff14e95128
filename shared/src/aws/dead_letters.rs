//! Dead-letter queues on SQS as an operator reads them.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};

use super::error::port_error;
use super::queue::{BATCH_ENTRIES_MAX, send};
use crate::ports::dead_letters::{LETTERS_PER_RECEIVE_MAX, REASON_ATTRIBUTE};
use crate::ports::{DeadLetter, DeadLetterQueue, PortError, ReturnQueue};

/// A dead-letter queue whose letters are read, returned and deleted.
#[derive(Clone, Debug)]
pub struct SqsLetters {
    client: Client,
    queue_url: String,
    wait_seconds: i32,
}

impl SqsLetters {
    /// The queue at this address. A receive waits for a first letter as long as `wait_seconds`: with one second or more
    /// SQS asks all of its servers, so that a queue that seems empty is.
    pub fn new(client: Client, queue_url: impl Into<String>, wait_seconds: i32) -> Self {
        Self { client, queue_url: queue_url.into(), wait_seconds }
    }
}

#[async_trait]
impl DeadLetterQueue for SqsLetters {
    async fn receive(&self, hidden_seconds: u32) -> Result<Vec<DeadLetter>, PortError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(LETTERS_PER_RECEIVE_MAX).unwrap_or(i32::MAX))
            .visibility_timeout(i32::try_from(hidden_seconds).unwrap_or(i32::MAX))
            .wait_time_seconds(self.wait_seconds)
            .message_attribute_names(REASON_ATTRIBUTE)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let output = request.send().await.map_err(|error| port_error("ReceiveMessage", &error))?;
        Ok(output.messages.unwrap_or_default().into_iter().map(letter).collect())
    }

    async fn give_back(&self, letters: &[&DeadLetter]) -> Result<(), PortError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        let entry = |(index, letter): (usize, &&DeadLetter)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&letter.receipt_handle)
                .visibility_timeout(0)
                .build()
        };
        let mut outcome = Ok(());
        for batch in letters.chunks(BATCH_ENTRIES_MAX) {
            let entries = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, BuildError>>();
            let entries = entries.map_err(|error| PortError::Permanent(error.to_string()))?;
            let request = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
            let given_back = request.set_entries(Some(entries)).send().await;
            // A letter that is no longer hidden is where it should be, so failures of single ones say nothing.
            outcome = outcome.and(given_back.map(|_| ()).map_err(|error| port_error(OPERATION, &error)));
        }
        outcome
    }

    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let request = self.client.delete_message().queue_url(&self.queue_url);
        let deleted = request.receipt_handle(&letter.receipt_handle).send().await;
        deleted.map(|_| ()).map_err(|error| port_error("DeleteMessage", &error))
    }

    async fn hidden(&self) -> Result<u64, PortError> {
        let name = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let request = self.client.get_queue_attributes().queue_url(&self.queue_url);
        let output = request.attribute_names(name.clone()).send().await;
        let output = output.map_err(|error| port_error("GetQueueAttributes", &error))?;
        let count = output.attributes.unwrap_or_default().remove(&name);
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }
}

fn letter(message: Message) -> DeadLetter {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|number: &String| number.parse::<i64>().ok());
    let reason = message.message_attributes.unwrap_or_default().remove(REASON_ATTRIBUTE);
    DeadLetter {
        id: message.message_id.unwrap_or_default(),
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        reason: reason.and_then(|reason| reason.string_value),
        sent_at_ms: number(MessageSystemAttributeName::SentTimestamp).unwrap_or_default(),
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
    }
}

/// A queue that takes back what lay among its dead letters.
#[derive(Clone, Debug)]
pub struct SqsReturnQueue {
    client: Client,
    queue_url: String,
}

impl SqsReturnQueue {
    /// The queue at this address.
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into() }
    }
}

#[async_trait]
impl ReturnQueue for SqsReturnQueue {
    async fn send_again(&self, message: &str) -> Result<(), PortError> {
        send(&self.client, &self.queue_url, message.to_owned(), None).await
    }
}
