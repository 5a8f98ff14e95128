//! Later events that name only a charge or a capture find their order, whichever came first.

use paybell_cli::simulate::Facts;
use paybell_shared::sandbox::{Payload, SignedRequest};
use paybell_tests::world::AMOUNT_MINOR;
use paybell_tests::{Listener, World, told, wait};
use serde_json::{Value, json};

/// A later event, and what the order is after it.
struct Case {
    name: &'static str,
    provider: &'static str,
    payment: fn(&Facts) -> Value,
    later: fn(&Facts) -> Value,
    told: &'static str,
    status: &'static str,
    refunded_minor: i128,
    disputed_minor: i128,
}

const CASES: &[Case] = &[
    Case {
        name: "striperefund",
        provider: "stripe",
        payment: stripe_payment,
        later: stripe_refund_of_charge,
        told: "refund.succeeded",
        status: "refunded",
        refunded_minor: AMOUNT_MINOR,
        disputed_minor: 0,
    },
    Case {
        name: "stripedispute",
        provider: "stripe",
        payment: stripe_payment,
        later: stripe_dispute_of_charge,
        told: "dispute.opened",
        status: "disputed",
        refunded_minor: 0,
        disputed_minor: AMOUNT_MINOR,
    },
    Case {
        name: "paypalrefund",
        provider: "paypal",
        payment: paypal_payment,
        later: paypal_refund_of_capture,
        told: "refund.succeeded",
        status: "refunded",
        refunded_minor: AMOUNT_MINOR,
        disputed_minor: 0,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn events_that_name_only_a_charge_or_capture_find_their_order() {
    let world = World::start_talkative().await;
    for case in CASES {
        for payment_comes_first in [true, false] {
            let order_id = format!("{}{}", case.name, if payment_comes_first { "after" } else { "before" });
            check(&world, case, &order_id, payment_comes_first).await;
        }
    }
    world.assert_log_is_clean().await;
}

async fn check(world: &World, case: &Case, order_id: &str, payment_comes_first: bool) {
    let provider = world.provider(case.provider);
    let facts = world.facts(provider, order_id);
    let user = format!("user-of-{order_id}");
    let listener = Listener::connect(&world.api, &user).await;
    world.register(&facts, &user).await;
    let mut requests =
        [(case.payment)(&facts), (case.later)(&facts)].map(|content| sign(world, case, content));
    if !payment_comes_first {
        requests.reverse();
    }
    for request in requests {
        world.deliver_genuine(provider, &request).await;
        world.settle().await;
        // The provider repeats itself; nothing may come of it.
        world.deliver_genuine(provider, &request).await;
        world.settle().await;
    }

    let facts_of = |order: &Value| {
        let names = ["status", "captured_minor", "refunded_minor", "disputed_minor"];
        Value::from_iter(names.map(|name| order[name].clone()))
    };
    let expected = json!([case.status, AMOUNT_MINOR, case.refunded_minor, case.disputed_minor]);
    let ask = async || world.api.order_if_any(order_id).await;
    let order =
        wait::until(&format!("{order_id}: {expected}"), ask, |order| facts_of(order) == expected).await;
    assert_eq!(order["events"].as_array().map(Vec::len), Some(2), "{order:#}");

    listener.wait_for(order_id, case.told).await;
    listener.wait_for(order_id, "payment.captured").await;
    let mut kinds = told::kinds(&told::by_id(world.api.inbox(&user).await).into_values().collect::<Vec<_>>());
    kinds.remove("order.held");
    let expected = [(case.told.to_owned(), 1), ("payment.captured".to_owned(), 1)];
    assert_eq!(kinds, expected.into(), "{order_id}");
}

fn sign(world: &World, case: &Case, content: Value) -> SignedRequest {
    let provider = world.provider(case.provider);
    let event_id = content["id"].as_str().expect("these events have ids").to_owned();
    let (sent_at, path) = (paybell_tests::world::now(), String::new());
    let payload = Payload { content: content.to_string(), event_id, sent_at, path };
    provider.sandbox.sign(world.keys(provider), &payload).expect("the content is signed as it is")
}

fn stripe(facts: &Facts, kind: &str, object: Value) -> Value {
    json!({
        "id": format!("evt_{kind}_{}", facts.order_id).replace('.', "_"),
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": facts.now.0,
        "livemode": false,
        "type": kind,
        "data": { "object": object },
    })
}

fn stripe_payment(facts: &Facts) -> Value {
    stripe(
        facts,
        "payment_intent.succeeded",
        json!({
            "id": format!("pi_{}", facts.order_id),
            "object": "payment_intent",
            "amount": AMOUNT_MINOR as i64,
            "amount_received": AMOUNT_MINOR as i64,
            "created": facts.now.0,
            "currency": "usd",
            "latest_charge": format!("ch_{}", facts.order_id),
            "metadata": { "order_id": facts.order_id },
            "status": "succeeded",
        }),
    )
}

fn stripe_refund_of_charge(facts: &Facts) -> Value {
    stripe(
        facts,
        "refund.created",
        json!({
            "id": format!("re_{}", facts.order_id),
            "object": "refund",
            "amount": AMOUNT_MINOR as i64,
            "charge": format!("ch_{}", facts.order_id),
            "created": facts.now.0,
            "currency": "usd",
            "metadata": {},
            "status": "succeeded",
        }),
    )
}

fn stripe_dispute_of_charge(facts: &Facts) -> Value {
    stripe(
        facts,
        "charge.dispute.created",
        json!({
            "id": format!("dp_{}", facts.order_id),
            "object": "dispute",
            "amount": AMOUNT_MINOR as i64,
            "charge": format!("ch_{}", facts.order_id),
            "created": facts.now.0,
            "currency": "usd",
            "metadata": {},
            "reason": "fraudulent",
            "status": "needs_response",
        }),
    )
}

fn paypal(facts: &Facts, kind: &str, resource_type: &str, resource: Value) -> Value {
    json!({
        "id": format!("WH-{kind}-{}", facts.order_id),
        "event_version": "1.0",
        "create_time": "2026-01-02T03:04:05.678Z",
        "resource_type": resource_type,
        "resource_version": "2.0",
        "event_type": kind,
        "resource": resource,
    })
}

fn paypal_payment(facts: &Facts) -> Value {
    paypal(
        facts,
        "PAYMENT.CAPTURE.COMPLETED",
        "capture",
        json!({
            "id": format!("CAP{}", facts.order_id),
            "status": "COMPLETED",
            "amount": { "currency_code": "USD", "value": "19.99" },
            "custom_id": facts.order_id,
            "final_capture": true,
            "create_time": "2026-01-02T03:04:05Z",
            "update_time": "2026-01-02T03:04:05Z",
            "links": [{ "href": format!("https://api.paypal.com/v2/payments/captures/CAP{}", facts.order_id), "rel": "self", "method": "GET" }],
        }),
    )
}

fn paypal_refund_of_capture(facts: &Facts) -> Value {
    paypal(
        facts,
        "PAYMENT.CAPTURE.REFUNDED",
        "refund",
        json!({
            "id": format!("REF{}", facts.order_id),
            "status": "COMPLETED",
            "amount": { "currency_code": "USD", "value": "19.99" },
            "create_time": "2026-01-02T03:04:05Z",
            "update_time": "2026-01-02T03:04:05Z",
            "links": [
                { "href": format!("https://api.paypal.com/v2/payments/refunds/REF{}", facts.order_id), "rel": "self", "method": "GET" },
                { "href": format!("https://api.paypal.com/v2/payments/captures/CAP{}", facts.order_id), "rel": "up", "method": "GET" },
            ],
        }),
    )
}
