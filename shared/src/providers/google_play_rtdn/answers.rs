//! What the Google Play Developer API answers about a notification.

use super::super::read::{major, rfc3339};
use super::super::{FetchRequest, MappingError};
use super::{NAME, notification};
use crate::callback::json::Json;
use crate::callback::{KeySet, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};

const HOST: &str = "androidpublisher.googleapis.com";

type Events = Result<Vec<PaymentEvent>, MappingError>;

/// What a notification is about, and the place of that in the API.
enum Asked {
    Subscription(String),
    Product(String),
    Order(String),
}

fn asked(verified: &Verified) -> Result<Option<(String, Asked)>, MappingError> {
    let message = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let notification = notification(&message).ok_or_else(|| MappingError::field("message/data"))?;
    let package = notification.text("/packageName").ok_or_else(|| MappingError::field("packageName"))?;
    let id = |pointer: &str| notification.text(pointer).map(str::to_owned);
    let asked = id("/subscriptionNotification/purchaseToken")
        .map(Asked::Subscription)
        .or_else(|| id("/oneTimeProductNotification/purchaseToken").map(Asked::Product))
        .or_else(|| id("/voidedPurchaseNotification/orderId").map(Asked::Order))
        .or_else(|| id("/pendingRefundReviewNotification/orderId").map(Asked::Order));
    Ok(asked.map(|asked| (package.to_owned(), asked)))
}

