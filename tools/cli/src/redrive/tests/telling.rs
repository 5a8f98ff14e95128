//! What users are told again, and where it lies in their inboxes.

use std::sync::Mutex;

use paybell_shared::domain::Notification;
use paybell_shared::ports::{
    Connection, ConnectionStore as _, INBOX_OVERLAP_MS, Inbox, InboxEntry, place_ms_of_cursor,
};

use super::*;

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn m5_whoever_was_not_told_is_told_what_is_missing_and_nothing_else() {
    let world = World::default();
    world
        .connections
        .put(&Connection { id: "c".into(), account: "acme".into(), user: "ann".into() }, UnixSeconds(0))
        .await
        .unwrap();
    let now = *NOW / 1000;
    let old = now - 91 * 24 * 3600;
    for order in ["told", "untold", "aged", "overtaken"] {
        world.register(order).await;
    }
    world.apply(vec![captured("told", now), captured("untold", now), captured("aged", old)], *NOW).await;
    let refund =
        PaymentEvent { refund_id: Some("re_1".into()), ..event(EventKind::RefundSucceeded, "aged", now) };
    world
        .apply(
            vec![refund, event(EventKind::PaymentPending, "overtaken", now), captured("overtaken", now)],
            *NOW,
        )
        .await;
    for told in facts_of(&world.order("told").await) {
        world.inbox.put(&told, 1).await.unwrap();
    }
    for order in ["told", "untold", "aged", "overtaken", "absent"] {
        world.notify.bury(&letter(order), Some("why"));
    }
    let said = world.run("--dry-run").await.unwrap();
    let would = |index: usize| said["letters"][index]["would"].clone();
    assert_eq!((&would(0)["ignored"], &would(0)["tells"]), (&json!(true), &Value::Null));
    assert_eq!(would(1)["tells"], json!([{"user": "ann", "kind": "payment.captured", "subject": "untold"}]));
    assert_eq!(would(2)["tells"], json!([{"user": "ann", "kind": "refund.succeeded", "subject": "aged"}]));
    assert_eq!(would(4)["still_fails"], "there is no such order");
    assert_eq!(world.inbox.entries().len(), 1, "nothing is told by looking");

    let said = world.run("--all").await.unwrap();
    let done: Vec<&Value> =
        said["letters"].as_array().unwrap().iter().map(|letter| &letter["done"]["told"]).collect();
    assert_eq!(done, [&json!(0), &json!(1), &json!(1), &json!(1), &Value::Null]);
    let expected = [
        "told payment.captured",
        "untold payment.captured",
        "aged refund.succeeded",
        "overtaken payment.captured",
    ];
    assert_eq!(world.told(), expected);
    assert_eq!(world.pusher.pushed().len(), 3, "what is missing is pushed, too");
    assert_eq!(world.notify.dead_letters(), [letter("absent")], "it stays to be seen");

    world.notify.bury(&letter("untold"), None);
    assert_eq!(world.run("--all").await.unwrap()["letters"][1]["done"]["told"], 0);
    assert_eq!(world.told(), expected, "once");
}

/// A letter of `notify` about an order.
fn letter(order_id: &str) -> String {
    json!({"key": format!("order#acme#order#{order_id}"), "sequence_number": "7", "reason": "why"})
        .to_string()
}

fn facts_of(order: &Order) -> Vec<Notification> {
    paybell_shared::domain::notifications(None, order)
}

#[tokio::test]
async fn m5_of_a_batch_that_lambda_gave_up_all_orders_of_that_time_are_looked_at() {
    let world = World::default();
    let now = *NOW / 1000;
    for order in ["before", "in it", "later again"] {
        world.register(order).await;
    }
    let hours_ago = |hours: i64| *NOW - hours * 3_600_000;
    world.apply(vec![captured("in it", now)], hours_ago(6)).await;
    world.apply(vec![captured("later again", now)], hours_ago(1)).await;
    let arrived = jiff::Timestamp::from_millisecond(hours_ago(6)).unwrap().to_string();
    let letter = json!({
        "requestContext": {"requestId": "r", "functionArn": "arn", "condition": "RetryAttemptsExhausted"},
        "version": "1.0", "timestamp": arrived,
        "DDBStreamBatchInfo": {
            "shardId": "shardId-1", "startSequenceNumber": "1", "endSequenceNumber": "9", "batchSize": 9,
            "approximateArrivalOfFirstRecord": arrived, "approximateArrivalOfLastRecord": arrived,
            "streamArn": "arn:aws:dynamodb:eu-west-1:1:table/paybell-demo-orders/stream/1",
        },
    });
    world.notify.bury(&letter.to_string(), None);
    let said = world.run("").await.unwrap();
    assert_eq!(said["letters"][0]["reason"], "RetryAttemptsExhausted");
    let said = world.run("--all").await.unwrap();
    assert_eq!(said["letters"][0]["done"]["told"], 2);
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["in it payment.captured", "later again payment.captured"]);
    assert_eq!(world.notify.dead_letters(), [""; 0]);
}

