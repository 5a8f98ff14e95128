//! What is kept about a payment that a merchant names, in case that nobody else ever does.

use paybell_shared::ports::QueuedHint;

use super::*;

impl World {
    /// The references of the reminders in the queue, with the seconds that it holds each back.
    fn reminders(&self) -> Vec<(String, u32)> {
        let read = |message: &String| match QueuedHint::from_queue(message) {
            Ok(QueuedHint::Reminder(reminder)) => {
                assert_eq!((reminder.subject.account.as_str(), reminder.subject.id.as_str()), ("acme", "A1"));
                assert_eq!(reminder.registered_at.0, NOW_MS / 1000);
                reminder.reference.0
            }
            other => panic!("{other:?}"),
        };
        let mut reminders: Vec<(String, u32)> =
            self.hints.messages().iter().map(read).zip(self.hints.delays_seconds()).collect();
        reminders.sort();
        reminders
    }
}

#[tokio::test]
async fn m11_a_payment_that_can_be_asked_about_is_remembered_and_no_other() {
    let long = format!("mollie:tr_{}", "1".repeat(200));
    for (references, expected) in [
        (json!([]), vec![]),
        (json!(["mollie:tr_1"]), vec!["mollie:tr_1"]),
        (json!(["mollie:tr_1", "stripe:pi_1", "gocardless:PM1"]), vec!["gocardless:PM1", "mollie:tr_1"]),
        // Nobody to ask, no payment's id, or one that could lead to another address.
        (json!(["stripe:pi_1", "nobody:tr_1", "address:TRON:T1", "btcpay:1"]), vec![]),
        (json!(["mollie:ord_1", "mollie:tr_1/..", "mollie:tr_1\\", "revolut:..", "gocardless:MD1"]), vec![]),
        (json!([long]), vec![]),
    ] {
        let world = World::new().await;
        let body = with("references", references.clone()).to_string();
        assert_eq!(world.call("POST", "/orders", &body).await.0, 201, "{references}");
        let expected: Vec<(String, u32)> = expected.into_iter().map(|it| (it.to_owned(), 300)).collect();
        assert_eq!(world.reminders(), expected, "{references}");
    }
    let world = World::new().await;
    let mandate = json!({"order_id": "A1", "kind": "mandate", "user": "ann", "references": ["mollie:tr_1"]});
    assert_eq!(world.call("POST", "/orders", &mandate.to_string()).await.0, 201);
    assert_eq!(world.reminders(), [], "only orders are paid");
}

#[tokio::test]
async fn m11_a_reminder_is_kept_before_the_answer_and_a_registration_that_failed_makes_up_for_it() {
    let world = World::new().await;
    let body = with("references", json!(["mollie:tr_1"])).to_string();
    world.hints.faults.push(PortError::Transient("throttled".into()));
    let (status, answer) = world.call("POST", "/orders", &body).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("unavailable")));
    assert_eq!((world.reminders(), world.orders.all().len()), (Vec::new(), 1), "the order is stored first");
    assert_eq!(world.call("POST", "/orders", &body).await.0, 200);
    assert_eq!(world.reminders(), [("mollie:tr_1".to_owned(), 300)]);
    // Nothing is remembered of a registration that is refused.
    let other = json!({"order_id": "A1", "amount_minor": 7, "currency": "EUR", "user": "ann", "references": ["mollie:tr_1"]});
    assert_eq!(world.call("POST", "/orders", &other.to_string()).await.0, 409);
    assert_eq!(world.reminders().len(), 1);
}

#[tokio::test]
async fn m11_nothing_is_remembered_of_an_order_whose_money_is_there_already() {
    for (kind, expected) in [(EventKind::PaymentCaptured, 0), (EventKind::PaymentPending, 1)] {
        let world = World::new().await;
        let reference = Reference::new("mollie", "tr_1");
        let mut event = PaymentEvent::new(kind, "mollie", "evt_1", UnixSeconds(1));
        event.transaction_id = Some("tr_1".to_owned());
        event.amount = Some(Money::from_minor(1_999, Currency::new("EUR").unwrap()).unwrap());
        event.references = vec![reference.clone()];
        world.orders.park("acme", &reference, &event).await.unwrap();
        let body = with("references", json!(["mollie:tr_1"])).to_string();
        assert_eq!(world.call("POST", "/orders", &body).await.0, 201);
        assert_eq!(world.reminders().len(), expected, "{kind:?}");
    }
}