/// # Source
/// Google Play Developer API: `purchases.subscriptionsv2.get`, `purchases.productsv2.getproductpurchasev2`, `orders.get`.
pub(super) fn requests(verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
    let Some((package, asked)) = asked(verified)? else { return Ok(Vec::new()) };
    let token = keys.text("access_token").map_err(|_| MappingError::field("access_token"))?;
    let (place, id) = match &asked {
        Asked::Subscription(id) => ("purchases/subscriptionsv2/tokens", id),
        Asked::Product(id) => ("purchases/productsv2/tokens", id),
        Asked::Order(id) => ("orders", id),
    };
    // An id that is none could lead elsewhere in the API.
    let plain = |text: &str, more: &[u8]| {
        !text.starts_with('.')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if !plain(id, b"-_.:") || !plain(&package, b"_.") {
        return Err(MappingError::field("purchaseToken"));
    }
    let address = format!("https://{HOST}/androidpublisher/v3/applications/{package}/{place}/{id}");
    Ok(vec![FetchRequest::get(HOST, address).with_header("Authorization", format!("Bearer {token}"))])
}

/// An order names itself; what is behind a token is what the token's own address gave.
pub(super) fn require_answer(answer: &Verified, _keys: &KeySet) -> Result<(), MappingError> {
    let json = Json::parse(answer.content()).map_err(|_| MappingError::Content)?;
    match asked(answer)? {
        Some((_, Asked::Order(id))) if json.text("/orderId") != Some(&id) => {
            Err(MappingError::field("orderId"))
        }
        Some(_) => Ok(()),
        None => Err(MappingError::field("message/data")),
    }
}

pub(super) fn normalise(answer: &Verified) -> Events {
    let json = Json::parse(answer.content()).map_err(|_| MappingError::Content)?;
    match asked(answer)? {
        Some((_, Asked::Subscription(token))) => subscription(answer, &json, &token),
        Some((_, Asked::Product(token))) => product(answer, &json, &token),
        Some((_, Asked::Order(id))) => order(answer, &json, &id),
        None => Ok(Vec::new()),
    }
}

/// A cancelled subscription is in force until it expires, one on hold or paused may come back.
fn subscription(answer: &Verified, json: &Json, token: &str) -> Events {
    let state = required(json, "/subscriptionState")?;
    let kind = match state {
        "SUBSCRIPTION_STATE_ACTIVE" | "SUBSCRIPTION_STATE_IN_GRACE_PERIOD" => EventKind::MandateSigned,
        "SUBSCRIPTION_STATE_EXPIRED" | "SUBSCRIPTION_STATE_PENDING_PURCHASE_CANCELED" => {
            EventKind::MandateRevoked
        }
        _ => return Ok(Vec::new()),
    };
    let mut event = event(answer, kind, token, state);
    event.subject_id = Some(token.to_owned());
    event.occurred_at = json.text("/startTime").and_then(rfc3339);
    Ok(vec![event])
}

/// A purchase has no amount in this API: only its order, whose id comes here, has one.
fn product(answer: &Verified, json: &Json, token: &str) -> Events {
    let state = required(json, "/purchaseStateContext/purchaseState")?;
    let kind = match state {
        "PURCHASED" | "PENDING" => EventKind::PaymentPending,
        "CANCELLED" => EventKind::PaymentCancelled,
        _ => return Ok(Vec::new()),
    };
    let mut event = event(answer, kind, token, state);
    let order_id = json.text("/orderId");
    event.subject_id = Some(token.to_owned());
    event.transaction_id = order_id.map(str::to_owned);
    event.references = references(&[Some(token), order_id]);
    event.occurred_at = json.text("/purchaseCompletionTime").and_then(rfc3339);
    Ok(vec![event])
}

/// What was taken, and every refund since: a whole one, or the partial ones each with its share.
fn order(answer: &Verified, json: &Json, id: &str) -> Events {
    let state = required(json, "/state")?;
    let token = json.text("/purchaseToken");
    let about = |kind: EventKind, part: &str| {
        let mut event = event(answer, kind, &format!("{id}:{part}"), state);
        event.transaction_id = Some(id.to_owned());
        event.references = references(&[Some(id), token]);
        event
    };
    let mut events = Vec::new();
    if json.at("/orderHistory/processedEvent").is_some() {
        let mut taken = about(EventKind::PaymentCaptured, "taken");
        taken.amount = Some(money(json, "/total")?);
        taken.occurred_at = json.text("/orderHistory/processedEvent/eventTime").and_then(rfc3339);
        events.push(taken);
    }
    if json.at("/orderHistory/refundEvent").is_some() {
        let mut refund = about(EventKind::RefundSucceeded, "whole");
        refund.refund_id = Some(format!("{id}:whole"));
        refund.amount = Some(money(json, "/orderHistory/refundEvent/refundDetails/total")?);
        // The whole refund includes the partial ones before it.
        refund.amount_is_cumulative = true;
        refund.occurred_at = json.text("/orderHistory/refundEvent/eventTime").and_then(rfc3339);
        events.push(refund);
    }
    for partial in json.members("/orderHistory/partialRefundEvents") {
        let created = required(partial, "/createTime")?;
        let kind = match partial.text("/state") {
            Some("PROCESSED_SUCCESSFULLY") => EventKind::RefundSucceeded,
            Some("PENDING") => EventKind::RefundPending,
            _ => continue,
        };
        let mut refund = about(kind, created);
        refund.refund_id = Some(format!("{id}:{created}"));
        refund.amount = Some(money(partial, "/refundDetails/total")?);
        refund.occurred_at = partial.text("/processTime").and_then(rfc3339);
        events.push(refund);
    }
    Ok(events)
}

fn event(answer: &Verified, kind: EventKind, id: &str, state: &str) -> PaymentEvent {
    let key = PaymentEvent::identified_by(&[kind.name(), id, state]);
    let mut event = PaymentEvent::new(kind, NAME, key, answer.received_at());
    event.provider_status = state.to_owned();
    event
}

fn references(ids: &[Option<&str>]) -> Vec<Reference> {
    let mut references: Vec<Reference> = ids.iter().flatten().map(|id| Reference::new(NAME, id)).collect();
    references.sort();
    references
}

/// Whole units and billionths.
///
/// # Source
/// google.type.Money.
fn money(json: &Json, pointer: &str) -> Result<Money, MappingError> {
    let field = || MappingError::field(pointer);
    let part = |name: &str| json.text(&format!("{pointer}/{name}"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (units, nanos) = (part("units").unwrap_or("0"), part("nanos").unwrap_or("0"));
    if !digits(units) || !digits(nanos) || nanos.len() > 9 {
        return Err(field());
    }
    let nanos = format!("{nanos:0>9}");
    let fraction = nanos.trim_end_matches('0');
    let text = if fraction.is_empty() { units.to_owned() } else { format!("{units}.{fraction}") };
    major(Some(&text), part("currencyCode").ok_or_else(field)?, pointer)
}

fn required<'a>(json: &'a Json, pointer: &str) -> Result<&'a str, MappingError> {
    json.text(pointer).ok_or_else(|| MappingError::field(pointer))
}
