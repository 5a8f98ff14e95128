//! Apple Pay: pings about merchant tokens. Mapping: `fixtures/apple_pay_merchant_token/MAPPING.md`.

#[cfg(feature = "sandbox")]
mod sandbox;

use super::{Covers, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent};

const NAME: &str = "apple_pay_merchant_token";

/// Apple Pay merchant token notifications.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Apple Pay merchant token notifications",
    rail: Rail::WalletToken,
    scheme: "nothing is signed: a GET that names an event",
    events: &[EventKind::TokenUpdated],
    documents: &[
        "https://developer.apple.com/documentation/merchanttokennotificationservices/send-merchant-token-event",
        "https://developer.apple.com/documentation/applepaymerchanttokenmanagementapi/receiving-and-handling-merchant-token-notifications",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "at once when the answer is 500",
    covers: Covers::Nothing,
    further_path: Some(is_event_path),
    verify: Verify::Coded(verify),
    normalise: Normalise::Coded(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

/// What Apple appends to the address that a merchant gave it, before the event's id.
const EVENT_PATH: &str = "/notification/merchantToken/";
/// Most bytes of an event's id; Apple's are UUIDs.
const EVENT_ID_BYTES_MAX: usize = 64;

fn is_event_path(path: &str) -> bool {
    path.strip_prefix(EVENT_PATH).is_some_and(is_event_id)
}

/// An id becomes part of an address: it has nothing that would lead elsewhere.
fn is_event_id(id: &str) -> bool {
    (1..=EVENT_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The event that a request names: at `base_path`, else at the address of the provider's callbacks.
fn event_id<'a>(raw: &'a RawCallback, base_path: Option<&str>) -> Option<&'a str> {
    let path = raw.path.split('?').next()?;
    let further = match base_path {
        Some(base_path) => path.strip_prefix(base_path),
        None => path.strip_prefix("/callbacks/")?.split_once('/')?.1.strip_prefix(NAME),
    };
    further?.strip_prefix(EVENT_PATH).filter(|id| is_event_id(id))
}

/// Anybody can send one: it only says that Apple may have something to tell, and is a hint.
///
/// # Source
/// Apple, "Send Merchant Token Event": `GET {tokenNotificationURL}/notification/merchantToken/{eventId}` without a body.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let base_path = keys.text_if_any("base_path")?;
    if raw.method != "GET" {
        return Err(Rejection::malformed("method"));
    }
    if !raw.body().is_empty() {
        return Err(Rejection::malformed("body"));
    }
    event_id(raw, base_path).ok_or_else(|| Rejection::malformed("path"))?;
    Ok(Verified::hint(raw, now))
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let path = verified.raw().path.split('?').next().unwrap_or_default();
    let id =
        path.rsplit('/').next().filter(|id| is_event_id(id)).ok_or_else(|| MappingError::field("path"))?;
    let mut event = PaymentEvent::new(EventKind::TokenUpdated, NAME, id, verified.received_at());
    event.subject_id = Some(id.to_owned());
    Ok(vec![event])
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn only_plain_event_ids_at_our_address_are_hints() {
        const BASE: &str = "/callbacks/a/apple_pay_merchant_token";
        for (method, path, body, accepted) in [
            ("GET", "/notification/merchantToken/0d3b2c34-5a07-4a6c-9a53-0f4b8c0b3c11", "", true),
            ("GET", "/notification/merchantToken/1?x=1", "", true),
            ("POST", "/notification/merchantToken/1", "", false),
            ("GET", "/notification/merchantToken/1", "{}", false),
            ("GET", "/notification/merchantToken/", "", false),
            ("GET", "/notification/merchantToken/../../x", "", false),
            ("GET", "/notification/merchantToken/..", "", false),
            ("GET", "/notification/merchantToken/%2e%2e", "", false),
            ("GET", "/notification/merchantToken/a/b", "", false),
            ("GET", "/x/notification/merchantToken/1", "", false),
            ("GET", "", "", false),
        ] {
            let raw = RawCallback::new("a", NAME, method, format!("{BASE}{path}"), [], body.into());
            let verified = verify(&raw, &KeySet::new("k", Map::new()), UnixSeconds(0));
            assert_eq!(verified.is_ok(), accepted, "{method} {path} {body}");
            let further = path.split('?').next().unwrap_or_default();
            assert!(!accepted || is_event_path(further), "{path}");
        }
    }
}
