//! A queue with its dead-letter queue.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::{Faults, lock};
use crate::callback::Verified;
use crate::domain::Reminder;
use crate::ports::dead_letters::{LETTERS_PER_RECEIVE_MAX, kept_reason};
use crate::ports::redelivery::{PutOff, Redelivery};
use crate::ports::{
    CallbackQueue, DeadLetter, DeadLetterQueue, DeadLetters, HintQueue, PortError, QueuedHint, ReturnQueue,
};

/// A dead letter, and whether somebody has received it and not given it back.
#[derive(Clone, Debug)]
struct SetAside {
    letter: DeadLetter,
    is_hidden: bool,
}

/// The queue of callbacks or of hints: messages as it would carry them.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    /// What fails next.
    pub faults: Faults,
    messages: Mutex<Vec<String>>,
    set_aside: Mutex<Vec<SetAside>>,
    put_off: Mutex<Vec<PutOff>>,
    delays_seconds: Mutex<Vec<u32>>,
    buried: AtomicUsize,
}

impl MemoryQueue {
    /// The messages so far.
    pub fn messages(&self) -> Vec<String> {
        lock(&self.messages).clone()
    }

    /// How long each reminder among the messages is held back, in order.
    pub fn delays_seconds(&self) -> Vec<u32> {
        lock(&self.delays_seconds).clone()
    }

    /// The messages in the dead-letter queue.
    pub fn dead_letters(&self) -> Vec<String> {
        lock(&self.set_aside).iter().map(|kept| kept.letter.body.clone()).collect()
    }

    /// Why the messages in the dead-letter queue are there.
    pub fn reasons(&self) -> Vec<Option<String>> {
        lock(&self.set_aside).iter().map(|kept| kept.letter.reason.clone()).collect()
    }

    /// Puts a message into the dead-letter queue, as the queue itself does without a reason.
    pub fn bury(&self, body: &str, reason: Option<&str>) {
        let mut set_aside = lock(&self.set_aside);
        let id = format!("letter-{}", self.buried.fetch_add(1, Ordering::Relaxed) + 1);
        let letter = DeadLetter {
            receipt_handle: format!("handle of {id}"),
            id,
            body: body.to_owned(),
            reason: reason.map(kept_reason),
            sent_at_ms: 0,
            receive_count: 0,
        };
        set_aside.push(SetAside { letter, is_hidden: false });
    }

    /// What was put off, in order.
    pub fn put_off_messages(&self) -> Vec<PutOff> {
        lock(&self.put_off).clone()
    }
}

impl MemoryQueue {
    fn keep(&self, message: String) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.messages).push(message);
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for MemoryQueue {
    async fn set_aside(&self, message: &str, reason: &str) -> Result<(), PortError> {
        self.faults.check()?;
        self.bury(message, Some(reason));
        Ok(())
    }
}

#[async_trait]
impl DeadLetterQueue for MemoryQueue {
    async fn receive(&self, _hidden_seconds: u32) -> Result<Vec<DeadLetter>, PortError> {
        self.faults.check()?;
        let mut set_aside = lock(&self.set_aside);
        let visible = set_aside.iter_mut().filter(|kept| !kept.is_hidden).take(LETTERS_PER_RECEIVE_MAX);
        let receive = |kept: &mut SetAside| {
            kept.is_hidden = true;
            kept.letter.receive_count += 1;
            kept.letter.clone()
        };
        Ok(visible.map(receive).collect())
    }

    async fn give_back(&self, letters: &[&DeadLetter]) -> Result<(), PortError> {
        self.faults.check()?;
        for kept in &mut *lock(&self.set_aside) {
            if letters.iter().any(|letter| letter.id == kept.letter.id) {
                kept.is_hidden = false;
            }
        }
        Ok(())
    }

    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.set_aside).retain(|kept| kept.letter.id != letter.id);
        Ok(())
    }

    async fn hidden(&self) -> Result<u64, PortError> {
        self.faults.check()?;
        Ok(lock(&self.set_aside).iter().filter(|kept| kept.is_hidden).count() as u64)
    }
}

#[async_trait]
impl ReturnQueue for MemoryQueue {
    async fn send_again(&self, message: &str) -> Result<(), PortError> {
        self.keep(message.to_owned())
    }
}

#[async_trait]
impl Redelivery for MemoryQueue {
    async fn put_off(&self, messages: &[PutOff]) -> Result<(), PortError> {
        self.faults.check()?;
        lock(&self.put_off).extend_from_slice(messages);
        Ok(())
    }
}

#[async_trait]
impl CallbackQueue for MemoryQueue {
    async fn send(&self, verified: &Verified) -> Result<(), PortError> {
        self.keep(verified.to_message())
    }
}

#[async_trait]
impl HintQueue for MemoryQueue {
    async fn send(&self, hint: &Verified) -> Result<(), PortError> {
        self.keep(hint.to_message())
    }

    async fn remind(&self, reminder: &Reminder, delay_seconds: u32) -> Result<(), PortError> {
        self.keep(QueuedHint::message_of(reminder))?;
        lock(&self.delays_seconds).push(delay_seconds);
        Ok(())
    }
}
