//! How Stripe's objects read, and how its header is checked.

use serde_json::{Value, json};

use super::*;
use crate::callback::signature::{HmacHash, hmac_tag};
use crate::callback::{Credentials, KeySet, RawCallback, Rejection};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const SECRET: &str = "whsec_generated_for_tests";

fn verify(body: &str, header: &str, keys: Value) -> Result<Verified, Rejection> {
    let headers = [("Stripe-Signature".to_owned(), header.to_owned())];
    let raw = RawCallback::new("account", NAME, "POST", "/", headers, body.as_bytes().to_vec());
    let keys = KeySet::new("test", keys.as_object().expect("an object").clone());
    provider().verify(&raw, &Credentials { key_sets: vec![keys] }, NOW)
}

fn tag(secret: &str, time: &str, body: &str) -> String {
    hex::encode(hmac_tag(HmacHash::Sha256, secret.as_bytes(), &[time.as_bytes(), b".", body.as_bytes()]))
}

fn verified(event: &Value) -> Verified {
    let (body, time) = (event.to_string(), NOW.0.to_string());
    let header = format!("t={time},v1={}", tag(SECRET, &time, &body));
    verify(&body, &header, json!({"secret": SECRET})).unwrap()
}

fn read(event: &Value) -> Result<Vec<PaymentEvent>, MappingError> {
    provider().normalise(&verified(event))
}

fn event(type_name: &str, object: Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": type_name, "created": 1_767_225_599, "data": {"object": object}})
}

/// The event in one line: kind, amount, transaction, order, refund or dispute, references.
fn line(event: &PaymentEvent) -> String {
    let text = |id: &Option<String>| id.clone().unwrap_or_else(|| "-".to_owned());
    let other = event.refund_id.as_ref().or(event.dispute_id.as_ref()).cloned();
    let amount = event.amount.as_ref().map_or_else(|| "-".to_owned(), Money::to_string);
    let references: Vec<&str> = event.references.iter().map(|reference| reference.0.as_str()).collect();
    format!(
        "{} {amount} {} {} {} {}",
        event.kind,
        text(&event.transaction_id),
        text(&event.subject_id),
        text(&other),
        references.join(" ")
    )
    .trim_end()
    .to_owned()
}

/// Reads each row `type object => event`; an object may leave out amount, currency and ids that are given here.
fn check(rows: &[(&str, Value, &str)]) {
    for (type_name, changes, expected) in rows {
        let mut object = json!({"amount": 1999, "currency": "eur"});
        for (name, value) in changes.as_object().expect("an object") {
            object[name] = value.clone();
        }
        let got = match read(&event(type_name, object)) {
            Ok(events) if events.is_empty() => "nothing".to_owned(),
            Ok(events) => events.iter().map(line).collect::<Vec<_>>().join(" + "),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, *expected, "{type_name} {changes}");
    }
}

#[test]
fn payment_intents_read() {
    let intent = |changes: Value| {
        let mut object = json!({"id": "pi_1", "latest_charge": "ch_1", "metadata": {"order_id": "A-1"}});
        for (name, value) in changes.as_object().expect("an object") {
            object[name] = value.clone();
        }
        object
    };
    let told = "pi_1 A-1 - stripe:ch_1 stripe:pi_1";
    check(&[
        ("payment_intent.created", intent(json!({})), &format!("payment.pending 19.99 EUR {told}")),
        ("payment_intent.processing", intent(json!({})), &format!("payment.pending 19.99 EUR {told}")),
        ("payment_intent.requires_action", intent(json!({})), &format!("payment.pending 19.99 EUR {told}")),
        (
            "payment_intent.amount_capturable_updated",
            intent(json!({"amount_capturable": 1500})),
            &format!("payment.authorized 15.00 EUR {told}"),
        ),
        (
            "payment_intent.succeeded",
            intent(json!({"amount_received": 1200})),
            &format!("payment.captured 12.00 EUR {told}"),
        ),
        (
            "payment_intent.succeeded",
            intent(json!({"amount_received": 1200, "latest_charge": {"id": "ch_2"}, "metadata": {}})),
            "payment.captured 12.00 EUR pi_1 - - stripe:ch_2 stripe:pi_1",
        ),
        ("payment_intent.payment_failed", intent(json!({})), &format!("payment.failed 19.99 EUR {told}")),
        ("payment_intent.canceled", intent(json!({})), &format!("payment.cancelled 19.99 EUR {told}")),
        ("payment_intent.partially_funded", intent(json!({})), "nothing"),
        (
            "payment_intent.succeeded",
            intent(json!({})),
            "field `/data/object/amount_received` is absent or unreadable",
        ),
    ]);
}

