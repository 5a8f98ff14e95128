//! The event source mapping of a queue.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use paybell_shared::ports::Clock;
use serde_json::Value;

use super::failures::{self, Outcome};
use super::{Stopping, backoff, pause, stopped};
use crate::up::functions::{QueueFunction, invoke};
use crate::up::queue::{Receive, Received, Store, StoreError, protocol};

/// Lambda's default for standard queues.
const BATCH_MESSAGES_MAX: u32 = 10;
/// The longest that SQS allows; a send ends the wait at once.
const LONG_POLL: Duration = Duration::from_secs(20);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(900);

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
    // Six times the function's timeout, as AWS recommends: a batch may be retried before it becomes visible again.
    let visibility_timeout_seconds = u32::try_from(mapping.timeout.as_secs() * 6).unwrap_or(u32::MAX);
    let receive = Receive {
        messages_max: BATCH_MESSAGES_MAX,
        visibility_timeout_seconds: Some(visibility_timeout_seconds),
        wait: LONG_POLL,
    };
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
            pause(&mut stopping, FIRST_RETRY).await;
        }
    }
}

/// Calls the function with a batch, deletes what succeeded and puts off what failed.
async fn consume(mapping: &QueueMapping, messages: Vec<Received>) -> Result<(), StoreError> {
    let failed = failed_of(mapping, &messages).await;
    let (failed, succeeded): (Vec<Received>, Vec<Received>) =
        messages.into_iter().partition(|message| failed.contains(&message.message_id));
    if !succeeded.is_empty() {
        let receipts = succeeded.into_iter().map(|message| message.receipt).collect();
        mapping.store.delete(&mapping.queue, receipts).await?;
    }
    if !failed.is_empty() {
        tracing::warn!(queue = mapping.queue, failed = failed.len(), "messages will be tried again");
        let changes = failed.into_iter().map(|message| {
            let delay = backoff(message.receive_count, FIRST_RETRY, LONGEST_RETRY);
            (message.receipt, u32::try_from(delay.as_secs()).unwrap_or(u32::MAX))
        });
        mapping.store.change_visibility(&mapping.queue, changes.collect()).await?;
    }
    Ok(())
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
