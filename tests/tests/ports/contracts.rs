//! What every implementation of a port must do.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use paybell_shared::callback::{Credentials, KeySet, UnixSeconds};
use paybell_shared::domain::{
    Currency, EventKind, Expectation, Money, Notification, Order, PaymentEvent, Plan, Reference, Status,
    Subject, SubjectKind,
};
use paybell_shared::ports::fold::perform;
use paybell_shared::ports::memory::{CountingRandom, ManualClock, MemoryOrders};
use paybell_shared::ports::{
    AccountStore, Connection, ConnectionStore, Inbox, OrderScan, OrderStore, OverlayOrders, Saved,
};
use serde_json::json;

fn subject(id: &str) -> Subject {
    Subject { account: "acme".into(), kind: SubjectKind::Order, id: id.into() }
}

fn money(amount_minor: i128, currency: &str) -> Money {
    Money::from_minor(amount_minor, Currency::new(currency).unwrap()).unwrap()
}

fn expectation(user: &str, amount: Money) -> Expectation {
    Expectation {
        amount: Some(amount),
        user: user.into(),
        expires_at: Some(UnixSeconds(2_000_000_000)),
        references: vec![Reference::new("stripe", "pi_1")],
    }
}

fn event(key: &str, received_at: i64) -> PaymentEvent {
    let mut event = PaymentEvent::new(EventKind::RefundSucceeded, "stripe", key, UnixSeconds(received_at));
    event.amount = Some(money(2_000_000_000_000_000_000_001, "ETH"));
    event.refund_id = Some("re_1".into());
    event.references = vec![Reference::new("stripe", "ch_1"), Reference::new("stripe", "pi#%1")];
    event
}

pub async fn accounts_are_found_by_key_and_keep_their_credentials(store: &dyn AccountStore) {
    assert_eq!(store.credentials("acme", "stripe").await.unwrap(), None);
    let fields =
        json!({"secrets": ["whsec_1"], "livemode": true, "tolerance": 300, "nothing": null, "empty": ""});
    let credentials = Credentials { key_sets: vec![KeySet::new("one", fields.as_object().unwrap().clone())] };
    store.put_credentials("acme", "stripe", &credentials).await.unwrap();
    assert_eq!(store.credentials("acme", "stripe").await.unwrap(), Some(credentials));
    assert_eq!(store.credentials("acme", "paypal").await.unwrap(), None);
    assert_eq!(store.credentials("other", "stripe").await.unwrap(), None);
    let rotated = Credentials::default();
    store.put_credentials("acme", "stripe", &rotated).await.unwrap();
    assert_eq!(store.credentials("acme", "stripe").await.unwrap(), Some(rotated));

    assert_eq!(store.account_of_api_key("aa").await.unwrap(), None);
    store.put_api_key("acme", "aa").await.unwrap();
    assert_eq!(store.account_of_api_key("aa").await.unwrap().as_deref(), Some("acme"));
    assert_eq!(store.account_of_api_key("ab").await.unwrap(), None);
}

pub async fn an_order_comes_back_as_it_was_saved(store: &dyn OrderStore) {
    let mut order = Order::new(subject("A#1%/订单"));
    assert_eq!(store.load(&order.subject).await.unwrap(), None);
    order.absorb([event("evt.1 #", 1), event("evt_2", 2)]).unwrap();
    order.updated_at_ms = 1_700_000_000_123;
    assert_eq!(store.save(&order).await.unwrap(), Saved::Yes);
    order.version = 1;
    assert_eq!(store.load(&order.subject).await.unwrap().as_ref(), Some(&order));

    order.register(expectation("李雷", money(0, "JPY"))).unwrap();
    order.mark_shared(Reference::new("stripe", "ch_1"));
    assert_eq!(store.save(&order).await.unwrap(), Saved::Yes);
    order.version = 2;
    assert_eq!(store.load(&order.subject).await.unwrap().as_ref(), Some(&order));

    let others = [
        Subject { kind: SubjectKind::Mandate, ..order.subject.clone() },
        Subject { account: "other".into(), ..order.subject.clone() },
    ];
    for other in others {
        assert_eq!(store.load(&other).await.unwrap(), None);
    }
}

