//! What becomes of every message of a batch, with ports in memory.

use paybell_shared::callback::Verified;
use paybell_shared::domain::{Reference, Status, Subject, SubjectKind};
use paybell_shared::ports::memory::{CountingRandom, ManualClock, MemoryOrders, MemoryQueue};
use paybell_shared::ports::redelivery::redelivery_delay_seconds;
use paybell_shared::ports::{PortError, ReferenceRecord, Saved};
use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const DEADLINE_MS: i64 = NOW_MS + 30_000;

struct World {
    orders: Arc<MemoryOrders>,
    queue: Arc<MemoryQueue>,
    hints: Arc<MemoryQueue>,
    clock: ManualClock,
    providers: Arc<Registry>,
}

impl World {
    fn new() -> Self {
        let (orders, queue) = (Arc::new(MemoryOrders::default()), Arc::new(MemoryQueue::default()));
        Self {
            orders,
            queue,
            hints: Arc::default(),
            clock: ManualClock::at_ms(NOW_MS),
            providers: Arc::default(),
        }
    }

    /// The ids of the messages that are reported as failed.
    async fn handle(&self, messages: &[(&str, String)]) -> Vec<String> {
        self.handle_until(messages, DEADLINE_MS).await
    }

    async fn handle_until(&self, messages: &[(&str, String)], deadline_ms: i64) -> Vec<String> {
        let records = messages.iter().map(|(id, body)| record(id, 1, body));
        self.handle_records(records.collect(), deadline_ms).await
    }

    async fn handle_records(&self, records: Vec<Value>, deadline_ms: i64) -> Vec<String> {
        let event = serde_json::from_value(json!({ "Records": records })).unwrap();
        let ports = Ports {
            orders: self.orders.clone(),
            callbacks: self.queue.clone(),
            hints: self.hints.clone(),
            providers: self.providers.clone(),
            random: Arc::new(CountingRandom::default()),
        };
        let response = handle(event, &ports, &self.clock, deadline_ms).await;
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    /// Receipt handle and delay of what was put off.
    fn put_off(&self) -> Vec<(String, u32)> {
        let put_off = self.queue.put_off_messages().into_iter();
        put_off.map(|message| (message.receipt_handle, message.delay_seconds)).collect()
    }

    async fn order(&self, id: &str) -> Option<Order> {
        let subject = Subject { account: "acme".into(), kind: SubjectKind::Order, id: id.into() };
        self.orders.load(&subject).await.unwrap()
    }
}

/// A record of the queue, received so many times.
fn record(id: &str, receive_count: u32, body: &str) -> Value {
    json!({
        "messageId": id, "body": body, "receiptHandle": format!("handle of {id}"),
        "attributes": {"ApproximateReceiveCount": receive_count.to_string()},
    })
}

/// A queue message with what Stripe tells; this trusts the queue as the function does.
fn stripe(event: Value) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    json!({
        "version": 2, "origin": "signed", "account": "acme", "provider": "stripe", "method": "POST",
        "path": "/callbacks/acme/stripe", "headers": [], "body_base64": STANDARD.encode(event.to_string()),
        "received_at": 1_800_000_000, "key_set_id": "one",
    })
    .to_string()
}

fn paid(event_id: &str, order_id: &str) -> String {
    stripe(json!({
        "id": event_id, "object": "event", "type": "payment_intent.succeeded", "created": 1_800_000_000,
        "data": {"object": {
            "id": format!("pi_{order_id}"), "object": "payment_intent", "amount": 1999, "amount_received": 1999,
            "currency": "eur", "metadata": {"order_id": order_id}, "latest_charge": format!("ch_{order_id}"),
            "status": "succeeded",
        }},
    }))
}

#[tokio::test]
async fn a_batch_is_applied_with_one_write_per_order_and_again_with_none() {
    let world = World::new();
    let batch = [("m1", paid("evt_1", "A1")), ("m2", paid("evt_2", "A2")), ("m3", paid("evt_1", "A1"))];
    assert_eq!(world.handle(&batch).await, [""; 0]);
    let order = world.order("A1").await.unwrap();
    assert_eq!((order.version, order.updated_at_ms), (1, NOW_MS));
    assert_eq!((order.state().status, order.state().captured_minor), (Status::Unclaimed, 1999));
    assert_eq!(world.order("A2").await.unwrap().version, 1);

    let (writes, calls) = (world.orders.writes(), world.orders.faults.calls());
    assert_eq!(world.handle(&batch).await, [""; 0]);
    assert_eq!(world.orders.writes(), writes, "a duplicate writes nothing");
    assert_eq!(world.orders.faults.calls(), calls + 2, "and costs one read of its order");
}

