//! The writers of orders: `apply` with an event, `orders` with a registration.

use crate::ledger::Content;
use crate::pipeline::{Action, Mutation, Pipeline};
use crate::state::{Applier, Applying, Merchant, MessageId, State, Stored};

/// What the writers may do next, and what may happen to them.
pub fn actions(model: &Pipeline, state: &State, actions: &mut Vec<Action>) {
    let mut last = None;
    for (number, applier) in (0..).zip(&state.appliers) {
        let Applier::At(id, applying) = applier else { continue };
        // Two that are alike do alike.
        if last.replace(*applier) == Some(*applier) {
            continue;
        }
        match applying {
            Applying::Received if model.has(Mutation::DeleteFirst) && is_stored(state, *id) => {
                actions.push(Action::Delete(number));
            }
            Applying::Received | Applying::LostRace => actions.push(Action::Load(number)),
            Applying::Loaded(_) => actions.push(Action::Save(number)),
            Applying::Unchanged | Applying::Written => actions.push(Action::Delete(number)),
        }
        if state.faults.crashes > 0 {
            actions.push(Action::KillApplier(number));
        }
    }
    for (order, merchant) in (0..).zip(&state.merchants) {
        match merchant {
            Merchant::Due => actions.push(Action::LoadToRegister(order)),
            Merchant::Loaded(_) => {
                actions.push(Action::Register(order));
                if state.faults.crashes > 0 {
                    actions.push(Action::KillRegistration(order));
                }
            }
            Merchant::Done => {}
        }
    }
}

fn is_stored(state: &State, id: MessageId) -> bool {
    state.messages.iter().any(|message| message.id == id)
}

/// `OrderStore::load`, a strongly consistent read.
pub fn load(model: &Pipeline, state: &mut State, applier: u8) {
    let Applier::At(id, _) = state.appliers[usize::from(applier)] else { return };
    let stored = state.orders[model.subject(id).0];
    state.appliers[usize::from(applier)] = Applier::At(id, Applying::Loaded(stored));
}

/// Folds the event into what was read, and `OrderStore::save` if that changes anything.
pub fn save(model: &Pipeline, state: &mut State, applier: u8) {
    let Applier::At(id, Applying::Loaded(mut read)) = state.appliers[usize::from(applier)] else { return };
    let (order, event) = model.subject(id);
    let new = model.ledgers[order].absorbed(read.content, event);
    let applying = if new == read.content {
        Applying::Unchanged
    } else if write(model, state, order, read, new) {
        Applying::Written
    } else if model.has(Mutation::RetryWithoutReading) {
        read.version = state.orders[order].version;
        Applying::Loaded(read)
    } else {
        Applying::LostRace
    };
    state.appliers[usize::from(applier)] = Applier::At(id, applying);
}

/// The one conditional write, and the record in the table's stream that it makes.
fn write(model: &Pipeline, state: &mut State, order: usize, read: Stored, new: Content) -> bool {
    let stored = state.orders[order];
    if stored.version != read.version && !model.has(Mutation::WriteWithoutCondition) {
        return false;
    }
    state.orders[order] = Stored { version: read.version + 1, content: new };
    let facts = model.ledgers[order].changes(stored.content, new);
    state.changes |= facts;
    // Of a record that says nothing to tell, `notify` moves on at once.
    if facts != 0 {
        state.lanes[order].records.push_back(facts);
    }
    true
}

/// `apply` does not report the message, so Lambda deletes it.
pub fn delete(model: &Pipeline, state: &mut State, applier: u8) {
    let Applier::At(id, applying) = state.appliers[usize::from(applier)] else { return };
    // A dead letter has left the queue, and the receipt with it.
    state.messages.retain(|message| message.id != id || message.place == crate::state::Place::DeadLetters);
    let is_done = !(model.has(Mutation::DeleteFirst) && applying == Applying::Received);
    state.appliers[usize::from(applier)] = if is_done { Applier::Idle } else { Applier::At(id, applying) };
}

/// The invocation is killed; its message stays hidden until its visibility timeout.
pub fn kill(state: &mut State, applier: u8) {
    state.appliers[usize::from(applier)] = Applier::Idle;
    state.faults.crashes -= 1;
}

/// `orders` reads what is known of the order.
pub fn load_to_register(state: &mut State, order: u8) {
    let order = usize::from(order);
    state.merchants[order] = Merchant::Loaded(state.orders[order]);
}

/// `orders` merges the registration into it; after a lost race it starts anew.
pub fn register(model: &Pipeline, state: &mut State, order: u8) {
    let order = usize::from(order);
    let Merchant::Loaded(read) = state.merchants[order] else { return };
    let new = model.ledgers[order].registered(read.content);
    let is_done = new == read.content || write(model, state, order, read, new);
    state.merchants[order] = if is_done { Merchant::Done } else { Merchant::Due };
}

/// The invocation is killed, and the merchant calls again.
pub fn kill_registration(state: &mut State, order: u8) {
    state.merchants[usize::from(order)] = Merchant::Due;
    state.faults.crashes -= 1;
}