pub async fn only_one_of_two_writers_of_a_version_wins(store: &dyn OrderStore) {
    let mut one = Order::new(subject("race"));
    one.absorb([event("evt_1", 1)]).unwrap();
    let mut other = Order::new(subject("race"));
    other.absorb([event("evt_2", 2)]).unwrap();
    assert_eq!(store.save(&one).await.unwrap(), Saved::Yes);
    assert_eq!(store.save(&other).await.unwrap(), Saved::LostRace);
    assert_eq!(store.save(&one).await.unwrap(), Saved::LostRace);
    let mut stored = store.load(&one.subject).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.events.len()), (1, 1));
    stored.absorb([event("evt_2", 2)]).unwrap();
    assert_eq!(store.save(&stored).await.unwrap(), Saved::Yes);
    assert_eq!(store.save(&stored).await.unwrap(), Saved::LostRace);
    let stored = store.load(&one.subject).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.events.len()), (2, 2));
}

pub async fn ties_and_parked_events_only_grow(store: &dyn OrderStore) {
    let reference = Reference::new("stripe", "ch_1");
    let nothing = store.reference("acme", &reference).await.unwrap();
    assert!(nothing.subjects.is_empty() && nothing.parked.is_empty());

    let (first, second) = (event("evt_1", 5), event("evt_2", 6));
    assert_eq!(store.park("acme", &reference, &first).await.unwrap().parked, std::slice::from_ref(&first));
    let earlier = event("evt_1", 3);
    let later = event("evt_1", 9);
    assert_eq!(
        store.park("acme", &reference, &earlier).await.unwrap().parked,
        std::slice::from_ref(&earlier)
    );
    assert_eq!(store.park("acme", &reference, &later).await.unwrap().parked, std::slice::from_ref(&earlier));

    let tied = store.tie(&reference, &subject("A1")).await.unwrap();
    assert_eq!((tied.subjects.len(), tied.parked.len()), (1, 1));
    let parked = store.park("acme", &reference, &second).await.unwrap();
    assert_eq!(parked.subjects, BTreeSet::from([subject("A1")]));
    assert_eq!(parked.parked, [earlier, second]);
    store.tie(&reference, &subject("A1")).await.unwrap();
    let tied = store.tie(&reference, &subject("B#2")).await.unwrap();
    assert_eq!(tied.subjects, BTreeSet::from([subject("A1"), subject("B#2")]));
    assert_eq!(store.reference("acme", &reference).await.unwrap(), tied);
    assert!(store.reference("other", &reference).await.unwrap().subjects.is_empty());
}

pub async fn a_users_orders_are_listed_newest_first(store: &dyn OrderStore) {
    for (id, user, updated_at_ms) in
        [("one", "ann", 10), ("two", "bob", 20), ("three", "ann", 30), ("four", "ann", 20)]
    {
        let mut order = Order::new(subject(id));
        order.register(expectation(user, money(100, "EUR"))).unwrap();
        order.updated_at_ms = updated_at_ms;
        assert_eq!(store.save(&order).await.unwrap(), Saved::Yes);
    }
    let ids = |orders: Vec<Order>| orders.into_iter().map(|order| order.subject.id).collect::<Vec<_>>();
    assert_eq!(ids(store.orders_of_user("acme", "ann", 10).await.unwrap()), ["three", "four", "one"]);
    assert_eq!(ids(store.orders_of_user("acme", "ann", 2).await.unwrap()), ["three", "four"]);
    assert_eq!(ids(store.orders_of_user("acme", "eve", 10).await.unwrap()), [""; 0]);
    assert_eq!(ids(store.orders_of_user("other", "ann", 10).await.unwrap()), [""; 0]);
}

pub async fn orders_are_found_by_the_time_of_their_last_change(store: &dyn OrderStore, scan: &dyn OrderScan) {
    for (id, updated_at_ms) in [("one", 10), ("t#wo%", 20), ("three", 30)] {
        let order = Order { updated_at_ms, ..Order::new(subject(id)) };
        assert_eq!(store.save(&order).await.unwrap(), Saved::Yes);
    }
    store.tie(&Reference::new("stripe", "ch_1"), &subject("three")).await.unwrap();
    for (since_ms, expected) in [(0, &["one", "t#wo%", "three"][..]), (20, &["t#wo%", "three"]), (31, &[])] {
        let found = BTreeSet::from_iter(scan.updated_since(since_ms).await.unwrap());
        assert_eq!(found, expected.iter().map(|id| subject(id)).collect(), "{since_ms}");
    }
}

