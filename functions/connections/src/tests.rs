//! Every answer of the function, with ports in memory.

use paybell_shared::domain::{Notification, Status, Subject, SubjectKind};
use paybell_shared::ports::memory::{MemoryConnections, MemoryInbox, MemoryPusher};
use paybell_shared::refusals::REFUSALS_BURST;
use serde_json::{Value, json};
use std::time::Duration;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const NOW_MS: i64 = NOW.0 * 1000;

#[derive(Default)]
struct World {
    inbox: Arc<MemoryInbox>,
    connections: Arc<MemoryConnections>,
    pusher: Arc<MemoryPusher>,
    refusals: Arc<Refusals>,
}

impl World {
    async fn with_connection() -> Self {
        let world = Self::default();
        let connection = Connection { id: "c1".into(), account: "acme".into(), user: "ann".into() };
        world.connections.put(&connection, NOW).await.unwrap();
        world
    }

    async fn handle(&self, event: Value) -> i64 {
        handle(serde_json::from_value(event).unwrap(), &self.ports(), NOW).await.status_code
    }

    fn ports(&self) -> Ports {
        Ports {
            inbox: self.inbox.clone(),
            connections: self.connections.clone(),
            pusher: self.pusher.clone(),
            refusals: self.refusals.clone(),
        }
    }

    async fn connect(&self, query: Value) -> i64 {
        self.handle(event("c1", "$connect", query, Value::Null)).await
    }

    async fn say(&self, body: &str) -> i64 {
        self.handle(event("c1", "$default", Value::Null, json!(body))).await
    }

    async fn write(&self, id: &str, user: &str, written_at_ms: i64) {
        let notification = Notification {
            id: id.into(),
            user: user.into(),
            subject: Subject { account: "acme".into(), kind: SubjectKind::Order, id: "A1".into() },
            kind: "payment.captured".into(),
            amount: None,
            amount_is_cumulative: false,
            transaction_id: None,
            part_id: None,
            reason: None,
            status: Status::Paid,
        };
        self.inbox.put(&notification, written_at_ms).await.unwrap();
    }

    /// The messages to the connection: the ids of notifications, and the other messages whole.
    fn received(&self) -> Vec<Value> {
        let messages = self.pusher.pushed().into_iter().map(|(connection_id, text)| {
            assert_eq!(connection_id, "c1");
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == "notification" { message["id"].clone() } else { message }
        });
        messages.collect()
    }
}

fn event(id: &str, route: &str, query: Value, body: Value) -> Value {
    json!({
        "requestContext": {
            "routeKey": route, "connectionId": id, "connectedAt": 0, "requestTimeEpoch": 0, "messageId": null,
        },
        "queryStringParameters": query,
        "body": body,
    })
}

#[tokio::test]
async fn a_ticket_opens_one_connection_within_its_minute() {
    let world = World::default();
    let hash = secret_sha256_hex("good");
    world.connections.put_ticket(&hash, "acme", "ann", UnixSeconds(NOW.0 + 60)).await.unwrap();
    let late = secret_sha256_hex("late");
    world.connections.put_ticket(&late, "acme", "ann", NOW).await.unwrap();
    let long = "a".repeat(500);
    for (query, status) in [
        (Value::Null, 401),
        (json!({"ticket": ""}), 401),
        (json!({"ticket": "unknown"}), 401),
        (json!({ "ticket": long }), 401),
        (json!({ "ticket": hash }), 401),
        (json!({"ticket": "late"}), 401),
        (json!({"ticket": "good"}), 200),
        (json!({"ticket": "good"}), 401),
    ] {
        assert_eq!(world.connect(query.clone()).await, status, "{query}");
    }
    let connection = world.connections.find("c1").await.unwrap().unwrap();
    assert_eq!((connection.account.as_str(), connection.user.as_str()), ("acme", "ann"));
    assert_eq!(world.handle(event("c1", "$disconnect", Value::Null, Value::Null)).await, 200);
    assert_eq!(world.connections.find("c1").await.unwrap(), None);
    assert_eq!(world.handle(event("c1", "$disconnect", Value::Null, Value::Null)).await, 200);
}

