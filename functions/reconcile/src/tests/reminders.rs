//! What becomes of reminders: payments that no callback mentions.

use paybell_shared::domain::{
    EventKind, Expectation, Money, Order, PaymentEvent, Reference, Reminder, Subject, SubjectKind,
};
use paybell_shared::ports::OrderStore as _;

use super::*;

const MINUTE: i64 = 60;

fn subject() -> Subject {
    Subject { account: "acme".to_owned(), kind: SubjectKind::Order, id: "A1".to_owned() }
}

fn expectation() -> Expectation {
    let euro = paybell_shared::domain::Currency::new("EUR").unwrap();
    Expectation {
        amount: Some(Money::from_minor(1_999, euro).unwrap()),
        user: "ann".to_owned(),
        expires_at: None,
        references: Vec::new(),
    }
}

/// The reminder of what was registered now.
fn first(reference: &str) -> Reminder {
    Reminder::first(subject(), Reference(reference.to_owned()), &expectation(), NOW)
}

fn message(reminder: &Reminder) -> String {
    QueuedHint::message_of(reminder)
}

impl World {
    /// A world in which the order waits for its money.
    async fn with_order() -> Self {
        let world = Self::new().await;
        world.order_with(&[]).await;
        world
    }

    /// Stores the order with these events.
    async fn order_with(&self, events: &[PaymentEvent]) {
        let mut order = self.orders.load(&subject()).await.unwrap().unwrap_or_else(|| Order::new(subject()));
        order.register(expectation()).unwrap();
        order.absorb(events.iter().cloned()).unwrap();
        self.orders.save(&order).await.unwrap();
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1_000);
    }

    /// The reminders in the queue, each with the minutes from the registration to its next question, and the seconds
    /// that the queue holds it back.
    fn reminders(&self) -> Vec<(i64, u32)> {
        let read = |message: &String| match QueuedHint::from_queue(message) {
            Ok(QueuedHint::Reminder(reminder)) => (reminder.due_at.0 - NOW.0) / MINUTE,
            other => panic!("{other:?}"),
        };
        self.hints.messages().iter().map(read).zip(self.hints.delays_seconds()).collect()
    }

    /// Handles reminders as messages that must be done.
    async fn remind(&self, reminder: &Reminder) {
        assert_eq!(self.handle_late(&[("m1", message(reminder))]).await, [""; 0]);
    }

    /// As [`World::handle`], with time left at whatever o'clock it is.
    async fn handle_late(&self, messages: &[(&str, String)]) -> Vec<String> {
        self.handle_until(messages, self.clock.now_ms() + 30_000).await
    }
}

#[tokio::test]
async fn m11_what_is_not_due_goes_through_the_queue_again_and_asks_and_reads_nothing() {
    let world = World::with_order().await;
    let reads = world.orders.faults.calls();
    let later = Reminder { due_at: UnixSeconds(NOW.0 + 40 * MINUTE), ..first("open:tr_1") };
    world.remind(&first("open:tr_1")).await;
    world.remind(&later).await;
    world.pass(26 * MINUTE);
    world.remind(&later).await;
    assert_eq!(world.reminders(), [(5, 300), (40, 900), (40, 840)]);
    assert_eq!((world.asked(), world.orders.faults.calls()), (Vec::new(), reads));
}

#[tokio::test]
async fn m11_what_is_due_is_asked_and_comes_again_until_its_time_is_up() {
    let world = World::with_order().await;
    world.answers(TR_1, [(200, json!({"id": "tr_1", "status": "open"})), (200, paid("tr_1"))]);
    let reminder = first("open:tr_1");
    world.pass(5 * MINUTE);
    world.remind(&reminder).await;
    assert_eq!(world.reminders(), [(10, 300)]);
    assert_eq!((world.asked(), world.told()), (vec![TR_1.to_owned()], Vec::new()), "it is not paid yet");
    world.pass(5 * MINUTE);
    world.remind(&reminder.next(UnixSeconds(NOW.0 + 5 * MINUTE)).unwrap()).await;
    assert_eq!(
        (world.reminders()[1], world.told()),
        ((20, 600), vec!["A1 payment.captured 19.99 EUR".to_owned()])
    );

    let last = Reminder { due_at: reminder.ends_at, ..reminder };
    world.pass(24 * 60 * MINUTE);
    world.remind(&last).await;
    assert_eq!(
        (world.reminders().len(), world.asked().len()),
        (2, 3),
        "the last question is asked, and no other"
    );
}

#[tokio::test]
async fn m11_nobody_is_asked_about_an_order_that_has_come_to_its_end_or_is_gone() {
    let event = |kind, transaction_id: &str| {
        let mut event = PaymentEvent::new(kind, "open", transaction_id, NOW);
        event.transaction_id = Some(transaction_id.to_owned());
        event.amount = expectation().amount;
        event
    };
    let table = [
        (Some(vec![]), true),
        (Some(vec![event(EventKind::PaymentAuthorized, "tr_1")]), true),
        (Some(vec![event(EventKind::PaymentCancelled, "tr_2")]), true),
        (Some(vec![event(EventKind::PaymentCancelled, "tr_1")]), false),
        (Some(vec![event(EventKind::PaymentCaptured, "tr_2")]), false),
        (None, false),
    ];
    for (events, is_asked) in table {
        let world = World::new().await;
        if let Some(events) = &events {
            world.order_with(events).await;
        }
        world.pass(5 * MINUTE);
        world.remind(&first("open:tr_1")).await;
        let went_on = (world.asked().len(), world.reminders().len());
        assert_eq!(went_on, if is_asked { (1, 1) } else { (0, 0) }, "{events:?}");
    }
}

