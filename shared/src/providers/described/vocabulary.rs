//! Our own vocabulary as the content of signature schemes that are checked in code.

use std::sync::LazyLock;

use serde::Deserialize;

use super::super::MappingError;
use super::event_rules::EventsRule;
use super::normalise::normalise_content;
use crate::callback::Verified;
use crate::domain::PaymentEvent;

/// Reads the events that a callback's `content` tells in our own vocabulary; none when it is of another type.
///
/// `id` is the id under which the scheme delivers the content again, if it has one that is signed.
///
/// # Errors
/// [`MappingError`] when it is JSON with one of our types and lacks what that needs, or repeats a name.
pub(in crate::providers) fn normalise_vocabulary(
    provider: &str,
    verified: &Verified,
    content: &[u8],
    id: Option<&str>,
) -> Result<Vec<PaymentEvent>, MappingError> {
    let mut events = normalise_content(&VOCABULARY, provider, verified, content)?;
    for event in &mut events {
        if let Some(id) = id {
            event.key = id.to_owned();
        }
    }
    Ok(events)
}

static VOCABULARY: LazyLock<EventsRule> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Table {
        events: EventsRule,
    }
    let text = concat!("[events]\n", include_str!("vocabulary.toml"));
    toml::from_str::<Table>(text).expect("the vocabulary is a table of events").events
});
