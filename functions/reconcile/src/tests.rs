//! What becomes of hints when the provider answers as providers do, with ports in memory.

mod reminders;
mod tokens;

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use paybell_shared::callback::{Credentials, Origin, RawCallback, UnixSeconds};
use paybell_shared::config::described_providers;
use paybell_shared::ports::FetchResponse;
use paybell_shared::ports::memory::{CountingRandom, ManualClock, MemoryAccounts, MemoryOrders, MemoryQueue};
use serde_json::{Value, json};

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const DEADLINE_MS: i64 = NOW.0 * 1000 + 30_000;

const PROVIDERS: &str = include_str!("tests/providers.toml");

/// Status and body, or why there is none.
type ApiAnswer = Result<(u16, String), PortError>;

/// A provider's API: what it answers at which address, in turn; the last answer stays.
#[derive(Default)]
struct Api {
    answers: Mutex<HashMap<String, VecDeque<ApiAnswer>>>,
    asked: Mutex<Vec<(String, FetchRequest)>>,
    is_silent: Mutex<bool>,
}

#[async_trait]
impl Transport for Api {
    async fn send(&self, account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        self.asked.lock().unwrap().push((account.to_owned(), request.clone()));
        if *self.is_silent.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.get_mut(&request.url).and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        let (status, body) = answer.unwrap_or(Ok((404, r#"{"title":"Not Found"}"#.to_owned())))?;
        Ok(FetchResponse { status, max_age_seconds: None, body: body.into_bytes() })
    }
}

struct World {
    api: Arc<Api>,
    callbacks: Arc<MemoryQueue>,
    hints: Arc<MemoryQueue>,
    orders: Arc<MemoryOrders>,
    accounts: Arc<MemoryAccounts>,
    clock: Arc<ManualClock>,
    ports: Ports,
}

impl World {
    async fn new() -> Self {
        let api = Arc::new(Api::default());
        let clock = Arc::new(ManualClock::at_ms(NOW.0 * 1000));
        let accounts = Arc::new(MemoryAccounts::default());
        let (callbacks, hints) = (Arc::new(MemoryQueue::default()), Arc::new(MemoryQueue::default()));
        let orders = Arc::new(MemoryOrders::default());
        let fetcher = Fetcher::new(api.clone(), clock.clone());
        let ports = Ports {
            accounts: accounts.clone(),
            callbacks: callbacks.clone(),
            hints: hints.clone(),
            orders: orders.clone(),
            tokens: Arc::new(AccessTokens::new(fetcher.clone(), clock.clone())),
            fetcher,
            providers: Arc::new(Registry::new(described_providers(PROVIDERS).unwrap())),
            recent: Arc::default(),
            random: Arc::new(CountingRandom::default()),
        };
        let world = Self { api, callbacks, hints, orders, accounts, clock, ports };
        world.use_keys("open", json!({"api_key": "live_key"})).await;
        world.use_keys("listing", json!({"secret": "s", "token": "t"})).await;
        world
    }

    async fn use_keys(&self, provider: &str, fields: Value) {
        let keys = KeySet::new("one", fields.as_object().unwrap().clone());
        let credentials = Credentials { key_sets: vec![keys] };
        self.accounts.put_credentials("acme", provider, &credentials).await.unwrap();
    }

    fn answers(&self, url: &str, answers: impl IntoIterator<Item = (u16, Value)>) {
        let answers = answers.into_iter().map(|(status, body)| Ok((status, body.to_string()))).collect();
        self.api.answers.lock().unwrap().insert(url.to_owned(), answers);
    }

    fn asked(&self) -> Vec<String> {
        self.api.asked.lock().unwrap().iter().map(|(_, request)| request.url.clone()).collect()
    }

    /// The message of a callback as `apply` hands it on.
    fn message(&self, provider: &str, headers: &[(&str, String)], body: &str) -> String {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let raw = RawCallback::new("acme", provider, "POST", "/", headers, body.into());
        let keys = match provider {
            "open" => json!({"api_key": "live_key"}),
            _ => json!({"secret": "s", "token": "t"}),
        };
        let keys = KeySet::new("one", keys.as_object().unwrap().clone());
        let found = self.ports.providers.find(provider).unwrap();
        found.verify(&raw, &Credentials { key_sets: vec![keys] }, NOW).unwrap().to_message()
    }

    fn hint(&self, id: &str) -> String {
        self.message("open", &[], &format!("id={id}"))
    }

    fn listing(&self, events: Value) -> String {
        use paybell_shared::callback::signature::{HmacHash, hmac_tag};
        let body = json!({ "events": events }).to_string();
        let signature = hmac_tag(HmacHash::Sha256, b"s", &[body.as_bytes()]);
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        self.message("listing", &[("signature", hex)], &body)
    }

    /// The ids of the messages that are reported as failed.
    async fn handle(&self, messages: &[(&str, String)]) -> Vec<String> {
        self.handle_until(messages, DEADLINE_MS).await
    }

    async fn handle_until(&self, messages: &[(&str, String)], deadline_ms: i64) -> Vec<String> {
        let records: Vec<Value> = messages
            .iter()
            .map(|(id, body)| json!({ "messageId": id, "receiptHandle": id, "body": body }))
            .collect();
        let event = serde_json::from_value(json!({ "Records": records })).unwrap();
        let response = handle(event, &self.ports, self.clock.as_ref(), deadline_ms).await;
        let mut failed: Vec<String> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        failed.sort();
        failed
    }

    /// Order, amount and status of every event in the queue of callbacks.
    fn told(&self) -> Vec<String> {
        let messages = self.callbacks.messages();
        let answers = messages.iter().map(|message| Verified::from_queue(message).unwrap());
        let events = answers.flat_map(|answer| {
            assert_eq!(answer.origin(), Origin::Answer);
            let provider = self.ports.providers.find(answer.provider()).unwrap();
            provider.normalise(&answer).unwrap()
        });
        let mut told: Vec<String> = events
            .map(|event| {
                let amount = event.amount.map(|amount| amount.to_string()).unwrap_or_default();
                format!("{} {} {amount}", event.subject_id.unwrap_or_default(), event.kind)
            })
            .collect();
        told.sort();
        told
    }
}

const TR_1: &str = "https://api.open.example/v2/payments/tr_1?embed=refunds";

fn paid(id: &str) -> Value {
    json!({"id": id, "status": "paid", "order": "A1", "amount": "19.99", "profile": "pfl_1"})
}

#[tokio::test]
async fn the_answer_is_what_enters_the_queue_of_callbacks() {
    let world = World::new().await;
    world.answers(TR_1, [(200, paid("tr_1"))]);
    assert_eq!(world.handle(&[("m1", world.hint("tr_1"))]).await, [""; 0]);
    assert_eq!(world.told(), ["A1 payment.captured 19.99 EUR"]);
    let asked = world.api.asked.lock().unwrap().clone();
    let [(account, request)] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!((account.as_str(), request.url.as_str()), ("acme", TR_1));
    assert_eq!(request.pinned_host, "api.open.example");
    assert_eq!(request.headers, [("authorization".to_owned(), "Bearer live_key".to_owned())]);
}

#[tokio::test]
async fn every_answer_has_its_fate() {
    let garbage = json!("<html>");
    let other = json!({"id": "tr_2", "status": "paid", "order": "A1", "amount": "19.99"});
    let without_amount = json!({"id": "tr_1", "status": "paid", "order": "A1"});
    let open = json!({"id": "tr_1", "status": "open", "order": "A1", "amount": "19.99"});
    // Status and body; whether it comes again, whether it is set aside, and answers that are queued.
    let table = [
        (200, paid("tr_1"), "queued"),
        (201, paid("tr_1"), "queued"),
        (200, open, "queued"),
        (200, other, "set aside"),
        (200, garbage, "set aside"),
        (200, without_amount, "set aside"),
        (301, json!({}), "set aside"),
        (400, json!({}), "set aside"),
        (401, json!({}), "set aside"),
        (403, json!({}), "set aside"),
        (404, json!({}), "dropped"),
        (408, json!({}), "again"),
        (410, json!({}), "dropped"),
        (422, json!({}), "set aside"),
        (425, json!({}), "again"),
        (429, json!({}), "again"),
        (500, json!({}), "again"),
        (503, json!({}), "again"),
    ];
    for (status, body, expected) in table {
        let world = World::new().await;
        world.answers(TR_1, [(status, body)]);
        let hint = world.hint("tr_1");
        let again = world.handle(&[("m1", hint.clone())]).await;
        assert!(world.hints.dead_letters().iter().all(|letter| *letter == hint), "as it came, for a redrive");
        let put_off = world.hints.put_off_messages().into_iter().map(|message| message.receipt_handle);
        assert_eq!(put_off.collect::<Vec<_>>(), again, "{status}: what comes again comes after a while");
        let got = match (again.len(), world.hints.dead_letters().len(), world.callbacks.messages().len()) {
            (0, 0, 1) => "queued",
            (0, 1, 0) => "set aside",
            (1, 0, 0) => "again",
            (0, 0, 0) => "dropped",
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(got, expected, "{status}");
    }
}

#[tokio::test]
async fn failures_on_the_way_have_their_fate_too() {
    for (error, again) in [
        (PortError::Transient("no connection in time".into()), true),
        (PortError::Permanent("the address is not public".into()), false),
    ] {
        let world = World::new().await;
        let unreachable = VecDeque::from([Err(error)]);
        world.api.answers.lock().unwrap().insert(TR_1.to_owned(), unreachable);
        assert_eq!(!world.handle(&[("m1", world.hint("tr_1"))]).await.is_empty(), again);
        assert_eq!(world.hints.dead_letters().is_empty(), again);
    }
    for fault in ["accounts", "callbacks", "hints"] {
        let world = World::new().await;
        world.answers(TR_1, [(if fault == "hints" { 401 } else { 200 }, paid("tr_1"))]);
        let throttled = PortError::Transient("throttled".into());
        match fault {
            "accounts" => world.accounts.faults.push(throttled),
            "callbacks" => world.callbacks.faults.push(throttled),
            _ => world.hints.faults.push(throttled),
        }
        assert_eq!(world.handle(&[("m1", world.hint("tr_1"))]).await, ["m1"], "{fault}: it is not lost");
    }
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_refused() {
    let world = World::new().await;
    let hint = world.hint("tr_1");
    world.use_keys("open", json!({"api_key": "live_key", "profile": "pfl_2"})).await;
    world.answers(TR_1, [(200, paid("tr_1"))]);
    assert_eq!(world.handle(&[("m1", hint.clone())]).await, [""; 0]);
    assert_eq!((world.callbacks.messages().len(), world.hints.dead_letters()), (0, vec![hint]));
}

#[tokio::test]
async fn ids_that_somebody_made_up_reach_no_other_address() {
    let world = World::new().await;
    let made_up = [
        "tr_1%2F..%2F..%2Fv2%2Forganizations",
        "tr_1%5Cadmin",
        "tr_1%0D%0AHost%3A+evil.example",
        "tr_%00",
        &format!("tr_{}", "9".repeat(200)),
        "..",
        "org_1",
    ];
    let messages: Vec<(&str, String)> = made_up.iter().map(|id| (*id, world.hint(id))).collect();
    assert_eq!(world.handle(&messages).await, [""; 0]);
    assert_eq!(world.asked(), [""; 0]);
    assert_eq!(world.hints.dead_letters(), [""; 0], "a stranger cannot fill the dead letters");

    world.handle(&[("m1", world.hint("tr_1%3Fx%3Dy%26z%23%40evil.example%2525"))]).await;
    let asked = "https://api.open.example/v2/payments/tr_1%3Fx%3Dy%26z%23%40evil.example%2525?embed=refunds";
    assert_eq!(world.asked(), [asked]);
}

#[tokio::test]
async fn a_flood_of_hints_is_asked_once_and_the_last_one_has_its_answer() {
    let world = World::new().await;
    world.answers(TR_1, [(200, json!({"id": "tr_1", "status": "open"})), (200, paid("tr_1"))]);
    let flood: Vec<(&str, String)> = (0..10).map(|_| ("m", world.hint("tr_1"))).collect();
    assert_eq!(world.handle(&flood).await, [""; 0]);
    assert_eq!(world.asked().len(), 1, "one question of one batch");
    world.clock.advance_ms(500);
    assert_eq!(world.handle(&[("m1", world.hint("tr_1"))]).await, ["m1"], "it comes again");
    assert_eq!(world.asked().len(), 1);
    world.clock.advance_ms(2_000);
    assert_eq!(world.handle(&[("m1", world.hint("tr_1"))]).await, [""; 0]);
    assert_eq!(world.told(), ["A1 payment.captured 19.99 EUR"]);
    assert_eq!(world.handle(&flood).await, [""; 0], "they came in before that question");
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn a_flood_about_nothing_is_asked_once_too() {
    let world = World::new().await;
    for _ in 0..10 {
        world.handle(&[("m1", world.hint("tr_9"))]).await;
        world.clock.advance_ms(50);
    }
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test]
async fn each_member_of_a_list_is_asked_about_and_what_failed_comes_again() {
    let world = World::new().await;
    let payment = |number: u32| json!({"type": "payment", "payment": format!("PM{number}")});
    let hint = world.listing(json!([payment(1), payment(2), {"type": "mandate"}, payment(1)]));
    let url = |number: u32| format!("https://api.listing.example/payments/PM{number}");
    let confirmed = |number: u32| {
        json!({"payments": {
            "id": format!("PM{number}"), "status": "confirmed", "order": format!("A{number}"), "amount": number,
        }})
    };
    world.answers(&url(1), [(200, confirmed(1))]);
    world.answers(&url(2), [(429, json!({})), (200, confirmed(2))]);
    assert_eq!(world.handle(&[("m1", hint.clone())]).await, ["m1"]);
    assert_eq!(world.told(), ["A1 payment.captured 0.01 GBP"]);
    let authorization = world.api.asked.lock().unwrap()[0].1.headers.clone();
    assert_eq!(authorization, [("authorization".to_owned(), "Basic dDp4".to_owned())]);

    world.clock.advance_ms(2_500);
    assert_eq!(world.handle(&[("m1", hint)]).await, [""; 0]);
    let again =
        ["A1 payment.captured 0.01 GBP", "A1 payment.captured 0.01 GBP", "A2 payment.captured 0.02 GBP"];
    assert_eq!(world.told(), again, "a duplicate changes nothing");
}

#[tokio::test]
async fn what_a_signed_callback_names_is_expected_to_be_there() {
    let world = World::new().await;
    let hint = world.listing(json!([{"type": "payment", "payment": "PM7"}]));
    assert_eq!(world.handle(&[("m1", hint)]).await, ["m1"]);
    let nothing = world.listing(json!([{"type": "mandate"}]));
    assert_eq!(world.handle(&[("m2", nothing)]).await, [""; 0]);
    assert_eq!(world.hints.dead_letters(), [""; 0]);
}

#[tokio::test]
async fn hints_that_cannot_be_asked_about_are_seen() {
    let world = World::new().await;
    let unknown = world.hint("tr_1").replace("\"open\"", "\"nobody\"");
    let not_asked = world.hint("tr_1").replace("\"open\"", "\"stripe\"");
    let listing = world.listing(json!([{"type": "payment", "payment": "PM1"}]));
    world.use_keys("listing", json!({"secret": "s"})).await;
    let batch = [
        ("m1", "not json".to_owned()),
        ("m2", unknown),
        ("m3", not_asked),
        ("m4", listing.replace("acme", "another")),
        ("m5", listing),
    ];
    assert_eq!(world.handle(&batch).await, [""; 0]);
    assert_eq!(world.hints.dead_letters(), batch.map(|(_, body)| body));
    assert_eq!(world.asked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_without_time_for_the_answer() {
    let world = World::new().await;
    world.answers(TR_1, [(200, paid("tr_1"))]);
    let hint = [("m1", world.hint("tr_1"))];
    assert_eq!(world.handle_until(&hint, NOW.0 * 1000 + 4_999).await, ["m1"]);
    assert_eq!(world.asked(), [""; 0]);

    *world.api.is_silent.lock().unwrap() = true;
    let answered = world.handle(&hint);
    let failed = tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap();
    assert_eq!(failed, ["m1"], "what does not end is reported before the deadline");
}
