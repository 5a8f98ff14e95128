//! What becomes of dead letters, with ports in memory.

mod telling;

use std::time::Duration;

use clap::Parser;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{
    Currency, EventKind, Expectation, Money, Order, PaymentEvent, Plan, Subject, SubjectKind,
};
use paybell_shared::ports::fold::perform;
use paybell_shared::ports::memory::{
    CountingRandom, ManualClock, MemoryAccounts, MemoryConnections, MemoryInbox, MemoryOrders, MemoryPusher,
    MemoryQueue,
};
use paybell_shared::ports::{DeadLetterQueue as _, OrderStore as _, ReturnQueue};
use serde_json::{Value, json};

use super::untold::Records;
use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn options(arguments: &str) -> Options {
    Command::parse_from(std::iter::once("redrive").chain(arguments.split_whitespace())).options
}

#[derive(Default)]
struct World {
    orders: Arc<MemoryOrders>,
    inbox: Arc<MemoryInbox>,
    pusher: Arc<MemoryPusher>,
    connections: Arc<MemoryConnections>,
    callbacks: Arc<MemoryQueue>,
    hints: Arc<MemoryQueue>,
    notify: Arc<MemoryQueue>,
}

impl World {
    fn ports(&self) -> Ports {
        Ports {
            callbacks: self.callbacks.clone(),
            hints: self.hints.clone(),
            notify: self.notify.clone(),
            to_callbacks: self.callbacks.clone(),
            to_hints: self.hints.clone(),
            orders: self.orders.clone(),
            accounts: Arc::new(MemoryAccounts::default()),
            records: Records::new(self.orders.clone(), self.orders.clone(), self.inbox.clone()),
            teller: notify_function::Ports {
                inbox: self.inbox.clone(),
                connections: self.connections.clone(),
                pusher: self.pusher.clone(),
                dead_letters: self.notify.clone(),
            },
            providers: Arc::default(),
        }
    }

    /// The command's JSON, or its error.
    async fn run(&self, arguments: &str) -> Result<Value, String> {
        let report = work(&self.ports(), &options(arguments)).await.map_err(|error| error.to_string())?;
        assert!(!listing::text(&report).is_empty());
        Ok(serde_json::from_str(&listing::json(&report).unwrap()).unwrap())
    }

    /// The ids of the letters that the command speaks of.
    async fn ids(&self, arguments: &str) -> Vec<String> {
        let said = self.run(arguments).await.unwrap();
        let letters = said["letters"].as_array().unwrap().iter();
        letters.map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn register(&self, order_id: &str) {
        let amount = Some(Money::from_minor(1999, Currency::new("EUR").unwrap()).unwrap());
        let expected = Expectation { amount, user: "ann".into(), expires_at: None, references: Vec::new() };
        let plan = Plan::registration(subject(order_id), expected);
        perform(&*self.orders, &plan, &ManualClock::at_ms(REGISTERED_MS), &CountingRandom::default())
            .await
            .unwrap();
    }

    async fn apply(&self, events: Vec<PaymentEvent>, at_ms: i64) {
        for plan in Plan::group("acme", events) {
            perform(&*self.orders, &plan, &ManualClock::at_ms(at_ms), &CountingRandom::default())
                .await
                .unwrap();
        }
    }

    async fn order(&self, id: &str) -> Order {
        self.orders.load(&subject(id)).await.unwrap().unwrap()
    }

    fn told(&self) -> Vec<String> {
        let entries = self.inbox.entries().into_iter().map(|entry| entry.notification);
        entries.map(|told| format!("{} {}", told.subject.id, told.kind)).collect()
    }
}

/// Now, roughly: the command asks the real clock.
static NOW: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| SystemClock.now_ms());
/// When orders were registered: long ago.
const REGISTERED_MS: i64 = 1_600_000_000_000;

fn subject(id: &str) -> Subject {
    Subject { account: "acme".into(), kind: SubjectKind::Order, id: id.into() }
}