#[tokio::test]
async fn the_moment_of_writing_only_grows() {
    let world = World::new();
    world.handle(&[("m1", paid("evt_1", "A1"))]).await;
    world.clock.advance_ms(-5_000);
    world.handle(&[("m2", paid("evt_2", "A1"))]).await;
    assert_eq!(world.order("A1").await.unwrap().updated_at_ms, NOW_MS + 1);
}

#[tokio::test]
async fn s6_poison_is_set_aside_at_once_and_holds_nobody_up() {
    let world = World::new();
    let unknown = paid("evt_9", "A9").replace("\"stripe\"", "\"nobody\"");
    let unmapped = paid("evt_8", "A8").replace("body_base64\":\"", "body_base64\":\"AAAA");
    let batch = [
        ("unreadable", "not json".to_owned()),
        ("good1", paid("evt_1", "A1")),
        ("unknown", unknown),
        ("version", paid("evt_7", "A7").replace("\"version\":2", "\"version\":99")),
        ("unmapped", unmapped),
        ("good2", paid("evt_2", "A2")),
    ];
    assert_eq!(world.handle(&batch).await, [""; 0]);
    assert_eq!(world.orders.all().len(), 2);
    let bodies = [0, 2, 3, 4].map(|index: usize| batch[index].1.clone());
    assert_eq!(world.queue.dead_letters(), bodies, "as they came, for a repair");
    let reasons: Vec<String> = world.queue.reasons().into_iter().map(Option::unwrap).collect();
    let expected = [
        "the queue message cannot be read: Syntax error at line 1 column 2",
        "unknown provider `nobody`",
        "the queue message has version 99, this program reads 2",
        "the content cannot be parsed",
    ];
    assert_eq!(reasons, expected);

    world.queue.faults.push(PortError::Transient("SendMessage: timed out".into()));
    assert_eq!(world.handle(&batch[..1]).await, ["unreadable"], "it is not lost");
}

#[tokio::test]
async fn a_callback_that_we_do_not_act_on_is_done() {
    let world = World::new();
    let ignored = stripe(json!({
        "id": "evt_1", "object": "event", "type": "customer.created", "created": 1_800_000_000,
        "data": {"object": {"id": "cus_1", "object": "customer"}},
    }));
    assert_eq!(world.handle(&[("m1", ignored)]).await, [""; 0]);
    assert_eq!(world.orders.all(), []);
}

