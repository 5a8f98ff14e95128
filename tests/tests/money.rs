//! Accidents with money, from the provider's callback to what the merchant reads and the user hears: each row is a story
//! of Stripe's, told event by event.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use std::collections::BTreeMap;

use paybell_shared::callback::UnixSeconds;
use paybell_shared::sandbox::{Payload, SignedRequest};
use paybell_tests::world::now;
use paybell_tests::{World, told, wait};
use serde_json::{Value, json};

/// What an order asks for, and when it expires, in seconds from now.
struct Asked {
    amount_minor: i64,
    currency: &'static str,
    expires_in_seconds: Option<i64>,
}

/// An event of Stripe's about the order's first or second payment, and the order's status after it.
struct Happens {
    kind: &'static str,
    payment: u8,
    amount_minor: i64,
    currency: &'static str,
    status: &'static str,
    then: &'static str,
}

const PAID: Happens = Happens {
    kind: "payment_intent.succeeded",
    payment: 1,
    amount_minor: 1_999,
    currency: "usd",
    status: "succeeded",
    then: "paid",
};
const DISPUTED: Happens =
    Happens { kind: "charge.dispute.created", status: "needs_response", then: "disputed", ..PAID };

/// In US dollars unless it says otherwise.
fn asked(amount_minor: i64) -> Asked {
    Asked { amount_minor, currency: "USD", expires_in_seconds: None }
}

/// Has it happen, and compares what the merchant reads of the order and which kinds of notifications its user has.
async fn check(
    world: &World,
    order_id: &str,
    asked: Asked,
    story: &[Happens],
    expected: Value,
    told: &[(&str, usize)],
) {
    let user = format!("user-of-{order_id}");
    let mut registration = json!({
        "order_id": order_id, "amount_minor": asked.amount_minor, "currency": asked.currency, "user": user,
    });
    if let Some(seconds) = asked.expires_in_seconds {
        registration["expires_at"] = json!(now().0 + seconds);
    }
    assert_eq!(world.api.register(&registration).await.status, 201, "{order_id}");
    let begun = now();
    for (at, event) in (0..).zip(story) {
        let stripe = world.provider("stripe");
        world.deliver_genuine(stripe, &sign(world, order_id, event, UnixSeconds(begun.0 + at))).await;
        let order = async || world.api.order(order_id).await.json_of(200);
        let what = format!("{order_id} to be {} after {} events", event.then, at + 1);
        let has_it = |order: &Value| {
            order["status"] == event.then && order["events"].as_array().unwrap().len() as i64 == at + 1
        };
        wait::until(&what, order, has_it).await;
    }
    let order = world.api.order(order_id).await.json_of(200);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(order[name], *value, "{order_id}: {name} of {order:#}");
    }
    let told: BTreeMap<String, usize> =
        told.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    let kinds = async || told::kinds(told::by_id(world.api.inbox(&user).await).values());
    wait::until(&format!("{user} to be told {told:?}"), kinds, |kinds| *kinds == told).await;
}