/// A message of the queue with what Stripe tells; this trusts the queue as the functions do.
fn stripe(order_id: &str, amount: Value) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let event = json!({
        "id": format!("evt_{order_id}"), "object": "event", "type": "payment_intent.succeeded", "created": 1,
        "data": {"object": {
            "id": format!("pi_{order_id}"), "object": "payment_intent", "amount": amount, "amount_received": amount,
            "currency": "eur", "metadata": {"order_id": order_id}, "status": "succeeded",
        }},
    });
    json!({
        "version": 2, "origin": "signed", "account": "acme", "provider": "stripe", "method": "POST",
        "path": "/callbacks/acme/stripe", "headers": [], "body_base64": STANDARD.encode(event.to_string()),
        "received_at": 1_800_000_000, "key_set_id": "one",
    })
    .to_string()
}

fn captured(order_id: &str, received_at: i64) -> PaymentEvent {
    event(EventKind::PaymentCaptured, order_id, received_at)
}

fn event(kind: EventKind, order_id: &str, received_at: i64) -> PaymentEvent {
    let key = format!("{}-{order_id}", kind.name());
    let mut event = PaymentEvent::new(kind, "stripe", key, UnixSeconds(received_at));
    event.subject_id = Some(order_id.to_owned());
    event.transaction_id = Some(format!("pi_{order_id}"));
    event.amount = Some(Money::from_minor(1999, Currency::new("EUR").unwrap()).unwrap());
    event
}

#[tokio::test]
async fn listing_shows_why_and_leaves_everything_where_it_is() {
    let world = World::default();
    world.callbacks.bury(&stripe("A1", json!(1999)), Some("the content cannot be parsed"));
    world.callbacks.bury("no callback", None);
    for _ in 0..25 {
        world.hints.bury("no hint", Some("unknown provider `x`"));
    }
    world.notify.bury(&json!({"key": "order#acme#order#A1", "reason": "why"}).to_string(), None);
    let said = world.run("").await.unwrap();
    let letters = said["letters"].as_array().unwrap();
    assert_eq!(letters.len(), 28, "page after page");
    let of = |queue: &str| letters.iter().filter(|letter| letter["queue"] == queue).collect::<Vec<_>>();
    let callbacks = of("callbacks");
    assert_eq!((&callbacks[0]["account"], &callbacks[0]["provider"]), (&json!("acme"), &json!("stripe")));
    assert_eq!(callbacks[0]["reason"], "the content cannot be parsed");
    assert_eq!(callbacks[1]["reason"], "received 110 times without success");
    assert_eq!((&of("notify")[0]["order"], &of("notify")[0]["reason"]), (&json!("A1"), &json!("why")));
    for queue in [&world.callbacks, &world.hints, &world.notify] {
        assert_eq!(queue.hidden().await, Ok(0), "all are given back");
        assert_eq!(queue.messages(), [""; 0]);
    }
}

#[tokio::test]
async fn letters_are_chosen_by_what_they_are_and_by_their_ids() {
    let world = World::default();
    world.callbacks.bury(&stripe("A1", json!(1999)), Some("the Content cannot be parsed"));
    world.callbacks.bury(&stripe("A2", json!(1999)).replace("\"acme\"", "\"other\""), None);
    world.callbacks.bury("no callback", Some("unreadable"));
    for (arguments, expected) in [
        ("", &["letter-1", "letter-2", "letter-3"][..]),
        ("--account acme", &["letter-1"]),
        ("--provider stripe", &["letter-1", "letter-2"]),
        ("--reason content", &["letter-1"]),
        ("--reason 110", &["letter-2"]),
        ("--limit 2", &["letter-1", "letter-2"]),
        ("--queue hints", &[]),
        ("--dry-run --id letter-3", &["letter-3"]),
        ("--id letter-2 --account acme", &[]),
        ("--id letter-2 --id letter-3", &["letter-2", "letter-3"]),
    ] {
        assert_eq!(world.ids(arguments).await, expected, "{arguments}");
    }
    assert_eq!(world.callbacks.messages().len(), 2, "only the last one was to return any");
    assert_eq!(world.ids("").await, ["letter-1"]);
    let error = world.run("--id letter-9").await.unwrap_err();
    assert!(error.contains("no dead letter has the id `letter-9`"), "{error}");
    world.callbacks.bury("no callback", None);
    let error = world.run("--id letter").await.unwrap_err();
    assert!(error.contains("several dead letters"), "{error}");
    assert_eq!(world.callbacks.hidden().await, Ok(0));
}

