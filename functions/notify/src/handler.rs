//! The `notify` function: tells users what the changes of their orders mean.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lambda_events::dynamodb::{Event as DynamoDbEvent, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::{StreamExt as _, stream};
use paybell_shared::aws::{Adapters, order_from_stream_image};
use paybell_shared::domain::{Notification, Order, Status, notifications};
use paybell_shared::ports::{
    Clock, Connection, ConnectionStore, Inbox, InboxEntry, PortError, Pushed, Pusher,
};
use paybell_shared::push::Message;

/// Inbox writes, and connections pushed to, at the same time.
const CONCURRENCY_MAX: usize = 16;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Users' inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Open WebSockets.
    pub connections: Arc<dyn ConnectionStore>,
    /// Sends to them.
    pub pusher: Arc<dyn Pusher>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self {
            inbox: adapters.inbox.clone(),
            connections: adapters.connections.clone(),
            pusher: adapters.pusher.clone(),
        }
    }
}

/// A notification on its way to the inbox.
struct Outgoing {
    record: usize,
    notification: Notification,
    written_at_ms: i64,
}

/// What is in one user's inbox of this batch, and the records that it came from.
#[derive(Default)]
struct Written {
    records: Vec<usize>,
    entries: Vec<InboxEntry>,
}

type EntriesOfUser = BTreeMap<(String, String), Written>;

/// Tells users what a batch of order changes means: first the inbox, then every open WebSocket.
///
/// What is not in the inbox, or whose readers cannot be looked up, is reported and comes again, whatever the reason:
/// the trigger isolates a record that never succeeds and keeps it in its dead-letter queue. A push that fails holds
/// nothing up: its connection is cut off, and the user's next `resume` finds the notification in the inbox.
pub async fn handle(event: DynamoDbEvent, ports: &Ports, clock: &dyn Clock) -> DynamoDbEventResponse {
    let sequence_numbers: Vec<Option<String>> =
        event.records.iter().map(|record| record.change.sequence_number.clone()).collect();
    received(&event.records, clock.now_ms());
    let (outgoing, mut failed_records) = outgoing(event.records, clock.now_ms());
    let written: Vec<(usize, Result<InboxEntry, PortError>)> = stream::iter(outgoing)
        .map(|outgoing| async move {
            let written = ports.inbox.put(&outgoing.notification, outgoing.written_at_ms).await;
            (outgoing.record, written)
        })
        .buffered(CONCURRENCY_MAX)
        .collect()
        .await;

    let mut entries_of_user = EntriesOfUser::new();
    for (record, written) in written {
        match written {
            Ok(entry) => {
                let notification = &entry.notification;
                let user = (notification.subject.account.clone(), notification.user.clone());
                let of_user = entries_of_user.entry(user).or_default();
                of_user.records.push(record);
                of_user.entries.push(entry);
            }
            Err(error) => {
                tracing::error!(outcome = "retried", reason = %error, "notify");
                failed_records.insert(record);
            }
        }
    }
    for not_pushed in push_all(&entries_of_user, ports).await {
        failed_records.extend(&not_pushed.records);
    }

    let mut response = DynamoDbEventResponse::default();
    for record in failed_records {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = sequence_numbers[record].clone();
        response.batch_item_failures.push(failure);
    }
    response
}

fn received(records: &[EventRecord], now_ms: i64) {
    let written =
        records.iter().map(|record| record.change.approximate_creation_date_time.timestamp_millis());
    // A record need not have the time, and is read as one of 1970 then.
    if let Some(oldest_ms) = written.filter(|at_ms| *at_ms > 0).min() {
        let lag_ms = now_ms.saturating_sub(oldest_ms).max(0);
        tracing::info!(outcome = "received", records = records.len(), lag_ms, "notify");
    }
}

