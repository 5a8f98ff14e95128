//! Callbacks that only hint, and payments that no callback mentions: nothing comes of them but what the provider says when
//! it is asked.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use paybell_cli::simulate::{Facts, Scenario};
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Expectation, Reference, Reminder, Subject};
use paybell_shared::ports::QueuedHint;
use paybell_shared::sandbox::SignedRequest;
use paybell_tests::world::now;
use paybell_tests::{Listener, World, told};
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
    world.deliver_genuine(mollie, &mollie_form(&mollie_id(&world, &facts))).await;
    world.settle().await;
    let order = world.api.subject(facts.kind, &facts.order_id).await.json_of(200);
    assert_eq!((&order["status"], &order["captured_minor"]), (&json!("paid"), &json!(1_999)), "{order:#}");
}

/// The id by which Mollie knows the payment of these facts.
fn mollie_id(world: &World, facts: &Facts) -> String {
    let [signed] = world.requests(world.provider("mollie"), Scenario::Paid, facts).try_into().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&signed.body).unwrap();
    event["entityId"].as_str().unwrap().to_owned()
}

/// The reminder of an order that was registered so many minutes ago, of which the first question is due.
fn due(world: &World, facts: &Facts, reference: &Reference, minutes: i64) -> Reminder {
    let subject =
        Subject { account: world.demo.account.clone(), kind: facts.kind, id: facts.order_id.clone() };
    let expected =
        Expectation { amount: None, user: "anna".to_owned(), expires_at: None, references: Vec::new() };
    let registered_at = UnixSeconds(now().0 - minutes * 60);
    Reminder::first(subject, reference.clone(), &expected, registered_at)
}

#[tokio::test(flavor = "multi_thread")]
async fn m11_a_payment_that_no_callback_mentions_is_asked_about_when_its_reminder_is_due() {
    let world = World::start_talkative().await;
    let mollie = world.provider("mollie");
    let listener = Listener::connect(&world.api, "anna").await;
    let mut facts = world.facts(mollie, "unmentioned0001");
    let reference = Reference::new("mollie", &mollie_id(&world, &facts));
    facts.references = vec![reference.clone()];
    world.put_answers(mollie, Scenario::Paid, &facts).await;
    world.register(&facts, "anna").await;
    // The registration's own reminder is held back for minutes; one that is due goes the same way.
    let later = Reminder { due_at: UnixSeconds(now().0 + 600), ..due(&world, &facts, &reference, 6) };
    world.place.send_hint(&QueuedHint::message_of(&later)).await;
    world.settle().await;
    let order = world.api.order(&facts.order_id).await.json_of(200);
    assert_eq!((&order["status"], &order["events"]), (&json!("created"), &json!([])), "{order:#}");

    let due = QueuedHint::message_of(&due(&world, &facts, &reference, 6));
    world.place.send_hint(&due).await;
    listener.wait_for(&facts.order_id, "payment.captured").await;
    // What comes again finds the money there, asks nothing and changes nothing.
    world.place.send_hint(&due).await;
    world.settle().await;
    let order = world.api.order(&facts.order_id).await.json_of(200);
    assert_eq!((&order["status"], &order["captured_minor"]), (&json!("paid"), &json!(1_999)), "{order:#}");
    assert_eq!(told::by_id(world.api.inbox("anna").await).len(), 1);
    assert_eq!(world.place.queued().await.dead_letters, 0);
    world.assert_log_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m11_what_the_provider_does_not_know_yet_is_no_dead_letter() {
    let world = World::start_talkative().await;
    let facts = world.facts(world.provider("mollie"), "unmentioned0002");
    world.register(&facts, "anna").await;
    let reminder = due(&world, &facts, &Reference::new("mollie", "tr_not_yet"), 6);
    world.place.send_hint(&QueuedHint::message_of(&reminder)).await;
    world.settle().await;
    assert!(world.place.log().await.contains("not_there"), "it was asked");
    assert_eq!(world.place.queued().await.dead_letters, 0);
    let order = world.api.order(&facts.order_id).await.json_of(200);
    assert_eq!((&order["status"], &order["events"]), (&json!("created"), &json!([])), "{order:#}");
}
