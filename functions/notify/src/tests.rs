//! What a batch of changes writes, pushes and reports, with ports in memory.

use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{
    Currency, EventKind, Expectation, Money, Order, PaymentEvent, Subject, SubjectKind,
};
use paybell_shared::ports::INBOX_OVERLAP_MS;
use paybell_shared::ports::memory::{ManualClock, MemoryConnections, MemoryInbox, MemoryPusher, MemoryQueue};
use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const DEADLINE_MS: i64 = NOW_MS + 30_000;

#[derive(Default)]
struct World {
    inbox: Arc<MemoryInbox>,
    connections: Arc<MemoryConnections>,
    pusher: Arc<MemoryPusher>,
    dead_letters: Arc<MemoryQueue>,
}

impl World {
    async fn with_connections(ids: &[(&str, &str)]) -> Self {
        let world = Self::default();
        for (id, user) in ids {
            let connection = Connection { id: (*id).into(), account: "acme".into(), user: (*user).into() };
            world.connections.put(&connection, UnixSeconds(0)).await.unwrap();
        }
        world
    }

    /// The sequence numbers that are reported as failed.
    async fn handle(&self, records: Vec<Value>) -> Vec<String> {
        self.handle_at(NOW_MS, records).await
    }

    async fn handle_at(&self, now_ms: i64, records: Vec<Value>) -> Vec<String> {
        let ports = Ports {
            inbox: self.inbox.clone(),
            connections: self.connections.clone(),
            pusher: self.pusher.clone(),
            dead_letters: self.dead_letters.clone(),
        };
        let event = serde_json::from_value(json!({ "Records": records })).unwrap();
        let response = handle(event, &ports, &ManualClock::at_ms(now_ms), now_ms + 30_000).await;
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier.unwrap()).collect()
    }

    /// Connection, kind and order of every push.
    fn pushed(&self) -> Vec<(String, String, String)> {
        let mut pushed: Vec<_> = self
            .pusher
            .pushed()
            .into_iter()
            .map(|(connection_id, text)| {
                let message: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(message["type"], "notification");
                let text = |name: &str| message[name].as_str().unwrap().to_owned();
                (connection_id, text("kind"), text("order_id"))
            })
            .collect();
        pushed.sort();
        pushed
    }
}

fn order(id: &str, user: &str, events: &[(EventKind, &str)]) -> Order {
    let mut order = Order::new(Subject { account: "acme".into(), kind: SubjectKind::Order, id: id.into() });
    let amount = Money::from_minor(1999, Currency::new("EUR").unwrap()).unwrap();
    let expected = Expectation {
        amount: Some(amount.clone()),
        user: user.into(),
        expires_at: None,
        references: Vec::new(),
    };
    order.register(expected).unwrap();
    for (kind, key) in events {
        let mut event = PaymentEvent::new(*kind, "stripe", *key, UnixSeconds(1));
        event.transaction_id = Some("pi_1".into());
        event.amount = Some(amount.clone());
        order.absorb([event]).unwrap();
    }
    order.version = 1 + u64::try_from(events.len()).unwrap();
    order
}

/// The image of an order as the stream delivers it, made by the adapter that stores it.
fn image(order: &Order) -> Value {
    let item = paybell_shared::aws::order_to_stream_image(order).unwrap();
    serde_json::to_value(item).unwrap()
}

fn record(sequence_number: &str, old: Option<&Order>, new: Option<Value>) -> Value {
    json!({
        "awsRegion": "local", "eventID": sequence_number, "eventName": "MODIFY",
        "dynamodb": {
            "Keys": {"pk": {"S": format!("order#acme#order#{sequence_number}")}},
            "SequenceNumber": sequence_number,
            "SizeBytes": 1,
            "OldImage": old.map(image).unwrap_or_else(|| json!({})),
            "NewImage": new.unwrap_or_else(|| json!({})),
        },
    })
}

fn paid(id: &str, user: &str) -> Value {
    let old = order(id, user, &[]);
    record(id, Some(&old), Some(image(&order(id, user, &[(EventKind::PaymentCaptured, "evt_1")]))))
}

fn pushes(expected: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    expected.iter().map(|(id, kind, order)| ((*id).into(), (*kind).into(), (*order).into())).collect()
}

