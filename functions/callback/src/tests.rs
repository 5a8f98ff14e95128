//! Every answer of the function, and logs that hold no secret.

mod forged;
mod handshake;
mod keys;
mod limits;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::{Credentials, KeySet, KeyStatus, UnixSeconds, Verified};
use paybell_shared::domain::{Currency, Money};
use paybell_shared::ports::memory::{MemoryAccounts, MemoryQueue};
use paybell_shared::ports::redelivery::PutOff;
use paybell_shared::ports::{AccountStore as _, DeadLetters, PortError, Redelivery};
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::{SandboxKeys, SignedRequest, SimulatedFacts};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

struct World {
    accounts: Arc<MemoryAccounts>,
    queue: Arc<MemoryQueue>,
    ports: Ports,
    keys: SandboxKeys,
    request: SignedRequest,
    provider: &'static str,
}

impl World {
    /// The account `acme` uses the provider, which is about to tell that an order is paid.
    async fn new(provider: &'static str) -> Self {
        let (accounts, queue) = (Arc::new(MemoryAccounts::default()), Arc::new(MemoryQueue::default()));
        let providers = Arc::new(Registry::default());
        let found = providers.find(provider).unwrap();
        let keys = found.sandbox.generate();
        let amount = Money::from_minor(1999, Currency::new("CNY").unwrap()).unwrap();
        let facts = SimulatedFacts {
            event_id: "evt_1".into(),
            order_id: "A1".into(),
            transaction_id: "T1".into(),
            refund_id: "R1".into(),
            refund: amount.clone(),
            amount,
            now: NOW,
            path: format!("/callbacks/acme/{provider}"),
        };
        let payload = found.payload("paid", &facts, &keys).unwrap();
        let request = found.sandbox.sign(&keys, &payload).unwrap();
        let credentials = Credentials { key_sets: vec![KeySet::new("one", keys.key_set.clone())] };
        accounts.put_credentials("acme", provider, &credentials).await.unwrap();
        let ports = Ports {
            accounts: accounts.clone(),
            callbacks: queue.clone(),
            keys: Arc::new(FetchedKeys::unreachable()),
            providers,
            refusals: Arc::default(),
        };
        Self { accounts, queue, ports, keys, request, provider }
    }

    fn event(&self) -> ApiGatewayV2httpRequest {
        self.event_to(&format!("/callbacks/acme/{}", self.provider))
    }

    fn event_to(&self, path: &str) -> ApiGatewayV2httpRequest {
        let headers: serde_json::Map<_, _> =
            self.request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        serde_json::from_value(json!({
            "rawPath": path,
            "rawQueryString": self.request.query,
            "headers": headers,
            "requestContext": {"http": {"method": self.request.method}, "timeEpoch": 0},
            "body": STANDARD.encode(&self.request.body),
            "isBase64Encoded": true,
        }))
        .unwrap()
    }

    async fn deliver(&self, event: ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        handle(event, &self.ports, NOW).await
    }
}

fn body(response: &ApiGatewayV2httpResponse) -> &str {
    match &response.body {
        Some(Body::Text(text)) => text,
        other => panic!("not a text: {other:?}"),
    }
}

#[tokio::test]
async fn s11_genuine_callbacks_are_queued_byte_for_byte_and_get_the_providers_success_answer() {
    for name in ["alipay", "paypal", "razorpay", "standard_webhooks", "stripe", "unionpay", "wechatpay_v3"] {
        let world = World::new(name).await;
        let answers = &world.ports.providers.find(name).unwrap().answers;
        let response = world.deliver(world.event()).await;
        assert_eq!(response.status_code, i64::from(answers.success.status), "{name}");
        assert_eq!(body(&response), answers.success.body, "{name}");
        let content_type = response.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        assert_eq!(content_type.unwrap_or_default(), answers.success.content_type, "{name}");
        let messages = world.queue.messages();
        let verified = Verified::from_queue(&messages[0]).unwrap();
        assert_eq!((messages.len(), verified.raw().body()), (1, &world.request.body[..]), "{name}");
        assert_eq!((verified.key_set_id(), verified.received_at()), ("one", NOW), "{name}");
    }
}

#[tokio::test]
async fn s11_a_text_body_is_the_same_as_its_base64() {
    let world = World::new("stripe").await;
    let mut event = world.event();
    event.body = Some(String::from_utf8(world.request.body.clone()).unwrap());
    event.is_base64_encoded = false;
    assert_eq!(world.deliver(event).await.status_code, 200);
}