#[tokio::test]
async fn m11_every_answer_to_a_reminder_has_its_fate() {
    let other = json!({"id": "tr_2", "status": "paid", "order": "A1", "amount": "19.99"});
    // Status and body; what comes of the message, and whether there is another reminder.
    let table = [
        (200, paid("tr_1"), "done", true),
        (200, json!({"id": "tr_1", "status": "open"}), "done", true),
        // It is not there yet, however the provider says so.
        (404, json!({}), "done", true),
        (410, json!({}), "done", true),
        (200, json!({"error": "unknown"}), "done", true),
        (200, other, "set aside", false),
        (401, json!({}), "set aside", false),
        (422, json!({}), "set aside", false),
        (429, json!({}), "again", false),
        (503, json!({}), "again", false),
    ];
    for (status, body, expected, goes_on) in table {
        let world = World::with_order().await;
        world.answers(TR_1, [(status, body.clone())]);
        world.pass(5 * MINUTE);
        let reminder = message(&first("open:tr_1"));
        let again = world.handle_late(&[("m1", reminder.clone())]).await;
        let got = match (again.len(), world.hints.dead_letters()) {
            (0, letters) if letters.is_empty() => "done",
            (0, letters) if letters == [reminder] => "set aside",
            (1, letters) if letters.is_empty() => "again",
            other => panic!("{status} {body}: {other:?}"),
        };
        assert_eq!((got, !world.reminders().is_empty()), (expected, goes_on), "{status} {body}");
    }
}

/// Whatever stops between the answer and the end of the message: it comes again, and what it does twice is harmless.
#[tokio::test]
async fn m11_a_reminder_that_comes_again_is_harmless_and_none_is_lost() {
    for fault in ["orders", "accounts", "callbacks", "hints"] {
        let world = World::with_order().await;
        world.answers(TR_1, [(200, paid("tr_1"))]);
        world.pass(5 * MINUTE);
        let throttled = PortError::Transient("throttled".into());
        match fault {
            "orders" => world.orders.faults.push(throttled),
            "accounts" => world.accounts.faults.push(throttled),
            "callbacks" => world.callbacks.faults.push(throttled),
            // The answer is stored, and the next reminder is not.
            _ => world.hints.faults.push(throttled),
        }
        let reminder = [("m1", message(&first("open:tr_1")))];
        assert_eq!(world.handle_late(&reminder).await, ["m1"], "{fault}: it comes again");
        assert_eq!(world.reminders(), [], "{fault}");
        world.pass(3);
        assert_eq!(world.handle_late(&reminder).await, [""; 0], "{fault}");
        assert_eq!(world.reminders(), [(10, 297)], "{fault}");
        let answers = world.told();
        assert!(!answers.is_empty() && answers.iter().all(|told| *told == "A1 payment.captured 19.99 EUR"));
    }

    let world = World::with_order().await;
    world.answers(TR_1, [(200, paid("tr_1"))]);
    world.pass(5 * MINUTE + 3);
    let twice = ["m1", "m2"].map(|id| (id, message(&first("open:tr_1"))));
    assert_eq!(world.handle_late(&twice).await, [""; 0]);
    assert_eq!(world.handle_late(&twice[..1]).await, [""; 0], "the answer is younger than what was due");
    assert_eq!(world.asked().len(), 1, "it is asked once");
    assert_eq!(world.reminders(), [(10, 297); 3]);
}

#[tokio::test]
async fn m11_a_reminder_and_a_hint_of_one_payment_share_their_question_and_each_has_its_own_end() {
    let world = World::with_order().await;
    world.pass(5 * MINUTE);
    let batch = [("hint", world.hint("tr_1")), ("reminder", message(&first("open:tr_1")))];
    assert_eq!(world.handle_late(&batch).await, [""; 0]);
    assert_eq!((world.asked().len(), world.hints.dead_letters().len()), (1, 0));
    assert_eq!(
        world.reminders(),
        [(10, 300)],
        "the provider knows nothing of it yet, and the hint is dropped"
    );
}

#[tokio::test]
async fn m11_reminders_that_cannot_be_asked_are_seen_and_say_what_they_would_ask() {
    let world = World::with_order().await;
    world.use_keys("listing", json!({"secret": "s"})).await;
    world.pass(5 * MINUTE);
    let of_another = Subject { account: "another".to_owned(), ..subject() };
    world
        .orders
        .save(&Order { expected: Some(expectation()), ..Order::new(of_another.clone()) })
        .await
        .unwrap();
    let letters = [
        first("open:org_1"),
        first("open:tr_1/../2"),
        first("stripe:pi_1"),
        first("nobody:1"),
        first("1"),
        first("listing:PM1"),
        Reminder { subject: of_another, ..first("open:tr_1") },
    ]
    .map(|reminder| message(&reminder));
    let batch: Vec<(&str, String)> = letters.iter().map(|letter| ("m", letter.clone())).collect();
    assert_eq!(world.handle_late(&batch).await, [""; 0]);
    assert_eq!(world.hints.dead_letters(), letters);
    assert_eq!((world.asked(), world.reminders()), (Vec::new(), Vec::new()));

    let Ports { accounts, providers, .. } = &world.ports;
    for letter in &letters {
        assert!(questions(letter, &**accounts, providers).await.is_err());
    }
    world.use_keys("listing", json!({"secret": "s", "token": "t"})).await;
    for (reference, url) in [("open:tr_1", TR_1), ("listing:PM1", "https://api.listing.example/payments/PM1")]
    {
        let asked = questions(&message(&first(reference)), &**accounts, providers).await.unwrap();
        assert_eq!(asked.into_iter().map(|request| request.url).collect::<Vec<_>>(), [url]);
        world.remind(&first(reference)).await;
    }
    assert_eq!(world.asked(), [TR_1, "https://api.listing.example/payments/PM1"]);
}