#[test]
fn a_charge_is_the_transaction_of_its_intent() {
    let charge = |captured: bool, intent: Value| json!({"id": "ch_1", "payment_intent": intent, "captured": captured, "amount_captured": if captured { 1500 } else { 0 }});
    check(&[
        (
            "charge.succeeded",
            charge(true, json!("pi_1")),
            "payment.captured 15.00 EUR pi_1 - - stripe:ch_1 stripe:pi_1",
        ),
        (
            "charge.succeeded",
            charge(false, json!({"id": "pi_1"})),
            "payment.authorized 19.99 EUR pi_1 - - stripe:ch_1 stripe:pi_1",
        ),
        ("charge.captured", charge(true, Value::Null), "payment.captured 15.00 EUR ch_1 - - stripe:ch_1"),
        (
            "charge.succeeded",
            json!({"id": "ch_1", "captured": true}),
            "payment.captured 19.99 EUR ch_1 - - stripe:ch_1",
        ),
        ("charge.failed", charge(false, Value::Null), "payment.failed 19.99 EUR ch_1 - - stripe:ch_1"),
        ("charge.expired", charge(false, Value::Null), "payment.cancelled 19.99 EUR ch_1 - - stripe:ch_1"),
        ("charge.updated", charge(true, Value::Null), "nothing"),
    ]);
}

#[test]
fn checkout_sessions_read_by_payment_status() {
    let session = |status: &str, mode: &str| json!({"id": "cs_1", "mode": mode, "payment_status": status, "payment_intent": "pi_1", "amount_total": 1999, "client_reference_id": "A-1"});
    let told = "19.99 EUR pi_1 A-1 - stripe:cs_1 stripe:pi_1";
    check(&[
        ("checkout.session.completed", session("paid", "payment"), &format!("payment.captured {told}")),
        ("checkout.session.completed", session("unpaid", "payment"), &format!("payment.pending {told}")),
        (
            "checkout.session.async_payment_succeeded",
            session("paid", "payment"),
            &format!("payment.captured {told}"),
        ),
        (
            "checkout.session.async_payment_failed",
            session("unpaid", "payment"),
            &format!("payment.failed {told}"),
        ),
        ("checkout.session.expired", session("unpaid", "payment"), &format!("payment.expired {told}")),
        // The payer of a "pay what you want" session had not chosen an amount yet.
        (
            "checkout.session.expired",
            json!({"id": "cs_1", "mode": "payment", "amount_total": null, "currency": null, "client_reference_id": "A-1"}),
            "payment.expired - cs_1 A-1 - stripe:cs_1",
        ),
        (
            "checkout.session.completed",
            json!({"id": "cs_1", "payment_status": "paid", "amount_total": null}),
            "field `/data/object/amount_total` is absent or unreadable",
        ),
        ("checkout.session.completed", session("paid", "subscription"), "nothing"),
        (
            "checkout.session.completed",
            session("", "payment"),
            "field `/data/object/payment_status` is absent or unreadable",
        ),
    ]);
}

