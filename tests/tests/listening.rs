//! Users' devices: who is told what, what a device missed, and who may connect.

use paybell_cli::simulate::Scenario;
use paybell_tests::listener::{Listener, open_with_ticket};
use paybell_tests::{Api, World, told};
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

#[tokio::test(flavor = "multi_thread")]
async fn every_device_of_a_user_is_told_and_nobody_else() {
    let world = World::start_talkative().await;
    let provider = world.provider("alipay");
    let [phone, tablet] =
        [Listener::connect(&world.api, "anna").await, Listener::connect(&world.api, "anna").await];
    let other = Listener::connect(&world.api, "ben").await;

    world.perform(provider, Scenario::Paid, &world.facts(provider, "anna1"), "anna").await;
    world.perform(provider, Scenario::Paid, &world.facts(provider, "ben1"), "ben").await;

    for (device, order_id) in [(&phone, "anna1"), (&tablet, "anna1"), (&other, "ben1")] {
        let paid = device.wait_for(order_id, "payment.captured").await;
        assert_eq!((&paid["amount_minor"], &paid["currency"]), (&json!(1999), &json!("CNY")));
        assert!(paid["text"]["en"].is_string() && paid["text"]["zh-CN"].is_string(), "{paid:#}");
        assert_eq!(device.told().len(), 1, "{:#?}", device.told());
    }
    assert_eq!(phone.told(), tablet.told());
    assert_eq!(phone.told(), told::by_id(world.api.inbox("anna").await));
    world.assert_log_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_device_that_resumes_is_told_what_it_missed_once() {
    let world = World::start_talkative().await;
    let provider = world.provider("wechatpay_v3");
    let pay = async |order_id: &str| {
        world.perform(provider, Scenario::Paid, &world.facts(provider, order_id), "anna").await;
        world.settle().await;
    };
    let before = Listener::connect(&world.api, "anna").await;
    pay("seen1").await;
    before.wait_for("seen1", "payment.captured").await;
    let cursor = before.cursor();
    assert!(!cursor.is_empty(), "a live notification moves the cursor of a device that has caught up");
    drop(before);

    let watcher = Listener::connect(&world.api, "anna").await;
    for order_id in ["missed1", "missed2", "missed3"] {
        pay(order_id).await;
        watcher.wait_for(order_id, "payment.captured").await;
    }

    let after = Listener::resume(&world.api, "anna", &cursor).await;
    let told: Vec<String> =
        after.told_in_order().iter().map(|told| told::text(told, "order_id").to_owned()).collect();
    let missed: Vec<&String> = told.iter().filter(|order_id| *order_id != "seen1").collect();
    assert_eq!(
        missed,
        ["missed1", "missed2", "missed3"],
        "those missed, oldest first, and seen1 at most: {told:?}"
    );
    assert_eq!(after.repetitions(), 0);
    assert_eq!(watcher.told(), told::by_id(world.api.inbox("anna").await));

    pay("live1").await;
    after.wait_for("live1", "payment.captured").await;
    assert_eq!(after.repetitions(), 0);
    world.assert_log_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_connection() {
    let world = World::start_talkative().await;
    let ticket = world.api.ticket("anna").await;
    let socket = open_with_ticket(&world.api, &ticket).await.unwrap();
    for bad in [ticket.as_str(), "", "guessed", &"9".repeat(64)] {
        assert_refused(&world.api, bad).await;
    }
    drop(socket);
    assert_refused(&world.api, &ticket).await;
    assert!(!world.place.log().await.contains(&ticket), "a ticket is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn merchant_calls_need_an_api_key() {
    let world = World::start_talkative().await;
    let order = json!({ "order_id": "o1", "amount_minor": 1999, "currency": "CNY", "user": "anna" });
    let user = json!({ "user": "anna" });
    let calls = [
        (Method::POST, "/orders", Some(&order)),
        (Method::GET, "/orders/o1", None),
        (Method::GET, "/users/anna/orders", None),
        (Method::GET, "/users/anna/inbox?after=&limit=10", None),
        (Method::POST, "/tickets", Some(&user)),
    ];
    let nearly = format!("{}x", world.demo.api_key);
    for key in ["", "guessed", &nearly] {
        let stranger = world.api.with_api_key(key);
        for (method, path, body) in &calls {
            let answer = stranger.call(method.clone(), path, *body).await;
            assert_eq!(answer.status, 401, "{method} {path} with the key {key:?}: {answer:?}");
        }
    }
    assert_eq!(world.api.order("o1").await.status, 404, "a call without a key had an effect");
    for (method, path, body) in &calls {
        let answer = world.api.call(method.clone(), path, *body).await;
        assert!(matches!(answer.status, 200 | 201), "{method} {path}: {answer:?}");
    }
}

async fn assert_refused(api: &Api, ticket: &str) {
    match open_with_ticket(api, ticket).await {
        Err(Error::Http(response)) => {
            assert!(matches!(response.status().as_u16(), 401 | 403), "{ticket:?}: {}", response.status());
        }
        Err(error) => panic!("{ticket:?} should be refused over HTTP, not with {error}"),
        Ok(_) => panic!("{ticket:?} opened a connection"),
    }
}