/// The place of the notification of an order in the inbox.
fn place_of(world: &World, order_id: &str) -> i64 {
    let entries = world.inbox.entries();
    let entry = entries.iter().find(|entry| entry.notification.subject.id == order_id).unwrap();
    place_ms_of_cursor(&entry.cursor).unwrap()
}

/// The command's clock is not the one that makes places: an hour behind it or ahead of it, a device that has seen all
/// before finds what is told, and misses nothing of what comes after.
#[tokio::test]
async fn m5_s9_s12_what_is_told_again_lies_where_devices_look_whatever_the_commands_clock_says() {
    for offset_ms in [-HOUR_MS, 0, HOUR_MS] {
        let deployment_ms = *NOW + offset_ms;
        let world = World::default();
        for order in ["seen", "untold", "next"] {
            world.register(order).await;
            world.apply(vec![captured(order, deployment_ms / 1000)], deployment_ms - 2 * HOUR_MS).await;
        }
        let seen = world.inbox.put(&facts_of(&world.order("seen").await)[0], deployment_ms).await.unwrap();
        world.notify.bury(&letter("untold"), None);
        assert_eq!(world.run("--all").await.unwrap()["letters"][0]["done"]["told"], 1);
        let place_ms = place_of(&world, "untold");
        assert!(
            place_ms > place_ms_of_cursor(&seen.cursor).unwrap() - INBOX_OVERLAP_MS,
            "{offset_ms}: it is passed"
        );
        // The next one is told a second later, by the deployment's clock.
        let next = &facts_of(&world.order("next").await)[0];
        let next = world.inbox.put(next, deployment_ms + 1000).await.unwrap();
        assert!(
            place_ms < place_ms_of_cursor(&next.cursor).unwrap() + INBOX_OVERLAP_MS,
            "{offset_ms}: it hides the next"
        );
        assert!(place_ms <= deployment_ms + 1000, "{offset_ms}: nobody's clock has passed it");
    }
}

#[tokio::test]
async fn m5_s9_into_an_inbox_that_is_empty_the_place_is_that_of_the_change() {
    let world = World::default();
    world.register("untold").await;
    world.apply(vec![captured("untold", *NOW / 1000)], *NOW - 5 * HOUR_MS).await;
    world.notify.bury(&letter("untold"), None);
    world.run("--all").await.unwrap();
    assert_eq!(place_of(&world, "untold"), *NOW - 5 * HOUR_MS);
}

/// An inbox into which the deployment writes something else just after the first writing.
struct Busy {
    inbox: Arc<MemoryInbox>,
    meanwhile: Mutex<Option<(Notification, i64)>>,
}

#[async_trait::async_trait]
impl Inbox for Busy {
    async fn put(&self, notification: &Notification, now_ms: i64) -> Result<InboxEntry, PortError> {
        let entry = self.inbox.put(notification, now_ms).await?;
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some((other, at_ms)) = meanwhile {
            self.inbox.put(&other, at_ms).await?;
        }
        Ok(entry)
    }

    async fn after(
        &self,
        account: &str,
        user: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<InboxEntry>, PortError> {
        self.inbox.after(account, user, cursor, limit).await
    }
}

#[tokio::test]
async fn m5_s9_what_others_have_overtaken_meanwhile_moves_behind_them() {
    for (gap_ms, moves) in [(INBOX_OVERLAP_MS, false), (INBOX_OVERLAP_MS + 1, true), (HOUR_MS, true)] {
        let world = World::default();
        for order in ["other", "untold"] {
            world.register(order).await;
            world.apply(vec![captured(order, *NOW / 1000)], *NOW).await;
        }
        world.notify.bury(&letter("untold"), None);
        let other = facts_of(&world.order("other").await).remove(0);
        let busy = Arc::new(Busy {
            inbox: world.inbox.clone(),
            meanwhile: Mutex::new(Some((other, *NOW + gap_ms))),
        });
        let mut ports = world.ports();
        ports.teller.inbox = busy;
        work(&ports, &options("--all")).await.unwrap();
        let expected_ms = if moves { *NOW + gap_ms + 1 } else { *NOW };
        assert_eq!(place_of(&world, "untold"), expected_ms, "{gap_ms}");
        assert_eq!(world.inbox.entries().len(), 2);
    }
}
