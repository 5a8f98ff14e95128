//! The queues of verified callbacks and of hints on SQS.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};

use super::error::port_error;
use crate::callback::Verified;
use crate::ports::{CallbackQueue, HintQueue, PortError};
use crate::telemetry::trace_header;

/// Most bytes of one message.
///
/// # Source
/// Amazon SQS Developer Guide, "Amazon SQS message quotas": 1 MiB.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The callbacks queue, or the queue of hints.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    queue_url: String,
    dead_letters_url: String,
}

impl SqsQueue {
    /// The queue and its dead-letter queue at these addresses.
    pub fn new(client: Client, queue_url: impl Into<String>, dead_letters_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into(), dead_letters_url: dead_letters_url.into() }
    }

    async fn send_to(&self, queue_url: &str, message: String) -> Result<(), PortError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(PortError::Permanent(format!("SendMessage: more than {MESSAGE_BYTES_MAX} bytes")));
        }
        let mut request = self.client.send_message().queue_url(queue_url).message_body(message);
        if let Some(header) = trace_header() {
            let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header);
            let value = value.build().map_err(|error| PortError::Permanent(error.to_string()))?;
            request =
                request.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
        }
        request.send().await.map(|_| ()).map_err(|error| port_error("SendMessage", &error))
    }
}

#[async_trait]
impl CallbackQueue for SqsQueue {
    async fn send(&self, verified: &Verified) -> Result<(), PortError> {
        self.send_to(&self.queue_url, verified.to_message()).await
    }

    async fn set_aside(&self, message: &str) -> Result<(), PortError> {
        self.send_to(&self.dead_letters_url, message.to_owned()).await
    }
}

#[async_trait]
impl HintQueue for SqsQueue {
    async fn send(&self, hint: &Verified) -> Result<(), PortError> {
        self.send_to(&self.queue_url, hint.to_message()).await
    }

    async fn set_aside(&self, message: &str) -> Result<(), PortError> {
        self.send_to(&self.dead_letters_url, message.to_owned()).await
    }
}
