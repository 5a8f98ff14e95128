//! An embedded queue that speaks the JSON protocol of Amazon SQS: [`protocol`] is the wire, [`Store`] the durable queue.
//!
//! No well-kept crate serves an SQS endpoint from one file, so this is our own, kept small. Standard queues only:
//! at-least-once, best-effort order. A message never expires: one machine keeps what it acknowledged.

mod attributes;
pub mod protocol;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use store::{Outgoing, Receive, Received, Redrive, Store};
pub use writer::StoreError;
