//! The event source mapping of a table's stream.
//!
//! Records of one item keep their order, those of different items run side by side. The checkpoint moves when all of
//! a read is done, so a kill repeats records and loses none. A record that fails for good is isolated by bisection
//! and goes to a dead-letter queue, so that it cannot hold up the stream for ever.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::dynamodb::{Event as DynamoDbEvent, EventRecord};
use dynoxide::actions::get_records::Record;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::failures::{self, Outcome};
use super::{Stopping, backoff, pause, stopped};
use crate::up::dynamodb::DynamoDb;
use crate::up::functions::{StreamFunction, invoke};
use crate::up::queue::{Outgoing, Store};

/// Records of one read.
const READ_RECORDS_MAX: usize = 100;
/// Batches that run side by side, as with Lambda's parallelisation factor.
const LANES: usize = 4;
/// Failures in a row after which a batch is halved.
const FAILURES_BEFORE_BISECT: u32 = 3;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// A table's stream and the function that consumes it.
#[derive(Clone)]
pub struct StreamMapping {
    /// Where the table is.
    pub dynamodb: DynamoDb,
    /// The table's name.
    pub table: String,
    /// Where the checkpoint and the dead-letter queue are.
    pub store: Arc<Store>,
    /// Where a record goes that fails for good.
    pub dead_letter_queue: String,
    /// The function.
    pub function: StreamFunction,
    /// How long one call may take.
    pub timeout: Duration,
    /// Failures in a row after which a single record goes to the dead-letter queue.
    pub record_failures_max: u32,
}

/// The process is to stop: what is not done is read again at the next start.
struct Stopped;

/// Consumes the stream until told to stop.
pub async fn run(mapping: StreamMapping, mut stopping: Stopping) {
    let mut writes = mapping.dynamodb.writes();
    let mut checkpoint = None;
    let mut trim = tokio::time::interval(TRIM_EVERY);
    while !*stopping.borrow() {
        writes.mark_unchanged();
        match advance(&mapping, &mut checkpoint, &mut stopping).await {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                _ = writes.changed() => {}
                _ = trim.tick() => trim_consumed(&mapping, checkpoint.as_deref()).await,
                () = stopped(&mut stopping) => {}
            },
            Err(error) => {
                tracing::error!(table = mapping.table, error, "the stream does not answer");
                pause(&mut stopping, Duration::from_secs(1)).await;
            }
        }
    }
}

/// Reads on, has the function called, moves the checkpoint; false when there was nothing to read.
async fn advance(
    mapping: &StreamMapping,
    checkpoint: &mut Option<String>,
    stopping: &mut Stopping,
) -> Result<bool, String> {
    if checkpoint.is_none() {
        *checkpoint = mapping.store.checkpoint(&mapping.table).await.map_err(|error| error.to_string())?;
    }
    let (dynamodb, table, after) = (mapping.dynamodb.clone(), mapping.table.clone(), checkpoint.clone());
    let read = move || dynamodb.records_after(&table, after.as_deref(), READ_RECORDS_MAX);
    let records = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
    let records = records.map_err(|error| error.to_string())?;
    let Some(last) = records.last().map(|record| record.dynamodb.sequence_number.clone()) else {
        return Ok(false);
    };
    let lanes = lanes_of(&mapping.table, records)?;
    let delivered = join_all(lanes.into_iter().map(|lane| deliver(mapping, lane, stopping.clone()))).await;
    if delivered.into_iter().all(|lane| lane.is_ok()) {
        // The checkpoint is in another file and must not get ahead of what it speaks of.
        mapping.dynamodb.synced().await.map_err(|error| error.to_string())?;
        mapping.store.put_checkpoint(&mapping.table, &last).await.map_err(|error| error.to_string())?;
        *checkpoint = Some(last);
    }
    Ok(true)
}

fn lanes_of(table: &str, records: Vec<Record>) -> Result<Vec<Vec<EventRecord>>, String> {
    let mut lanes: Vec<Vec<EventRecord>> = (0..LANES).map(|_| Vec::new()).collect();
    for record in records {
        let mut wire = serde_json::to_value(&record).map_err(|error| error.to_string())?;
        wire["eventSourceARN"] = dynoxide::streams::stream_arn(table, "local").into();
        let record: EventRecord = serde_json::from_value(wire).map_err(|error| error.to_string())?;
        lanes[lane_of(&record)].push(record);
    }
    lanes.retain(|lane| !lane.is_empty());
    Ok(lanes)
}

