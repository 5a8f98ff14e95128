//! Waits for what becomes true in a while.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The longest that a test waits for anything; it only bounds how long a broken product hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Asks again and again until `good` accepts the answer, which is returned.
///
/// Panics after [`PATIENCE`] with the last answer.
pub async fn until<Answer: Debug>(
    what: &str,
    ask: impl AsyncFnMut() -> Answer,
    good: impl Fn(&Answer) -> bool,
) -> Answer {
    let answer = until_or_last(ask, &good).await;
    assert!(good(&answer), "waited {PATIENCE:?} for {what}; the last answer: {answer:#?}");
    answer
}

/// Asks again and again until `good` accepts the answer, or for as long as [`until`] does; the last answer, good or not.
pub async fn until_or_last<Answer>(
    mut ask: impl AsyncFnMut() -> Answer,
    good: impl Fn(&Answer) -> bool,
) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if good(&answer) || begun.elapsed() >= PATIENCE {
            return answer;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