#[tokio::test]
async fn a_change_is_written_to_the_inbox_and_pushed_to_every_device_of_its_user() {
    let world = World::with_connections(&[("c1", "ann"), ("c2", "ann"), ("c3", "bob")]).await;
    assert_eq!(world.handle(vec![paid("A1", "ann"), paid("A2", "ann")]).await, [""; 0]);
    let entries = world.inbox.entries();
    assert_eq!(entries.len(), 2);
    assert!(entries[0].cursor < entries[1].cursor, "the inbox keeps the order of the stream");
    let all = pushes(&[
        ("c1", "payment.captured", "A1"),
        ("c1", "payment.captured", "A2"),
        ("c2", "payment.captured", "A1"),
        ("c2", "payment.captured", "A2"),
    ]);
    assert_eq!(world.pushed(), all);

    let (_, text) = world.pusher.pushed().remove(0);
    let message: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(message["cursor"], json!(entries[0].cursor));
    assert_eq!((&message["amount_minor"], &message["currency"]), (&json!(1999), &json!("EUR")));
    assert_eq!((&message["subject_kind"], &message["status"]), (&json!("order"), &json!("paid")));
    assert_eq!(message["transaction_id"], "pi_1");
    assert!(message["text"]["en"].is_string() && message["text"]["zh-CN"].is_string());
}

#[tokio::test]
async fn s8_a_record_that_comes_again_is_in_the_inbox_once() {
    let world = World::default();
    for _ in 0..3 {
        assert_eq!(world.handle(vec![paid("A1", "ann")]).await, [""; 0]);
    }
    assert_eq!(world.inbox.entries().len(), 1);
}

/// A device that has seen a later notification resumes from there, a little before it. What was written long before and is
/// only pushed now has to be where the device looks.
#[tokio::test]
async fn s8_s9_what_is_told_late_is_where_devices_look_for_it() {
    let world = World::default();
    world.connections.faults.push(PortError::Transient("Query: timed out".into()));
    assert_eq!(world.handle(vec![paid("A1", "ann")]).await, ["A1"]);
    let later_ms = NOW_MS + 2 * INBOX_OVERLAP_MS;
    assert_eq!(world.handle_at(later_ms, vec![paid("A2", "ann")]).await, [""; 0]);
    assert_eq!(world.handle_at(later_ms + 1, vec![paid("A1", "ann")]).await, [""; 0]);

    let orders_since = async |cursor: &str| {
        let entries = world.inbox.after("acme", "ann", cursor, 10).await.unwrap();
        entries.into_iter().map(|entry| entry.notification.subject.id).collect::<Vec<_>>()
    };
    assert_eq!(orders_since("").await, ["A2", "A1"], "each is there once");
    let seen_ms = later_ms - INBOX_OVERLAP_MS;
    assert_eq!(orders_since(&seen_ms.to_string()).await, ["A2", "A1"]);
}

#[tokio::test]
async fn other_items_and_changes_that_mean_nothing_are_passed_over() {
    let world = World::default();
    let same = order("A1", "ann", &[(EventKind::PaymentCaptured, "evt_1")]);
    let reference = json!({"pk": {"S": "reference#acme#stripe:ch_1"}, "item": {"S": "reference"}});
    let records = vec![
        record("1", None, Some(reference)),
        record("2", Some(&same), Some(image(&same))),
        record("3", Some(&same), None),
        record("4", None, Some(image(&order("A2", "ann", &[])))),
    ];
    assert_eq!(world.handle(records).await, [""; 0]);
    assert_eq!(world.inbox.entries(), []);
}

fn unreadable(sequence_number: &str) -> Value {
    let image =
        json!({"pk": {"S": "order#acme#order#A0"}, "item": {"S": "order"}, "version": {"S": "secret"}});
    record(sequence_number, None, Some(image))
}

#[tokio::test]
async fn s6_what_is_beyond_help_is_set_aside_at_once_and_holds_nobody_up() {
    let world = World::default();
    world.inbox.faults.push(PortError::Permanent("PutItem: ValidationException (status 400)".into()));
    let records = vec![unreadable("1"), paid("A1", "ann"), paid("A2", "ann")];
    assert_eq!(world.handle(records).await, [""; 0]);
    assert_eq!(world.inbox.entries().len(), 1);
    let letters: Vec<Value> = world
        .dead_letters
        .dead_letters()
        .iter()
        .map(|letter| serde_json::from_str(letter).unwrap())
        .collect();
    let letter = |key: &str, sequence_number: &str| json!({"key": key, "sequence_number": sequence_number});
    assert_eq!(letters, [letter("order#acme#order#1", "1"), letter("order#acme#order#A1", "A1")]);
    let reasons = world.dead_letters.reasons();
    let expected = ["the stored order cannot be read", "PutItem: ValidationException (status 400)"];
    assert_eq!(reasons, expected.map(|reason| Some(format!("failed for good: {reason}"))));
}

#[tokio::test]
async fn what_cannot_be_set_aside_comes_again() {
    let world = World::default();
    world.dead_letters.faults.push(PortError::Transient("SendMessage: timed out".into()));
    let records = || vec![paid("A1", "ann"), unreadable("2"), paid("A3", "ann")];
    assert_eq!(world.handle(records()).await, ["2"]);
    assert_eq!(world.handle(records()).await, [""; 0]);
    assert_eq!((world.inbox.entries().len(), world.dead_letters.dead_letters().len()), (2, 1));
}

