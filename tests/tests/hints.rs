//! Callbacks that only hint: nothing comes of them but what the provider says when it is asked.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use paybell_cli::simulate::Scenario;
use paybell_shared::sandbox::SignedRequest;
use paybell_tests::World;
use serde_json::json;

/// Mollie's own form of a hint: a form with an id, without a signature.
fn mollie_form(id: &str) -> SignedRequest {
    SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body: format!("id={id}").into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_made_up_is_acknowledged_and_changes_nothing() {
    let world = World::start_talkative().await;
    let (mollie, bitpay) = (world.provider("mollie"), world.provider("bitpay"));
    for id in ["tr_nobody", "tr_..%2F..%2Fv2%2Forganizations", "org_1", "tr_%0d%0aHost:evil.example"] {
        world.deliver_genuine(mollie, &mollie_form(id)).await;
    }
    let facts = world.facts(bitpay, "madeup0001");
    world.register(&facts, "anna").await;
    // The notice says that the order is paid; the provider knows nothing of it.
    for request in world.requests(bitpay, Scenario::Paid, &facts) {
        world.deliver_genuine(bitpay, &request).await;
    }
    world.settle().await;
    let order = world.api.subject(facts.kind, &facts.order_id).await.json_of(200);
    assert_eq!((&order["status"], &order["events"]), (&json!("created"), &json!([])), "{order:#}");
    assert_eq!(world.place.queued().await.dead_letters, 0, "a stranger cannot fill the dead letters");
    assert!(world.place.log().await.contains("dropped"), "what is dropped is counted");
    world.assert_log_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m11_an_unsigned_id_is_enough_to_be_asked_and_the_answer_pays_the_order() {
    let world = World::start_talkative().await;
    let mollie = world.provider("mollie");
    let facts = world.facts(mollie, "unsigned0001");
    world.register(&facts, "anna").await;
    world.put_answers(mollie, Scenario::Paid, &facts).await;
    let [signed] = world.requests(mollie, Scenario::Paid, &facts).try_into().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&signed.body).unwrap();
    world.deliver_genuine(mollie, &mollie_form(event["entityId"].as_str().unwrap())).await;
    world.settle().await;
    let order = world.api.subject(facts.kind, &facts.order_id).await.json_of(200);
    assert_eq!((&order["status"], &order["captured_minor"]), (&json!("paid"), &json!(1_999)), "{order:#}");
}
