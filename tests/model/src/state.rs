//! One moment of the pipeline: everything that is stored, under way or waiting.

use std::collections::VecDeque;

use crate::ledger::{Content, Facts};

/// How far a callback of the provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The provider is about to send it, for the first time or again.
    Due,
    /// The queue has it; the provider has no answer yet.
    Queued,
    /// The provider has its success, and never sends it again.
    Acknowledged,
    /// The provider has its success and the queue has nothing yet: what must not happen.
    OnlyAcknowledged,
}

/// A callback of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Callback {
    /// How far it is.
    pub delivery: Delivery,
    /// How often the queue got it.
    pub copies: u8,
}

/// Names a message: the callback, and which of its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Number of the callback.
    pub callback: u8,
    /// Number of the copy.
    pub copy: u8,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the queue, for anybody to receive.
    Visible,
    /// Received, and hidden until its visibility timeout.
    Hidden,
    /// In the dead-letter queue.
    DeadLetters,
}

/// A message that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// How often it was received.
    pub receives: u8,
    /// Where it is.
    pub place: Place,
}

/// What somebody has read of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stored {
    /// Optimistic concurrency.
    pub version: u8,
    /// What the order holds.
    pub content: Content,
}

/// How far an invocation of `apply` is with its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Applying {
    /// It is about to read the order.
    Received,
    /// It has lost a race and is about to read again.
    LostRace,
    /// It has read this.
    Loaded(Stored),
    /// The order has the event, and had it before: nothing was written.
    Unchanged,
    /// The order has the event.
    Written,
}

/// An invocation of `apply`, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Applier {
    /// It does nothing.
    Idle,
    /// It works on a message.
    At(MessageId, Applying),
}

/// How far a merchant is with registering an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Merchant {
    /// It is about to, for the first time or again.
    Due,
    /// `orders` has read this.
    Loaded(Stored),
    /// It is registered.
    Done,
}

/// An invocation of `notify` with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notifying {
    /// What the record says to tell.
    pub facts: Facts,
    /// When it began, which is the moment of writing in its cursors.
    pub began_at: u8,
    /// How many of its steps are done.
    pub step: u8,
    /// How many notifications of this step are done.
    pub told: u8,
    /// The connection that it found.
    pub connection: Option<u8>,
}

/// The records of one order, in order, and who works on the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// What the records behind the checkpoint say to tell.
    pub records: VecDeque<Facts>,
    /// The invocation.
    pub notifier: Option<Notifying>,
}

/// Place in the inbox: moment of writing, then what is told.
pub type Cursor = (u8, u8);

/// An entry of the user's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Its place.
    pub cursor: Cursor,
    /// What is told.
    pub fact: u8,
}

/// What is on its way through a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// A notification.
    Notification(Entry),
    /// All that was missed has been replayed.
    Resumed(Cursor),
}

/// The user's device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Which of its connections it is, from 1 on.
    pub connection: u8,
    /// Whether that is open.
    pub is_open: bool,
    /// Whether its request to resume is not answered yet.
    pub asks: bool,
    /// What `connections` has read of the inbox and not sent yet.
    pub replay: Option<Vec<Entry>>,
    /// Whether it knows that everything was replayed.
    pub is_resumed: bool,
    /// What is on its way to it.
    pub frames: VecDeque<Frame>,
    /// From where it resumes.
    pub cursor: Cursor,
    /// What it has been told.
    pub told: Facts,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Answers to the provider that are lost after the queue has the message.
    pub lost_answers: u8,
    /// Invocations that are killed between two steps.
    pub crashes: u8,
    /// Messages that become visible while somebody still works on them.
    pub early_timeouts: u8,
    /// Connections that break, with all that is on its way through them.
    pub disconnects: u8,
    /// Pushes that fail although the connection is there.
    pub failed_pushes: u8,
}

/// One moment of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The provider's callbacks.
    pub callbacks: Vec<Callback>,
    /// The queue and its dead-letter queue, sorted.
    pub messages: Vec<Message>,
    /// The invocations of `apply`, sorted: one is like the other.
    pub appliers: Vec<Applier>,
    /// Who registers each order.
    pub merchants: Vec<Merchant>,
    /// The table of orders.
    pub orders: Vec<Stored>,
    /// The table's stream.
    pub lanes: Vec<Lane>,
    /// Everything that any change so far says to tell.
    pub changes: Facts,
    /// The user's inbox in the order of cursors.
    pub inbox: Vec<Entry>,
    /// Moments so far: one for each begun invocation of `notify`.
    pub clock: u8,
    /// The user's device.
    pub client: Client,
    /// What may still go wrong.
    pub faults: Faults,
}

impl State {
    /// A message by its name.
    pub fn message(&mut self, id: MessageId) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.id == id)
    }

    /// What the inbox tells.
    pub fn inbox_facts(&self) -> Facts {
        self.inbox.iter().fold(0, |facts, entry| facts | 1 << entry.fact)
    }
}
