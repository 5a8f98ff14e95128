//! The event source mapping of a queue.
//!
//! What a function reports as failed is not deleted, and that is all that is done to it: the function itself says how
//! long it stays hidden, as in the cloud. What it did not say comes again after the visibility timeout.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use paybell_shared::ports::Clock;
use serde_json::Value;

use super::failures::{self, Outcome};
use super::{Stopping, pause, stopped};
use crate::up::functions::{QueueFunction, invoke};
use crate::up::queue::{Receive, Received, Store, StoreError, protocol};

/// Lambda's default for standard queues.
const BATCH_MESSAGES_MAX: u32 = 10;
/// The longest that SQS allows; a send ends the wait at once.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The pause when the queue does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue and the function that consumes it.
#[derive(Clone)]
pub struct QueueMapping {
    /// Where the queue is.
    pub store: Arc<Store>,
    /// Its name.
    pub queue: String,
    /// The function.
    pub function: QueueFunction,
    /// How long one call may take.
    pub timeout: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Consumes the queue, one batch after the other, until told to stop. Several run side by side.
pub async fn run(mapping: QueueMapping, mut stopping: Stopping) {
    let receive =
        Receive { messages_max: BATCH_MESSAGES_MAX, visibility_timeout_seconds: None, wait: LONG_POLL };
    while !*stopping.borrow() {
        let received = tokio::select! {
            received = mapping.store.receive(&mapping.queue, receive) => received,
            () = stopped(&mut stopping) => break,
        };
        let settled = match received {
            Ok(messages) if messages.is_empty() => Ok(()),
            Ok(messages) => consume(&mapping, messages).await,
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            tracing::error!(queue = mapping.queue, %error, "the queue does not answer");
            pause(&mut stopping, PAUSE).await;
        }
    }
}

/// Calls the function with a batch and deletes what succeeded.
async fn consume(mapping: &QueueMapping, messages: Vec<Received>) -> Result<(), StoreError> {
    let failed = failed_of(mapping, &messages).await;
    let succeeded = messages.into_iter().filter(|message| !failed.contains(&message.message_id));
    let receipts: Vec<String> = succeeded.map(|message| message.receipt).collect();
    if !failed.is_empty() {
        tracing::warn!(queue = mapping.queue, failed = failed.len(), "messages will be tried again");
    }
    if receipts.is_empty() { Ok(()) } else { mapping.store.delete(&mapping.queue, receipts).await }
}

async fn failed_of(mapping: &QueueMapping, messages: &[Received]) -> BTreeSet<String> {
    let all = || messages.iter().map(|message| message.message_id.clone()).collect();
    let mut event = SqsEvent::default();
    event.records = messages.iter().map(|message| record(&mapping.queue, message)).collect();
    let timeout_ms = i64::try_from(mapping.timeout.as_millis()).unwrap_or(i64::MAX);
    let deadline_ms = mapping.clock.now_ms().saturating_add(timeout_ms);
    match invoke(&mapping.function, (event, deadline_ms), mapping.timeout).await {
        Ok(response) => {
            let sent = messages.iter().map(|message| message.message_id.as_str()).collect();
            match failures::read(&serde_json::to_value(response).unwrap_or(Value::Bool(false)), &sent) {
                Outcome::Failed(failed) => failed,
                Outcome::AllFailed => all(),
            }
        }
        Err(error) => {
            tracing::error!(queue = mapping.queue, %error, "the whole batch failed");
            all()
        }
    }
}

fn record(queue: &str, message: &Received) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = Some(message.message_id.clone());
    record.receipt_handle = Some(message.receipt.clone());
    record.body = Some(message.body.clone());
    record.attributes = protocol::system_attributes(message)
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect::<HashMap<_, _>>();
    record.event_source = Some("aws:sqs".to_owned());
    record.event_source_arn = Some(protocol::arn(queue));
    record.aws_region = Some("local".to_owned());
    record
}
