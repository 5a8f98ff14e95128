//! What becomes of callbacks on a deployed stage while DynamoDB and SQS throttle, fail and lose answers: the functions
//! are those that are deployed, started by the emulator, and reach it through a proxy.
//!
//! The inbox that takes nothing for a while is shown on one machine only (`outages`): the emulator's mapping of the
//! stream does not hear which records of a batch have failed, and goes on behind them.

mod long;
mod world;

use paybell_tests::command::paybell;
use paybell_tests::fault_proxy::{Call, Fault, Rule};
use paybell_tests::wait;
use serde_json::Value;

use world::{Outage, PROVIDERS, STRANGER};

/// The longest that a message is put off that was received once, and the shortest of one that was received twice.
const FIRST_DELAY_SECONDS_MAX: u64 = 4;

fn dynamodb_is_throttled() -> Rule {
    Rule::new(Fault::Refuse("ProvisionedThroughputExceededException")).service("dynamodb")
}

fn send_message(fault: Fault) -> Rule {
    Rule::new(fault).service("sqs").operation("SendMessage")
}

/// For how long the messages were put off that were given back.
fn delays_seconds(calls: &[Call]) -> Vec<u64> {
    let given_back = calls.iter().filter(|call| call.operation == "ChangeMessageVisibilityBatch");
    let entries = given_back.flat_map(|call| {
        let request: Value = serde_json::from_slice(&call.content).expect("SQS takes JSON");
        request["Entries"].as_array().expect("a batch has entries").clone()
    });
    entries.map(|entry| entry["VisibilityTimeout"].as_u64().expect("it says for how long")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage behind a proxy"]
async fn s5_throttled_callbacks_wait_ever_longer_and_are_applied_once() {
    let outage = Outage::start().await;
    let payments = outage.orders("throttled").await;
    let of_stranger = outage.orders_of(&STRANGER, "throttled", 1).await;
    outage.warm_up().await;
    let calls_before = outage.proxy.calls().len();

    outage.proxy.inject(dynamodb_is_throttled());
    outage.acknowledged(&payments).await;
    // Without credentials nothing can be proved.
    outage.refused(&of_stranger).await;
    let delays = async || delays_seconds(&outage.proxy.calls()[calls_before..]);
    let came_twice = |delays: &Vec<u64>| {
        let longer_count = delays.iter().filter(|seconds| **seconds > FIRST_DELAY_SECONDS_MAX).count();
        let is_each_received = delays.len() - longer_count >= payments.len();
        is_each_received && longer_count > 0 && delays.len() >= 2 * payments.len()
    };
    wait::until("all callbacks to be given back twice", delays, came_twice).await;
    let queued = outage.stage().queued().await;
    assert_eq!((queued.callbacks, queued.dead_letters), (payments.len() as u64, 0));

    outage.proxy.heal();
    outage.assert_paid_once(&payments).await;
    outage.acknowledged(&of_stranger).await;
    outage.assert_paid_once(&of_stranger).await;
    assert_eq!(outage.stage().queued().await.dead_letters, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage behind a proxy"]
async fn s1_nothing_is_acknowledged_that_the_queue_does_not_take() {
    let outage = Outage::start().await;
    let payments = outage.orders("refused").await;
    outage.proxy.inject(send_message(Fault::Status(503)));
    outage.refused(&payments).await;
    outage.assert_untouched(&payments).await;
    outage.proxy.heal();
    outage.acknowledged(&payments).await;
    outage.assert_paid_once(&payments).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage behind a proxy"]
async fn m7_what_was_done_without_an_answer_is_applied_once() {
    let outage = Outage::start().await;
    let payments = outage.orders("unanswered").await;
    let (sent_before, written_before) =
        (outage.proxy.failed("SendMessage"), outage.proxy.failed("UpdateItem"));
    // The repeat of a call that the client makes by itself is the next call.
    outage.proxy.inject(send_message(Fault::CloseAfterEffect).percent(50));
    let write = Rule::new(Fault::CloseAfterEffect).service("dynamodb").operation("UpdateItem");
    outage.proxy.inject(write.percent(50));
    outage.acknowledged(&payments).await;
    outage.assert_paid_once(&payments).await;
    assert!(outage.proxy.failed("SendMessage") - sent_before >= payments.len() / 2);
    assert!(outage.proxy.failed("UpdateItem") - written_before >= payments.len() / 2);

    outage.proxy.heal();
    let unsure = outage.orders("unsure").await;
    outage.proxy.inject(send_message(Fault::CloseAfterEffect));
    outage.refused(&unsure).await;
    outage.assert_paid_once(&unsure).await;
    outage.proxy.heal();
    outage.acknowledged(&unsure).await;
    outage.assert_paid_once(&unsure).await;
    assert_eq!(outage.stage().queued().await.dead_letters, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage behind a proxy"]
async fn s6_an_unreadable_message_is_set_aside_at_once_and_holds_nobody_up() {
    let outage = Outage::start().await;
    let payments = outage.orders_of(&PROVIDERS, "beside", 1).await;
    let text = format!("no callback {:08x}", fastrand::u32(..));
    let calls_before = outage.proxy.calls().len();
    outage.stage().enqueue(&text).await;
    outage.acknowledged(&payments).await;
    let dead_letters = async || outage.stage().callback_dead_letters().await;
    wait::until("the message to be set aside", dead_letters, |bodies| bodies.contains(&text)).await;
    outage.assert_paid_once(&payments).await;
    let calls = &outage.proxy.calls()[calls_before..];
    assert_eq!(delays_seconds(calls), [0; 0], "nothing came again");
    assert_eq!(outage.stage().queued().await.dead_letters, 1);

    // The operator sees why, and has it done again in vain: it is back under another id.
    let place = ["--stage".to_owned(), outage.stage().name().to_owned()];
    let redrive = async |arguments: &[&str]| {
        paybell(&place, &[&["redrive", "--json", "--queue", "callbacks"], arguments].concat(), "").await
    };
    let listed = redrive(&[]).await.json();
    let letter = &listed["letters"][0];
    assert_eq!(
        letter["reason"], "the queue message cannot be read: Syntax error at line 1 column 2",
        "{listed:#}"
    );
    let would = redrive(&["--dry-run"]).await;
    assert!(!would.succeeded && would.stdout.contains("still_fails"), "{would:#?}");
    let id = letter["id"].as_str().expect("a letter has an id").to_owned();
    assert_eq!(redrive(&["--id", &id]).await.json()["letters"][0]["done"]["redone"], true);
    let ids = async || {
        let letters = redrive(&[]).await.json()["letters"].as_array().cloned().unwrap_or_default();
        letters.into_iter().filter_map(|letter| letter["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    wait::until("the message to be set aside again", ids, |ids| ids.len() == 1 && ids[0] != id).await;
}