/// All notifications of a batch, and the records that cannot be read. Each has a moment of writing after the one
/// before it, so that the inbox keeps the order in which things happened although the writes run side by side.
fn outgoing(records: Vec<EventRecord>, now_ms: i64) -> (Vec<Outgoing>, BTreeSet<usize>) {
    let (mut outgoing, mut unreadable) = (Vec::new(), BTreeSet::new());
    let mut written_at_ms = now_ms;
    for (record, change) in records.into_iter().enumerate() {
        match notifications_of(change) {
            Ok(notifications) => {
                for notification in notifications {
                    outgoing.push(Outgoing { record, notification, written_at_ms });
                    written_at_ms += 1;
                }
            }
            Err(error) => {
                tracing::error!(outcome = "unreadable", reason = %error, "notify");
                unreadable.insert(record);
            }
        }
    }
    (outgoing, unreadable)
}

fn notifications_of(record: EventRecord) -> Result<Vec<Notification>, PortError> {
    let Some(new) = order_from_stream_image(record.change.new_image)? else { return Ok(Vec::new()) };
    let old = order_from_stream_image(record.change.old_image)?;
    if let Some(outcome) = attention(old.as_ref(), &new) {
        tracing::warn!(outcome, account = new.subject.account, subject = new.subject.id, "notify");
    }
    Ok(notifications(old.as_ref(), &new))
}

/// What operators are told of an order that has come to need a person's eyes.
fn attention(old: Option<&Order>, new: &Order) -> Option<&'static str> {
    let status = new.state().status;
    let outcome = match status {
        Status::Held => "order_held",
        Status::Unclaimed => "order_unclaimed",
        Status::Overpaid => "order_overpaid",
        Status::LatePaid => "order_late_paid",
        _ => return None,
    };
    old.is_none_or(|old| old.state().status != status).then_some(outcome)
}

/// Pushes to everybody who is connected, and returns the users whose connections could not be looked up.
async fn push_all<'a>(entries_of_user: &'a EntriesOfUser, ports: &Ports) -> Vec<&'a Written> {
    let pushes: Vec<_> =
        entries_of_user.iter().map(|(user, written)| push_to_user(user, written, ports)).collect();
    let pushed = stream::iter(pushes).buffer_unordered(CONCURRENCY_MAX);
    pushed.filter_map(std::future::ready).collect().await
}

/// Sends to every connection of a user; gives back what to try again when the connections cannot be read.
async fn push_to_user<'a>(
    (account, user): &(String, String),
    written: &'a Written,
    ports: &Ports,
) -> Option<&'a Written> {
    match ports.connections.of_user(account, user).await {
        Ok(connections) => {
            let messages: Vec<String> =
                written.entries.iter().map(|entry| Message::from(entry).to_json()).collect();
            let pushes: Vec<_> =
                connections.iter().map(|connection| push_to(connection, &messages, ports)).collect();
            stream::iter(pushes).buffer_unordered(CONCURRENCY_MAX).for_each(std::future::ready).await;
            None
        }
        Err(error) => {
            tracing::warn!(outcome = "not_pushed", reason = %error, "notify");
            Some(written)
        }
    }
}

/// Sends the messages in order to one connection, and drops the connection at the first that it does not take.
///
/// A device that took a later message after one that failed would believe that it has everything up to there. Cut
/// off, it comes back and resumes.
async fn push_to(connection: &Connection, messages: &[String], ports: &Ports) {
    for message in messages {
        match ports.pusher.push(&connection.id, message).await {
            Ok(Pushed::Yes) => {
                tracing::info!(outcome = "pushed", account = connection.account, "notify");
                continue;
            }
            Ok(Pushed::Gone) => tracing::info!(outcome = "gone", account = connection.account, "notify"),
            Err(error) => {
                tracing::warn!(outcome = "cut_off", account = connection.account, reason = %error, "notify");
                if let Err(error) = ports.pusher.close(&connection.id).await {
                    tracing::warn!(outcome = "not_closed", reason = %error, "notify");
                }
            }
        }
        if let Err(error) = ports.connections.delete(connection).await {
            tracing::warn!(outcome = "not_deleted", reason = %error, "notify");
        }
        return;
    }
}
