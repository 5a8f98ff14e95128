//! A queue with its dead-letter queue: at least once, in any order, with visibility timeouts and receive counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::sqs::SqsMessage;
use paybell_shared::callback::Verified;
use paybell_shared::domain::Reminder;
use paybell_shared::ports::redelivery::{PutOff, VISIBILITY_TIMEOUT_SECONDS};
use paybell_shared::ports::{CallbackQueue, DeadLetters, HintQueue, PortError, QueuedHint, Redelivery};
use tokio::sync::Notify;

use crate::mutation::Mutation;
use crate::sim::{Port, Sim, lock};

/// Of a thousand receives so many do not hide their message: somebody else gets it, too.
const TWICE_PERMILLE: u64 = 15;

#[derive(Clone)]
struct Message {
    body: String,
    receives: u32,
    visible_at_ms: u64,
    receipt: u64,
    sent_at_ms: i64,
}

#[derive(Default)]
struct Stored {
    messages: BTreeMap<u64, Message>,
    dead_letters: Vec<String>,
    numbers: u64,
}

impl Stored {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// A queue and its dead-letter queue.
pub struct SimQueue {
    name: &'static str,
    sim: Arc<Sim>,
    receives_max: u32,
    stored: Mutex<Stored>,
    changed: Notify,
}

impl SimQueue {
    pub fn new(name: &'static str, sim: &Arc<Sim>, receives_max: u32) -> Self {
        Self { name, sim: sim.clone(), receives_max, stored: Mutex::default(), changed: Notify::new() }
    }

    /// Whether nothing is in it, dead letters aside.
    pub fn is_empty(&self) -> bool {
        lock(&self.stored).messages.is_empty()
    }

    pub fn dead_letters(&self) -> Vec<String> {
        lock(&self.stored).dead_letters.clone()
    }

    pub fn take_dead_letters(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.stored).dead_letters)
    }

    /// Returns all dead letters to the queue.
    pub fn redrive(&self) {
        for body in self.take_dead_letters() {
            self.sim.count("dead letters redriven");
            self.keep(body, 0);
        }
    }

    /// At most `max` messages that are visible, in any order; waits until there is one.
    pub async fn receive(&self, max: usize) -> Vec<SqsMessage> {
        loop {
            let changed = self.changed.notified();
            let (received, next_at_ms) = self.receive_now(max);
            if !received.is_empty() {
                return received;
            }
            let wait_ms =
                next_at_ms.map_or(u64::MAX / 4, |at_ms| at_ms.saturating_sub(self.sim.elapsed_ms()).max(1));
            let _ = tokio::time::timeout(Duration::from_millis(wait_ms.min(86_400_000)), changed).await;
        }
    }

    fn receive_now(&self, max: usize) -> (Vec<SqsMessage>, Option<u64>) {
        let now_ms = self.sim.elapsed_ms();
        let mut stored = lock(&self.stored);
        let is_visible = |message: &Message| message.visible_at_ms <= now_ms;
        let mut visible: Vec<u64> =
            stored.messages.iter().filter(|(_, message)| is_visible(message)).map(|(id, _)| *id).collect();
        self.sim.shuffle(&mut visible);
        let mut received = Vec::new();
        for id in visible.into_iter().take(max) {
            let receipt = stored.number();
            let Some(message) = stored.messages.get_mut(&id) else { continue };
            if message.receives >= self.receives_max {
                self.sim.count("messages received too often");
                self.sim.note(format_args!("{} #{id} is a dead letter", self.name));
                let body = stored.messages.remove(&id).map(|message| message.body).unwrap_or_default();
                stored.dead_letters.push(body);
                continue;
            }
            message.receives += 1;
            if message.receives > 1 {
                self.sim.count("messages redelivered");
            }
            message.receipt = receipt;
            message.visible_at_ms = now_ms + u64::from(VISIBILITY_TIMEOUT_SECONDS) * 1_000;
            if self.sim.goes_wrong(TWICE_PERMILLE) {
                self.sim.count("messages handed out twice");
                message.visible_at_ms = now_ms + 1;
            }
            received.push(as_lambda_sends_it(id, message));
            if self.sim.has(Mutation::QueueForgetsOnReceive) {
                stored.messages.remove(&id);
            }
        }
        let next = stored.messages.values().map(|message| message.visible_at_ms).min();
        (received, next)
    }

    /// Deletes what is received by these receipts. One of an earlier receive may do or not.
    pub fn delete(&self, receipts: &[u64]) {
        let mut stored = lock(&self.stored);
        for receipt in receipts {
            stored.messages.retain(|_, message| message.receipt != *receipt);
        }
    }

    fn keep(&self, body: String, delay_seconds: u32) {
        let sent_at_ms = crate::sim::BEGUN_AT_MS + i64::try_from(self.sim.elapsed_ms()).unwrap_or_default();
        let mut stored = lock(&self.stored);
        let id = stored.number();
        let visible_at_ms = self.sim.elapsed_ms() + u64::from(delay_seconds) * 1_000;
        stored.messages.insert(id, Message { body, receives: 0, visible_at_ms, receipt: 0, sent_at_ms });
        drop(stored);
        self.changed.notify_waiters();
    }

    async fn send_message(&self, message: String, delay_seconds: u32) -> Result<(), PortError> {
        let keep = async {
            if self.sim.has(Mutation::QueueSaysTooMuch) && self.sim.happens(50) {
                return Ok(());
            }
            assert!(!self.sim.has(Mutation::CallbackPanics) || !self.sim.happens(50), "on purpose");
            self.keep(message, delay_seconds);
            Ok(())
        };
        self.sim.call(Port::Queue, format!("{} takes a message", self.name), keep).await
    }
}