#[tokio::test]
async fn what_comes_again_anyway_is_not_set_aside_at_every_try() {
    let world = World::default();
    let records = || vec![unreadable("0"), paid("A1", "ann"), unreadable("2"), paid("A3", "ann")];
    world.inbox.faults.push(PortError::Transient("PutItem: throttled".into()));
    assert_eq!(world.handle(records()).await, ["A1", "2"]);
    assert_eq!(world.dead_letters.dead_letters().len(), 1, "what is before the first failure is done");
    assert_eq!(world.handle(records()[1..].to_vec()).await, [""; 0]);
    assert_eq!((world.inbox.entries().len(), world.dead_letters.dead_letters().len()), (2, 2));
}

/// An inbox that does not answer.
struct Silent;

#[async_trait::async_trait]
impl Inbox for Silent {
    async fn put(&self, _: &Notification, _: i64) -> Result<InboxEntry, PortError> {
        std::future::pending().await
    }

    async fn after(&self, _: &str, _: &str, _: &str, _: usize) -> Result<Vec<InboxEntry>, PortError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn s2_what_does_not_end_is_reported_before_the_deadline() {
    let world = World::default();
    let ports = Ports {
        inbox: Arc::new(Silent),
        connections: world.connections.clone(),
        pusher: world.pusher.clone(),
        dead_letters: world.dead_letters.clone(),
    };
    let records: Vec<Value> = (0..100).map(|number| paid(&format!("A{number}"), "ann")).collect();
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    let clock = ManualClock::at_ms(NOW_MS);
    let answered = handle(event, &ports, &clock, DEADLINE_MS);
    let response = tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap();
    assert_eq!(response.batch_item_failures.len(), 100);
}

#[tokio::test]
async fn s5_only_what_is_not_in_the_inbox_is_reported() {
    let world = World::with_connections(&[("c1", "ann")]).await;
    world.inbox.faults.push(PortError::Transient("PutItem: timed out".into()));
    let records = || vec![paid("A1", "ann"), paid("A2", "ann")];
    assert_eq!(world.handle(records()).await, ["A1"]);
    assert_eq!(world.pushed(), pushes(&[("c1", "payment.captured", "A2")]));
    assert_eq!(world.handle(records()).await, [""; 0]);
    assert_eq!(world.inbox.entries().len(), 2);
}

#[tokio::test]
async fn s9_a_gone_connection_is_forgotten_and_a_failing_push_holds_nothing_up() {
    let world = World::with_connections(&[("c1", "ann"), ("c2", "ann")]).await;
    world.pusher.hang_up("c1");
    assert_eq!(world.handle(vec![paid("A1", "ann"), paid("A2", "ann")]).await, [""; 0]);
    assert_eq!(world.pushed().len(), 2);
    assert_eq!(world.connections.find("c1").await.unwrap(), None);

    assert_eq!(world.handle(vec![paid("A3", "ann")]).await, [""; 0]);
    assert_eq!(world.pushed().len(), 3, "the other device still hears");
}

#[tokio::test]
async fn s9_a_device_that_misses_a_message_is_cut_off_before_it_hears_a_later_one() {
    let world = World::with_connections(&[("c1", "ann")]).await;
    world.pusher.faults.push(PortError::Transient("PostToConnection: timed out".into()));
    assert_eq!(world.handle(vec![paid("A1", "ann"), paid("A2", "ann")]).await, [""; 0]);
    assert_eq!(world.pushed(), []);
    assert_eq!(world.connections.find("c1").await.unwrap(), None);
    assert_eq!(world.pusher.push("c1", "{}").await, Ok(Pushed::Gone));
    assert_eq!(world.inbox.entries().len(), 2);
}

/// A gateway that delivers nothing, and may not close either; while it fails, the table of connections may fail, too.
struct Down {
    closes: bool,
    forgets: bool,
    connections: Arc<MemoryConnections>,
}

#[async_trait::async_trait]
impl Pusher for Down {
    async fn push(&self, _: &str, _: &str) -> Result<Pushed, PortError> {
        if !self.forgets {
            self.connections.faults.push(PortError::Transient("DeleteItem: throttled".into()));
        }
        Err(PortError::Transient("PostToConnection: timed out".into()))
    }

