//! The orders table's stream and its event source mapping: lanes in order, redelivery, bisection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::dynamodb::{Event as DynamoDbEvent, EventRecord};
use paybell_shared::aws::order_to_stream_image;
use paybell_shared::domain::Order;
use paybell_shared::ports::Clock as _;
use tokio::sync::Notify;

use crate::mutation::Mutation;
use crate::sim::{Sim, SimClock, lock};
use crate::world::World;

/// Lanes; all records of an order are in one of them.
pub const LANES: usize = 3;
/// Records of one batch.
const BATCH_RECORDS_MAX: u64 = 5;
/// The function's timeout.
const INVOCATION_MS: u64 = 30_000;
/// Failures in a row after which a batch is halved.
const FAILURES_BEFORE_BISECT: u32 = 3;
const LONGEST_RETRY_MS: u64 = 60_000;
/// Of a thousand finished batches so many come again: the checkpoint is lost.
const REDELIVERED_PERMILLE: u64 = 60;

/// A change of an order.
pub struct Record {
    pub old: Option<Order>,
    pub new: Order,
    event: EventRecord,
}

#[derive(Default)]
struct Lane {
    records: Vec<usize>,
    checkpoint: usize,
}

/// The stream.
#[derive(Default)]
pub struct SimStream {
    records: Mutex<Vec<Arc<Record>>>,
    lanes: Mutex<[Lane; LANES]>,
    changed: Notify,
}

impl SimStream {
    pub fn push(&self, old: Option<Order>, new: Order) {
        let mut records = lock(&self.records);
        let number = records.len();
        let mut event = EventRecord::default();
        event.change.sequence_number = Some(number.to_string());
        event.change.new_image = order_to_stream_image(&new).expect("an order can be stored");
        if let Some(old) = &old {
            event.change.old_image = order_to_stream_image(old).expect("an order can be stored");
        }
        let lane =
            new.subject.account.bytes().chain(new.subject.id.bytes()).map(usize::from).sum::<usize>() % LANES;
        records.push(Arc::new(Record { old, new, event }));
        lock(&self.lanes)[lane].records.push(number);
        self.changed.notify_waiters();
    }

    pub fn records(&self) -> Vec<Arc<Record>> {
        lock(&self.records).clone()
    }

    /// Whether everything was told.
    pub fn is_drained(&self) -> bool {
        lock(&self.lanes).iter().all(|lane| lane.checkpoint == lane.records.len())
    }

    fn batch(&self, lane: usize, records_max: usize) -> Vec<Arc<Record>> {
        let records = lock(&self.records);
        let lanes = lock(&self.lanes);
        let behind = &lanes[lane].records[lanes[lane].checkpoint..];
        behind.iter().take(records_max).map(|number| records[*number].clone()).collect()
    }

    /// Moves a lane's checkpoint over so many records.
    fn advance(&self, lane: usize, records: usize) {
        lock(&self.lanes)[lane].checkpoint += records;
    }
}

/// Has one lane's records told until the run is over.
pub async fn run_lane(world: Arc<World>, lane: usize) {
    let (sim, stream) = (&world.sim, &world.orders.stream);
    let mut failures = 0;
    let mut records_max = usize::MAX;
    loop {
        let changed = stream.changed.notified();
        let chosen = usize::try_from(1 + sim.below(BATCH_RECORDS_MAX)).unwrap_or(1);
        let batch = stream.batch(lane, chosen.min(records_max));
        if batch.is_empty() {
            changed.await;
            continue;
        }
        let done = notify(&world, &batch).await;
        if done > 0 && sim.goes_wrong(REDELIVERED_PERMILLE) {
            sim.count("stream records redelivered");
            continue;
        }
        let passed = if sim.has(Mutation::StreamSkipsFailed) { batch.len() } else { done };
        stream.advance(lane, passed);
        if done == batch.len() {
            (failures, records_max) = (0, usize::MAX);
            continue;
        }
        failures = if done > 0 { 1 } else { failures + 1 };
        sim.count("stream batches tried again");
        if failures >= FAILURES_BEFORE_BISECT && batch.len() > 1 {
            sim.count("stream batches halved");
            records_max = batch.len() / 2;
        }
        let pause_ms = (100_u64 << failures.min(20)).min(LONGEST_RETRY_MS);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// Invokes `notify`; how many records, from the first on, are done.
pub async fn notify(world: &World, batch: &[Arc<Record>]) -> usize {
    let sim: &Sim = &world.sim;
    let clock = SimClock::of_some_machine(sim);
    let mut event = DynamoDbEvent::default();
    event.records = batch.iter().map(|record| record.event.clone()).collect();
    let sent: Vec<String> = event
        .records
        .iter()
        .map(|record| record.change.sequence_number.clone().unwrap_or_default())
        .collect();
    let deadline_ms = clock.now_ms() + i64::try_from(INVOCATION_MS).unwrap_or_default();
    let work = notify_function::handle(event, &world.notify, &clock, deadline_ms);
    let Some(response) = sim.invoke(format!("notify {}", sent.join(",")), INVOCATION_MS, work).await else {
        return 0;
    };
    let failed: Vec<String> =
        response.batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier).collect();
    sent.iter().position(|number| failed.contains(number)).unwrap_or(batch.len())
}

/// What an operator does about a record that was set aside, when what was in the way is repaired.
pub async fn replay(world: &World, letter: &str) -> bool {
    let number = serde_json::from_str::<serde_json::Value>(letter).ok();
    let number = number.and_then(|letter| letter["sequence_number"].as_str()?.parse::<usize>().ok());
    let record = number.and_then(|number| world.orders.stream.records().get(number).cloned());
    assert!(!world.has(Mutation::ReplayPanics), "on purpose");
    match record {
        Some(record) => notify(world, &[record]).await == 1,
        None => false,
    }
}
