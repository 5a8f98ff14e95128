//! What the watchers of addresses share: their callbacks tell transfers, and nodes are asked whether these are final.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::callback::json::Json;
use crate::callback::{KeySet, RawCallback, Verified};
use crate::domain::PaymentEvent;
use crate::providers::{EachEvent, FetchRequest, Inquiry, MappingError};

use super::node::{question, transaction, transfers};
use super::{Finality, Network, Told, Transfer};

/// A watcher of addresses.
pub trait Watcher {
    /// The provider's name.
    const NAME: &'static str;

    /// The text of a callback; `None` when it cannot be read.
    fn body(raw: &RawCallback) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(raw.body()))
    }

    /// The transfers that a callback tells, those of other tokens too.
    ///
    /// # Errors
    /// [`MappingError`] when the callback is not what the watcher documents.
    fn told(callback: &Json) -> EachTold<'_>;
}

/// The transfers of a callback, each with what hinders its reading.
pub type EachTold<'a> = Result<Vec<Result<Told<'a>, MappingError>>, MappingError>;

/// The events of a callback, each with what hinders its reading: something that the watcher does not document, or that
/// contradicts the table of tokens.
///
/// # Errors
/// [`MappingError`] when the callback as a whole is not what the watcher documents.
pub fn normalise<W: Watcher>(verified: &Verified) -> EachEvent {
    let event = |transfer: Transfer| transfer.event(W::NAME, verified.received_at());
    Ok(of_known_tokens::<W>(verified.raw())?.into_iter().map(|found| found.map(event)).collect())
}

/// How the nodes of the account are asked about transfers that are not final when they are told.
pub const fn inquiry<W: Watcher>() -> Inquiry {
    Inquiry::Coded {
        asks: asks::<W>,
        requests: requests::<W>,
        require_answer: require_answer::<W>,
        normalise: normalise_answer::<W>,
    }
}

fn asks<W: Watcher>(verified: &Verified) -> bool {
    unsettled::<W>(verified.raw()).is_ok_and(|groups| !groups.is_empty())
}

fn requests<W: Watcher>(verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
    let groups = unsettled::<W>(verified.raw())?;
    groups.keys().map(|(network, hash)| question(keys, *network, hash)).collect()
}

/// An answer about a transaction of the callback, which has become final or failed.
fn require_answer<W: Watcher>(answer: &Verified, _keys: &KeySet) -> Result<(), MappingError> {
    let found = answered::<W>(answer)?;
    if found.iter().all(|transfer| transfer.finality() == Finality::Final) {
        Ok(())
    } else {
        Err(MappingError::Unsettled)
    }
}

fn normalise_answer<W: Watcher>(answer: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let found = answered::<W>(answer)?;
    Ok(found.iter().map(|transfer| transfer.event(W::NAME, answer.received_at())).collect())
}

/// The transfers that a node tells of the transaction that it was asked about, to the receivers of the callback.
fn answered<W: Watcher>(answer: &Verified) -> Result<Vec<Transfer>, MappingError> {
    // A node that lags behind does not know a transaction yet.
    let hash = transaction(answer.content())?.ok_or(MappingError::Unsettled)?;
    let groups = unsettled::<W>(answer.raw())?;
    let asked = groups.iter().find(|((network, asked), _)| network.hash(&hash).as_ref() == Some(asked));
    let ((network, hash), receivers) = asked.ok_or_else(|| MappingError::field("transaction"))?;
    transfers(answer.content(), *network, hash, receivers)
}

/// Receivers of known tokens by transaction.
type Groups = BTreeMap<(Network, String), BTreeSet<String>>;

/// The transactions of a callback that are not final, and who received in them.
fn unsettled<W: Watcher>(raw: &RawCallback) -> Result<Groups, MappingError> {
    let mut groups = Groups::new();
    // What cannot be read keeps the whole callback where it is seen; the others are asked about all the same.
    for transfer in of_known_tokens::<W>(raw)?.into_iter().flatten() {
        if transfer.finality == Finality::Unconfirmed {
            groups.entry((transfer.network, transfer.hash)).or_default().insert(transfer.to);
        }
    }
    Ok(groups)
}

type EachTransfer = Result<Vec<Result<Transfer, MappingError>>, MappingError>;

fn of_known_tokens<W: Watcher>(raw: &RawCallback) -> EachTransfer {
    let body = W::body(raw).ok_or(MappingError::Content)?;
    let callback = Json::parse(&body).map_err(|_| MappingError::Content)?;
    let told = W::told(&callback)?;
    Ok(told.into_iter().filter_map(|told| told.and_then(|told| told.transfer()).transpose()).collect())
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
