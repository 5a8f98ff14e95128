//! What callbacks mean whose topic is unsigned.

use super::*;
use crate::callback::signature::{HmacHash, hmac_tag};
use crate::callback::{Credentials, KeySet, RawCallback, UnixSeconds};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// Kinds, ids and amounts of what a callback means, one line each; the topic in the header is always `orders/paid`.
fn means(body: &Value) -> Result<Vec<String>, MappingError> {
    let line = |event: &PaymentEvent| {
        let ids = [&event.subject_id, &event.refund_id, &event.dispute_id];
        let ids: Vec<&str> = ids.into_iter().flatten().map(String::as_str).collect();
        let amount = event.amount.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {} {amount}", event.kind, ids.join(","))
    };
    Ok(events(body)?.iter().map(line).collect())
}

fn events(body: &Value) -> Result<Vec<PaymentEvent>, MappingError> {
    let body = body.to_string().into_bytes();
    let tag = STANDARD.encode(hmac_tag(HmacHash::Sha256, b"key", &[&body]));
    let headers = [
        ("X-Shopify-Hmac-Sha256", tag.as_str()),
        ("X-Shopify-Topic", "orders/paid"),
        ("X-Shopify-Shop-Domain", "a.myshopify.com"),
        ("X-Shopify-API-Version", "2025-07"),
        ("X-Shopify-Webhook-Id", "w-1"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let raw = RawCallback::new("a", NAME, "POST", "/", headers, body);
    let keys = Map::from_iter([("secret".to_owned(), Value::from("key"))]);
    let credentials = Credentials { key_sets: vec![KeySet::new("k", keys)] };
    provider().normalise(&provider().verify(&raw, &credentials, UnixSeconds(0)).unwrap())
}

fn order(status: &str) -> Value {
    json!({
        "id": 820982911946154508_u64, "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
        "financial_status": status, "total_price": "403.00", "total_outstanding": "100.00", "currency": "USD",
        "cancelled_at": null, "refunds": [],
    })
}

fn transaction(kind: &str, status: &str) -> Value {
    json!({
        "id": 12, "admin_graphql_api_id": "gid://shopify/OrderTransaction/12", "order_id": 7,
        "kind": kind, "status": status, "amount": "4.50", "currency": "EUR",
    })
}

#[test]
fn the_order_says_how_far_its_payment_is() {
    for (status, expected) in [
        ("pending", "payment.pending 820982911946154508 403.00 USD"),
        ("authorized", "payment.authorized 820982911946154508 403.00 USD"),
        ("partially_paid", "payment.captured 820982911946154508 303.00 USD"),
        ("paid", "payment.captured 820982911946154508 403.00 USD"),
        ("partially_refunded", "payment.captured 820982911946154508 403.00 USD"),
        ("refunded", "payment.captured 820982911946154508 403.00 USD"),
        ("voided", "payment.cancelled 820982911946154508 403.00 USD"),
    ] {
        assert_eq!(means(&order(status)).unwrap(), [expected], "{status}");
    }
    assert!(means(&order("unheard")).is_err());
    let mut left = order("pending");
    left["cancelled_at"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(means(&left).unwrap(), ["payment.cancelled 820982911946154508 403.00 USD"]);
}

#[test]
fn transactions_say_what_moved() {
    for (kind, status, expected) in [
        ("authorization", "success", Some("payment.authorized 7 4.50 EUR")),
        ("authorization", "failure", Some("payment.failed 7 4.50 EUR")),
        ("sale", "success", Some("payment.captured 7 4.50 EUR")),
        ("sale", "pending", Some("payment.pending 7 4.50 EUR")),
        ("capture", "success", Some("payment.captured 7 4.50 EUR")),
        ("capture", "error", Some("payment.authorized 7 4.50 EUR")),
        ("void", "success", Some("payment.cancelled 7 4.50 EUR")),
        ("refund", "success", Some("refund.succeeded 7,12 4.50 EUR")),
        ("refund", "pending", Some("refund.pending 7,12 4.50 EUR")),
        ("refund", "failure", Some("refund.failed 7,12 4.50 EUR")),
        ("change", "success", None),
    ] {
        let got = means(&transaction(kind, status)).unwrap();
        assert_eq!(got.first().map(String::as_str), expected, "{kind} {status}");
    }
    assert!(means(&transaction("sale", "unheard")).is_err());
}

/// One refund is told by its own callback, by its transaction's, and inside of the order: always the same event.
#[test]
fn a_refund_is_the_same_wherever_it_is_told() {
    let told = transaction("refund", "success");
    let refund = json!({"id": 5, "admin_graphql_api_id": "gid://shopify/Refund/5", "order_id": 7, "transactions": [told]});
    let mut refunded = order("partially_refunded");
    refunded["refunds"] = json!([refund]);
    let alone = events(&told).unwrap();
    assert_eq!(events(&refund).unwrap(), alone);
    assert_eq!(events(&refunded).unwrap()[1..], alone);
}

#[test]
fn disputes_and_contracts() {
    for (status, kind) in [
        ("needs_response", "dispute.opened"),
        ("under_review", "dispute.opened"),
        ("won", "dispute.won"),
        ("charge_refunded", "dispute.won"),
        ("lost", "dispute.lost"),
        ("accepted", "dispute.lost"),
    ] {
        let body = json!({"id": 3, "order_id": 7, "status": status, "amount": "11.50", "currency": "CAD", "evidence_due_by": null});
        assert_eq!(means(&body).unwrap(), [format!("{kind} 7,3 11.50 CAD")], "{status}");
    }
    let contract = |status| json!({"id": 9, "admin_graphql_api_id": "gid://shopify/SubscriptionContract/9", "status": status});
    assert_eq!(means(&contract("active")).unwrap(), ["mandate.signed 9 "]);
    assert_eq!(means(&contract("cancelled")).unwrap(), ["mandate.revoked 9 "]);
    assert!(means(&contract("paused")).unwrap().is_empty());
}

#[test]
fn the_topic_means_nothing() {
    assert!(means(&json!({"foo": "bar"})).unwrap().is_empty());
    let product =
        json!({"id": 1, "admin_graphql_api_id": "gid://shopify/Product/1", "financial_status": "paid"});
    assert!(means(&product).unwrap().is_empty());
}
