//! What orders and references look like as items.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::error::unreadable;
use super::keys;
use crate::domain::{Expectation, Order, OrderState, PaymentEvent, Reference, Status, Subject, SubjectKind};
use crate::ports::{PortError, ReferenceRecord};

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The order that a key of the orders table names; `None` of a reference's.
pub fn subject_of_order_key(key: &str) -> Option<Subject> {
    subject_from_text(key.strip_prefix(keys::ORDER)?.strip_prefix('#')?)
}

/// What is stored of an order, and the derived facts that queries and people look at.
#[derive(Serialize, Deserialize)]
struct StoredOrder {
    item: String,
    account: String,
    kind: SubjectKind,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<Expectation>,
    events: BTreeMap<String, PaymentEvent>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    shared_references: BTreeSet<Reference>,
    version: u64,
    updated_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_key: Option<String>,
    #[serde(skip_deserializing)]
    status: Option<Status>,
    #[serde(skip_deserializing)]
    state: Option<OrderState>,
}

impl StoredOrder {
    fn new(order: &Order, version: u64) -> Self {
        let state = order.state();
        Self {
            item: keys::ORDER.to_owned(),
            account: order.subject.account.clone(),
            kind: order.subject.kind,
            id: order.subject.id.clone(),
            expected: order.expected.clone(),
            events: order.events.clone(),
            shared_references: order.shared_references.clone(),
            version,
            updated_at_ms: order.updated_at_ms,
            user_key: order
                .expected
                .as_ref()
                .map(|expected| keys::orders_of_user(&order.subject.account, &expected.user)),
            status: Some(state.status),
            state: Some(state),
        }
    }
}

/// The attributes of an order's item without its key, as version `version`.
pub(super) fn order_to_item(order: &Order, version: u64) -> Result<Item, PortError> {
    serde_dynamo::aws_sdk_dynamodb_1::to_item(StoredOrder::new(order, version))
        .map_err(|_| unreadable("order"))
}

/// Reads an order's item.
pub(super) fn order_from_item(item: Item) -> Result<Order, PortError> {
    let stored: StoredOrder =
        serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|_| unreadable("order"))?;
    Ok(stored.into())
}

/// The order in an image of a stream record of the orders table; `None` for an absent image or another item.
///
/// # Errors
/// [`PortError::Permanent`] when the image is an order's and cannot be read.
pub fn order_from_stream_image(image: serde_dynamo::Item) -> Result<Option<Order>, PortError> {
    let is_order =
        matches!(image.get("item"), Some(serde_dynamo::AttributeValue::S(item)) if item == keys::ORDER);
    if !is_order {
        return Ok(None);
    }
    let stored: StoredOrder = serde_dynamo::from_item(image).map_err(|_| unreadable("order"))?;
    Ok(Some(stored.into()))
}

/// What the stream shows of an order that is stored: what [`order_from_stream_image`] reads.
///
/// # Errors
/// [`PortError::Permanent`] when the order cannot be written as an item.
#[cfg(feature = "sandbox")]
pub fn order_to_stream_image(order: &Order) -> Result<serde_dynamo::Item, PortError> {
    serde_dynamo::to_item(StoredOrder::new(order, order.version)).map_err(|_| unreadable("order"))
}

impl From<StoredOrder> for Order {
    fn from(stored: StoredOrder) -> Self {
        Self {
            subject: Subject { account: stored.account, kind: stored.kind, id: stored.id },
            expected: stored.expected,
            events: stored.events,
            shared_references: stored.shared_references,
            version: stored.version,
            updated_at_ms: stored.updated_at_ms,
        }
    }
}

/// Each event parked under a reference is an attribute of its own, so that parking is one atomic write.
pub(super) const PARKED_PREFIX: &str = "parked:";

/// Reads a reference's item; nothing is known of one that is not stored.
pub(super) fn reference_from_item(item: Option<Item>) -> Result<ReferenceRecord, PortError> {
    let mut record = ReferenceRecord::default();
    for (name, value) in item.into_iter().flatten() {
        if name.starts_with(PARKED_PREFIX) {
            let event = serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value(value)
                .map_err(|_| unreadable("event"))?;
            record.parked.push(event);
        } else if let ("subjects", AttributeValue::Ss(subjects)) = (name.as_str(), value) {
            for subject in subjects {
                record.subjects.insert(subject_from_text(&subject).ok_or_else(|| unreadable("subject"))?);
            }
        }
    }
    record.parked.sort_unstable();
    Ok(record)
}

fn subject_from_text(text: &str) -> Option<Subject> {
    let mut parts = keys::parts(text)?.into_iter();
    let account = parts.next()?;
    let kind = SubjectKind::from_name(&parts.next()?)?;
    Some(Subject { account, kind, id: parts.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_come_back() {
        for id in ["pb-1", "a#b%c", "订单/1", ""] {
            let subject = Subject { account: "demo#1".into(), kind: SubjectKind::Mandate, id: id.into() };
            assert_eq!(subject_of_order_key(&keys::order(&subject)).as_ref(), Some(&subject));
            assert_eq!(subject_from_text(&keys::subject(&subject)), Some(subject));
        }
        assert_eq!(subject_from_text("demo#unheard#1"), None);
        assert_eq!(subject_of_order_key("reference#demo#stripe:pi_1"), None);
    }
}
