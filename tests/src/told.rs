//! What users were told, brought into a form that can be compared.

use std::collections::BTreeMap;

use paybell_cli::simulate::{Outcome, Scenario};
use paybell_shared::providers::Provider;
use serde_json::Value;

/// Notifications by id. Panics when one id is there twice.
pub fn by_id(notifications: Vec<Value>) -> BTreeMap<String, Value> {
    let count = notifications.len();
    let by_id: BTreeMap<String, Value> =
        notifications.into_iter().map(|told| (text(&told, "id").to_owned(), without_place(told))).collect();
    assert_eq!(by_id.len(), count, "an id is there twice; those that are: {:#?}", by_id.keys());
    by_id
}

/// What a notification says, without its place in the inbox: one that comes again may move to a later place.
pub fn without_place(mut notification: Value) -> Value {
    notification.as_object_mut().expect("a notification is an object").remove("cursor");
    notification
}

/// How many notifications there are of each kind.
pub fn kinds<'a>(notifications: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for told in notifications {
        *kinds.entry(text(told, "kind").to_owned()).or_default() += 1;
    }
    kinds
}

/// A text that a notification must have.
pub fn text<'a>(notification: &'a Value, name: &str) -> &'a str {
    notification[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {notification:#}"))
}

/// How many notifications of each kind a scenario means that ends with this outcome.
pub fn expected_kinds(provider: &Provider, scenario: Scenario, outcome: Outcome) -> BTreeMap<String, usize> {
    let main = match provider.main_payload() {
        Some(("transferred", _)) => "transfer.succeeded",
        Some(("signed", _)) => "mandate.signed",
        Some(("approved", _)) => "merchant.approved",
        Some(("token-updated", _)) => "token.updated",
        _ => "payment.captured",
    };
    let kinds: &[&str] = match scenario {
        _ if outcome == Outcome::Unchanged => &[],
        Scenario::Paid | Scenario::Duplicate | Scenario::BeforeOrder | Scenario::Stale | Scenario::Forged => {
            &[main]
        }
        Scenario::Refunded | Scenario::PartialRefund | Scenario::Reordered => {
            &["payment.captured", "refund.succeeded"]
        }
        Scenario::Failed => match outcome {
            Outcome::Is { status: "expired", .. } => &["payment.expired"],
            Outcome::Is { status: "cancelled", .. } => &["payment.cancelled"],
            _ => &["payment.failed"],
        },
        Scenario::WrongAmount => &["order.held"],
    };
    kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect()
}

/// The kinds to compare with [`expected_kinds`]: whether a refund that overtook its payment is seen alone,
/// and the order held for that moment, is a matter of chance. A provider that is asked before money moves may say
/// `payment.pending` first, which no scenario ends with.
pub fn kinds_that_count<'a>(
    provider: &Provider,
    scenario: Scenario,
    notifications: impl IntoIterator<Item = &'a Value>,
) -> BTreeMap<String, usize> {
    let mut kinds = kinds(notifications);
    if provider.inquiry.is_some() {
        kinds.remove("payment.pending");
    }
    if matches!(scenario, Scenario::Refunded | Scenario::PartialRefund | Scenario::Reordered) {
        kinds.remove("order.held");
    }
    kinds
}