    async fn close(&self, _: &str) -> Result<(), PortError> {
        let error = || PortError::Transient("DeleteConnection: timed out".into());
        if self.closes { Ok(()) } else { Err(error()) }
    }
}

/// A device that is still open and still found would take a later message, and never look for this one again.
#[tokio::test]
async fn s9_a_record_comes_again_unless_the_device_that_missed_it_is_cut_off() {
    for (closes, forgets, reported) in
        [(true, true, &[][..]), (true, false, &[]), (false, true, &[]), (false, false, &["A1"])]
    {
        let world = World::with_connections(&[("c1", "ann")]).await;
        let ports = Ports {
            inbox: world.inbox.clone(),
            connections: world.connections.clone(),
            pusher: Arc::new(Down { closes, forgets, connections: world.connections.clone() }),
            dead_letters: world.dead_letters.clone(),
        };
        let event = serde_json::from_value(json!({ "Records": [paid("A1", "ann")] })).unwrap();
        let response = handle(event, &ports, &ManualClock::at_ms(NOW_MS), DEADLINE_MS).await;
        let failures = response.batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier);
        assert_eq!(failures.collect::<Vec<_>>(), reported, "closes: {closes}, forgets: {forgets}");
    }
}

/// A device that takes a message just before it would count as too slow, every time.
#[derive(Default)]
struct SlowPusher {
    taken: std::sync::Mutex<Vec<(String, String)>>,
    closed: std::sync::Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Pusher for SlowPusher {
    async fn push(&self, connection_id: &str, text: &str) -> Result<Pushed, PortError> {
        if connection_id == "slow" {
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        self.taken.lock().unwrap().push((connection_id.to_owned(), text.to_owned()));
        Ok(Pushed::Yes)
    }

    async fn close(&self, connection_id: &str) -> Result<(), PortError> {
        self.closed.lock().unwrap().push(connection_id.to_owned());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn s9_a_slow_device_is_cut_off_before_it_holds_up_its_lane() {
    let world = World::with_connections(&[("slow", "u"), ("quick", "u")]).await;
    let pusher = Arc::new(SlowPusher::default());
    let ports = Ports {
        inbox: world.inbox.clone(),
        connections: world.connections.clone(),
        pusher: pusher.clone(),
        dead_letters: world.dead_letters.clone(),
    };
    let records: Vec<Value> = (0..60).map(|number| paid(&format!("o{number}"), "u")).collect();
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    let response = handle(event, &ports, &ManualClock::at_ms(NOW_MS), DEADLINE_MS).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", response.batch_item_failures);
    let taken = pusher.taken.lock().unwrap().clone();
    let by = |id: &str| taken.iter().filter(|(connection_id, _)| connection_id == id).count();
    assert_eq!((by("quick"), by("slow")), (60, 5));
    assert_eq!(*pusher.closed.lock().unwrap(), ["slow"]);
    assert_eq!(world.connections.of_user("acme", "u").await.unwrap().len(), 1);
}

#[tokio::test]
async fn records_whose_readers_cannot_be_looked_up_come_again() {
    let world = World::with_connections(&[("c1", "ann")]).await;
    world.connections.faults.push(PortError::Transient("Query: timed out".into()));
    assert_eq!(world.handle(vec![paid("A1", "ann")]).await, ["A1"]);
    assert_eq!(world.handle(vec![paid("A1", "ann")]).await, [""; 0]);
    assert_eq!(world.pushed(), pushes(&[("c1", "payment.captured", "A1")]));
    assert_eq!(world.inbox.entries().len(), 1);
}

#[test]
fn operators_are_told_once_of_an_order_that_needs_eyes() {
    let captured = |transactions: &[(&str, i128)]| {
        let mut order = order("A1", "ann", &[]);
        for (id, minor) in transactions {
            let mut event = PaymentEvent::new(EventKind::PaymentCaptured, "stripe", *id, UnixSeconds(1_000));
            event.transaction_id = Some((*id).into());
            event.amount = Some(Money::from_minor(*minor, Currency::new("EUR").unwrap()).unwrap());
            order.absorb([event]).unwrap();
        }
        order
    };
    let changed = |order: Order, change: fn(&mut Order)| {
        let mut order = order;
        change(&mut order);
        order
    };
    let unclaimed = |order| changed(order, |order| order.expected = None);
    let expired =
        |order| changed(order, |order| order.expected.as_mut().unwrap().expires_at = Some(UnixSeconds(2)));
    let (one, two) = (&[("t1", 1999)][..], &[("t1", 1999), ("t2", 1999)][..]);
    let held = || captured(&[("t1", 1)]);
    for (old, new, expected) in [
        (None, captured(&[]), None),
        (Some(captured(&[])), captured(one), None),
        (None, unclaimed(captured(one)), Some("order_unclaimed")),
        (Some(unclaimed(captured(one))), unclaimed(captured(two)), None),
        (Some(unclaimed(captured(one))), captured(one), None),
        (Some(captured(&[])), held(), Some("order_held")),
        (Some(held()), held(), None),
        (Some(captured(one)), captured(two), Some("order_overpaid")),
        (Some(captured(two)), captured(two), None),
        (Some(expired(captured(&[]))), expired(captured(one)), Some("order_late_paid")),
    ] {
        assert_eq!(attention(old.as_ref(), &new), expected, "{:?}", new.state().status);
    }
}