/// A provider that says of some callbacks only that something happened; nothing it says of others needs asking.
const ASKING: &str = r#"
[providers.asking]
title = "Asking"
rail = "bank"
retry_schedule = "never"
covers = "body"
[[providers.asking.credentials]]
name = "secret"
about = "Secret"
[[providers.asking.checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:signature", encoding = "hex" }
signed = "{body}"
[providers.asking.events]
type = "{json:/type}"
[providers.asking.events.types]
"paid" = { kind = "ask" }
"failed" = { kind = "payment.failed", facts = "payment" }
[providers.asking.events.facts.payment]
subject_id = ["json:/order"]
[providers.asking.inquiry]
host = "api.example.com"
asked = ["json:/id"]
answered = ["json:/id"]
[[providers.asking.inquiry.requests]]
path = "/payments/{json:/id}"
[[providers.asking.inquiry.events]]
type = "{json:/status}"
types = { "paid" = { kind = "payment.captured", facts = "payment" } }
[providers.asking.inquiry.events.facts.payment]
subject_id = ["json:/order"]
transaction_id = ["json:/id"]
amount = { at = ["json:/amount"], unit = "minor", fixed_currency = "EUR" }
"#;

fn asking(origin: &str, content: &Value) -> String {
    stripe(content.clone())
        .replace("\"stripe\"", "\"asking\"")
        .replace("\"signed\"", &format!("\"{origin}\""))
}

#[tokio::test]
async fn a_callback_of_which_the_provider_must_be_asked_is_handed_on_and_changes_nothing() {
    let mut world = World::new();
    world.providers = Arc::new(Registry::new(paybell_shared::config::described_providers(ASKING).unwrap()));
    let paid = json!({"type": "paid", "id": "T1", "order": "A1", "status": "paid", "amount": 1999});
    let failed = json!({"type": "failed", "id": "T2", "order": "A2"});
    let signed = asking("signed", &paid);
    let hint = asking("hint", &json!("whatever somebody made up"));
    let batch = [
        ("asks", signed.clone()),
        ("hint", hint.clone()),
        ("tells", asking("signed", &failed)),
        ("answer", asking("answer", &paid)),
    ];
    assert_eq!(world.handle(&batch[..3]).await, [""; 0]);
    let again = |message: &String| Verified::from_queue(message).unwrap().to_message();
    assert_eq!(world.hints.messages(), [again(&signed), again(&hint)]);
    assert_eq!(world.order("A1").await, None);
    assert_eq!(world.order("A2").await.unwrap().state().status, Status::Unclaimed);

    assert_eq!(world.handle(&batch[3..]).await, [""; 0]);
    assert_eq!(world.order("A1").await.unwrap().state().captured_minor, 1999);
    assert_eq!(world.hints.messages().len(), 2, "an answer is not asked about again");

    world.hints.faults.push(PortError::Permanent("SendMessage: denied".into()));
    assert_eq!(world.handle(&batch[..1]).await, ["asks"], "it is not lost");
    assert_eq!(world.queue.dead_letters(), [""; 0]);
}

#[tokio::test]
async fn a_hint_of_a_provider_that_is_not_asked_is_done() {
    let world = World::new();
    let hint = paid("evt_1", "A1").replace("\"signed\"", "\"hint\"").replace("\"stripe\"", "\"paypal\"");
    assert_eq!(world.handle(&[("m1", hint)]).await, [""; 0]);
    assert_eq!(world.orders.all(), []);
    assert_eq!(world.hints.messages(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_run_again_and_too_many_go_back_to_the_queue() {
    let world = World::new();
    world.orders.lose_next_races(3);
    assert_eq!(world.handle(&[("m1", paid("evt_1", "A1"))]).await, [""; 0]);
    assert_eq!(world.order("A1").await.unwrap().version, 1);
    world.orders.lose_next_races(100);
    assert_eq!(world.handle(&[("m2", paid("evt_2", "A1"))]).await, ["m2"]);
    world.orders.lose_next_races(0);
    assert_eq!(world.handle(&[("m2", paid("evt_2", "A1"))]).await, [""; 0]);
}

#[tokio::test]
async fn s5_a_failing_store_gives_back_only_the_messages_of_the_order_it_failed_for() {
    let world = World::new();
    world.orders.faults.push(PortError::Transient("GetItem: throttled".into()));
    let batch = [("m1", paid("evt_1", "A1")), ("m2", paid("evt_2", "A1")), ("m3", paid("evt_3", "A2"))];
    assert_eq!(world.handle(&batch).await, ["m1", "m2"]);
    assert_eq!(world.orders.all().len(), 1);
    assert_eq!(world.queue.dead_letters(), [""; 0]);
}

#[tokio::test]
async fn s6_an_order_that_cannot_take_a_message_is_beyond_help() {
    let world = World::new();
    world.orders.faults.push(PortError::Permanent("the stored order cannot be read".into()));
    let batch = [("m1", paid("evt_1", "A1")), ("m2", paid("evt_3", "A2"))];
    assert_eq!(world.handle(&batch).await, [""; 0]);
    assert_eq!(world.queue.dead_letters(), [batch[0].1.clone()]);
    assert_eq!(world.queue.put_off_messages(), []);
}

#[tokio::test]
async fn s5_what_is_given_back_stays_away_longer_with_every_receive() {
    let world = World::new();
    for _ in 0..2 {
        world.orders.faults.push(PortError::Transient("GetItem: throttled".into()));
    }
    let records = vec![
        record("m1", 1, &paid("evt_1", "A1")),
        record("m2", 40, &paid("evt_2", "A2")),
        record("m3", 7, &paid("evt_3", "A3")),
    ];
    assert_eq!(world.handle_records(records, DEADLINE_MS).await, ["m1", "m2"]);
    // The generator counts its calls.
    let expected = [("m1", redelivery_delay_seconds(1, 1)), ("m2", redelivery_delay_seconds(40, 2))];
    assert_eq!(world.put_off(), expected.map(|(id, delay)| (format!("handle of {id}"), delay)));
}

#[tokio::test]
async fn a_queue_that_takes_nothing_back_has_it_all_the_same() {
    let world = World::new();
    world.orders.faults.push(PortError::Transient("GetItem: throttled".into()));
    world.queue.faults.push(PortError::Transient("ChangeMessageVisibilityBatch: throttled".into()));
    assert_eq!(world.handle(&[("m1", paid("evt_1", "A1"))]).await, ["m1"]);
    assert_eq!(world.put_off(), []);
}

#[tokio::test]
async fn s2_nothing_is_begun_when_the_deadline_is_near() {
    let world = World::new();
    let batch = [("m1", paid("evt_1", "A1")), ("m2", paid("evt_2", "A2"))];
    let near = NOW_MS + DEADLINE_MARGIN_MS - 1;
    assert_eq!(world.handle_until(&batch, near).await, ["m1", "m2"]);
    assert_eq!(world.orders.all(), []);
    assert_eq!(world.handle_until(&batch, near + 1).await, [""; 0]);
}

/// A store that does not answer.
struct Silent;

#[async_trait::async_trait]
impl OrderStore for Silent {
    async fn load(&self, _: &Subject) -> Result<Option<Order>, PortError> {
        std::future::pending().await
    }

    async fn save(&self, _: &Order) -> Result<Saved, PortError> {
        std::future::pending().await
    }

    async fn tie(&self, _: &Reference, _: &Subject) -> Result<ReferenceRecord, PortError> {
        std::future::pending().await
    }

    async fn park(&self, _: &str, _: &Reference, _: &PaymentEvent) -> Result<ReferenceRecord, PortError> {
        std::future::pending().await
    }

    async fn reference(&self, _: &str, _: &Reference) -> Result<ReferenceRecord, PortError> {
        std::future::pending().await
    }

    async fn orders_of_user(&self, _: &str, _: &str, _: usize) -> Result<Vec<Order>, PortError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn s2_what_does_not_end_is_reported_before_the_deadline() {
    let callbacks = Arc::new(MemoryQueue::default());
    let hints = callbacks.clone();
    let ports = Ports {
        orders: Arc::new(Silent),
        callbacks: callbacks.clone(),
        hints,
        providers: Arc::new(Registry::default()),
        random: Arc::new(CountingRandom::default()),
    };
    let records = json!({"Records": [record("m1", 1, &paid("evt_1", "A1"))]});
    let event = serde_json::from_value(records).unwrap();
    let clock = ManualClock::at_ms(NOW_MS);
    let answered = handle(event, &ports, &clock, DEADLINE_MS);
    let response = tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap();
    assert_eq!(response.batch_item_failures[0].item_identifier, "m1");
    assert_eq!(callbacks.put_off_messages().len(), 1, "and given back");
}

/// Three payments in one callback, the second without its amount.
fn batch_of_three() -> String {
    let item = |reference: &str, amount: Value| {
        json!({"NotificationRequestItem": {
            "additionalData": {"hmacSignature": "checked before"}, "amount": amount, "eventCode": "CAPTURE",
            "eventDate": "2027-01-15T08:00:00+00:00", "merchantAccountCode": "Acme", "merchantReference": reference,
            "pspReference": format!("psp-{reference}"), "success": "true",
        }})
    };
    let amount = || json!({"currency": "EUR", "value": 1999});
    let items = [item("A1", amount()), item("A2", json!({"currency": "EUR"})), item("A3", amount())];
    stripe(json!({"live": "true", "notificationItems": items})).replace("\"stripe\"", "\"adyen\"")
}

#[tokio::test]
async fn m12_of_several_events_the_known_are_applied_and_the_callback_is_kept_for_the_malformed_one() {
    let world = World::new();
    let batch = [("batch", batch_of_three())];
    assert_eq!(world.handle(&batch).await, [""; 0], "it is durable where it is seen");
    for (id, captured_minor) in [("A1", Some(1999)), ("A2", None), ("A3", Some(1999))] {
        let order = world.order(id).await;
        assert_eq!(order.map(|order| order.state().captured_minor), captured_minor, "{id}");
    }
    assert_eq!(world.queue.dead_letters(), [batch[0].1.clone()]);
    let reason = world.queue.reasons().remove(0).unwrap();
    assert!(
        reason.starts_with("1 of its 3 events cannot be read, the others are applied: field `"),
        "{reason}"
    );

    // What is done again changes nothing that was applied, and is kept again as long as nothing is repaired.
    let writes = world.orders.writes();
    assert_eq!(world.handle(&batch).await, [""; 0]);
    assert_eq!((world.orders.writes(), world.queue.dead_letters().len()), (writes, 2));
}

#[tokio::test]
async fn m12_a_callback_with_a_malformed_event_is_kept_once_however_often_the_others_are_tried() {
    let world = World::new();
    world.orders.faults.push(PortError::Transient("GetItem: throttled".into()));
    assert_eq!(world.handle(&[("batch", batch_of_three())]).await, ["batch"]);
    assert_eq!(world.queue.dead_letters(), [""; 0], "it comes again");
    assert_eq!(world.handle(&[("batch", batch_of_three())]).await, [""; 0]);
    assert_eq!((world.orders.all().len(), world.queue.dead_letters().len()), (2, 1));
}
