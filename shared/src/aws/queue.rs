//! The queues of verified callbacks and of hints on SQS, and dead-letter queues.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue,
};

use super::error::port_error;
use crate::callback::Verified;
use crate::domain::Reminder;
use crate::ports::dead_letters::{REASON_ATTRIBUTE, kept_reason};
use crate::ports::redelivery::{PutOff, Redelivery};
use crate::ports::{CallbackQueue, DeadLetters, HintQueue, PortError, QueuedHint};
use crate::telemetry::trace_header;

/// Most bytes of one message.
///
/// # Source
/// Amazon SQS Developer Guide, "Amazon SQS message quotas": 1 MiB.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most messages of one batch.
///
/// # Source
/// Amazon SQS API Reference, "ChangeMessageVisibilityBatch".
pub(super) const BATCH_ENTRIES_MAX: usize = 10;
/// The type of an attribute that is text.
const STRING: &str = "String";

/// A dead-letter queue, to which we send ourselves what is beyond help.
#[derive(Clone, Debug)]
pub struct SqsDeadLetters {
    client: Client,
    queue_url: String,
}

impl SqsDeadLetters {
    /// The queue at this address.
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into() }
    }
}

#[async_trait]
impl DeadLetters for SqsDeadLetters {
    async fn set_aside(&self, message: &str, reason: &str) -> Result<(), PortError> {
        send(&self.client, &self.queue_url, message.to_owned(), Some(reason)).await
    }
}

/// The callbacks queue, or the queue of hints.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    queue_url: String,
    dead_letters: SqsDeadLetters,
}

impl SqsQueue {
    /// The queue and its dead-letter queue at these addresses.
    pub fn new(client: Client, queue_url: impl Into<String>, dead_letters_url: impl Into<String>) -> Self {
        let dead_letters = SqsDeadLetters::new(client.clone(), dead_letters_url);
        Self { client, queue_url: queue_url.into(), dead_letters }
    }

    async fn put_off_batch(&self, messages: &[PutOff]) -> Result<(), PortError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        let entry = |(index, message): (usize, &PutOff)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&message.receipt_handle)
                .visibility_timeout(i32::try_from(message.delay_seconds).unwrap_or(i32::MAX))
                .build()
        };
        let entries = messages.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>();
        let entries =
            entries.map_err(|_| PortError::Permanent(format!("{OPERATION}: the request is invalid")))?;
        let request = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
        let done = request.set_entries(Some(entries)).send().await;
        let done = done.map_err(|error| port_error(OPERATION, &error))?;
        match done.failed.first() {
            None => Ok(()),
            Some(first) => {
                let (refused, sent) = (done.failed.len(), messages.len());
                Err(PortError::Transient(format!("{OPERATION}: {} for {refused} of {sent}", first.code)))
            }
        }
    }
}

/// Sends a message, with the reason in an attribute of its own where there is one: the text stays what it was.
pub(super) async fn send(
    client: &Client,
    queue_url: &str,
    message: String,
    reason: Option<&str>,
) -> Result<(), PortError> {
    send_delayed(client, queue_url, message, reason, None).await
}

/// The same; nobody receives it before `delay_seconds` have passed. Without it the queue's own delay counts.
async fn send_delayed(
    client: &Client,
    queue_url: &str,
    message: String,
    reason: Option<&str>,
    delay_seconds: Option<u32>,
) -> Result<(), PortError> {
    let invalid = |error: BuildError| PortError::Permanent(error.to_string());
    let reason = reason.map(kept_reason).filter(|reason| fits(&message, reason));
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(PortError::Permanent(format!("SendMessage: more than {MESSAGE_BYTES_MAX} bytes")));
    }
    let delay_seconds = delay_seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
    let mut request =
        client.send_message().queue_url(queue_url).message_body(message).set_delay_seconds(delay_seconds);
    if let Some(header) = trace_header() {
        let value = MessageSystemAttributeValue::builder().data_type(STRING).string_value(header);
        let value = value.build().map_err(invalid)?;
        request =
            request.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
    }
    if let Some(reason) = reason {
        let value = MessageAttributeValue::builder().data_type(STRING).string_value(reason).build();
        request = request.message_attributes(REASON_ATTRIBUTE, value.map_err(invalid)?);
    }
    request.send().await.map(|_| ()).map_err(|error| port_error("SendMessage", &error))
}

/// Whether the reason finds room beside the message: attributes count, and a message is kept rather than its reason.
fn fits(message: &str, reason: &str) -> bool {
    message.len() + REASON_ATTRIBUTE.len() + STRING.len() + reason.len() <= MESSAGE_BYTES_MAX
}

#[async_trait]
impl DeadLetters for SqsQueue {
    async fn set_aside(&self, message: &str, reason: &str) -> Result<(), PortError> {
        self.dead_letters.set_aside(message, reason).await
    }
}

#[async_trait]
impl Redelivery for SqsQueue {
    async fn put_off(&self, messages: &[PutOff]) -> Result<(), PortError> {
        let mut outcome = Ok(());
        for batch in messages.chunks(BATCH_ENTRIES_MAX) {
            outcome = outcome.and(self.put_off_batch(batch).await);
        }
        outcome
    }
}

#[async_trait]
impl CallbackQueue for SqsQueue {
    async fn send(&self, verified: &Verified) -> Result<(), PortError> {
        send(&self.client, &self.queue_url, verified.to_message(), None).await
    }
}

#[async_trait]
impl HintQueue for SqsQueue {
    async fn send(&self, hint: &Verified) -> Result<(), PortError> {
        send(&self.client, &self.queue_url, hint.to_message(), None).await
    }

    async fn remind(&self, reminder: &Reminder, delay_seconds: u32) -> Result<(), PortError> {
        let message = QueuedHint::message_of(reminder);
        send_delayed(&self.client, &self.queue_url, message, None, Some(delay_seconds)).await
    }
}
