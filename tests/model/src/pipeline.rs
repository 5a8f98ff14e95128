//! The pipeline as a [`Model`]: its bounds, what may happen next, and what that leads to.

use std::collections::VecDeque;

use stateright::{Model, Property};

use crate::ledger::{Happening, Ledger};
use crate::properties;
use crate::state::{Applier, Callback, Client, Delivery, Faults, Lane, Merchant, MessageId, State, Stored};
use crate::{apply, client, notify, queue};

/// When the merchant registers its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Before the first callback.
    First,
    /// At any time.
    AnyTime,
}

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What they are good for.
    pub name: &'static str,
    /// What is told of each order, a callback each.
    pub orders: &'static [&'static [Happening]],
    /// When the orders are registered.
    pub registration: Registration,
    /// Invocations of `apply` at the same time.
    pub appliers: usize,
    /// Receives after which a message goes to the dead-letter queue.
    pub receives_max: u8,
    /// What may go wrong.
    pub faults: Faults,
}

/// A mistake that the code does not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Orders are written whatever version is stored.
    WriteWithoutCondition,
    /// After a lost race the order is written without being read again.
    RetryWithoutReading,
    /// An event has another key each time it is delivered.
    KeyPerDelivery,
    /// The provider gets its success before the queue has the message.
    AcknowledgeFirst,
    /// A message is deleted before the order has its event.
    DeleteFirst,
    /// The queue forgets a message when it is received.
    ForgetOnReceive,
    /// Nobody redrives the dead letters.
    NoRedrive,
    /// The checkpoint moves before the inbox has the notifications.
    CheckpointFirst,
    /// A notification's id says which delivery it is, not which fact.
    IdPerDelivery,
    /// A notification that comes again stays where its first writing put it in the inbox.
    KeepFirstPlace,
    /// A notification is pushed before the inbox has it.
    PushFirst,
    /// The connections are looked up before the inbox has the notification.
    LookupFirst,
    /// A connection that did not take a push is kept.
    KeepAfterFailedPush,
    /// A client resumes from its cursor and not from a little before it.
    NoOverlap,
    /// A client's cursor follows notifications that come while it is still being replayed to.
    CursorBeforeResumed,
}

/// What may happen next; which code each one stands for is said in the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table in the crate's documentation has them all")]
pub enum Action {
    Enqueue(u8),
    Acknowledge(u8),
    LoseAnswer(u8),
    Receive(MessageId),
    TimeOut(MessageId),
    Redrive(MessageId),
    Load(u8),
    Save(u8),
    Delete(u8),
    KillApplier(u8),
    LoadToRegister(u8),
    Register(u8),
    KillRegistration(u8),
    BeginToNotify(u8),
    Notify(u8),
    FailPush(u8),
    EndLateNotify(u8),
    KillNotifier(u8),
    Connect,
    ReadInbox,
    Replay,
    TakeFrame,
    Disconnect,
}

impl Action {
    /// Whether it is something going wrong, which need not happen.
    pub fn is_fault(self, state: &State) -> bool {
        match self {
            Self::LoseAnswer(_)
            | Self::KillApplier(_)
            | Self::KillRegistration(_)
            | Self::KillNotifier(_)
            | Self::FailPush(_)
            | Self::Disconnect => true,
            Self::TimeOut(message) => queue::is_worked_on(state, message),
            _ => false,
        }
    }
}

/// The pipeline within bounds, with at most one mistake.
pub struct Pipeline {
    /// How much of everything there is.
    pub bounds: Bounds,
    /// What each order can come to.
    pub ledgers: Vec<Ledger>,
    /// Order and event of each callback.
    pub callbacks: Vec<(usize, usize)>,
    mutation: Option<Mutation>,
}

impl Pipeline {
    /// The pipeline as it is.
    pub fn new(bounds: Bounds) -> Self {
        Self::with(bounds, None)
    }

    /// The pipeline with a mistake in it.
    pub fn mutated(bounds: Bounds, mutation: Mutation) -> Self {
        Self::with(bounds, Some(mutation))
    }