pub async fn an_overlay_adds_to_what_lies_below(below: Arc<MemoryOrders>) {
    let reference = Reference::new("stripe", "ch_1");
    let mut order = Order::new(subject("A1"));
    order.register(expectation("ann", money(5, "EUR"))).unwrap();
    below.save(&order).await.unwrap();
    below.park("acme", &reference, &event("evt_1", 5)).await.unwrap();
    below.tie(&reference, &subject("A1")).await.unwrap();
    let writes = below.writes();

    let overlay = OverlayOrders::over(below.clone());
    let stored = overlay.load(&order.subject).await.unwrap().unwrap();
    let parked = overlay.park("acme", &reference, &event("evt_1", 3)).await.unwrap();
    assert_eq!(parked.parked, [event("evt_1", 3)], "the smaller reading stays");
    assert_eq!(parked.subjects, BTreeSet::from([subject("A1")]));
    let tied = overlay.tie(&reference, &subject("B2")).await.unwrap();
    assert_eq!((tied.subjects.len(), tied.parked.len()), (2, 1));
    assert_eq!(overlay.save(&order).await.unwrap(), Saved::LostRace, "it is stored below");
    let mut changed = stored.clone();
    changed.absorb([event("evt_2", 2)]).unwrap();
    assert_eq!(overlay.save(&changed).await.unwrap(), Saved::Yes);
    assert_eq!(overlay.load(&order.subject).await.unwrap().unwrap().events.len(), 1);
    assert_eq!(overlay.orders_of_user("acme", "ann", 10).await.unwrap()[0].events.len(), 1);
    let changes = overlay.take_changes();
    assert_eq!((changes.len(), &changes[0].old, changes[0].new.version), (1, &Some(stored), 2));
    assert_eq!(overlay.take_changes(), []);

    assert_eq!(below.writes(), writes);
    assert_eq!(below.load(&order.subject).await.unwrap().unwrap().events.len(), 0);
    assert_eq!(below.reference("acme", &reference).await.unwrap().parked, [event("evt_1", 5)]);
}

/// A refund that names only a charge waits under it, and joins the order with the payment that names both.
pub async fn a_plan_finds_parked_events_when_the_tie_is_learned(store: &dyn OrderStore) {
    let (clock, random) = (ManualClock::at_ms(1_000), CountingRandom::default());
    for plan in Plan::group("acme", [event("evt_refund", 1)]) {
        assert_eq!(perform(store, &plan, &clock, &random).await.unwrap().written, 0);
    }
    let mut paid = PaymentEvent::new(EventKind::PaymentCaptured, "stripe", "evt_paid", UnixSeconds(2));
    paid.subject_id = Some("A1".into());
    paid.references = vec![Reference::new("stripe", "ch_1")];
    let plans = Plan::group("acme", [paid]);
    assert_eq!(perform(store, &plans[0], &clock, &random).await.unwrap().written, 1);
    let order = store.load(&subject("A1")).await.unwrap().unwrap();
    assert_eq!(order.events.len(), 2);
    assert_eq!((order.version, order.updated_at_ms), (1, 1_000));
    // The other reference that the refund names has been tied with it.
    let other = store.reference("acme", &Reference::new("stripe", "pi#%1")).await.unwrap();
    assert_eq!(other.subjects, BTreeSet::from([subject("A1")]));
    assert_eq!(perform(store, &plans[0], &clock, &random).await.unwrap().written, 0);
    let plan = Plan::registration(subject("A1"), expectation("ann", money(5, "EUR")));
    let done = perform(store, &plan, &clock, &random).await.unwrap();
    assert!(!done.was_registered);
    assert_eq!(done.home.map(|order| (order.version, order.updated_at_ms)), Some((2, 1_001)));
    assert!(perform(store, &plan, &clock, &random).await.unwrap().was_registered);
}

fn notification(id: &str, user: &str) -> Notification {
    Notification {
        id: id.into(),
        user: user.into(),
        subject: subject("A1"),
        kind: "payment.captured".into(),
        amount: Some(money(2_000_000_000_000_000_000_001, "ETH")),
        amount_is_cumulative: false,
        transaction_id: Some("pi_1".into()),
        part_id: None,
        reason: None,
        status: Status::Paid,
    }
}

