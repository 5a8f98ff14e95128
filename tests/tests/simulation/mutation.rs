//! Mistakes around the handlers, and panics, that a run must find: without them the simulation could be trivially green.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The table takes a write whatever version is stored.
    SaveIgnoresVersion,
    /// The queue forgets what it hands out.
    QueueForgetsOnReceive,
    /// The queue says that it has a message before it does, and now and then it never does.
    QueueSaysTooMuch,
    /// What a function reports as failed is deleted all the same.
    TriggerDeletesFailed,
    /// The inbox says that it has a notification seconds before anybody can read it.
    InboxLags,
    /// A notification that is written again is there again.
    InboxTakesTwice,
    /// A lane's checkpoint moves whatever `notify` reports.
    StreamSkipsFailed,
    /// Accounts share their orders.
    AccountsShareOrders,
    /// `callback` panics now and then, and the provider only sends again.
    CallbackPanics,
    /// Replaying a dead letter of `notify` panics, which the operator does outside of every task.
    ReplayPanics,
}

impl Mutation {
    pub const ALL: &[Self] = &[
        Self::SaveIgnoresVersion,
        Self::QueueForgetsOnReceive,
        Self::QueueSaysTooMuch,
        Self::TriggerDeletesFailed,
        Self::InboxLags,
        Self::InboxTakesTwice,
        Self::StreamSkipsFailed,
        Self::AccountsShareOrders,
        Self::CallbackPanics,
        Self::ReplayPanics,
    ];
}