#[tokio::test]
async fn a_dry_run_says_what_each_would_do_and_does_nothing() {
    let world = World::default();
    world.register("A1").await;
    world.callbacks.bury(&stripe("A1", json!(1999)), Some("the content cannot be parsed"));
    world.callbacks.bury(&stripe("A1", json!(1999)), None);
    world.callbacks.bury(&stripe("A2", json!("many")), Some("the content cannot be parsed"));
    world.hints.bury("no hint", None);
    let writes = world.orders.writes();
    let said = world.run("--dry-run").await.unwrap();
    let would = |index: usize| said["letters"][index]["would"].clone();
    let first = &would(0)["orders"][0];
    assert_eq!((&first["before"]["status"], &first["after"]["status"]), (&json!("created"), &json!("paid")));
    assert_eq!(first["after"]["captured_minor"], "1999");
    assert_eq!(first["new_events"], json!(["payment.captured"]));
    assert_eq!(first["tells"], json!([{"user": "ann", "kind": "payment.captured", "subject": "A1"}]));
    let find = |id: &str, queue: &str| {
        let letters = said["letters"].as_array().unwrap();
        letters.iter().find(|it| it["id"] == id && it["queue"] == queue).unwrap()["would"].clone()
    };
    let second = find("letter-2", "callbacks");
    assert_eq!((&second["orders"], &second["known_events"]), (&json!([]), &json!(1)), "the first did it");
    assert!(find("letter-3", "callbacks")["still_fails"].as_str().unwrap().starts_with("field `"));
    assert!(find("letter-1", "hints")["still_fails"].as_str().unwrap().contains("cannot be read"));
    assert_eq!(world.orders.writes(), writes);
    assert_eq!((world.callbacks.messages().len(), world.callbacks.dead_letters().len()), (0, 3));
    assert_eq!(world.callbacks.hidden().await, Ok(0));
}