pub async fn a_notification_is_there_once_and_read_in_order(inbox: &dyn Inbox) {
    for (now_ms, cursor) in [
        (1_699_999_960_000, "1699999960000-b"),
        (1_700_000_000_000, "1700000000000-b"),
        (1_700_000_000_000, "1700000000000-b"),
        (1_699_999_990_000, "1700000000000-b"),
    ] {
        let entry = inbox.put(&notification("b", "ann"), now_ms).await.unwrap();
        assert_eq!(entry.cursor, cursor, "it has the place of its last writing");
        assert_eq!(entry.notification, notification("b", "ann"));
        assert_eq!(inbox.after("acme", "ann", "", 10).await.unwrap(), [entry]);
    }
    let first = inbox.put(&notification("b", "ann"), 1_700_000_000_000).await.unwrap();
    let second = inbox.put(&notification("a", "ann"), 1_700_000_000_001).await.unwrap();
    let third = inbox.put(&notification("c", "ann"), 1_700_000_000_001).await.unwrap();
    inbox.put(&notification("d", "bob"), 1_700_000_000_002).await.unwrap();

    let all = [first.clone(), second.clone(), third.clone()];
    assert_eq!(inbox.after("acme", "ann", "", 10).await.unwrap(), all);
    assert_eq!(inbox.after("acme", "ann", "", 2).await.unwrap(), all[..2]);
    assert_eq!(inbox.after("acme", "ann", &first.cursor, 10).await.unwrap(), all[1..]);
    assert_eq!(inbox.after("acme", "ann", "1700000000001", 10).await.unwrap(), all[1..]);
    assert_eq!(inbox.after("acme", "ann", &third.cursor, 10).await.unwrap(), []);
    assert_eq!(inbox.after("other", "ann", "", 10).await.unwrap(), []);
}

pub async fn a_ticket_opens_once_and_only_in_time(store: &dyn ConnectionStore) {
    let holder = Some(("acme".to_owned(), "ann".to_owned()));
    for (hash, taken_at, opens) in [("t1", 159, true), ("t2", 160, false), ("t3", 100, true)] {
        store.put_ticket(hash, "acme", "ann", UnixSeconds(160)).await.unwrap();
        let expected = if opens { holder.clone() } else { None };
        assert_eq!(store.take_ticket(hash, UnixSeconds(taken_at)).await.unwrap(), expected, "{hash}");
        assert_eq!(store.take_ticket(hash, UnixSeconds(taken_at)).await.unwrap(), None, "{hash} again");
    }
    assert_eq!(store.take_ticket("unknown", UnixSeconds(1)).await.unwrap(), None);
}

pub async fn of_many_who_take_a_ticket_at_once_one_opens(store: &dyn ConnectionStore) {
    const DEVICES: usize = 16;
    for round in 0..4 {
        let hash = format!("raced-{round}");
        store.put_ticket(&hash, "acme", "ann", UnixSeconds(160)).await.unwrap();
        let takes = join_all((0..DEVICES).map(|_| store.take_ticket(&hash, UnixSeconds(100)))).await;
        let opened: Vec<_> = takes.into_iter().filter_map(|taken| taken.unwrap()).collect();
        assert_eq!(opened, [("acme".to_owned(), "ann".to_owned())], "round {round}");
    }
}

/// Pairs of accounts and users, or other names, that a careless key would make the same.
const LOOKALIKES: [(&str, &str); 8] = [
    ("a", "b#c"),
    ("a#b", "c"),
    ("a%23b", "c"),
    ("a", "b%23c"),
    ("a", "#"),
    ("a#", ".."),
    ("..", "a"),
    ("\u{8d26}\u{6237}", "\u{202e}a\u{0}"),
];

