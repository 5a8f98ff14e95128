//! The `connections` function and the user's device, which keeps its place as `Progress` of `paybell listen` does.

use std::collections::VecDeque;

use crate::pipeline::{Action, Mutation, Pipeline};
use crate::state::{Client, Cursor, Frame, State};

/// How many moments before its cursor a client resumes.
pub const OVERLAP: u8 = 1;

/// What the device and `connections` may do next, and what may happen to them.
pub fn actions(state: &State, actions: &mut Vec<Action>) {
    let client = &state.client;
    if !client.is_open {
        actions.push(Action::Connect);
        return;
    }
    if client.asks {
        actions.push(Action::ReadInbox);
    }
    if client.replay.is_some() {
        actions.push(Action::Replay);
    }
    if !client.frames.is_empty() {
        actions.push(Action::TakeFrame);
    }
    if state.faults.disconnects > 0 {
        actions.push(Action::Disconnect);
    }
}

/// `$connect` with a ticket is done, and the device asks to resume from its cursor.
pub fn connect(state: &mut State) {
    let client = &mut state.client;
    client.connection += 1;
    client.is_open = true;
    client.asks = true;
}

/// `Inbox::after` with the overlap.
pub fn read_inbox(model: &Pipeline, state: &mut State) {
    let cursor = state.client.cursor;
    let after: Cursor = if model.has(Mutation::NoOverlap) {
        cursor
    } else {
        // Nothing has this number, so all of that moment is after it.
        (cursor.0.saturating_sub(OVERLAP), 0)
    };
    let begins = state.inbox.partition_point(|entry| entry.cursor < after);
    let missed =
        state.inbox[begins..].iter().filter(|entry| !model.has(Mutation::NoOverlap) || entry.cursor > after);
    state.client.replay = Some(missed.copied().collect());
    state.client.asks = false;
}

/// What was read is sent, and that it was all.
pub fn replay(client: &mut Client) {
    let Some(replay) = client.replay.take() else { return };
    let newest = replay.iter().map(|entry| entry.cursor).chain([client.cursor]).max();
    client.frames.extend(replay.into_iter().map(Frame::Notification));
    client.frames.push_back(Frame::Resumed(newest.unwrap_or_default()));
}

/// The device takes in the next frame.
pub fn take_frame(model: &Pipeline, client: &mut Client) {
    match client.frames.pop_front() {
        Some(Frame::Notification(entry)) => {
            client.told |= 1 << entry.fact;
            if client.is_resumed || model.has(Mutation::CursorBeforeResumed) {
                client.cursor = client.cursor.max(entry.cursor);
            }
        }
        Some(Frame::Resumed(cursor)) => {
            client.is_resumed = true;
            client.cursor = client.cursor.max(cursor);
        }
        None => {}
    }
}

/// The connection breaks with all that is on its way.
pub fn disconnect(state: &mut State) {
    close(state);
    state.faults.disconnects -= 1;
}

/// The device's connection is over; its place and what it has been told stay.
pub fn close(state: &mut State) {
    let client = &mut state.client;
    client.is_open = false;
    client.asks = false;
    client.replay = None;
    client.is_resumed = false;
    client.frames = VecDeque::new();
}

/// Does at once what nothing can get in the way of: where no connection can break any more, it does not matter when a
/// frame arrives, and leaving that open would only multiply the states.
pub fn settle(model: &Pipeline, state: &mut State) {
    if state.faults.disconnects + state.faults.failed_pushes == 0 {
        replay(&mut state.client);
        while !state.client.frames.is_empty() {
            take_frame(model, &mut state.client);
        }
    }
}
