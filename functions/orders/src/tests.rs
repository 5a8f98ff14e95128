//! Every answer of the function, with ports in memory.

mod reminders;

use paybell_shared::domain::{
    Currency, EventKind, Money, Notification, PaymentEvent, Reference, Status, Subject, SubjectKind,
};
use paybell_shared::ports::memory::{
    CountingRandom, ManualClock, MemoryAccounts, MemoryConnections, MemoryInbox, MemoryOrders, MemoryQueue,
};
use paybell_shared::ports::{Inbox as _, PortError};
use paybell_shared::refusals::REFUSALS_BURST;
use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;

#[derive(Default)]
struct World {
    accounts: Arc<MemoryAccounts>,
    orders: Arc<MemoryOrders>,
    inbox: Arc<MemoryInbox>,
    connections: Arc<MemoryConnections>,
    hints: Arc<MemoryQueue>,
    refusals: Arc<Refusals>,
    random: CountingRandom,
}

impl World {
    async fn new() -> Self {
        let world = Self::default();
        world.accounts.put_api_key("acme", &secret_sha256_hex("key")).await.unwrap();
        world
    }

    fn ports(&self) -> Ports {
        Ports {
            accounts: self.accounts.clone(),
            orders: self.orders.clone(),
            inbox: self.inbox.clone(),
            connections: self.connections.clone(),
            hints: self.hints.clone(),
            providers: Arc::default(),
            refusals: self.refusals.clone(),
        }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (i64, Value) {
        self.call_as(Some("Bearer key"), method, path, body).await
    }

    async fn call_as(&self, key: Option<&str>, method: &str, path: &str, body: &str) -> (i64, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: serde_json::Map<String, Value> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let event = json!({
            "rawPath": path, "queryStringParameters": query,
            "headers": key.map_or_else(|| json!({}), |key| json!({ "authorization": key })),
            "requestContext": {"http": {"method": method}, "timeEpoch": 0}, "body": body,
        });
        let ports = self.ports();
        let clock = ManualClock::at_ms(NOW_MS);
        let event = serde_json::from_value(event).unwrap();
        let response = handle(event, &ports, &clock, &self.random).await;
        let Some(Body::Text(text)) = response.body else { panic!("no text") };
        (response.status_code, serde_json::from_str(&text).unwrap())
    }
}

fn order() -> Value {
    json!({"order_id": "A1", "amount_minor": 1999, "currency": "EUR", "user": "ann"})
}

fn with(name: &str, value: Value) -> Value {
    let mut order = order();
    order[name] = value;
    order
}

#[tokio::test]
async fn only_a_known_key_is_let_in() {
    let world = World::new().await;
    for (key, status) in [
        (None, 401),
        (Some("Bearer"), 401),
        (Some("Bearer "), 401),
        (Some("Basic key"), 401),
        (Some("Bearer other"), 401),
        (Some("bearer key"), 404),
    ] {
        assert_eq!(world.call_as(key, "GET", "/orders/A1", "").await.0, status, "{key:?}");
    }
    world.accounts.faults.push(PortError::Transient("t".into()));
    assert_eq!(world.call("GET", "/orders/A1", "").await.0, 503);
}

/// As many wrong keys as a source may come with, and then not even the right one; another source is answered.
#[tokio::test]
async fn f19_who_guesses_at_api_keys_has_to_wait() {
    let world = World::new().await;
    let call = async |from: &str, key: &str| {
        let event = json!({
            "rawPath": "/orders/A1", "headers": {"authorization": format!("Bearer {key}")},
            "requestContext": {"http": {"method": "GET", "sourceIp": from}, "timeEpoch": 0},
        });
        let clock = ManualClock::at_ms(NOW_MS);
        let event = serde_json::from_value(event).unwrap();
        handle(event, &world.ports(), &clock, &world.random).await
    };
    for _ in 0..REFUSALS_BURST {
        assert_eq!(call("192.0.2.1", "guessed").await.status_code, 401);
    }
    let before = world.accounts.faults.calls();
    for key in ["guessed", "key"] {
        let limited = call("192.0.2.1", key).await;
        assert_eq!((limited.status_code, &limited.headers[RETRY_AFTER]), (429, &HeaderValue::from(1)));
        let Some(Body::Text(text)) = limited.body else { panic!("no text") };
        assert!(text.contains(r#""code":"limited""#), "{text}");
    }
    assert_eq!(world.accounts.faults.calls(), before, "no table is read for it");
    assert_eq!(
        call("127.0.0.1", "guessed").await.status_code,
        401,
        "a process on this machine is not limited"
    );
    // What proves itself is never counted.
    for _ in 0..2 * REFUSALS_BURST {
        assert_eq!(call("192.0.2.2", "key").await.status_code, 404);
    }
    // Nor does it wait for a worker behind the same address that still uses another key.
    for _ in 0..2 * REFUSALS_BURST {
        call("192.0.2.2", "revoked").await;
    }
    assert_eq!(call("192.0.2.2", "revoked").await.status_code, 429);
    assert_eq!(call("192.0.2.2", "key").await.status_code, 404);
}

/// What was right once and is revoked waits like any wrong key, after it was refused for the first time.
#[tokio::test]
async fn f19_a_key_that_was_revoked_has_to_wait() {
    let world = World::new().await;
    let refused = |error: &ApiError| matches!(error, ApiError::Unauthorized);
    let attempt = async |claim: &str, outcome: Result<(), ApiError>| {
        let claim = Aim::ApiKey { sha256_hex: secret_sha256_hex(claim) };
        let asked = (Some("192.0.2.1"), Some(claim));
        world.refusals.unless_limited(asked, NOW_MS, async { outcome }, refused).await
    };
    attempt("key", Ok(())).await.unwrap();
    for _ in 0..REFUSALS_BURST {
        assert!(matches!(attempt("guess", Err(ApiError::Unauthorized)).await, Err(ApiError::Unauthorized)));
    }
    attempt("key", Ok(())).await.unwrap();
    assert!(matches!(attempt("key", Err(ApiError::Failed(String::new()))).await, Err(ApiError::Failed(_))));
    attempt("key", Ok(())).await.unwrap();
    assert!(matches!(attempt("key", Err(ApiError::Unauthorized)).await, Err(ApiError::Unauthorized)));
    assert!(matches!(attempt("key", Ok(())).await, Err(ApiError::Limited(_))));
}

#[tokio::test]
async fn registering_is_idempotent_and_refuses_other_facts() {
    let world = World::new().await;
    let texts = [
        (order(), 201),
        (order(), 200),
        (with("amount_minor", json!("1999")), 200),
        (with("references", json!(["stripe:pi_1"])), 200),
        (with("amount_minor", json!(2000)), 409),
        (with("currency", json!("USD")), 409),
        (with("user", json!("bob")), 409),
        (with("expires_at", json!(1_900_000_000)), 409),
    ];
    for (body, status) in texts {
        let (got, answer) = world.call("POST", "/orders", &body.to_string()).await;
        assert_eq!(got, status, "{body} {answer}");
    }
    let (status, order) = world.call("GET", "/orders/A1", "").await;
    assert_eq!((status, &order["status"], &order["version"]), (200, &json!("created"), &json!(2)));
    assert_eq!(
        order["expected"],
        json!({"amount_minor": 1999, "currency": "EUR", "user": "ann", "expires_at": null})
    );
    assert_eq!(world.call("GET", "/users/ann/orders", "").await.1["orders"][0]["order_id"], "A1");
    assert_eq!(world.call("GET", "/orders/A1?kind=mandate", "").await.0, 404);
}

#[tokio::test]
async fn registering_ties_references_and_pulls_in_what_was_parked() {
    let world = World::new().await;
    let mut event = PaymentEvent::new(EventKind::PaymentCaptured, "stripe", "evt_1", UnixSeconds(1));
    event.references = vec![Reference::new("stripe", "pi_1")];
    world.orders.park("acme", &Reference::new("stripe", "pi_1"), &event).await.unwrap();
    let body = with("references", json!(["stripe:pi_1"])).to_string();
    let (status, order) = world.call("POST", "/orders", &body).await;
    assert_eq!((status, order["events"].as_array().unwrap().len()), (201, 1));
}

#[tokio::test]
async fn amounts_beyond_64_bits_are_exact() {
    let world = World::new().await;
    let body = r#"{"order_id":"A1","amount_minor":20000000000000000000001,"currency":"ETH","user":"ann"}"#;
    assert_eq!(world.call("POST", "/orders", body).await.0, 201);
    let stored = world.orders.all().remove(0).expected.unwrap().amount.unwrap();
    assert_eq!(stored.amount_minor(), 20_000_000_000_000_000_000_001);
}

#[tokio::test]
async fn a_bad_request_is_400_and_names_the_field() {
    let world = World::new().await;
    for (field, value) in [
        ("order_id", json!(null)),
        ("order_id", json!(" ")),
        ("order_id", json!(7)),
        ("order_id", json!("a".repeat(256))),
        ("user", json!("a\nb")),
        ("amount_minor", json!(null)),
        ("amount_minor", json!(0)),
        ("amount_minor", json!(-1)),
        ("amount_minor", json!(19.99)),
        ("amount_minor", json!("1e3")),
        ("amount_minor", json!(true)),
        ("currency", json!("XYZ")),
        ("currency", json!(null)),
        ("kind", json!("gift")),
        ("expires_at", json!("tomorrow")),
        ("references", json!("stripe:pi_1")),
        ("references", json!(["pi_1"])),
        ("references", json!([":pi_1"])),
        ("expire_at", json!(1)),
    ] {
        let (status, answer) = world.call("POST", "/orders", &with(field, value.clone()).to_string()).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!(field)), "{value} {answer}");
    }
    for body in ["", "[]", "{", r#"{"user":"a","user":"b"}"#] {
        let (status, answer) = world.call("POST", "/orders", body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("not_json")), "{body}");
    }
    assert_eq!(world.call("POST", "/orders", &" ".repeat(70_000)).await.0, 413);
    for path in ["/users/ann/orders?limit=0", "/users/ann/inbox?limit=101", "/users/ann/inbox?limit=x"] {
        assert_eq!(world.call("GET", path, "").await.1["error"]["field"], "limit", "{path}");
    }
    let long = "a".repeat(600);
    let (status, refusal) = world.call("GET", &format!("/users/ann/inbox?after={long}"), "").await;
    assert_eq!((status, &refusal["error"]["field"]), (400, &json!("after")));
    for path in [format!("/orders/{long}"), format!("/users/{long}/orders"), format!("/users/{long}/inbox")] {
        let before = world.orders.faults.calls() + world.inbox.faults.calls();
        assert_eq!(world.call("GET", &path, "").await.0, 404);
        assert_eq!(world.orders.faults.calls() + world.inbox.faults.calls(), before, "nobody is asked");
    }
    assert_eq!(world.orders.all(), []);
}