#[test]
fn refund_objects_are_the_facts() {
    let refund =
        |status: &str| json!({"id": "re_1", "charge": "ch_1", "payment_intent": "pi_1", "status": status});
    let told = "19.99 EUR pi_1 - re_1 stripe:ch_1 stripe:pi_1";
    check(&[
        ("refund.created", refund("pending"), &format!("refund.pending {told}")),
        ("refund.created", refund("succeeded"), &format!("refund.succeeded {told}")),
        ("refund.updated", refund("succeeded"), &format!("refund.succeeded {told}")),
        ("charge.refund.updated", refund("canceled"), &format!("refund.failed {told}")),
        ("refund.failed", refund("failed"), &format!("refund.failed {told}")),
        ("refund.updated", refund("odd"), "field `/data/object/status` is absent or unreadable"),
        (
            "charge.refunded",
            json!({"id": "ch_1", "payment_intent": "pi_1", "amount_refunded": 1999}),
            "nothing",
        ),
        (
            "charge.refunded",
            json!({
                "id": "ch_1", "payment_intent": "pi_1", "amount_refunded": 1999, "metadata": {"order_id": "A-1"},
                "refunds": {"data": [
                    {"id": "re_1", "amount": 500, "currency": "eur", "charge": "ch_1", "status": "succeeded"},
                    {"id": "re_2", "amount": 600, "currency": "eur", "charge": "ch_1", "status": "pending"},
                ]},
            }),
            "refund.succeeded 5.00 EUR pi_1 A-1 re_1 stripe:ch_1 stripe:pi_1 \
             + refund.pending 6.00 EUR pi_1 A-1 re_2 stripe:ch_1 stripe:pi_1",
        ),
    ]);
}

#[test]
fn m12_a_refund_that_cannot_be_read_does_not_hide_the_others() {
    let refund = |id: &str, status: &str| json!({"id": id, "amount": 500, "currency": "eur", "charge": "ch_1", "status": status});
    let refunds = json!([refund("re_1", "odd"), refund("re_2", "succeeded")]);
    let charge = json!({"id": "ch_1", "payment_intent": "pi_1", "refunds": {"data": refunds}});
    let read = provider().read(&verified(&event("charge.refunded", charge))).unwrap();
    let told: Vec<String> = read.events.iter().map(line).collect();
    assert_eq!(told, ["refund.succeeded 5.00 EUR pi_1 - re_2 stripe:ch_1 stripe:pi_1"]);
    assert_eq!(read.unreadable, [MappingError::field("/data/object/status")]);
}

#[test]
fn disputes_read_by_status() {
    let dispute =
        |status: &str| json!({"id": "du_1", "charge": "ch_1", "payment_intent": "pi_1", "status": status});
    let told = "19.99 EUR pi_1 - du_1 stripe:ch_1 stripe:pi_1";
    check(&[
        ("charge.dispute.created", dispute("needs_response"), &format!("dispute.opened {told}")),
        ("charge.dispute.updated", dispute("under_review"), &format!("dispute.opened {told}")),
        ("charge.dispute.closed", dispute("prevented"), "nothing"),
        ("charge.dispute.closed", dispute("won"), &format!("dispute.won {told}")),
        ("charge.dispute.closed", dispute("warning_closed"), &format!("dispute.won {told}")),
        ("charge.dispute.closed", dispute("lost"), &format!("dispute.lost {told}")),
        ("charge.dispute.updated", dispute("lost"), &format!("dispute.lost {told}")),
        ("charge.dispute.funds_withdrawn", dispute("needs_response"), "nothing"),
        ("charge.dispute.closed", dispute("odd"), "field `/data/object/status` is absent or unreadable"),
        (
            "charge.dispute.created",
            json!({"id": "du_1", "charge": "ch_1", "status": "needs_response"}),
            "dispute.opened 19.99 EUR ch_1 - du_1 stripe:ch_1",
        ),
    ]);
}

