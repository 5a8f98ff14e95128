//! The event source mapping of the queue of callbacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use paybell_shared::ports::Clock as _;

use crate::mutation::Mutation;
use crate::sim::SimClock;
use crate::world::World;

/// Messages of one batch.
const BATCH_MESSAGES_MAX: u64 = 10;
/// The function's timeout.
const INVOCATION_MS: u64 = 30_000;
/// Of a thousand deletions so many do not reach the queue.
const NOT_DELETED_PERMILLE: u64 = 20;

/// Consumes the queue, one batch after the other; several run side by side.
pub async fn run(world: Arc<World>) {
    loop {
        let max = usize::try_from(1 + world.sim.below(BATCH_MESSAGES_MAX)).unwrap_or(1);
        let messages = world.callbacks.receive(max).await;
        consume(&world, messages).await;
    }
}

/// Calls the function with a batch and deletes what succeeded.
pub async fn consume(world: &World, messages: Vec<SqsMessage>) {
    let clock = SimClock::of_some_machine(&world.sim);
    let deadline_ms = clock.now_ms() + i64::try_from(INVOCATION_MS).unwrap_or_default();
    let mut event = SqsEvent::default();
    event.records = messages.clone();
    let ids: Vec<&str> = messages.iter().filter_map(|message| message.message_id.as_deref()).collect();
    let work = apply_function::handle(event, &world.apply, &clock, deadline_ms);
    let Some(response) = world.sim.invoke(format!("apply {}", ids.join(",")), INVOCATION_MS, work).await
    else {
        return;
    };
    let failed: BTreeSet<String> =
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    if failed.iter().any(|id| !ids.contains(&id.as_str())) {
        // Lambda takes a response that it does not understand for a failure of the whole batch.
        return;
    }
    if !failed.is_empty() && failed.len() < ids.len() {
        world.sim.count("batches done in part");
    }
    let is_done = |message: &&SqsMessage| {
        world.has(Mutation::TriggerDeletesFailed)
            || message.message_id.as_ref().is_some_and(|id| !failed.contains(id))
    };
    let receipts = messages.iter().filter(is_done).filter_map(|message| message.receipt_handle.as_ref());
    let receipts: Vec<u64> = receipts.filter_map(|receipt| receipt.parse().ok()).collect();
    if world.sim.goes_wrong(NOT_DELETED_PERMILLE) {
        world.sim.count("finished messages not deleted");
        return;
    }
    world.callbacks.delete(&receipts);
}
