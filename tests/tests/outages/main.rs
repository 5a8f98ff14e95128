//! What becomes of callbacks and notifications while AWS throttles, fails, hangs or loses answers.

mod world;

use std::time::Duration;

use futures_util::future::join_all;
use paybell_shared::ports::redelivery::{VISIBILITY_TIMEOUT_SECONDS, redelivery_delay_seconds};
use paybell_tests::fault_proxy::{Fault, Rule};
use serde_json::json;

use world::{World, subject};

const THROTTLED: Fault = Fault::Refuse("ProvisionedThroughputExceededException");
/// An order that was paid: the version after its one write, and what was captured.
const PAID_ONCE: Option<(u64, i128)> = Some((1, 1_999));
/// The most impatient providers hang up after this.
const PROVIDER_WAITS: Duration = Duration::from_secs(5);

fn dynamodb(fault: Fault) -> Rule {
    Rule::new(fault).service("dynamodb")
}

#[tokio::test]
async fn s5_throttled_messages_come_again_ever_later_and_are_applied_once() {
    let world = World::start().await;
    let orders = ["A1", "A2", "A3"];
    for order in orders {
        assert_eq!(world.paid(order).await, 200);
    }
    world.proxy.inject(dynamodb(THROTTLED));
    for receive_count in 1..=10 {
        assert_eq!(world.apply().await, (3, 3), "receive {receive_count}");
        let shortest_seconds = redelivery_delay_seconds(receive_count, 0);
        world.clock.advance_ms(i64::from(shortest_seconds) * 1000 - 1);
        assert_eq!(world.apply().await, (0, 0), "hidden after receive {receive_count}");
        // The longest delay is twice the shortest.
        world.clock.advance_ms(i64::from(shortest_seconds) * 1000 + 1);
    }
    world.proxy.heal();
    assert_eq!(world.apply().await, (3, 0));
    for order in orders {
        assert_eq!(world.order(order).await, PAID_ONCE, "{order}");
    }
    world.clock.advance_ms(24 * 3600 * 1000);
    assert_eq!(world.apply().await, (0, 0), "the queue is empty");
    assert_eq!(world.dead_letters().await, [""; 0]);
}

#[tokio::test]
async fn s5_every_fault_of_dynamodb_passes_and_what_it_hit_is_applied_once() {
    for fault in [
        THROTTLED,
        Fault::Refuse("ThrottlingException"),
        Fault::Refuse("AccessDeniedException"),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Close,
        Fault::Hang,
        Fault::CloseAfterEffect,
        Fault::HangAfterEffect,
    ] {
        let world = World::start().await;
        assert_eq!(world.paid("A1").await, 200);
        world.proxy.inject(dynamodb(fault));
        assert_eq!(world.apply().await, (1, 1), "{fault:?}");
        world.proxy.heal();
        world.clock.advance_ms(60_000);
        assert_eq!(world.apply().await, (1, 0), "{fault:?}");
        assert_eq!(world.order("A1").await, PAID_ONCE, "{fault:?}");
        assert_eq!(world.dead_letters().await, [""; 0], "{fault:?}");
    }
}

