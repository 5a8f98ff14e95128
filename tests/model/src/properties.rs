//! What must hold, and what must be reached so that this says something.
//!
//! Every run within bounds ends, because each step brings something forward or spends a fault; a test looks for cycles
//! within all of them.
//! So "in the end" is said of the states in which nothing is left to be done, and that is a safety property: stateright
//! finds every violation of one.

use stateright::Property;

use crate::ledger::Ledger;
use crate::pipeline::{Bounds, Pipeline};
use crate::state::{Applier, Applying, Delivery, Notifying, Place, State};

/// Every acknowledged callback is stored or applied at every moment.
pub const NEVER_NOWHERE: &str = "what is acknowledged is never nowhere";
/// No order counts an event twice, and its amounts are the sums of its distinct events.
pub const COUNTED_ONCE: &str = "no event counts twice";
/// Every callback is acknowledged and in its order in the end.
pub const APPLIED: &str = "every callback is in its order in the end";
/// No change is in the inbox twice.
pub const TOLD_ONCE: &str = "no change is in the inbox twice";
/// Every change is in the inbox in the end, and nothing else is.
pub const TOLD: &str = "every change is in the inbox in the end";
/// A client that came and went has been told what one that never left has been told.
pub const RESUMED: &str = "a resumed client misses nothing in the end";
/// Nobody is told what did not change.
pub const TRUE: &str = "nobody is told what is not so";

/// Those that must hold, and of those that must be reached the ones that the bounds allow.
pub fn all(bounds: &Bounds) -> Vec<Property<Pipeline>> {
    let events: usize = bounds.orders.iter().map(|events| events.len()).sum();
    let faults = &bounds.faults;
    let is_delivered_twice = faults.lost_answers + faults.crashes + faults.early_timeouts > 0;
    let reached = [
        (bounds.appliers > 1 && events > 1, Property::sometimes("a race was lost", race_lost)),
        (is_delivered_twice, Property::sometimes("a duplicate changed nothing", duplicate_dropped)),
        (
            bounds.receives_max <= faults.crashes,
            Property::sometimes("a message was a dead letter", dead_letter),
        ),
        (faults.disconnects > 0, Property::sometimes("a client came back and resumed", came_back)),
        (faults.crashes > 0, Property::sometimes("a record came again and was told before", told_before)),
        (true, Property::sometimes("all is done", Pipeline::is_quiescent)),
    ];
    let mut properties = vec![
        Property::always(NEVER_NOWHERE, never_nowhere),
        Property::always(COUNTED_ONCE, counted_once),
        Property::always(APPLIED, applied),
        Property::always(TOLD_ONCE, told_once),
        Property::always(TOLD, told),
        Property::always(RESUMED, resumed),
        Property::always(TRUE, only_what_is_so),
    ];
    properties
        .extend(reached.into_iter().filter_map(|(is_allowed, property)| is_allowed.then_some(property)));
    properties
}

fn race_lost(_: &Pipeline, state: &State) -> bool {
    is_any_at(state, Applying::LostRace)
}

fn duplicate_dropped(_: &Pipeline, state: &State) -> bool {
    is_any_at(state, Applying::Unchanged)
}

fn dead_letter(_: &Pipeline, state: &State) -> bool {
    state.messages.iter().any(|message| message.place == Place::DeadLetters)
}

fn came_back(_: &Pipeline, state: &State) -> bool {
    state.client.is_resumed && state.client.connection > 1
}

fn told_before(_: &Pipeline, state: &State) -> bool {
    let is_begun_again = |notifying: &Notifying| {
        notifying.step == 0 && notifying.told == 0 && notifying.facts & state.inbox_facts() != 0
    };
    state.lanes.iter().any(|lane| lane.notifier.as_ref().is_some_and(is_begun_again))
}

fn is_any_at(state: &State, wanted: Applying) -> bool {
    state.appliers.iter().any(|applier| matches!(applier, Applier::At(_, at) if *at == wanted))
}

fn never_nowhere(model: &Pipeline, state: &State) -> bool {
    state.callbacks.iter().enumerate().all(|(number, callback)| {
        let is_acknowledged =
            matches!(callback.delivery, Delivery::Acknowledged | Delivery::OnlyAcknowledged);
        !is_acknowledged
            || state.messages.iter().any(|message| usize::from(message.id.callback) == number)
            || is_applied(model, state, number)
    })
}

fn is_applied(model: &Pipeline, state: &State, callback: usize) -> bool {
    let (order, event) = model.callbacks[callback];
    model.ledgers[order].holds(state.orders[order].content, event)
}

fn counted_once(model: &Pipeline, state: &State) -> bool {
    state.orders.iter().zip(&model.ledgers).all(|(order, ledger)| ledger.counts_once(order.content))
}

fn applied(model: &Pipeline, state: &State) -> bool {
    let is_registered = |(order, ledger): (usize, &Ledger)| ledger.is_registered(state.orders[order].content);
    let is_in_order = |number: usize| {
        state.callbacks[number].delivery == Delivery::Acknowledged && is_applied(model, state, number)
    };
    let are_all =
        (0..state.callbacks.len()).all(is_in_order) && model.ledgers.iter().enumerate().all(is_registered);
    are_all || !model.is_quiescent(state)
}

fn told(model: &Pipeline, state: &State) -> bool {
    state.inbox_facts() == state.changes || !model.is_quiescent(state)
}

/// One that never left has been told what is in the inbox.
fn resumed(model: &Pipeline, state: &State) -> bool {
    state.client.told == state.inbox_facts() || !model.is_quiescent(state)
}

fn only_what_is_so(_: &Pipeline, state: &State) -> bool {
    (state.inbox_facts() | state.client.told) & !state.changes == 0
}

fn told_once(_: &Pipeline, state: &State) -> bool {
    let facts: u32 = state.inbox_facts().count_ones();
    usize::try_from(facts).is_ok_and(|facts| facts == state.inbox.len())
}
