//! A queue with its dead-letter queue.

use std::sync::Mutex;

use async_trait::async_trait;

use super::{Faults, lock};
use crate::callback::Verified;
use crate::ports::redelivery::{PutOff, Redelivery};
use crate::ports::{CallbackQueue, DeadLetters, HintQueue, PortError};

/// The queue of callbacks or of hints: messages as it would carry them.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    /// What fails next.
    pub faults: Faults,
    messages: Mutex<Vec<String>>,
    set_aside: Mutex<Vec<String>>,
    put_off: Mutex<Vec<PutOff>>,
}

impl MemoryQueue {
    /// The messages so far.
    pub fn messages(&self) -> Vec<String> {
        lock(&self.messages).clone()
    }

    /// The messages in the dead-letter queue.
    pub fn dead_letters(&self) -> Vec<String> {
        lock(&self.set_aside).clone()
    }

    /// What was put off, in order.
    pub fn put_off_messages(&self) -> Vec<PutOff> {
        lock(&self.put_off).clone()
    }
}

impl MemoryQueue {
    fn keep(&self, message: String, in_list: &Mutex<Vec<String>>) -> Result<(), PortError> {
        self.faults.check()?;
        lock(in_list).push(message);
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for MemoryQueue {
    async fn set_aside(&self, message: &str) -> Result<(), PortError> {
        self.keep(message.to_owned(), &self.set_aside)
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
        self.keep(verified.to_message(), &self.messages)
    }
}

#[async_trait]
impl HintQueue for MemoryQueue {
    async fn send(&self, hint: &Verified) -> Result<(), PortError> {
        self.keep(hint.to_message(), &self.messages)
    }
}