    fn with(bounds: Bounds, mutation: Option<Mutation>) -> Self {
        let keys_are_stable = mutation != Some(Mutation::KeyPerDelivery);
        let mut names = Vec::new();
        let ledgers = bounds.orders.iter().enumerate();
        let ledgers = ledgers.map(|(order, events)| Ledger::new(order, events, keys_are_stable, &mut names));
        let callbacks = bounds.orders.iter().enumerate();
        let callbacks =
            callbacks.flat_map(|(order, events)| (0..events.len()).map(move |event| (order, event)));
        Self { bounds, ledgers: ledgers.collect(), callbacks: callbacks.collect(), mutation }
    }

    /// Whether this mistake is made.
    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Whether nothing is left to be done, so that only a fault could change anything.
    pub fn is_quiescent(&self, state: &State) -> bool {
        let is_nobody_at_work = state.client.is_resumed
            && state.appliers.iter().all(|applier| *applier == Applier::Idle)
            && state.lanes.iter().all(|lane| lane.notifier.is_none());
        let mut actions = Vec::new();
        if is_nobody_at_work {
            self.actions(state, &mut actions);
        }
        is_nobody_at_work && actions.iter().all(|action| action.is_fault(state))
    }

    /// Order and event that a message is about.
    pub fn subject(&self, message: MessageId) -> (usize, usize) {
        self.callbacks[usize::from(message.callback)]
    }
}

impl Model for Pipeline {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let is_registered = self.bounds.registration == Registration::First;
        let merchant = if is_registered { Merchant::Done } else { Merchant::Due };
        let lane = Lane { records: VecDeque::new(), notifier: None };
        let stored = |ledger: &Ledger| Stored {
            version: u8::from(is_registered),
            content: ledger.initial(is_registered),
        };
        vec![State {
            callbacks: vec![Callback { delivery: Delivery::Due, copies: 0 }; self.callbacks.len()],
            messages: Vec::new(),
            appliers: vec![Applier::Idle; self.bounds.appliers],
            merchants: vec![merchant; self.ledgers.len()],
            orders: self.ledgers.iter().map(stored).collect(),
            lanes: vec![lane; self.ledgers.len()],
            changes: 0,
            inbox: Vec::new(),
            clock: 0,
            client: Client {
                connection: 0,
                is_open: false,
                asks: false,
                replay: None,
                is_resumed: false,
                frames: VecDeque::new(),
                cursor: (0, 0),
                told: 0,
            },
            faults: self.bounds.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        queue::actions(self, state, actions);
        apply::actions(self, state, actions);
        notify::actions(self, state, actions);
        client::actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Enqueue(callback) => queue::enqueue(&mut state, callback),
            Action::Acknowledge(callback) => queue::acknowledge(self, &mut state, callback),
            Action::LoseAnswer(callback) => queue::lose_answer(&mut state, callback),
            Action::Receive(message) => queue::receive(self, &mut state, message),
            Action::TimeOut(message) => queue::time_out(self, &mut state, message),
            Action::Redrive(message) => queue::redrive(&mut state, message),
            Action::Load(applier) => apply::load(self, &mut state, applier),
            Action::Save(applier) => apply::save(self, &mut state, applier),
            Action::Delete(applier) => apply::delete(self, &mut state, applier),
            Action::KillApplier(applier) => apply::kill(&mut state, applier),
            Action::LoadToRegister(order) => apply::load_to_register(&mut state, order),
            Action::Register(order) => apply::register(self, &mut state, order),
            Action::KillRegistration(order) => apply::kill_registration(&mut state, order),
            Action::BeginToNotify(lane) => notify::begin(&mut state, lane),
            Action::Notify(lane) => notify::step(self, &mut state, lane),
            Action::FailPush(lane) => notify::fail_push(self, &mut state, lane),
            Action::EndLateNotify(lane) => notify::end_late(&mut state, lane),
            Action::KillNotifier(lane) => notify::kill(&mut state, lane),
            Action::Connect => client::connect(&mut state),
            Action::ReadInbox => client::read_inbox(self, &mut state),
            Action::Replay => client::replay(&mut state.client),
            Action::TakeFrame => client::take_frame(self, &mut state.client),
            Action::Disconnect => client::disconnect(&mut state),
        }
        queue::settle(&mut state);
        client::settle(self, &mut state);
        state.appliers.sort_unstable();
        state.messages.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.bounds)
    }
}
