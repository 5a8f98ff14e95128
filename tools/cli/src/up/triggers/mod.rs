//! Event source mappings: what Lambda's own pollers do between a queue or a stream and a function.

mod failures;
pub mod queue;
pub mod stream;
#[cfg(test)]
mod tests;
mod unfinished;

use std::time::Duration;

use tokio::sync::watch;

/// Turns true when the process is to stop.
pub type Stopping = watch::Receiver<bool>;

/// Waits until the process is to stop.
pub async fn stopped(stopping: &mut Stopping) {
    // A sender that is gone says the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// `first · 2^(attempt-1)`, at most `longest`.
fn backoff(attempt: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(longest)
}

/// Sleeps, or returns at once when the process is to stop.
pub async fn pause(stopping: &mut Stopping, duration: Duration) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = stopped(stopping) => {}
    }
}
