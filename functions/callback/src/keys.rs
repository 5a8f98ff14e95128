//! Keys that a callback names and the account does not hold.

use paybell_shared::callback::{Credentials, KeySet, KeyStatus, RawCallback, Rejection};
use paybell_shared::ports::{FetchedKeys, KeyError};
use paybell_shared::providers::{KeyFetch, Provider};

use crate::CallbackError;

/// The credentials, each active key set with the provider's key that this callback needs, and why one could not be had.
///
/// One set may hold its key when that of another cannot be had, so the callback is tried with what there is.
pub(crate) async fn complete(
    provider: &Provider,
    raw: &RawCallback,
    mut credentials: Credentials,
    fetched: &FetchedKeys,
) -> (Credentials, Option<CallbackError>) {
    let Some(key_fetch) = provider.key_fetch else { return (credentials, None) };
    let mut missing = None;
    for keys in credentials.key_sets.iter_mut().filter(|keys| keys.status == KeyStatus::Active) {
        match complete_set(key_fetch, raw, keys, fetched).await {
            Ok(completed) => *keys = completed,
            Err(error) if !matches!(missing, Some(CallbackError::Failed(_))) => missing = Some(error),
            Err(_) => {}
        }
    }
    (credentials, missing)
}

async fn complete_set(
    key_fetch: KeyFetch,
    raw: &RawCallback,
    keys: &KeySet,
    fetched: &FetchedKeys,
) -> Result<KeySet, CallbackError> {
    let Some(wanted) = key_fetch(raw, keys)? else { return Ok(keys.clone()) };
    let key = fetched.get(&raw.account, &wanted).await?;
    let completed = keys.with_key(wanted.field, wanted.id.as_deref(), key);
    // A file of keys may be older than the one that this callback names.
    let Some(wanted) = key_fetch(raw, &completed)? else { return Ok(completed) };
    let key = fetched.get_again(&raw.account, &wanted).await?;
    Ok(completed.with_key(wanted.field, wanted.id.as_deref(), key))
}

impl From<KeyError> for CallbackError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Absent => Self::Rejected(Rejection::UnknownKey),
            KeyError::Failed(error) => Self::Failed(error),
        }
    }
}