/// The same order, reference and event in accounts of all kinds of names.
pub async fn orders_of_different_accounts_never_meet(store: &dyn OrderStore) {
    let reference = Reference::new("stripe", "ch_1");
    for (place, (account, name)) in LOOKALIKES.into_iter().enumerate() {
        for id in [name.to_owned(), format!("{name}#order")] {
            let subject = Subject { account: account.into(), kind: SubjectKind::Order, id };
            if store.load(&subject).await.unwrap().is_some() {
                panic!("{subject:?} is there before it was saved")
            }
            let mut order = Order::new(subject.clone());
            order.register(expectation(name, money(place as i128 + 1, "EUR"))).unwrap();
            assert_eq!(store.save(&order).await.unwrap(), Saved::Yes, "{subject:?}");
        }
        assert_eq!(store.reference(account, &reference).await.unwrap(), Default::default(), "{account:?}");
    }
    for (place, (account, name)) in LOOKALIKES.into_iter().enumerate() {
        let own = Subject { account: account.into(), kind: SubjectKind::Order, id: name.into() };
        store.tie(&Reference::new("stripe", name), &own).await.unwrap();
        let parked = store.park(account, &Reference::new("paypal", name), &event("evt_1", 1)).await.unwrap();
        assert_eq!((parked.subjects.len(), parked.parked.len()), (0, 1), "{account:?}");
        let tied = store.reference(account, &Reference::new("stripe", name)).await.unwrap();
        assert_eq!(tied.subjects, BTreeSet::from([own]), "{account:?}");
        let orders = store.orders_of_user(account, name, 10).await.unwrap();
        let amounts: Vec<_> = orders.iter().filter_map(|order| order.expected.clone()?.amount).collect();
        let own = money(place as i128 + 1, "EUR");
        assert_eq!(amounts, [own.clone(), own], "{account:?} {name:?}");
        assert!(orders.iter().all(|order| order.subject.account == account), "{account:?}");
    }
}

/// The same notification for the same user in accounts of all kinds of names.
pub async fn inboxes_of_different_accounts_never_meet(inbox: &dyn Inbox) {
    for (place, (account, user)) in LOOKALIKES.into_iter().enumerate() {
        let mut told = notification("same", user);
        told.subject.account = account.into();
        told.amount = Some(money(place as i128 + 1, "EUR"));
        let entry = inbox.put(&told, 1_700_000_000_000).await.unwrap();
        assert_eq!(entry.notification, told, "{account:?} {user:?}");
    }
    for (place, (account, user)) in LOOKALIKES.into_iter().enumerate() {
        let entries = inbox.after(account, user, "", 10).await.unwrap();
        let amounts: Vec<_> = entries.into_iter().map(|entry| entry.notification.amount).collect();
        assert_eq!(amounts, [Some(money(place as i128 + 1, "EUR"))], "{account:?} {user:?}");
    }
}

pub async fn connections_of_different_accounts_never_meet(store: &dyn ConnectionStore) {
    let connections = LOOKALIKES.iter().enumerate().map(|(place, (account, user))| Connection {
        id: format!("c{place}"),
        account: (*account).into(),
        user: (*user).into(),
    });
    let connections: Vec<Connection> = connections.collect();
    for connection in &connections {
        store.put(connection, UnixSeconds(100)).await.unwrap();
    }
    for connection in connections {
        let found = store.of_user(&connection.account, &connection.user).await.unwrap();
        assert_eq!(found, [connection]);
    }
}

pub async fn credentials_of_different_accounts_never_meet(store: &dyn AccountStore) {
    let credentials = |place: usize| {
        let fields = json!({ "secret": format!("of {place}") });
        Credentials { key_sets: vec![KeySet::new("one", fields.as_object().unwrap().clone())] }
    };
    for (place, (account, provider)) in LOOKALIKES.into_iter().enumerate() {
        store.put_credentials(account, provider, &credentials(place)).await.unwrap();
    }
    for (place, (account, provider)) in LOOKALIKES.into_iter().enumerate() {
        let found = store.credentials(account, provider).await.unwrap();
        assert_eq!(found, Some(credentials(place)), "{account:?} {provider:?}");
    }
}

pub async fn connections_are_found_by_id_and_by_user(store: &dyn ConnectionStore) {
    let connection =
        |id: &str, user: &str| Connection { id: id.into(), account: "acme".into(), user: user.into() };
    let (one, two, other) = (connection("c1=", "ann"), connection("c2=", "ann"), connection("c3=", "bob"));
    for each in [&one, &two, &other] {
        assert_eq!(store.find(&each.id).await.unwrap(), None);
        store.put(each, UnixSeconds(100)).await.unwrap();
        assert_eq!(store.find(&each.id).await.unwrap().as_ref(), Some(each));
    }
    assert_eq!(store.of_user("acme", "ann").await.unwrap(), [one.clone(), two.clone()]);
    store.delete(&one).await.unwrap();
    store.delete(&one).await.unwrap();
    assert_eq!(store.find(&one.id).await.unwrap(), None);
    assert_eq!(store.of_user("acme", "ann").await.unwrap(), [two]);
    assert_eq!(store.of_user("acme", "bob").await.unwrap(), [other]);
    assert_eq!(store.of_user("acme", "eve").await.unwrap(), []);
}
