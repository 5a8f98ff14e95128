//! M11: the callback never comes, and time passes. All of `paybell up` runs in this process, on a clock of the test's.

use std::path::Path;
use std::sync::Arc;

use paybell_cli::simulate::{Facts, Scenario, Step, plan};
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Currency, Money, SubjectKind};
use paybell_shared::ports::memory::ManualClock;
use paybell_shared::ports::{Clock, SystemClock};
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::{Exchange, SignedRequest};
use paybell_tests::{Listener, wait};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::clock::{MINUTE_MS, Machine, WrongClock};

const USER: &str = "anna";
const ORDER_ID: &str = "unmentioned0001";

/// The id by which Mollie knows the payment, and what its API answers about it.
fn payment(machine: &Machine) -> (String, Vec<Exchange>) {
    let mollie = Registry::new(Vec::new()).find("mollie").expect("it is built in");
    let facts = Facts {
        kind: SubjectKind::Order,
        account: machine.demo.account.clone(),
        order_id: ORDER_ID.to_owned(),
        amount: Money::from_minor(1_999, Currency::new("EUR").expect("it is one"))
            .expect("it is not negative"),
        now: UnixSeconds(SystemClock.now().0),
        references: Vec::new(),
    };
    let steps = plan(mollie, &machine.demo.providers["mollie"], Scenario::Paid, &facts);
    let delivery = steps.expect("there is such a scenario").into_iter().find_map(|step| match step {
        Step::Send(delivery) => Some(delivery),
        _ => None,
    });
    let delivery = delivery.expect("a payment is said");
    let event: Value = serde_json::from_slice(&delivery.request.body).expect("it is JSON");
    (event["entityId"].as_str().expect("it names the payment").to_owned(), delivery.exchanges)
}

/// Has whoever waits for hints look at the time again: what anybody sends wakes him up.
async fn wake(machine: &Machine) {
    let hint = SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body: b"id=tr_nobody".to_vec(),
    };
    let answer = machine.api.deliver(&machine.demo.account, "mollie", &hint).await;
    assert_eq!(answer.expect("it answers").status, 200);
}

/// The provider knows the payment only after the first question, and nobody ever calls back.
#[tokio::test(flavor = "multi_thread")]
async fn m11_a_payment_of_which_nothing_is_heard_is_asked_about_until_it_is_paid() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(WrongClock(ManualClock::at_ms(0)));
    let mut machine = Machine::start(folder.path(), &clock).await;
    let (id, answers) = payment(&machine);
    let order = json!({
        "order_id": ORDER_ID, "amount_minor": 1_999, "currency": "EUR", "user": USER,
        "references": [format!("mollie:{id}")],
    });
    assert_eq!(machine.api.register(&order).await.status, 201);
    let file = folder.path().to_owned();
    let reminders = async || due_minutes(&reminders_in(&file));
    assert_eq!(reminders().await, [5]);

    clock.0.advance_ms(5 * MINUTE_MS + 1_000);
    wake(&machine).await;
    wait::until("the first question to be asked", reminders, |minutes| minutes == &[10]).await;
    let unpaid = machine.api.order(ORDER_ID).await.json_of(200);
    assert_eq!((&unpaid["status"], &unpaid["events"]), (&json!("created"), &json!([])));

    // What is remembered is on the disk; what comes early at a start is held back again.
    drop(machine);
    machine = Machine::start(folder.path(), &clock).await;
    wait::until("the reminder to be held back", async || held_back_in(&file), |count| *count == 1).await;
    wait::until("it to be there once", reminders, |minutes| minutes == &[10]).await;
    machine.api.put_answers(&answers).await;
    let listener = Listener::connect(&machine.api, USER).await;
    clock.0.advance_ms(5 * MINUTE_MS);
    wake(&machine).await;
    listener.wait_for(ORDER_ID, "payment.captured").await;
    let paid = machine.api.order(ORDER_ID).await.json_of(200);
    assert_eq!((&paid["status"], &paid["captured_minor"]), (&json!("paid"), &json!(1_999)), "{paid:#}");

    clock.0.advance_ms(10 * MINUTE_MS);
    wake(&machine).await;
    wait::until("the last reminder to end", reminders, |minutes| minutes.is_empty()).await;
}

fn queue_in(data: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(data.join("queue.sqlite"), flags).expect("there is a queue");
    file.busy_timeout(wait::PATIENCE).expect("it can wait");
    file
}

/// How many hints nobody receives yet.
fn held_back_in(data: &Path) -> u32 {
    let query = "SELECT count(*) FROM messages
        WHERE queue = 'hints' AND receive_count = 0 AND visible_at_ms > sent_at_ms";
    queue_in(data).query_row(query, [], |row| row.get(0)).expect("it can be counted")
}

/// The reminders in the file of the queue.
fn reminders_in(data: &Path) -> Vec<Value> {
    let file = queue_in(data);
    let mut select = file.prepare("SELECT body FROM messages WHERE queue = 'hints'").expect("it is SQL");
    let bodies = select.query_map([], |row| row.get::<_, String>(0)).expect("it can be read");
    let bodies =
        bodies.map(|body| serde_json::from_str::<Value>(&body.expect("it is a text")).expect("it is JSON"));
    bodies.filter(|body| body["kind"] == "reminder").collect()
}

/// How long after their registration they are due.
fn due_minutes(reminders: &[Value]) -> Vec<i64> {
    let seconds = |reminder: &Value, name: &str| reminder[name].as_i64().expect("it is a time");
    reminders
        .iter()
        .map(|reminder| (seconds(reminder, "due_at") - seconds(reminder, "registered_at")) / 60)
        .collect()
}
