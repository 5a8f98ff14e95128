//! The provider, the `callback` function and the queue between it and `apply`.

use crate::pipeline::{Action, Mutation, Pipeline};
use crate::state::{Applier, Applying, Delivery, Message, MessageId, Place, State};

/// What may happen to callbacks and messages.
pub fn actions(model: &Pipeline, state: &State, actions: &mut Vec<Action>) {
    for (number, callback) in (0..).zip(&state.callbacks) {
        match callback.delivery {
            Delivery::Due if model.has(Mutation::AcknowledgeFirst) => {
                actions.push(Action::Acknowledge(number))
            }
            Delivery::Due => actions.push(Action::Enqueue(number)),
            Delivery::Queued => {
                actions.push(Action::Acknowledge(number));
                if state.faults.lost_answers > 0 {
                    actions.push(Action::LoseAnswer(number));
                }
            }
            Delivery::OnlyAcknowledged => {
                actions.push(Action::Enqueue(number));
                if state.faults.crashes > 0 {
                    actions.push(Action::LoseAnswer(number));
                }
            }
            Delivery::Acknowledged => {}
        }
    }
    let is_anybody_idle = state.appliers.contains(&Applier::Idle);
    for message in &state.messages {
        match message.place {
            Place::Visible if is_anybody_idle => actions.push(Action::Receive(message.id)),
            Place::Hidden if !is_worked_on(state, message.id) || state.faults.early_timeouts > 0 => {
                actions.push(Action::TimeOut(message.id));
            }
            Place::DeadLetters if !model.has(Mutation::NoRedrive) => {
                actions.push(Action::Redrive(message.id))
            }
            _ => {}
        }
    }
}

/// Whether somebody has received it and is not done.
pub fn is_worked_on(state: &State, message: MessageId) -> bool {
    state.appliers.iter().any(|applier| matches!(applier, Applier::At(at, _) if *at == message))
}

/// `CallbackQueue::send`: the queue has it.
pub fn enqueue(state: &mut State, number: u8) {
    let callback = &mut state.callbacks[usize::from(number)];
    let id = MessageId { callback: number, copy: callback.copies };
    callback.copies += 1;
    callback.delivery = match callback.delivery {
        Delivery::OnlyAcknowledged => Delivery::Acknowledged,
        _ => Delivery::Queued,
    };
    state.messages.push(Message { id, receives: 0, place: Place::Visible });
}

/// The provider reads its success.
pub fn acknowledge(model: &Pipeline, state: &mut State, number: u8) {
    let is_first = model.has(Mutation::AcknowledgeFirst);
    state.callbacks[usize::from(number)].delivery =
        if is_first { Delivery::OnlyAcknowledged } else { Delivery::Acknowledged };
}

/// The function is killed, or its answer is lost: the provider comes again unless it has its success.
pub fn lose_answer(state: &mut State, number: u8) {
    let callback = &mut state.callbacks[usize::from(number)];
    if callback.delivery == Delivery::OnlyAcknowledged {
        callback.delivery = Delivery::Acknowledged;
        state.faults.crashes -= 1;
    } else {
        callback.delivery = Delivery::Due;
        state.faults.lost_answers -= 1;
    }
}

/// An idle invocation gets a message, which is hidden from the others.
pub fn receive(model: &Pipeline, state: &mut State, id: MessageId) {
    if let Some(idle) = state.appliers.iter_mut().find(|applier| **applier == Applier::Idle) {
        *idle = Applier::At(id, Applying::Received);
    }
    if model.has(Mutation::ForgetOnReceive) {
        state.messages.retain(|message| message.id != id);
    } else if let Some(message) = state.message(id) {
        message.receives += 1;
        message.place = Place::Hidden;
    }
}

/// The visibility timeout, or the end of the while for which `apply` gave the message back.
pub fn time_out(model: &Pipeline, state: &mut State, id: MessageId) {
    if is_worked_on(state, id) {
        state.faults.early_timeouts -= 1;
    }
    if let Some(message) = state.message(id) {
        let is_over = message.receives >= model.bounds.receives_max;
        message.place = if is_over { Place::DeadLetters } else { Place::Visible };
    }
}

/// What was in the way is repaired, and the operator returns the dead letter.
pub fn redrive(state: &mut State, id: MessageId) {
    if let Some(message) = state.message(id) {
        message.receives = 0;
        message.place = Place::Visible;
    }
}

/// Does at once what nothing can get in the way of: where no answer can be lost any more, the sooner a callback is
/// acknowledged the more is asked of what comes after it.
pub fn settle(state: &mut State) {
    if state.faults.lost_answers == 0 {
        for callback in state.callbacks.iter_mut().filter(|callback| callback.delivery == Delivery::Queued) {
            callback.delivery = Delivery::Acknowledged;
        }
    }
}