type Fault = (&'static str, fn(&mut ApiGatewayV2httpRequest), i64);

const FAULTS: &[Fault] = &[
    ("another address", |event| event.raw_path = Some("/callbacks/acme".into()), 404),
    ("a longer address", |event| event.raw_path = Some("/callbacks/acme/wechatpay_v3/x".into()), 404),
    ("an unknown provider", |event| event.raw_path = Some("/callbacks/acme/nobody".into()), 404),
    ("an unknown account", |event| event.raw_path = Some("/callbacks/eve/wechatpay_v3".into()), 404),
    ("no signature", |event| drop(event.headers.remove("wechatpay-signature")), 401),
    ("an unreadable signature", |event| set(event, "wechatpay-signature", "***"), 401),
    ("a forged signature", |event| set(event, "wechatpay-signature", &STANDARD.encode([7; 256])), 401),
    ("a stale time", |event| set(event, "wechatpay-timestamp", "1700000000"), 401),
    ("a changed body", |event| event.body = Some(STANDARD.encode("{\"id\":\"evt_2\"}")), 401),
    ("not base64", |event| event.body = Some("***".into()), 400),
    ("an oversize body", |event| event.body = Some(STANDARD.encode(vec![b' '; 256 * 1024 + 1])), 413),
    ("an oversize header", |event| set(event, "x-large", &"a".repeat(16 * 1024 + 1)), 413),
    (
        "oversize headers",
        |event| (0..5).for_each(|n| set(event, &format!("x-{n}"), &"a".repeat(15_000))),
        413,
    ),
    ("too many headers", |event| (0..200).for_each(|n| set(event, &format!("x-{n}"), "a")), 413),
];

fn set(event: &mut ApiGatewayV2httpRequest, name: &str, value: &str) {
    let name = aws_lambda_events::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
    event.headers.insert(name, value.parse().unwrap());
}

#[tokio::test]
async fn every_fault_has_its_status_and_the_providers_failure_body_and_is_not_queued() {
    let world = World::new("wechatpay_v3").await;
    let answers = &world.ports.providers.find("wechatpay_v3").unwrap().answers;
    assert_ne!(answers.failure_body, "");
    for (fault, change, status) in FAULTS {
        let mut event = world.event();
        change(&mut event);
        let known_provider = request::address(&event)
            .is_some_and(|address| address.provider == "wechatpay_v3" && address.further_path.is_empty());
        let response = world.deliver(event).await;
        assert_eq!(response.status_code, *status, "{fault}");
        assert_eq!(body(&response), if known_provider { answers.failure_body } else { "" }, "{fault}");
    }
    assert_eq!(world.queue.messages(), [""; 0]);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let world = World::new("stripe").await;
    let mut event = world.event();
    event.body = Some(STANDARD.encode(vec![b' '; 256 * 1024]));
    assert_eq!(world.deliver(event).await.status_code, 401);
}

#[tokio::test]
async fn f19_cheap_refusals_ask_nothing_of_the_store() {
    let world = World::new("stripe").await;
    let before = world.accounts.faults.calls();
    world.deliver(world.event_to("/callbacks/acme/nobody")).await;
    let mut oversize = world.event();
    oversize.body = Some("A".repeat(400 * 1024));
    world.deliver(oversize).await;
    let nobody = format!("/callbacks/{}/stripe", "a".repeat(129));
    assert_eq!(world.deliver(world.event_to(&nobody)).await.status_code, 404);
    assert_eq!(world.accounts.faults.calls(), before);
}

#[tokio::test]
async fn f15_a_provider_that_signs_for_all_merchants_alike_needs_to_know_whose_callbacks_are_meant() {
    for (name, fields) in
        [("alipay", &["expected_app_id", "expected_seller_id"][..]), ("unionpay", &["expected_mer_id"])]
    {
        let world = World::new(name).await;
        let mut key_set = world.keys.key_set.clone();
        key_set.retain(|field, _| !fields.contains(&field.as_str()));
        let credentials = Credentials { key_sets: vec![KeySet::new("one", key_set)] };
        world.accounts.put_credentials("acme", name, &credentials).await.unwrap();
        assert_eq!(world.deliver(world.event()).await.status_code, 503, "{name}");
        assert_eq!(world.queue.messages(), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn f3_f16_what_is_ours_to_repair_is_503_and_never_acknowledged() {
    let world = World::new("stripe").await;
    for error in [PortError::Transient("t".into()), PortError::Permanent("p".into())] {
        world.accounts.faults.push(error.clone());
        assert_eq!(world.deliver(world.event()).await.status_code, 503);
        world.queue.faults.push(error);
        assert_eq!(world.deliver(world.event()).await.status_code, 503);
    }
    let mut retired = KeySet::new("old", world.keys.key_set.clone());
    retired.status = KeyStatus::Retired;
    let unusable = KeySet::new("empty", serde_json::Map::new());
    for key_sets in [vec![], vec![retired], vec![unusable]] {
        world.accounts.put_credentials("acme", "stripe", &Credentials { key_sets }).await.unwrap();
        assert_eq!(world.deliver(world.event()).await.status_code, 503);
    }
    assert_eq!(world.queue.messages(), [""; 0]);
}

/// A queue that does not answer.
struct Silent;

#[async_trait::async_trait]
impl DeadLetters for Silent {
    async fn set_aside(&self, _: &str, _: &str) -> Result<(), PortError> {
        std::future::pending().await
    }
}

#[async_trait::async_trait]
impl Redelivery for Silent {
    async fn put_off(&self, _: &[PutOff]) -> Result<(), PortError> {
        std::future::pending().await
    }
}

#[async_trait::async_trait]
impl CallbackQueue for Silent {
    async fn send(&self, _: &Verified) -> Result<(), PortError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_gets_its_answer_before_it_hangs_up_whatever_does_not_answer_us() {
    let mut world = World::new("stripe").await;
    world.ports.callbacks = Arc::new(Silent);
    let answer = tokio::time::timeout(Duration::from_secs(5), world.deliver(world.event())).await;
    assert_eq!(answer.unwrap().status_code, 503);
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything is logged, and nothing of the body, of a header's value or of a key is in it.
#[tokio::test]
async fn s10_s12_logs_give_the_reason_and_hold_no_secret_and_no_body() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .finish();
    // A subscriber of this thread alone would race with the other tests for which places log at all.
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
    let mut secrets = Vec::new();
    for name in ["alipay", "stripe", "wechatpay_v3", "paypal"] {
        let world = World::new(name).await;
        world.deliver(world.event()).await;
        for (_, change, _) in FAULTS {
            let mut event = world.event();
            change(&mut event);
            world.deliver(event).await;
        }
        world.queue.faults.push(PortError::Transient("SendMessage: timed out".into()));
        world.deliver(world.event()).await;
        secrets.push(String::from_utf8(world.request.body.clone()).unwrap());
        secrets.extend(world.request.headers.iter().map(|(_, value)| value.clone()));
        let texts = world.keys.key_set.values().chain(world.keys.private.values());
        secrets.extend(texts.filter_map(|value| value.as_str().map(str::to_owned)));
    }
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for reason in
        ["signature_mismatch", "stale", "unknown_provider", "unknown_account", "too_large", "accepted"]
    {
        assert!(log.contains(&format!("\"{reason}\"")), "{reason} is not in the log");
    }
    let parsed = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<_> = parsed.map(|mut line| line["fields"].take()).collect();
    let is_by_how_much =
        |fields: &serde_json::Value| fields["reason"] == "stale" && fields["age_seconds"].is_i64();
    assert!(lines.iter().any(is_by_how_much), "no line says how far the clocks are apart");
    let refusals = lines
        .iter()
        .filter_map(|fields| Some((fields["status"].as_u64()?, fields["outcome"].as_str()?.to_owned())));
    // Other tests of this program are heard as well, what is unconfigured or limited among it.
    let of_others = |outcome: &str| matches!(outcome, "unconfigured" | "limited");
    let told: BTreeSet<_> = refusals.filter(|(_, outcome)| !of_others(outcome)).collect();
    let expected = [(400, "refused"), (401, "rejected"), (404, "refused"), (413, "refused"), (503, "failed")];
    assert_eq!(told, expected.map(|(status, outcome)| (status, outcome.to_owned())).into());
    for secret in secrets.iter().filter(|secret| secret.len() > 12 && !secret.starts_with("application/")) {
        for chunk in secret.as_bytes().chunks(24).filter(|chunk| chunk.len() > 12) {
            let chunk = String::from_utf8_lossy(chunk);
            assert!(!log.contains(&*chunk), "the log holds a part of a secret or a body: {chunk}");
        }
    }
}