#[tokio::test]
async fn s1_a_letter_is_deleted_only_when_it_is_stored_and_twice_is_harmless() {
    let world = World::default();
    world.register("A1").await;
    let body = stripe("A1", json!(1999));
    world.callbacks.bury(&body, None);
    // Who is in hand, two receives, nothing more, the send.
    let fail_after = |calls: usize| {
        (0..calls).for_each(|_| world.callbacks.faults.pass());
        world.callbacks.faults.push(PortError::Transient("timed out".into()));
    };
    fail_after(4);
    let said = world.run("--all --queue callbacks").await.unwrap();
    assert_eq!(
        said["letters"][0]["done"],
        json!({"redone": false, "error": "temporarily unavailable: timed out"})
    );
    assert_eq!((world.callbacks.messages().len(), world.callbacks.dead_letters().len()), (0, 1));

    fail_after(5);
    let said = world.run("--all --queue callbacks").await.unwrap();
    assert_eq!(said["letters"][0]["done"]["redone"], true);
    assert!(said["letters"][0]["done"]["error"].is_string(), "it could not be deleted");
    assert_eq!((world.callbacks.messages().len(), world.callbacks.dead_letters().len()), (1, 1));

    let said = world.run("--all --queue callbacks").await.unwrap();
    assert_eq!(said["letters"][0]["done"], json!({"redone": true, "told": null}));
    assert_eq!(world.callbacks.messages(), [body.clone(), body], "byte for byte, and twice");
    assert_eq!(world.callbacks.dead_letters(), [""; 0]);
    let mut told = Vec::new();
    for message in world.callbacks.messages() {
        let before = world.order("A1").await;
        let reading = apply_function::read(&message, &Registry::default()).unwrap();
        world.apply(reading.events, *NOW).await;
        told.extend(paybell_shared::domain::notifications(Some(&before), &world.order("A1").await));
    }
    let captured = world.order("A1").await.state().captured_minor.to_string();
    assert_eq!((captured.as_str(), told.len()), ("1999", 1), "the second one changes nothing");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_nothing_stays_hidden() {
    let world = World::default();
    world.callbacks.bury("no callback", None);
    for _ in 0..11 {
        world.hints.bury("no hint", None);
    }
    // Who is in hand, and a first receive: ten are in hand when the second one fails.
    (0..2).for_each(|_| world.hints.faults.pass());
    world.hints.faults.push(PortError::Transient("timed out".into()));
    let error = world.run("--all").await.unwrap_err();
    assert!(error.contains("dead letters of `hints` could not be read"), "{error}");
    assert_eq!((world.callbacks.hidden().await, world.callbacks.messages().len()), (Ok(0), 0));
    assert_eq!((world.hints.hidden().await, world.hints.messages().len()), (Ok(0), 0));
}

/// Sends so slowly that others receive the letters before all of them are done.
struct SlowQueue(Arc<MemoryQueue>);

#[async_trait::async_trait]
impl ReturnQueue for SlowQueue {
    async fn send_again(&self, message: &str) -> Result<(), PortError> {
        tokio::time::sleep(letters::BEGUN_WITHIN / 2 + Duration::from_secs(1)).await;
        self.0.send_again(message).await
    }
}

#[tokio::test(start_paused = true)]
async fn s4_what_others_might_have_in_hand_by_then_is_not_begun() {
    let world = World::default();
    for order_id in ["A1", "A2", "A3"] {
        world.callbacks.bury(&stripe(order_id, json!(1999)), None);
    }
    let ports = Ports { to_callbacks: Arc::new(SlowQueue(world.callbacks.clone())), ..world.ports() };
    let report = work(&ports, &options("--all")).await.unwrap();
    let said: Value = serde_json::from_str(&listing::json(&report).unwrap()).unwrap();
    let redone: Vec<&Value> =
        said["letters"].as_array().unwrap().iter().map(|letter| &letter["done"]["redone"]).collect();
    assert_eq!(redone, [&json!(true), &json!(true), &json!(false)]);
    assert!(listing::text(&report).contains("run the command again"));
    assert_eq!(report.exit_code(), ExitCode::FAILURE);
    assert_eq!((world.callbacks.messages().len(), world.callbacks.dead_letters().len()), (2, 1));
}

#[tokio::test]
async fn what_a_callback_says_cannot_steer_the_terminal() {
    let world = World::default();
    world.callbacks.bury(&stripe("A1\u{1b}[2J", json!(1999)), None);
    let letter = json!({"key": "order#acme#order#A\u{1b}[2J", "reason": "why\r\u{9b}2J"});
    world.notify.bury(&letter.to_string(), None);
    for arguments in ["", "--dry-run", "--all"] {
        let report = work(&world.ports(), &options(arguments)).await.unwrap();
        let text = listing::text(&report);
        assert!(text.contains("[2J"), "{arguments}: {text:?}");
        let steering = text.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(steering, None, "{arguments}: {text:?}");
    }
}

/// A dispute names a charge and no order.
fn dispute(of: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let event = json!({
        "id": format!("evt_dispute_{of}"), "object": "event", "type": "charge.dispute.created", "created": 1,
        "data": {"object": {
            "id": format!("dp_{of}"), "object": "dispute", "amount": 500, "currency": "eur",
            "charge": format!("ch_{of}"), "payment_intent": format!("pi_{of}"), "status": "needs_response",
            "reason": "fraudulent",
        }},
    });
    let mut message: Value = serde_json::from_str(&stripe(of, json!(1))).unwrap();
    message["body_base64"] = STANDARD.encode(event.to_string()).into();
    message.to_string()
}

#[tokio::test]
async fn a_dry_run_tells_what_waits_for_an_order_from_what_is_known() {
    let world = World::default();
    world.register("A1").await;
    for body in [dispute("A1"), dispute("A1"), stripe("A1", json!(1999)), dispute("A1"), dispute("A2")] {
        world.callbacks.bury(&body, None);
    }
    let said = world.run("--dry-run").await.unwrap();
    let counts: Vec<(u64, u64, usize)> = said["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| {
            let (would, no_orders) = (&letter["would"], Vec::new());
            let joined = would["orders"].as_array().unwrap_or(&no_orders).iter();
            let joined = joined.map(|order| order["new_events"].as_array().unwrap().len()).sum();
            (would["waiting_events"].as_u64().unwrap(), would["known_events"].as_u64().unwrap(), joined)
        })
        .collect();
    // The payment brings the dispute that waits for it along.
    assert_eq!(counts, [(1, 0, 0), (0, 1, 0), (0, 0, 2), (0, 1, 0), (1, 0, 0)]);
    let report = work(&world.ports(), &options("--dry-run")).await.unwrap();
    assert!(listing::text(&report).contains("1 event waits for an order that names it"));
}