#[tokio::test]
async fn m7_a_write_of_which_the_answer_is_lost_is_not_done_twice() {
    for fault in [Fault::CloseAfterEffect, Fault::HangAfterEffect] {
        let world = World::start().await;
        assert_eq!(world.paid("A1").await, 200);
        // First the answer of one attempt, which the client repeats, then those of all.
        world
            .proxy
            .inject(dynamodb(fault).operation("UpdateItem").mentioning(r#""order#acme#order#A1""#).times(1));
        assert_eq!(world.apply().await, (1, 0), "{fault:?}");
        assert_eq!(world.order("A1").await, PAID_ONCE, "{fault:?}");
        assert_eq!(world.paid("A2").await, 200);
        world.proxy.inject(dynamodb(fault).operation("UpdateItem").mentioning(r#""order#acme#order#A2""#));
        assert_eq!(world.apply().await, (1, 1), "{fault:?}");
        assert_eq!(world.order("A2").await, PAID_ONCE, "it was done: {fault:?}");
        world.proxy.heal();
        world.clock.advance_ms(60_000);
        assert_eq!(world.apply().await, (1, 0), "{fault:?}");
        assert_eq!(world.order("A2").await, PAID_ONCE, "{fault:?}");
    }
}

#[tokio::test]
async fn s4_what_the_queue_takes_not_back_comes_after_its_visibility_timeout() {
    let world = World::start().await;
    assert_eq!(world.paid("A1").await, 200);
    world.proxy.inject(dynamodb(THROTTLED));
    world.proxy.inject(Rule::new(Fault::Hang).service("sqs"));
    assert_eq!(world.apply().await, (1, 1), "it is reported before the deadline");
    assert!(world.proxy.failed("ChangeMessageVisibilityBatch") > 0);
    world.proxy.heal();
    world.clock.advance_ms(i64::from(VISIBILITY_TIMEOUT_SECONDS) * 1000 - 1);
    assert_eq!(world.apply().await, (0, 0));
    world.clock.advance_ms(1);
    assert_eq!(world.apply().await, (1, 0));
    assert_eq!(world.order("A1").await, PAID_ONCE);
}

#[tokio::test]
async fn s5_a_provider_is_told_to_come_again_before_it_hangs_up() {
    for fault in [THROTTLED, Fault::Status(503), Fault::Close, Fault::Hang, Fault::HangAfterEffect] {
        let mut world = World::start().await;
        assert_eq!(world.paid("A0").await, 200, "the credentials are remembered from now on");
        for service in ["sqs", "dynamodb"] {
            if service == "dynamodb" {
                world.restart_callback();
            }
            world.proxy.inject(Rule::new(fault).service(service));
            let answer = tokio::time::timeout(PROVIDER_WAITS, world.paid("A1")).await;
            assert_eq!(answer, Ok(503), "{fault:?} of {service}");
            world.proxy.heal();
        }
        assert_eq!(world.paid("A1").await, 200, "{fault:?}");
        let (received, failed) = world.apply().await;
        assert!(received >= 2 && failed == 0, "{fault:?}");
        assert_eq!(world.order("A1").await, PAID_ONCE, "however often it was queued: {fault:?}");
    }
}

#[tokio::test]
async fn s5_what_was_acknowledged_in_a_storm_of_faults_is_applied_once() {
    let world = World::start().await;
    assert_eq!(world.paid("A0").await, 200);
    world
        .proxy
        .inject(Rule::new(Fault::CloseAfterEffect).service("sqs").operation("SendMessage").percent(40));
    world.proxy.inject(Rule::new(Fault::Status(500)).service("sqs").operation("SendMessage").percent(60));
    world.proxy.inject(dynamodb(THROTTLED).percent(50));
    world.proxy.inject(dynamodb(Fault::CloseAfterEffect).percent(30));
    let orders: Vec<String> = (1..=20).map(|number| format!("A{number}")).collect();
    let answers = join_all(orders.iter().map(|order| world.paid(order))).await;
    let acknowledged: Vec<&String> =
        orders.iter().zip(&answers).filter(|(_, status)| **status == 200).map(|(order, _)| order).collect();
    assert!(!acknowledged.is_empty() && acknowledged.len() < orders.len(), "{answers:?}");
    for _ in 0..6 {
        world.apply().await;
        world.clock.advance_ms(60_000);
    }
    world.proxy.heal();
    for _ in 0..20 {
        world.apply().await;
        world.clock.advance_ms(60_000);
    }
    for order in acknowledged {
        assert_eq!(world.order(order).await, PAID_ONCE, "{order}");
    }
    world.clock.advance_ms(24 * 3600 * 1000);
    assert_eq!((world.apply().await, world.dead_letters().await), ((0, 0), Vec::new()));
}

#[tokio::test]
async fn s6_an_unreadable_message_is_set_aside_at_once_as_soon_as_that_is_possible() {
    let world = World::start().await;
    world.enqueue("no callback").await;
    assert_eq!(world.paid("A1").await, 200);
    world.proxy.inject(Rule::new(Fault::Status(503)).operation("SendMessage"));
    assert_eq!(world.apply().await, (2, 1), "it is not lost");
    assert_eq!(world.order("A1").await, PAID_ONCE, "and holds nobody up");
    world.proxy.heal();
    world.clock.advance_ms(i64::from(VISIBILITY_TIMEOUT_SECONDS) * 1000);
    assert_eq!(world.apply().await, (1, 0));
    assert_eq!(world.dead_letters().await, ["no callback"]);
}

#[tokio::test]
async fn s5_a_client_works_at_once_after_an_outage_that_cost_all_its_retries() {
    let world = World::start().await;
    let adapters = world.fresh_adapters();
    let order = subject("A1");
    let load = || adapters.orders.load(&order);
    world.proxy.inject(dynamodb(Fault::Status(500)));
    for _ in 0..4 {
        assert!(join_all((0..50).map(|_| load())).await.iter().all(Result::is_err));
    }
    let calls = world.proxy.failed("GetItem");
    assert!(load().await.is_err());
    assert_eq!(world.proxy.failed("GetItem"), calls + 1, "no retries are left");
    world.proxy.heal();
    assert_eq!(load().await, Ok(None));
    // Connections that were left hanging are not used again.
    world.proxy.inject(dynamodb(Fault::Hang));
    assert!(join_all((0..8).map(|_| load())).await.iter().all(Result::is_err));
    world.proxy.heal();
    assert!(join_all((0..8).map(|_| load())).await.iter().all(Result::is_ok));
}

/// Two registered orders that are paid.
async fn with_two_paid_orders() -> World {
    let world = World::start().await;
    for order in ["A1", "A2"] {
        world.register(order).await;
        assert_eq!(world.paid(order).await, 200);
    }
    assert_eq!(world.apply().await, (2, 0));
    world
}

fn captured(orders: &[&str]) -> Vec<(String, String)> {
    orders.iter().map(|order| ((*order).to_owned(), "payment.captured".to_owned())).collect()
}

#[tokio::test]
async fn s5_s8_what_an_inbox_does_not_take_comes_again_and_is_told_once() {
    for fault in [THROTTLED, Fault::Status(500), Fault::Close, Fault::HangAfterEffect] {
        let world = with_two_paid_orders().await;
        let changes = world.order_changes();
        world.proxy.inject(dynamodb(fault).operation("PutItem").mentioning("A1"));
        let failed = world.notify(&changes).await;
        let sequence_numbers: Vec<_> =
            changes.iter().map(|change| change.change.sequence_number.clone().unwrap()).collect();
        assert_eq!(failed.len(), 1, "{fault:?}");
        let first = sequence_numbers.iter().position(|number| *number == failed[0]).unwrap();
        world.proxy.heal();
        assert_eq!(world.notify(&changes[first..]).await, [""; 0], "{fault:?}");
        let mut told = world.told().await;
        told.sort();
        assert_eq!(told, captured(&["A1", "A2"]), "{fault:?}");
        assert_eq!(world.notify_dead_letters().await, [json!(null); 0], "{fault:?}");
    }
}

#[tokio::test]
async fn s6_a_change_that_cannot_be_read_is_set_aside_at_once_and_the_others_are_told() {
    let world = with_two_paid_orders().await;
    let mut changes = world.order_changes();
    let paid = |change: &&mut aws_lambda_events::dynamodb::EventRecord| {
        let image = serde_json::to_value(&change.change).unwrap();
        image.to_string().contains("order#acme#order#A1") && image.to_string().contains("evt_A1")
    };
    let broken = changes.iter_mut().find(paid).unwrap();
    let mut image = serde_json::to_value(&broken.change.new_image).unwrap();
    image["version"] = json!({"S": "not a number"});
    broken.change.new_image = serde_json::from_value(image).unwrap();
    let sequence_number = broken.change.sequence_number.clone();

    assert_eq!(world.notify(&changes).await, [""; 0]);
    assert_eq!(world.told().await, captured(&["A2"]));
    let expected = json!({
        "letter": {"key": "order#acme#order#A1", "sequence_number": sequence_number},
        "reason": "failed for good: the stored order cannot be read",
    });
    assert_eq!(world.notify_dead_letters().await, [expected]);
}
