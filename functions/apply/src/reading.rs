//! What a message of the queue of callbacks says: read the same way by the function and by the operator's dry run.

use paybell_shared::callback::verified::MessageError;
use paybell_shared::callback::{Origin, Verified};
use paybell_shared::domain::PaymentEvent;
use paybell_shared::providers::{MappingError, Provider, Registry};
use thiserror::Error;

/// What a message says.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The callback.
    pub verified: Verified,
    /// Its provider's name.
    pub provider: &'static str,
    /// What it tells of orders; nothing of a hint, whose money facts are not proved.
    pub events: Vec<PaymentEvent>,
    /// Why a part of it cannot be read, while the rest can.
    pub unreadable: Option<ReadError>,
    /// Whether the provider must be asked for what it does not prove.
    pub must_ask: bool,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// It is not a verified callback.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its provider is not known any more.
    #[error("unknown provider `{0}`")]
    UnknownProvider(String),
    /// The provider says it in a way that our mapping does not know.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The provider says a part of it in a way that our mapping does not know.
    #[error("{unreadable} of its {all} events cannot be read, the others are applied: {first}")]
    Partly {
        /// How many cannot be read.
        unreadable: usize,
        /// How many it has that we would act on.
        all: usize,
        /// Why the first of them cannot be read.
        first: MappingError,
    },
}

/// Reads the text of a message.
///
/// # Errors
/// [`ReadError`] when nothing of it can be read.
pub fn read(body: &str, providers: &Registry) -> Result<Reading, ReadError> {
    let verified = Verified::from_queue(body)?;
    let name = verified.provider();
    let provider = providers.find(name).ok_or_else(|| ReadError::UnknownProvider(name.to_owned()))?;
    let (events, unreadable) = match verified.origin() {
        Origin::Hint => (Vec::new(), None),
        Origin::Signed | Origin::Answer => events(provider, &verified)?,
    };
    let must_ask = provider.must_ask(&verified) && provider.inquiry.is_some();
    Ok(Reading { provider: provider.name, events, unreadable, must_ask, verified })
}

fn events(
    provider: &Provider,
    verified: &Verified,
) -> Result<(Vec<PaymentEvent>, Option<ReadError>), MappingError> {
    let read = provider.read(verified)?;
    let (unreadable, all) = (read.unreadable.len(), read.unreadable.len() + read.events.len());
    let first = read.unreadable.into_iter().next();
    Ok((read.events, first.map(|first| ReadError::Partly { unreadable, all, first })))
}