fn as_lambda_sends_it(id: u64, message: &Message) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = Some(format!("m{id}"));
    record.receipt_handle = Some(message.receipt.to_string());
    record.body = Some(message.body.clone());
    record.attributes = [
        ("ApproximateReceiveCount".to_owned(), message.receives.to_string()),
        ("SentTimestamp".to_owned(), message.sent_at_ms.to_string()),
    ]
    .into();
    record
}

#[async_trait]
impl DeadLetters for SimQueue {
    async fn set_aside(&self, message: &str, _reason: &str) -> Result<(), PortError> {
        let keep = async {
            self.sim.count("messages set aside");
            lock(&self.stored).dead_letters.push(message.to_owned());
            Ok(())
        };
        self.sim.call(Port::Queue, format!("{} sets aside", self.name), keep).await
    }
}

#[async_trait]
impl Redelivery for SimQueue {
    async fn put_off(&self, messages: &[PutOff]) -> Result<(), PortError> {
        let put_off = async {
            let now_ms = self.sim.elapsed_ms();
            let mut stored = lock(&self.stored);
            for put_off in messages {
                let receipt: u64 = put_off.receipt_handle.parse().unwrap_or_default();
                for message in stored.messages.values_mut().filter(|message| message.receipt == receipt) {
                    message.visible_at_ms = now_ms + u64::from(put_off.delay_seconds) * 1_000;
                }
            }
            drop(stored);
            self.changed.notify_waiters();
            Ok(())
        };
        self.sim.call(Port::Queue, format!("{} puts off {}", self.name, messages.len()), put_off).await
    }
}

#[async_trait]
impl CallbackQueue for SimQueue {
    async fn send(&self, verified: &Verified) -> Result<(), PortError> {
        self.send_message(verified.to_message(), 0).await
    }
}

#[async_trait]
impl HintQueue for SimQueue {
    async fn send(&self, hint: &Verified) -> Result<(), PortError> {
        self.send_message(hint.to_message(), 0).await
    }

    async fn remind(&self, reminder: &Reminder, delay_seconds: u32) -> Result<(), PortError> {
        self.send_message(QueuedHint::message_of(reminder), delay_seconds).await
    }
}
