//! The `notify` function: tells users what the changes of their orders mean.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::dynamodb::{Event as DynamoDbEvent, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use paybell_shared::aws::{Adapters, order_from_stream_image};
use paybell_shared::domain::{Notification, Order, Status, notifications};
use paybell_shared::ports::redelivery::within;
use paybell_shared::ports::{
    Clock, Connection, ConnectionStore, DeadLetters, Inbox, InboxEntry, PortError, Pushed, Pusher,
};
use paybell_shared::push::Message;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Inbox writes, and connections pushed to, at the same time.
const CONCURRENCY_MAX: usize = 16;
/// What is not written or looked up is given up when less than this is left, so that what failed is set aside.
const ANSWER_MARGIN_MS: i64 = 3_000;
/// Setting aside is given up when less than this is left, so that what is finished is still reported.
const REPORT_MARGIN_MS: i64 = 500;
/// How long one connection may take for all that it is sent of a batch. One that is slower would hold up its lane of the
/// stream, again and again.
const CONNECTION_PUSHED_TO_MAX: Duration = Duration::from_secs(5);
/// Lambda's own limit of one invocation.
const INVOCATION_MAX: Duration = Duration::from_secs(15 * 60);

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Users' inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Open WebSockets.
    pub connections: Arc<dyn ConnectionStore>,
    /// Sends to them.
    pub pusher: Arc<dyn Pusher>,
    /// Where changes go that can be told to nobody.
    pub dead_letters: Arc<dyn DeadLetters>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self {
            inbox: adapters.inbox.clone(),
            connections: adapters.connections.clone(),
            pusher: adapters.pusher.clone(),
            dead_letters: adapters.notify_dead_letters.clone(),
        }
    }
}

/// Which record of the stream something is about.
struct Origin {
    /// The item's partition key, which names the order.
    key: Option<String>,
    sequence_number: Option<String>,
}

impl Origin {
    fn of(record: &EventRecord) -> Self {
        let keys = serde_json::to_value(&record.change.keys).unwrap_or(Value::Null);
        let key = keys.pointer("/pk/S").and_then(Value::as_str).map(str::to_owned);
        Self { key, sequence_number: record.change.sequence_number.clone() }
    }