#[tokio::test]
async fn s9_a_user_has_so_many_connections_and_the_oldest_makes_room() {
    let world = World::default();
    let ticket = async |user: &str, number: usize| {
        let hash = secret_sha256_hex(&format!("{user}{number}"));
        world.connections.put_ticket(&hash, "acme", user, UnixSeconds(NOW.0 + 60)).await.unwrap();
        json!({"ticket": format!("{user}{number}")})
    };
    let other = ticket("bob", 0).await;
    assert_eq!(world.handle(event("of-bob", "$connect", other, Value::Null)).await, 200);
    for number in 0..CONNECTIONS_OF_USER_MAX + 3 {
        let query = ticket("ann", number).await;
        let id = format!("c{number:02}");
        assert_eq!(world.handle(event(&id, "$connect", query, Value::Null)).await, 200);
    }
    let open = world.connections.of_user("acme", "ann").await.unwrap();
    let ids: Vec<&str> = open.iter().map(|connection| connection.id.as_str()).collect();
    assert_eq!(ids.len(), CONNECTIONS_OF_USER_MAX);
    assert_eq!((ids[0], *ids.last().unwrap()), ("c03", "c34"));
    for cut in ["c00", "c01", "c02"] {
        assert_eq!(world.pusher.push(cut, "x").await.unwrap(), Pushed::Gone, "{cut} is closed");
    }
    assert_eq!(world.pusher.push("c03", "x").await.unwrap(), Pushed::Yes);
    assert_eq!(world.connections.of_user("acme", "bob").await.unwrap().len(), 1);
}

/// As many wrong tickets as a source may come with, and then not even a good one; another source is let in.
#[tokio::test]
async fn f19_who_guesses_at_tickets_has_to_wait() {
    let world = World::default();
    let hash = secret_sha256_hex("good");
    world.connections.put_ticket(&hash, "acme", "ann", UnixSeconds(NOW.0 + 60)).await.unwrap();
    let connect = async |from: &str, ticket: &str| {
        let mut event = event("c1", "$connect", json!({ "ticket": ticket }), Value::Null);
        event["requestContext"]["identity"] = json!({ "sourceIp": from });
        world.handle(event).await
    };
    for _ in 0..REFUSALS_BURST {
        assert_eq!(connect("192.0.2.1", "guessed").await, 401);
    }
    let before = world.connections.faults.calls();
    assert_eq!(connect("192.0.2.1", "guessed").await, 429);
    assert_eq!(connect("192.0.2.1", "good").await, 429);
    assert_eq!(world.connections.faults.calls(), before, "no table is read for it");
    assert_eq!(connect("127.0.0.1", "guessed").await, 401, "a process on this machine is not limited");
    assert_eq!(connect("192.0.2.2", "good").await, 200);
}

#[tokio::test]
async fn resume_replays_from_the_cursor_with_an_overlap_and_then_says_so() {
    let world = World::with_connection().await;
    world.write("old", "ann", NOW_MS - 60_000).await;
    world.write("seen", "ann", NOW_MS - 29_000).await;
    world.write("new", "ann", NOW_MS + 1).await;
    world.write("other", "bob", NOW_MS + 1).await;
    let newest = format!("{}-new", NOW_MS + 1);
    let cursor = format!("{NOW_MS}-x");
    let resumed = |count| json!({"type": "resumed", "cursor": newest, "count": count});
    for (body, replayed) in [
        (json!({"action": "resume", "cursor": ""}), vec!["old", "seen", "new"]),
        (json!({"action": "resume"}), vec!["old", "seen", "new"]),
        (json!({"action": "resume", "cursor": cursor}), vec!["seen", "new"]),
        (json!({"action": "resume", "cursor": newest}), vec!["seen", "new"]),
    ] {
        let before = world.received().len();
        assert_eq!(world.say(&body.to_string()).await, 200);
        let mut expected: Vec<Value> = replayed.iter().map(|id| json!(id)).collect();
        expected.push(resumed(replayed.len()));
        assert_eq!(world.received()[before..], expected, "{body}");
    }
    // A cursor ahead of everything stays where it is: it never goes back.
    let ahead = format!("{}-z", NOW_MS + 60_000);
    world.say(&json!({"action": "resume", "cursor": ahead}).to_string()).await;
    assert_eq!(world.received().last(), Some(&json!({"type": "resumed", "cursor": ahead, "count": 0})));
}