fn sign(world: &World, order_id: &str, event: &Happens, at: UnixSeconds) -> SignedRequest {
    let (payment, charge) =
        (format!("pi_{order_id}_{}", event.payment), format!("ch_{order_id}_{}", event.payment));
    let mut object = json!({
        "amount": event.amount_minor, "created": at.0, "currency": event.currency, "status": event.status,
        "metadata": {"order_id": order_id},
    });
    let more = if event.kind.starts_with("payment_intent.") {
        json!({"id": payment, "object": "payment_intent", "amount_received": event.amount_minor, "latest_charge": charge})
    } else {
        json!({"id": format!("dp_{order_id}"), "object": "dispute", "charge": charge, "payment_intent": payment, "metadata": {}})
    };
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let event_id = format!("evt_{}_{}_{}", event.kind.replace('.', "_"), order_id, event.payment);
    let content = json!({
        "id": event_id, "object": "event", "api_version": "2025-03-31.basil", "created": at.0, "livemode": false,
        "type": event.kind, "data": {"object": object},
    });
    let provider = world.provider("stripe");
    let payload = Payload { content: content.to_string(), event_id, sent_at: now(), path: String::new() };
    provider.sandbox.sign(world.keys(provider), &payload).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_m2_money_that_is_not_what_was_asked_for_is_held_and_never_paid() {
    let world = World::start_on_this_machine().await;
    let held = |amount_minor, currency| [Happens { amount_minor, currency, then: "held", ..PAID }];
    let because = |reason: &str| json!({"status": "held", "reasons": [reason]});
    let told = &[("order.held", 1)];
    let yen = || Asked { currency: "JPY", ..asked(500) };
    let dinars = || Asked { currency: "KWD", ..asked(19_990) };
    for (order_id, asked, story, reason) in [
        ("cent", asked(199_900), held(1, "usd"), "amount_mismatch"),
        ("more", asked(1_999), held(2_000, "usd"), "amount_mismatch"),
        ("othercurrency", asked(1_999), held(1_999, "eur"), "currency_mismatch"),
        ("majorasminor", asked(1_999), held(19, "usd"), "amount_mismatch"),
        ("minorasmajor", asked(1_999), held(199_900, "usd"), "amount_mismatch"),
        ("nodecimals", yen(), held(50_000, "jpy"), "amount_mismatch"),
        ("threedecimals", dinars(), held(1_999, "kwd"), "amount_mismatch"),
    ] {
        check(&world, order_id, asked, &story, because(reason), told).await;
    }
    let paid = |amount_minor, currency| [Happens { amount_minor, currency, ..PAID }];
    let told = &[("payment.captured", 1)];
    check(&world, "yen", yen(), &paid(500, "jpy"), json!({"captured_minor": 500}), told).await;
    check(&world, "dinars", dinars(), &paid(19_990, "kwd"), json!({"captured_minor": 19_990}), told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_of_two_payments_for_one_order_one_pays_it_and_the_other_is_named_as_due_back() {
    let world = World::start_on_this_machine().await;
    let story = [PAID, Happens { payment: 2, then: "overpaid", ..PAID }];
    let due = json!([{"provider": "stripe", "transaction_id": "pi_twice_2", "amount_minor": 1_999}]);
    let expected = json!({"captured_minor": 3_998, "reasons": ["surplus_transaction"], "refund_due": due});
    check(&world, "twice", asked(1_999), &story, expected, &[("order.overpaid", 1), ("payment.captured", 2)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m8_a_payment_after_the_end_is_late_and_somebody_is_told() {
    let world = World::start_on_this_machine().await;
    let late = Happens { then: "late_paid", ..PAID };
    let told = &[("order.late_paid", 1), ("payment.captured", 1)];
    let expired = Asked { expires_in_seconds: Some(-3_600), ..asked(1_999) };
    let expected = json!({"captured_minor": 1_999, "reasons": ["paid_after_expiry"]});
    check(&world, "expired", expired, &[late], expected, told).await;
    let closed = Happens { kind: "payment_intent.canceled", status: "canceled", then: "cancelled", ..PAID };
    let story = [closed, Happens { then: "late_paid", ..PAID }];
    let expected = json!({"captured_minor": 1_999, "reasons": ["paid_after_closing"]});
    let told = &[("order.late_paid", 1), ("payment.cancelled", 1), ("payment.captured", 1)];
    check(&world, "closed", asked(1_999), &story, expected, told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m10_a_dispute_has_its_own_state_and_its_own_notifications() {
    let world = World::start_on_this_machine().await;
    let closed = |status, then| Happens { kind: "charge.dispute.closed", status, then, ..PAID };
    let told = |end: &'static str| [("dispute.opened", 1), (end, 1), ("payment.captured", 1)];
    let won = [PAID, DISPUTED, closed("won", "paid")];
    check(&world, "won", asked(1_999), &won, json!({"disputed_minor": 0}), &told("dispute.won")).await;
    let lost = [PAID, DISPUTED, closed("lost", "charged_back")];
    check(&world, "lost", asked(1_999), &lost, json!({"disputed_minor": 1_999}), &told("dispute.lost")).await;
    let partly = [PAID, Happens { amount_minor: 500, ..DISPUTED }];
    let told = &[("dispute.opened", 1), ("payment.captured", 1)];
    check(
        &world,
        "partly",
        asked(1_999),
        &partly,
        json!({"disputed_minor": 500, "captured_minor": 1_999}),
        told,
    )
    .await;
}