    /// What is kept of a record that can be told to nobody. The order itself is in its table.
    fn dead_letter(&self) -> String {
        json!({"key": self.key, "sequence_number": self.sequence_number}).to_string()
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

/// The records that could not be told, and why.
#[derive(Default)]
struct Untold(BTreeMap<usize, PortError>);

impl Untold {
    /// A record of which something may work later comes again, even if something else of it is beyond help.
    fn insert(&mut self, record: usize, error: PortError) {
        match self.0.get(&record) {
            Some(PortError::Transient(_)) => {}
            _ => drop(self.0.insert(record, error)),
        }
    }
}

/// Tells users what a batch of order changes means: first the inbox, then every open WebSocket. `deadline_ms` is when
/// Lambda stops us, in milliseconds since 1970.
///
/// A record that is not in the inbox, or whose readers cannot be looked up, is reported and comes again with all that
/// follow it. One that is beyond help, because it cannot be read or written, holds nobody up: it is set aside at once
/// and counts as done when that is durable. A push that fails holds nothing up either: its connection is cut off, and
/// the user's next `resume` finds the notification in the inbox. Only when that fails too does the record come again.
pub async fn handle(
    event: DynamoDbEvent,
    ports: &Ports,
    clock: &dyn Clock,
    deadline_ms: i64,
) -> DynamoDbEventResponse {
    let (now_ms, now) = (clock.now_ms(), Instant::now());
    let end_of = |margin_ms| {
        let left_ms = deadline_ms.saturating_sub(now_ms).saturating_sub(margin_ms);
        now + Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()).min(INVOCATION_MAX)
    };
    received(&event.records, now_ms);
    let origins: Vec<Origin> = event.records.iter().map(Origin::of).collect();
    let (outgoing, mut untold) = outgoing(event.records, now_ms);
    let entries_of_user = write_all(outgoing, ports, end_of(ANSWER_MARGIN_MS), &mut untold).await;
    for (written, error) in push_all(&entries_of_user, ports, end_of(ANSWER_MARGIN_MS)).await {
        written.records.iter().for_each(|record| untold.insert(*record, error.clone()));
    }
    response(untold, &origins, &*ports.dead_letters, end_of(REPORT_MARGIN_MS)).await
}

/// Tells users notifications that are known already, as [`handle`] tells those of changes: first the inbox, then every
/// open WebSocket. Telling one again is harmless. Beside each stands the moment of writing, in milliseconds since 1970,
/// that makes its place in the inbox; what is not done at `end` is given up.
///
/// # Errors
/// The first [`PortError`], when one of them is not in the inbox, or its user's connections cannot be looked up.
pub async fn tell(
    notifications: Vec<(Notification, i64)>,
    ports: &Ports,
    end: Instant,
) -> Result<(), PortError> {
    let outgoing = notifications.into_iter().enumerate();
    let outgoing = outgoing.map(|(record, (notification, written_at_ms))| Outgoing {
        record,
        notification,
        written_at_ms,
    });
    let mut untold = Untold::default();
    let entries_of_user = write_all(outgoing.collect(), ports, end, &mut untold).await;
    for (written, error) in push_all(&entries_of_user, ports, end).await {
        written.records.iter().for_each(|record| untold.insert(*record, error.clone()));
    }
    untold.0.into_values().next().map_or(Ok(()), Err)
}

/// Writes the notifications to the inboxes, in order, side by side.
async fn write_all(
    outgoing: Vec<Outgoing>,
    ports: &Ports,
    end: Instant,
    untold: &mut Untold,
) -> EntriesOfUser {
    let written: Vec<(usize, Result<InboxEntry, PortError>)> = stream::iter(outgoing)
        .map(|outgoing| async move {
            let put = ports.inbox.put(&outgoing.notification, outgoing.written_at_ms);
            (outgoing.record, within(end.saturating_duration_since(Instant::now()), put).await)
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
            Err(error) => untold.insert(record, error),
        }
    }
    entries_of_user
}

/// Sets aside what is beyond help, and reports the rest.
///
/// Everything from the first reported record on comes again. What is beyond help behind it waits for that, so that it is
/// set aside once and not at every try.
async fn response(
    untold: Untold,
    origins: &[Origin],
    dead_letters: &dyn DeadLetters,
    end: Instant,
) -> DynamoDbEventResponse {
    let is_permanent = |(_, error): &(usize, PortError)| matches!(error, PortError::Permanent(_));
    let mut untold = untold.0.into_iter().peekable();
    let mut beyond_help = Vec::new();
    while let Some(permanent) = untold.next_if(is_permanent) {
        beyond_help.push(permanent);
    }
    let mut again: Vec<(usize, PortError)> = untold.collect();
    let set_aside = beyond_help.into_iter().map(|(record, error)| async move {
        tracing::error!(outcome = "unreadable", reason = %error, "notify");
        let (letter, reason) = (origins[record].dead_letter(), error.to_string());
        let set_aside = dead_letters.set_aside(&letter, &reason);
        let set_aside = within(end.saturating_duration_since(Instant::now()), set_aside).await;
        set_aside.map_err(|error| (record, error))
    });
    for (record, error) in join_all(set_aside).await.into_iter().filter_map(Result::err) {
        tracing::warn!(outcome = "not_set_aside", reason = %error, "notify");
        again.push((record, error));
    }
    let mut response = DynamoDbEventResponse::default();
    again.sort_unstable_by_key(|(record, _)| *record);
    for (record, error) in again {
        tracing::error!(outcome = "retried", reason = %error, "notify");
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = origins[record].sequence_number.clone();
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
fn outgoing(records: Vec<EventRecord>, now_ms: i64) -> (Vec<Outgoing>, Untold) {
    let (mut outgoing, mut unreadable) = (Vec::new(), Untold::default());
    let mut written_at_ms = now_ms;
    for (record, change) in records.into_iter().enumerate() {
        match notifications_of(change) {
            Ok(notifications) => {
                for notification in notifications {
                    outgoing.push(Outgoing { record, notification, written_at_ms });
                    written_at_ms += 1;
                }
            }
            Err(error) => unreadable.insert(record, error),
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
async fn push_all<'a>(
    entries_of_user: &'a EntriesOfUser,
    ports: &Ports,
    end: Instant,
) -> Vec<(&'a Written, PortError)> {
    let pushes: Vec<_> =
        entries_of_user.iter().map(|(user, written)| push_to_user(user, written, ports, end)).collect();
    let pushed = stream::iter(pushes).buffer_unordered(CONCURRENCY_MAX);
    pushed.filter_map(|pushed| std::future::ready(pushed.err())).collect().await
}

/// Sends to every connection of a user; gives back what to try again when there was no time for it, or when the
/// connections cannot be read, or one of them that did not take a push could not be cut off.
async fn push_to_user<'a>(
    (account, user): &(String, String),
    written: &'a Written,
    ports: &Ports,
    end: Instant,
) -> Result<(), (&'a Written, PortError)> {
    let pushing = async {
        let connections = ports.connections.of_user(account, user).await?;
        let messages: Vec<String> =
            written.entries.iter().map(|entry| Message::from(entry).to_json()).collect();
        let pushes: Vec<_> =
            connections.iter().map(|connection| push_to(connection, &messages, ports)).collect();
        let pushed: Vec<Result<(), PortError>> =
            stream::iter(pushes).buffer_unordered(CONCURRENCY_MAX).collect().await;
        pushed.into_iter().collect()
    };
    let pushed = within(end.saturating_duration_since(Instant::now()), pushing).await;
    pushed.map_err(|error| {
        tracing::warn!(outcome = "not_pushed", reason = %error, "notify");
        (written, error)
    })
}

/// Sends the messages in order to one connection, and drops the connection at the first that it does not take.
///
/// A device that took a later message after one that failed would believe that it has everything up to there. Cut
/// off, it comes back and resumes.
///
/// To be cut off it is enough that it is closed, or that nobody finds it any more. One that is still open and still
/// found would take the later message.
async fn push_to(connection: &Connection, messages: &[String], ports: &Ports) -> Result<(), PortError> {
    let end = Instant::now() + CONNECTION_PUSHED_TO_MAX;
    for message in messages {
        let push = ports.pusher.push(&connection.id, message);
        let is_over = match within(end.saturating_duration_since(Instant::now()), push).await {
            Ok(Pushed::Yes) => {
                tracing::info!(outcome = "pushed", account = connection.account, "notify");
                continue;
            }
            Ok(Pushed::Gone) => {
                tracing::info!(outcome = "gone", account = connection.account, "notify");
                true
            }
            Err(error) => {
                tracing::warn!(outcome = "cut_off", account = connection.account, reason = %error, "notify");
                let closed = ports.pusher.close(&connection.id).await;
                if let Err(error) = &closed {
                    tracing::warn!(outcome = "not_closed", reason = %error, "notify");
                }
                closed.is_ok()
            }
        };
        let deleted = ports.connections.delete(connection).await;
        if let Err(error) = &deleted {
            tracing::warn!(outcome = "not_deleted", reason = %error, "notify");
        }
        return match deleted {
            // Whatever it was, it is the connection's fault and not the record's, which must not be set aside for it.
            Err(error) if !is_over => Err(PortError::Transient(format!("not cut off: {error}"))),
            _ => Ok(()),
        };
    }
    Ok(())
}
