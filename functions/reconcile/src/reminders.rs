//! Reminders: what becomes of one before its provider is asked.

use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::Reminder;
use paybell_shared::ports::AccountStore;
use paybell_shared::providers::Registry;

use super::{Hint, Ports, ReconcileError, read};

/// What to ask now: nothing while it is not due, then it goes through the queue once more; and nothing when its order has
/// come to an end.
pub(super) async fn take_up(
    reminder: Reminder,
    ports: &Ports,
    now: UnixSeconds,
) -> Result<Option<Hint>, ReconcileError> {
    let delay_seconds = reminder.delay_seconds(now);
    if delay_seconds > 0 {
        ports.hints.remind(&reminder, delay_seconds).await?;
        tracing::debug!(account = reminder.subject.account, delay_seconds, "a reminder is not due yet");
        return Ok(None);
    }
    let order = ports.orders.load(&reminder.subject).await?;
    if order.is_none_or(|order| reminder.is_over(&order)) {
        log_over(&reminder, "nothing is left to ask about");
        return Ok(None);
    }
    hint(reminder, &*ports.accounts, &ports.providers).await.map(Some)
}

/// The hint of our own that a reminder stands for. Whoever has asked since it was due has asked for it, too.
pub(super) async fn hint(
    reminder: Reminder,
    accounts: &dyn AccountStore,
    providers: &Registry,
) -> Result<Hint, ReconcileError> {
    let account = &reminder.subject.account;
    let verified = providers.hint_of(account, &reminder.reference, reminder.due_at);
    let verified = verified.ok_or_else(|| not_askable(&reminder))?;
    let hint = read(verified, accounts, providers).await.map_err(|(error, _)| error)?;
    // A merchant has registered it with its API key.
    Ok(Hint { is_unsigned: false, reminder: Some(reminder), ..hint })
}

fn not_askable(reminder: &Reminder) -> ReconcileError {
    let provider = reminder.reference.parts().map_or("", |(provider, _)| provider);
    ReconcileError::NotAskable(provider.to_owned())
}

/// Tells operators that nobody will be asked again because of this reminder.
pub(super) fn log_over(reminder: &Reminder, reason: &str) {
    tracing::info!(outcome = "over", account = reminder.subject.account, reason, "reconcile");
}