fn lane_of(record: &EventRecord) -> usize {
    let mut hasher = DefaultHasher::new();
    // The engine gives an item's keys in no fixed order.
    let keys: serde_json::Map<String, Value> = serde_json::to_value(&record.change.keys)
        .ok()
        .and_then(|keys| serde_json::from_value(keys).ok())
        .unwrap_or_default();
    keys.iter().collect::<std::collections::BTreeMap<_, _>>().iter().for_each(|(name, value)| {
        name.hash(&mut hasher);
        value.to_string().hash(&mut hasher);
    });
    usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default()
}

/// Has a lane's records processed in order; one that never succeeds goes to the dead-letter queue.
async fn deliver(
    mapping: &StreamMapping,
    records: Vec<EventRecord>,
    mut stopping: Stopping,
) -> Result<(), Stopped> {
    let mut batches = VecDeque::from([records]);
    let mut failures_in_a_row = 0;
    while let Some(mut batch) = batches.pop_front() {
        let done = succeeded_before_failure(mapping, &batch).await;
        batch.drain(..done);
        if batch.is_empty() {
            failures_in_a_row = 0;
            continue;
        }
        failures_in_a_row = if done > 0 { 1 } else { failures_in_a_row + 1 };
        if *stopping.borrow() {
            return Err(Stopped);
        }
        if batch.len() > 1 && failures_in_a_row >= FAILURES_BEFORE_BISECT {
            let rest = batch.split_off(batch.len() / 2);
            batches.push_front(rest);
            failures_in_a_row = 0;
        } else if batch.len() == 1
            && failures_in_a_row >= mapping.record_failures_max
            && give_up_on(mapping, &batch[0]).await
        {
            failures_in_a_row = 0;
            continue;
        }
        tracing::warn!(table = mapping.table, failures_in_a_row, "stream records will be tried again");
        batches.push_front(batch);
        pause(&mut stopping, backoff(failures_in_a_row, FIRST_RETRY, LONGEST_RETRY)).await;
    }
    Ok(())
}

/// Calls the function; how many records, from the first one on, are done.
async fn succeeded_before_failure(mapping: &StreamMapping, batch: &[EventRecord]) -> usize {
    let mut event = DynamoDbEvent::default();
    event.records = batch.to_vec();
    let response = match invoke(&mapping.function, event, mapping.timeout).await {
        Ok(response) => serde_json::to_value(response).unwrap_or(Value::Bool(false)),
        Err(error) => {
            tracing::error!(table = mapping.table, %error, "the whole batch failed");
            return 0;
        }
    };
    let sequence_of = |record: &EventRecord| record.change.sequence_number.clone().unwrap_or_default();
    let sent: Vec<String> = batch.iter().map(sequence_of).collect();
    match failures::read(&response, &sent.iter().map(String::as_str).collect::<BTreeSet<_>>()) {
        Outcome::AllFailed => 0,
        Outcome::Failed(failed) => sent.iter().position(|it| failed.contains(it)).unwrap_or(batch.len()),
    }
}

/// Keeps a record in the dead-letter queue; false when even that fails.
async fn give_up_on(mapping: &StreamMapping, record: &EventRecord) -> bool {
    let body = json!({
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "DDBStreamBatchInfo": {"startSequenceNumber": record.change.sequence_number, "batchSize": 1},
        // The stream is trimmed, so the record itself is kept here.
        "record": record,
    });
    let sent = mapping.store.send(&mapping.dead_letter_queue, vec![Outgoing::new(body.to_string())]).await;
    let sequence_number = record.change.sequence_number.as_deref().unwrap_or_default();
    tracing::error!(
        table = mapping.table,
        sequence_number,
        kept = sent.is_ok(),
        "a stream record failed for good and goes to the dead-letter queue"
    );
    sent.is_ok()
}

async fn trim_consumed(mapping: &StreamMapping, checkpoint: Option<&str>) {
    let Some(consumed) = checkpoint.map(str::to_owned) else { return };
    let (dynamodb, table) = (mapping.dynamodb.clone(), mapping.table.clone());
    let trimmed = tokio::task::spawn_blocking(move || dynamodb.trim(&table, &consumed)).await;
    if let Ok(Err(error)) = trimmed {
        tracing::warn!(%error, "consumed stream records could not be trimmed");
    }
}
