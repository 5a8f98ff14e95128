//! The queue of verified callbacks on SQS.

use async_trait::async_trait;
use aws_sdk_sqs::Client;

use super::error::port_error;
use crate::callback::Verified;
use crate::ports::{CallbackQueue, PortError};

/// Most bytes of one message.
///
/// # Source
/// Amazon SQS Developer Guide, "Amazon SQS message quotas": 1 MiB.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The callbacks queue.
#[derive(Clone, Debug)]
pub struct SqsCallbackQueue {
    client: Client,
    queue_url: String,
}

impl SqsCallbackQueue {
    /// The queue at this address.
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into() }
    }
}

#[async_trait]
impl CallbackQueue for SqsCallbackQueue {
    async fn send(&self, verified: &Verified) -> Result<(), PortError> {
        let message = verified.to_message();
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(PortError::Permanent(format!("SendMessage: more than {MESSAGE_BYTES_MAX} bytes")));
        }
        let request = self.client.send_message().queue_url(&self.queue_url).message_body(message);
        request.send().await.map(|_| ()).map_err(|error| port_error("SendMessage", &error))
    }
}