#[test]
fn subjects_other_than_orders_read() {
    check(&[
        ("mandate.updated", json!({"id": "mandate_1", "status": "active"}), "mandate.signed - - mandate_1 -"),
        (
            "mandate.updated",
            json!({"id": "mandate_1", "status": "inactive"}),
            "mandate.revoked - - mandate_1 -",
        ),
        ("mandate.updated", json!({"id": "mandate_1", "status": "pending"}), "nothing"),
        (
            "customer.subscription.created",
            json!({"id": "sub_1", "status": "active"}),
            "mandate.signed - - sub_1 -",
        ),
        ("customer.subscription.created", json!({"id": "sub_1", "status": "incomplete"}), "nothing"),
        (
            "customer.subscription.deleted",
            json!({"id": "sub_1", "status": "canceled"}),
            "mandate.revoked - - sub_1 -",
        ),
        ("customer.created", json!({"id": "cus_1"}), "nothing"),
        ("payout.paid", json!({"id": "po_1", "status": "paid"}), "transfer.succeeded 19.99 EUR - po_1 -"),
        ("payout.failed", json!({"id": "po_1", "status": "failed"}), "transfer.failed 19.99 EUR - po_1 -"),
        ("payout.created", json!({"id": "po_1", "status": "pending"}), "nothing"),
        ("invoice.paid", json!({"id": "in_1"}), "nothing"),
    ]);
}

#[test]
fn a_thin_event_is_a_hint_only() {
    let thin =
        json!({"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered"});
    assert_eq!(read(&thin), Ok(Vec::new()));
    assert_eq!(read(&json!({"type": "payment_intent.succeeded"})), Ok(Vec::new()));
}

#[test]
fn amounts_follow_stripes_own_table() {
    // currency, amount on the wire, what it is
    let rows = [
        ("jpy", 500, "500 JPY"),
        ("isk", 500, "5 ISK"),
        ("ugx", 500, "5 UGX"),
        ("mga", 500, "500.00 MGA"),
        ("kwd", 5000, "5.000 KWD"),
        ("usd", 500, "5.00 USD"),
    ];
    for (currency, amount, expected) in rows {
        let object = json!({"id": "po_1", "status": "paid", "amount": amount, "currency": currency});
        let events = read(&event("payout.paid", object)).unwrap();
        assert_eq!(events[0].amount.as_ref().map(Money::to_string).as_deref(), Some(expected));
    }
    let inexact = json!({"id": "po_1", "status": "paid", "amount": 501, "currency": "isk"});
    assert!(read(&event("payout.paid", inexact)).is_err());
}

#[test]
fn the_header_is_read_strictly() {
    let (body, time) = ("{}", NOW.0.to_string());
    let (good, other) = (tag(SECRET, &time, body), tag("other", &time, body));
    // the header, the reason of rejection
    let rows = [
        (format!("t={time},v1={good}"), "ok"),
        (format!("t={time},v1={other},v1={good},v0={other}"), "ok"),
        (format!("v1={good},t={time}"), "ok"),
        (format!("t={time},v0={good}"), "missing_signature"),
        (format!("t={time},v2={good}"), "missing_signature"),
        (format!("t={time},v1={other}"), "signature_mismatch"),
        (format!("t={time},v1="), "signature_mismatch"),
        (format!("t={time}"), "missing_signature"),
        (format!("v1={good}"), "malformed"),
        (format!("t=,v1={good}"), "malformed"),
        (format!("t={time}.0,v1={good}"), "malformed"),
        (format!("t=+{time},v1={good}"), "malformed"),
        (format!("t={time},t=1,v1={good}"), "duplicate"),
        (format!("t={},v1={good}", NOW.0 - 1), "signature_mismatch"),
        (format!("t={},v1={good}", NOW.0 - 301), "stale"),
        (format!("t={},v1={good}", NOW.0 + 301), "stale"),
        (String::new(), "missing_header"),
    ];
    for (header, expected) in rows {
        let got = verify(body, &header, json!({"secret": SECRET}));
        assert_eq!(got.map_or_else(|rejection| rejection.reason(), |_| "ok"), expected, "{header}");
    }
    let header = format!("t={time},v1={good}");
    let narrow = json!({"secret": SECRET, "tolerance_seconds": -1});
    assert_eq!(verify(body, &header, narrow).err(), Some(Rejection::unconfigured("tolerance_seconds")));
    let connected = json!({"secret": SECRET, "account_id": "acct_1"});
    let foreign = Rejection::IdentityMismatch { field: "json:/account".to_owned() };
    assert_eq!(verify(body, &header, connected).err(), Some(foreign));
}