#[tokio::test]
async fn s9_a_long_replay_comes_in_parts_that_together_are_everything() {
    let world = World::with_connection().await;
    for number in 0..2_250 {
        world.write(&format!("n{number}"), "ann", NOW_MS + number * 1_000).await;
    }
    world.say(r#"{"action":"resume","cursor":""}"#).await;
    let more = world.received().pop().unwrap();
    assert_eq!((&more["type"], &more["count"]), (&json!("more"), &json!(2_000)));
    world.say(&json!({"action": "resume", "cursor": more["cursor"]}).to_string()).await;
    let mut received = world.received();
    assert_eq!(received.pop().unwrap()["type"], "resumed");
    let ids: std::collections::BTreeSet<String> =
        received.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    assert_eq!(ids.len(), 2_250);
}

/// A client that takes so long for each message.
struct Slow(Arc<MemoryPusher>, Duration);

#[async_trait::async_trait]
impl Pusher for Slow {
    async fn push(&self, connection_id: &str, text: &str) -> Result<Pushed, PortError> {
        tokio::time::sleep(self.1).await;
        self.0.push(connection_id, text).await
    }

    async fn close(&self, connection_id: &str) -> Result<(), PortError> {
        self.0.close(connection_id).await
    }
}

#[tokio::test(start_paused = true)]
async fn s9_a_slow_replay_ends_soon_and_its_parts_are_everything() {
    let world = World::with_connection().await;
    for number in 0..30 {
        world.write(&format!("n{number}"), "ann", NOW_MS + number * 60_000).await;
    }
    let ports =
        Ports { pusher: Arc::new(Slow(world.pusher.clone(), Duration::from_millis(900))), ..world.ports() };
    let (mut cursor, mut parts) = (json!(""), 0);
    let resumed = loop {
        let begun = tokio::time::Instant::now();
        let body = json!({"action": "resume", "cursor": cursor}).to_string();
        let event = event("c1", "$default", Value::Null, json!(body));
        handle(serde_json::from_value(event).unwrap(), &ports, NOW).await;
        assert!(begun.elapsed() < Duration::from_secs(7), "others wait for their turn");
        let end = world.received().pop().unwrap();
        assert!(end["cursor"].as_str() > cursor.as_str(), "{end}");
        (cursor, parts) = (end["cursor"].clone(), parts + 1);
        if end["type"] == "resumed" {
            break end;
        }
        assert_eq!(end["type"], "more");
    };
    assert!(parts > 3 && resumed["cursor"].as_str().unwrap().ends_with("-n29"), "{parts}: {resumed}");
    let ids: std::collections::BTreeSet<String> =
        world.received().iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    assert_eq!(ids.len(), 30);
}

#[tokio::test]
async fn a_replay_gets_past_the_cursor_however_much_the_overlap_holds() {
    let world = World::with_connection().await;
    for number in 0..2_250 {
        world.write(&format!("n{number}"), "ann", NOW_MS + number).await;
    }
    let cursor = format!("{}-n2200", NOW_MS + 2_200);
    world.say(&json!({"action": "resume", "cursor": cursor}).to_string()).await;
    let end = world.received().pop().unwrap();
    assert!(end["cursor"].as_str().unwrap() > cursor.as_str(), "{end}");
}

#[tokio::test]
async fn a_client_whose_connection_cannot_be_found_is_not_left_waiting() {
    for fault in [Some(PortError::Transient("GetItem: timed out".into())), None] {
        let world = World::default();
        fault.into_iter().for_each(|fault| world.connections.faults.push(fault));
        world.say(r#"{"action":"resume","cursor":""}"#).await;
        assert_eq!(world.pusher.push("c1", "{}").await, Ok(Pushed::Gone));
    }
}

#[tokio::test]
async fn s9_a_replay_that_fails_closes_the_connection_so_that_the_client_asks_again() {
    let world = World::with_connection().await;
    world.write("one", "ann", NOW_MS).await;
    world.pusher.faults.push(PortError::Transient("PostToConnection: timed out".into()));
    assert_eq!(world.say(r#"{"action":"resume","cursor":""}"#).await, 503);
    assert_eq!(world.pusher.push("c1", "{}").await, Ok(Pushed::Gone));
    assert_eq!(world.connections.find("c1").await.unwrap(), None);
}

#[tokio::test]
async fn anything_else_is_answered_with_what_is_allowed() {
    let world = World::with_connection().await;
    for body in [
        "",
        "hello",
        "[]",
        r#"{"action":"pay"}"#,
        r#"{"action":"resume","cursor":"nonsense"}"#,
        r#"{"action":"resume","cursor":5}"#,
        r#"{"action":"resume","action":"resume"}"#,
    ] {
        let before = world.received().len();
        assert_eq!(world.say(body).await, 200, "{body}");
        let received = world.received();
        assert_eq!(received.len(), before + 1, "{body}");
        assert_eq!(received[before]["type"], "error", "{body}");
        assert!(received[before]["message"].as_str().unwrap().contains("resume"), "{body}");
    }
}

#[tokio::test]
async fn s9_a_gone_connection_is_forgotten_and_an_unknown_one_is_told_so() {
    let world = World::with_connection().await;
    world.write("one", "ann", NOW_MS).await;
    world.pusher.hang_up("c1");
    assert_eq!(world.say(r#"{"action":"resume","cursor":""}"#).await, 200);
    assert_eq!(world.connections.find("c1").await.unwrap(), None);
    assert_eq!(world.say(r#"{"action":"resume","cursor":""}"#).await, 410);
}

#[tokio::test]
async fn our_own_failures_are_503() {
    let world = World::with_connection().await;
    let fault = || PortError::Transient("t".into());
    world.connections.faults.push(fault());
    assert_eq!(world.connect(json!({"ticket": "good"})).await, 503);
    world.pusher.faults.push(fault());
    assert_eq!(world.say("?").await, 503);
    world.inbox.faults.push(fault());
    assert_eq!(world.say(r#"{"action":"resume","cursor":""}"#).await, 503);
}
