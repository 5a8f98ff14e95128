//! The event source mapping of a table's stream.
//!
//! Records of one item keep their order, in one of several lanes; no lane waits for another one. The checkpoint moves up
//! to the first record that is not done, so a kill repeats records and loses none. A record that fails is isolated by
//! bisection, tried for hours with a growing delay, and goes to a dead-letter queue then, so that it cannot hold up its
//! lane for ever.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::dynamodb::{Event as DynamoDbEvent, EventRecord};
use dynoxide::actions::get_records::Record;
use paybell_shared::ports::Clock;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::failures::{self, Outcome};
use super::unfinished::Unfinished;
use super::{Stopping, backoff, pause, stopped};
use crate::up::dynamodb::DynamoDb;
use crate::up::functions::{StreamFunction, invoke};
use crate::up::queue::{Outgoing, Store};

/// Records of one read, and of one batch.
const READ_RECORDS_MAX: usize = 100;
/// Batches that run side by side, as with Lambda's parallelisation factor.
const LANES: usize = 10;
/// Records that are read and not done; beyond that, lanes that could go on wait for the one that cannot.
const UNFINISHED_RECORDS_MAX: usize = 5_000;
/// Failures in a row after which a batch is halved.
const FAILURES_BEFORE_BISECT: u32 = 3;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
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
    /// Where a record goes that fails for too long.
    pub dead_letter_queue: String,
    /// The function.
    pub function: StreamFunction,
    /// How long one call may take.
    pub timeout: Duration,
    /// How long after its first failure a single record goes to the dead-letter queue. What nobody tried yet is tried,
    /// however old it is: a machine that was off for a night loses nothing.
    pub record_tried_max: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The process is to stop: what is not done is read again at the next start.
struct Stopped;

/// A record and its number among those that were read since the start.
struct Numbered {
    number: u64,
    record: EventRecord,
}