#[tokio::test]
async fn a_ticket_is_random_short_lived_and_stored_as_its_hash() {
    let world = World::new().await;
    let (status, first) = world.call("POST", "/tickets", r#"{"user":"ann"}"#).await;
    let (_, second) = world.call("POST", "/tickets", r#"{"user":"ann"}"#).await;
    assert_eq!((status, &first["expires_at"]), (201, &json!(NOW_MS / 1000 + 60)));
    assert_ne!(first["ticket"], second["ticket"]);
    let ticket = first["ticket"].as_str().unwrap();
    let now = UnixSeconds(NOW_MS / 1000);
    assert_eq!(world.connections.take_ticket(ticket, now).await.unwrap(), None);
    let holder = world.connections.take_ticket(&secret_sha256_hex(ticket), now).await.unwrap();
    assert_eq!(holder, Some(("acme".into(), "ann".into())));
    assert_eq!(world.call("POST", "/tickets", "{}").await.1["error"]["field"], "user");
}

#[tokio::test]
async fn addresses_are_decoded_and_others_do_not_exist() {
    let world = World::new().await;
    world.call("POST", "/orders", &with("order_id", json!("A/1 号")).to_string()).await;
    assert_eq!(world.call("GET", "/orders/A%2F1%20%E5%8F%B7", "").await.0, 200);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/orders/"),
        ("DELETE", "/orders/A1"),
        ("GET", "/users/ann"),
        ("POST", "/users"),
    ] {
        assert_eq!(world.call(method, path, "").await.0, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn the_inbox_is_read_page_by_page_and_its_end_again() {
    let world = World::new().await;
    let order = |id: &str| Subject { account: "acme".into(), kind: SubjectKind::Order, id: id.into() };
    for (id, age_ms) in [("old", 60_000), ("new", 10_000), ("newer", 5_000)] {
        let notification = Notification {
            id: id.into(),
            user: "ann".into(),
            subject: order(id),
            kind: "payment.captured".into(),
            amount: None,
            amount_is_cumulative: false,
            transaction_id: None,
            part_id: None,
            reason: None,
            status: Status::Paid,
        };
        world.inbox.put(&notification, NOW_MS - age_ms).await.unwrap();
    }
    let held_back = format!("{}-0", NOW_MS - 30_000);
    for (query, orders, cursor) in [
        ("limit=2", &["old", "new"][..], format!("{}-new", NOW_MS - 10_000)),
        ("limit=5", &["old", "new", "newer"], held_back.clone()),
        (&format!("after={held_back}"), &["new", "newer"], held_back.clone()),
        (&format!("after={}-old&limit=1", NOW_MS - 60_000), &["new"], format!("{}-new", NOW_MS - 10_000)),
    ] {
        let (status, page) = world.call("GET", &format!("/users/ann/inbox?{query}"), "").await;
        let told: Vec<&str> = page["notifications"]
            .as_array()
            .unwrap()
            .iter()
            .map(|told| told["order_id"].as_str().unwrap())
            .collect();
        assert_eq!((status, &told[..], &page["cursor"]), (200, orders, &json!(cursor)), "{query}");
    }
    let (_, empty) = world.call("GET", "/users/bob/inbox", "").await;
    assert_eq!(empty, json!({"notifications": [], "cursor": ""}));
}
