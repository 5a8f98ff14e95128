//! The table's stream and `notify`: inbox, connections, push, checkpoint.

use crate::client;
use crate::ledger::Facts;
use crate::pipeline::{Action, Mutation, Pipeline};
use crate::state::{Cursor, Entry, Frame, Notifying, State};

/// How many moments after its beginning an invocation is stopped: `notify` works for at most 30 s, and that is how far
/// [`client::OVERLAP`] goes back.
const INVOCATION_MOMENTS_MAX: u8 = client::OVERLAP;

/// The steps of `notify` with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// `Inbox::put`, for each notification.
    Put,
    /// `ConnectionStore::of_user`.
    Lookup,
    /// `Pusher::push`, for each notification.
    Push,
    /// The trigger's checkpoint moves behind the record.
    Checkpoint,
}

fn steps(model: &Pipeline) -> [Step; 4] {
    use Step::{Checkpoint, Lookup, Push, Put};
    if model.has(Mutation::PushFirst) {
        [Lookup, Push, Put, Checkpoint]
    } else if model.has(Mutation::LookupFirst) {
        [Lookup, Put, Push, Checkpoint]
    } else if model.has(Mutation::CheckpointFirst) {
        [Checkpoint, Put, Lookup, Push]
    } else {
        [Put, Lookup, Push, Checkpoint]
    }
}

/// What `notify` may do next in each lane, and what may happen to it.
pub fn actions(model: &Pipeline, state: &State, actions: &mut Vec<Action>) {
    for (number, lane) in (0..).zip(&state.lanes) {
        match &lane.notifier {
            None if !lane.records.is_empty() => actions.push(Action::BeginToNotify(number)),
            None => {}
            Some(notifying) => {
                let step = steps(model)[usize::from(notifying.step)];
                let is_late = state.clock > notifying.began_at + INVOCATION_MOMENTS_MAX;
                if is_late && step != Step::Checkpoint {
                    actions.push(Action::EndLateNotify(number));
                    continue;
                }
                actions.push(Action::Notify(number));
                let is_push = step == Step::Push && next_fact(notifying).is_some();
                if is_push && state.faults.failed_pushes > 0 && reaches_client(state, notifying) {
                    actions.push(Action::FailPush(number));
                }
                if state.faults.crashes > 0 {
                    actions.push(Action::KillNotifier(number));
                }
            }
        }
    }
}

/// The first record behind the checkpoint is handed to an invocation.
pub fn begin(state: &mut State, lane: u8) {
    let lane = &mut state.lanes[usize::from(lane)];
    let Some(facts) = lane.records.front().copied() else { return };
    state.clock += 1;
    lane.notifier = Some(Notifying { facts, began_at: state.clock, step: 0, told: 0, connection: None });
}

/// The next step of the invocation: one call of a port.
pub fn step(model: &Pipeline, state: &mut State, lane: u8) {
    let lane = usize::from(lane);
    let Some(mut notifying) = state.lanes[lane].notifier else { return };
    let steps = steps(model);
    match (steps[usize::from(notifying.step)], next_fact(&notifying)) {
        (Step::Put, Some(fact)) => {
            put(model, state, Entry { cursor: (notifying.began_at, fact), fact });
            notifying.told += 1;
        }
        (Step::Push, Some(fact)) => {
            if reaches_client(state, &notifying) {
                let entry = Entry { cursor: cursor_of(state, &notifying, fact), fact };
                state.client.frames.push_back(Frame::Notification(entry));
            }
            notifying.told += 1;
        }
        (Step::Put | Step::Push, None) => {}
        (Step::Lookup, _) => {
            notifying.connection = state.client.is_open.then_some(state.client.connection);
            notifying.told = all(notifying.facts);
        }
        (Step::Checkpoint, _) => {
            state.lanes[lane].records.pop_front();
            notifying.told = all(notifying.facts);
        }
    }
    advance(state, lane, notifying, steps.len());
}

/// Goes on to the next step when this one is done for all notifications.
fn advance(state: &mut State, lane: usize, mut notifying: Notifying, steps: usize) {
    if notifying.told >= all(notifying.facts) {
        notifying.step += 1;
        notifying.told = 0;
    }
    let is_over = usize::from(notifying.step) >= steps;
    state.lanes[lane].notifier = (!is_over).then_some(notifying);
}

/// A push fails: the connection is cut off, and gets nothing more of this record.
pub fn fail_push(model: &Pipeline, state: &mut State, lane: u8) {
    let lane = usize::from(lane);
    let Some(mut notifying) = state.lanes[lane].notifier else { return };
    state.faults.failed_pushes -= 1;
    if model.has(Mutation::KeepAfterFailedPush) {
        notifying.told += 1;
    } else {
        client::close(state);
        notifying.told = all(notifying.facts);
    }
    advance(state, lane, notifying, steps(model).len());
}

/// The invocation has no time left; the record comes again.
pub fn end_late(state: &mut State, lane: u8) {
    state.lanes[usize::from(lane)].notifier = None;
}

/// The invocation is killed; a record behind the checkpoint comes again.
pub fn kill(state: &mut State, lane: u8) {
    state.lanes[usize::from(lane)].notifier = None;
    state.faults.crashes -= 1;
}

/// Writes the notification; one whose id is there moves to the place of this writing.
fn put(model: &Pipeline, state: &mut State, entry: Entry) {
    let known = state.inbox.iter().position(|known| known.fact == entry.fact);
    match known {
        Some(_) if model.has(Mutation::KeepFirstPlace) => return,
        Some(at) if !model.has(Mutation::IdPerDelivery) => drop(state.inbox.remove(at)),
        _ => {}
    }
    let at = state.inbox.partition_point(|known| *known < entry);
    state.inbox.insert(at, entry);
}

/// The place that the inbox gave it, whichever invocation wrote it.
fn cursor_of(state: &State, notifying: &Notifying, fact: u8) -> Cursor {
    let written = state.inbox.iter().find(|entry| entry.fact == fact);
    written.map_or((notifying.began_at, fact), |entry| entry.cursor)
}

fn reaches_client(state: &State, notifying: &Notifying) -> bool {
    state.client.is_open && notifying.connection == Some(state.client.connection)
}

fn next_fact(notifying: &Notifying) -> Option<u8> {
    (0..64).filter(|fact| notifying.facts >> fact & 1 == 1).nth(usize::from(notifying.told))
}

fn all(facts: Facts) -> u8 {
    u8::try_from(facts.count_ones()).unwrap_or(u8::MAX)
}
