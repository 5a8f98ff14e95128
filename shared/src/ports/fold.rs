//! Performs a [`Plan`] on an [`OrderStore`]: the one place where orders are read, folded and written.

use std::time::Duration;

use thiserror::Error;

use super::{Clock, OrderStore, PortError, Random, Saved};
use crate::domain::{Ask, Order, OrderError, Plan};

/// Attempts before the work goes back to where it came from.
const ATTEMPTS_MAX: u32 = 6;
/// The wait after the first lost race, doubled with each further one.
const FIRST_BACKOFF_MS: u64 = 10;
/// The longest wait.
const BACKOFF_MS_MAX: u64 = 200;

/// What came of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The subject that the plan names, as it is stored now.
    pub home: Option<Order>,
    /// Whether that subject was registered before.
    pub was_registered: bool,
    /// How many orders were written; none for duplicates.
    pub written: usize,
}

/// Why a plan was not performed. What was written before stays and is harmless: performing it again completes it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FoldError {
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The order does not take it.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Others were faster every time.
    #[error("lost {ATTEMPTS_MAX} races for the same order")]
    LostRaces,
}

/// Performs `plan`; after a lost race it starts anew from what is stored then, a little later, which `random` chooses.
///
/// # Errors
/// [`FoldError`].
pub async fn perform(
    store: &dyn OrderStore,
    plan: &Plan,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Done, FoldError> {
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            tokio::time::sleep(backoff(attempt, random)).await;
        }
        if let Some(done) = try_once(store, plan.clone(), clock).await? {
            return Ok(done);
        }
    }
    Err(FoldError::LostRaces)
}

async fn try_once(
    store: &dyn OrderStore,
    mut plan: Plan,
    clock: &dyn Clock,
) -> Result<Option<Done>, FoldError> {
    let account = plan.account().to_owned();
    let mut done = Done::default();
    while let Some(ask) = plan.next()? {
        match ask {
            Ask::Load(subject) => {
                let stored = store.load(&subject).await?;
                if plan.home() == Some(&subject) {
                    done.was_registered = stored.as_ref().is_some_and(|order| order.expected.is_some());
                }
                plan.loaded(subject, stored);
            }
            Ask::Read(reference) => {
                let record = store.reference(&account, &reference).await?;
                plan.learned(reference, record);
            }
            Ask::Tie(reference, subject) => {
                let record = store.tie(&reference, &subject).await?;
                plan.learned(reference, record);
            }
            Ask::Park(reference, event) => {
                let record = store.park(&account, &reference, &event).await?;
                plan.learned(reference, record);
            }
        }
    }
    let folded = plan.finish()?;
    done.home = folded.home;
    for mut order in folded.changed {
        order.updated_at_ms = clock.now_ms().max(order.updated_at_ms + 1);
        if store.save(&order).await? == Saved::LostRace {
            return Ok(None);
        }
        done.written += 1;
        if let Some(home) = done.home.as_mut().filter(|home| home.subject == order.subject) {
            home.version = order.version + 1;
            home.updated_at_ms = order.updated_at_ms;
        }
    }
    Ok(Some(done))
}

/// Full jitter, so that those who lost the same race do not meet again.
fn backoff(attempt: u32, random: &dyn Random) -> Duration {
    let longest_ms = (FIRST_BACKOFF_MS << attempt.min(16)).min(BACKOFF_MS_MAX);
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    Duration::from_millis(1 + u64::from_le_bytes(bytes) % longest_ms)
}