/// Consumes the stream until told to stop.
pub async fn run(mapping: StreamMapping, mut stopping: Stopping) {
    let mut writes = mapping.dynamodb.writes();
    let mut trim = tokio::time::interval(TRIM_EVERY);
    let (finished, mut finishing) = unbounded_channel();
    let mut running = JoinSet::new();
    let lanes = (0..LANES).map(|_| {
        let (lane, waiting) = unbounded_channel();
        running.spawn(run_lane(mapping.clone(), waiting, finished.clone(), stopping.clone()));
        lane
    });
    let mut reader = Reader { lanes: lanes.collect(), unfinished: Unfinished::default(), checkpoint: None };
    while !*stopping.borrow() {
        writes.mark_unchanged();
        let advanced = match reader.read_on(&mapping).await {
            Ok(true) => reader.settle(&mapping, &mut finishing).await,
            Ok(false) => tokio::select! {
                Some(number) = finishing.recv() => {
                    reader.unfinished.finish(number);
                    reader.settle(&mapping, &mut finishing).await
                }
                _ = writes.changed() => Ok(()),
                _ = trim.tick() => {
                    trim_consumed(&mapping, reader.checkpoint.as_deref()).await;
                    Ok(())
                }
                () = stopped(&mut stopping) => Ok(()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = advanced {
            tracing::error!(table = mapping.table, error, "the stream does not answer");
            pause(&mut stopping, Duration::from_secs(1)).await;
        }
    }
    reader.lanes.clear();
    while running.join_next().await.is_some() {}
    if let Err(error) = reader.settle(&mapping, &mut finishing).await {
        tracing::warn!(table = mapping.table, error, "what was done last will be done again");
    }
}

/// Reads the stream, and remembers what of it is done.
struct Reader {
    lanes: Vec<UnboundedSender<Numbered>>,
    unfinished: Unfinished,
    /// As it is stored.
    checkpoint: Option<String>,
}

impl Reader {
    /// Reads on and hands out; false when there was nothing to read, or no room for it.
    async fn read_on(&mut self, mapping: &StreamMapping) -> Result<bool, String> {
        if self.checkpoint.is_none() {
            self.checkpoint =
                mapping.store.checkpoint(&mapping.table).await.map_err(|error| error.to_string())?;
        }
        if self.unfinished.len() >= UNFINISHED_RECORDS_MAX {
            return Ok(false);
        }
        let (dynamodb, table) = (mapping.dynamodb.clone(), mapping.table.clone());
        let after = self.unfinished.last_read().map(str::to_owned).or_else(|| self.checkpoint.clone());
        let read = move || dynamodb.records_after(&table, after.as_deref(), READ_RECORDS_MAX);
        let records = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        let records = records.map_err(|error| error.to_string())?;
        let is_something_read = !records.is_empty();
        for record in records {
            let sequence_number = record.dynamodb.sequence_number.clone();
            let record = as_lambda_sends_it(&mapping.table, &record)?;
            let lane = &self.lanes[lane_of(&record)];
            let number = self.unfinished.read(sequence_number);
            // A lane that has ended is read again at the next start.
            let _ = lane.send(Numbered { number, record });
        }
        Ok(is_something_read)
    }

    /// Moves the checkpoint behind what is done up to now.
    async fn settle(
        &mut self,
        mapping: &StreamMapping,
        finishing: &mut UnboundedReceiver<u64>,
    ) -> Result<(), String> {
        while let Ok(number) = finishing.try_recv() {
            self.unfinished.finish(number);
        }
        let Some(done) = self.unfinished.take_done() else { return Ok(()) };
        // The checkpoint is in another file and must not get ahead of what it speaks of.
        mapping.dynamodb.synced().await.map_err(|error| error.to_string())?;
        mapping.store.put_checkpoint(&mapping.table, &done).await.map_err(|error| error.to_string())?;
        self.checkpoint = Some(done);
        Ok(())
    }
}

/// The first records of a stream as a function gets them, at most as many as one read has.
///
/// # Errors
/// What the engine says.
pub fn records(dynamodb: &DynamoDb, table: &str) -> Result<Vec<EventRecord>, String> {
    let records = dynamodb.records_after(table, None, READ_RECORDS_MAX).map_err(|error| error.to_string())?;
    records.iter().map(|record| as_lambda_sends_it(table, record)).collect()
}

fn as_lambda_sends_it(table: &str, record: &Record) -> Result<EventRecord, String> {
    let mut wire = serde_json::to_value(record).map_err(|error| error.to_string())?;
    wire["eventSourceARN"] = dynoxide::streams::stream_arn(table, "local").into();
    serde_json::from_value(wire).map_err(|error| error.to_string())
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

/// Has the records of a lane processed in order until there will be no more, or until told to stop.
async fn run_lane(
    mapping: StreamMapping,
    mut waiting: UnboundedReceiver<Numbered>,
    finished: UnboundedSender<u64>,
    mut stopping: Stopping,
) {
    let mut batch = Vec::with_capacity(READ_RECORDS_MAX);
    while waiting.recv_many(&mut batch, READ_RECORDS_MAX).await > 0 {
        let delivered = deliver(&mapping, std::mem::take(&mut batch), &finished, &mut stopping).await;
        if delivered.is_err() || *stopping.borrow() {
            return;
        }
    }
}

/// Has a batch processed in order; a record that fails for too long goes to the dead-letter queue.
async fn deliver(
    mapping: &StreamMapping,
    records: Vec<Numbered>,
    finished: &UnboundedSender<u64>,
    stopping: &mut Stopping,
) -> Result<(), Stopped> {
    let mut batches = VecDeque::from([records]);
    let mut failures_in_a_row = 0;
    let mut failing_since_ms = None;
    while let Some(mut batch) = batches.pop_front() {
        let done = succeeded_before_failure(mapping, &batch).await;
        finish(batch.drain(..done), finished);
        if batch.is_empty() {
            (failures_in_a_row, failing_since_ms) = (0, None);
            continue;
        }
        if done > 0 {
            (failures_in_a_row, failing_since_ms) = (0, None);
        }
        failures_in_a_row += 1;
        let since_ms = *failing_since_ms.get_or_insert(mapping.clock.now_ms());
        if *stopping.borrow() {
            return Err(Stopped);
        }
        if batch.len() > 1 && failures_in_a_row >= FAILURES_BEFORE_BISECT {
            let rest = batch.split_off(batch.len() / 2);
            batches.push_front(rest);
            failures_in_a_row = 0;
        } else if batch.len() == 1
            && is_over(mapping, since_ms)
            && give_up_on(mapping, &batch[0].record).await
        {
            finish(batch.drain(..), finished);
            (failures_in_a_row, failing_since_ms) = (0, None);
            continue;
        }
        tracing::warn!(table = mapping.table, failures_in_a_row, "stream records will be tried again");
        batches.push_front(batch);
        pause(stopping, backoff(failures_in_a_row, FIRST_RETRY, LONGEST_RETRY)).await;
    }
    Ok(())
}

fn finish(records: impl Iterator<Item = Numbered>, finished: &UnboundedSender<u64>) {
    for done in records {
        // Without a reader the process is about to end, and what is done will be done again.
        let _ = finished.send(done.number);
    }
}

fn is_over(mapping: &StreamMapping, failing_since_ms: i64) -> bool {
    let tried_ms = mapping.clock.now_ms().saturating_sub(failing_since_ms);
    Duration::from_millis(u64::try_from(tried_ms).unwrap_or_default()) >= mapping.record_tried_max
}

/// Calls the function; how many records, from the first one on, are done.
async fn succeeded_before_failure(mapping: &StreamMapping, batch: &[Numbered]) -> usize {
    let mut event = DynamoDbEvent::default();
    event.records = batch.iter().map(|numbered| numbered.record.clone()).collect();
    let timeout_ms = i64::try_from(mapping.timeout.as_millis()).unwrap_or(i64::MAX);
    let deadline_ms = mapping.clock.now_ms().saturating_add(timeout_ms);
    let response = match invoke(&mapping.function, (event, deadline_ms), mapping.timeout).await {
        Ok(response) => serde_json::to_value(response).unwrap_or(Value::Bool(false)),
        Err(error) => {
            tracing::error!(table = mapping.table, %error, "the whole batch failed");
            return 0;
        }
    };
    let sequence_of =
        |numbered: &Numbered| numbered.record.change.sequence_number.clone().unwrap_or_default();
    let sent: Vec<String> = batch.iter().map(sequence_of).collect();
    match failures::read(&response, &sent.iter().map(String::as_str).collect::<BTreeSet<_>>()) {
        Outcome::AllFailed => 0,
        Outcome::Failed(failed) => sent.iter().position(|it| failed.contains(it)).unwrap_or(batch.len()),
    }
}

/// Keeps a record in the dead-letter queue; false when even that fails.
async fn give_up_on(mapping: &StreamMapping, record: &EventRecord) -> bool {
    let letter = vec![Outgoing::new(dead_letter(record))];
    let sent = mapping.store.send(&mapping.dead_letter_queue, letter).await;
    let sequence_number = record.change.sequence_number.as_deref().unwrap_or_default();
    tracing::error!(
        table = mapping.table,
        sequence_number,
        kept = sent.is_ok(),
        "a stream record failed for too long and goes to the dead-letter queue"
    );
    sent.is_ok()
}

/// What `paybell redrive` reads of a record that was given up.
pub(super) fn dead_letter(record: &EventRecord) -> String {
    json!({
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "DDBStreamBatchInfo": {"startSequenceNumber": record.change.sequence_number, "batchSize": 1},
        // The stream is trimmed, so the record itself is kept here.
        "record": record,
    })
    .to_string()
}

async fn trim_consumed(mapping: &StreamMapping, checkpoint: Option<&str>) {
    let Some(consumed) = checkpoint.map(str::to_owned) else { return };
    let (dynamodb, table) = (mapping.dynamodb.clone(), mapping.table.clone());
    let trimmed = tokio::task::spawn_blocking(move || dynamodb.trim(&table, &consumed)).await;
    if let Ok(Err(error)) = trimmed {
        tracing::warn!(%error, "consumed stream records could not be trimmed");
    }
}
