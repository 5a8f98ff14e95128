//! The functions' handlers, warm, with the real adapters, behind the meter.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_lambda_events::dynamodb::EventRecord;
use paybell_cli::up::embedded::Embedded;
use paybell_shared::aws::{Adapters, Clients};
use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::config::Config;
use paybell_shared::domain::{Currency, Money};
use paybell_shared::ports::memory::CountingRandom;
use paybell_shared::ports::{Clock as _, SystemClock, secret_sha256_hex};
use paybell_shared::providers::{Provider, Registry};
use paybell_shared::sandbox::{SandboxKeys, SimulatedFacts};
use paybell_tests::queue;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::meter::{Meter, Units};

const ACCOUNT: &str = "acme";
const USER: &str = "ann";
const API_KEY: &str = "pb_test_cost";
const AMOUNT_MINOR: i64 = 1_999;
const INVOCATION_MS: i64 = 30_000;

pub struct World {
    meter: Meter,
    embedded: Embedded,
    /// Past the meter.
    sqs: aws_sdk_sqs::Client,
    config: Config,
    random: CountingRandom,
    orders: orders_function::Ports,
    callback: callback_function::Ports,
    apply: apply_function::Ports,
    notify: notify_function::Ports,
    connections: connections_function::Ports,
    provider: &'static Provider,
    keys: SandboxKeys,
    told: usize,
    _folder: TempDir,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let (dynamodb, queue) = (path("dynamodb.sqlite"), path("queue.sqlite"));
        let embedded = Embedded::start(&dynamodb, &queue, Arc::new(SystemClock)).await;
        let embedded = embedded.unwrap_or_else(|error| panic!("the services do not start: {error}"));
        let meter = Meter::start(&embedded.endpoint_url()).await;
        let config = Config { websocket_endpoint: meter.endpoint_url().to_owned(), ..embedded.config() };
        let clients = Clients::new(&embedded.sdk_config(), &config);
        let direct = Adapters::with_clients(&clients, &config);
        let metered: SdkConfig =
            embedded.sdk_config().to_builder().endpoint_url(meter.endpoint_url()).build();
        let adapters = || Adapters::new(&metered, &config);
        let provider = Registry::new(Vec::new()).find("stripe").expect("it is built in");
        let keys = provider.sandbox.generate();
        let credentials = Credentials { key_sets: vec![KeySet::new("one", keys.key_set.clone())] };
        direct.accounts.put_credentials(ACCOUNT, provider.name, &credentials).await.expect("it is stored");
        direct.accounts.put_api_key(ACCOUNT, &secret_sha256_hex(API_KEY)).await.expect("it is stored");
        Self {
            orders: orders_function::Ports::new(&adapters(), Arc::default()),
            callback: callback_function::Ports::new(&adapters(), Arc::default()),
            apply: apply_function::Ports::new(&adapters(), Arc::default()),
            notify: notify_function::Ports::new(&adapters()),
            connections: connections_function::Ports::new(&adapters()),
            meter,
            embedded,
            sqs: clients.sqs,
            config,
            random: CountingRandom::default(),
            provider,
            keys,
            told: 0,
            _folder: folder,
        }
    }

    /// So many orders are registered, paid and told of at once; what each step costs all of them together.
    pub async fn round(&mut self, round: usize, count: usize) -> [(&'static str, Units); 5] {
        let ids: Vec<String> = (0..count).map(|index| format!("order-{round}-{index}")).collect();
        self.meter.take();
        for id in &ids {
            let body = json!({"order_id": id, "amount_minor": AMOUNT_MINOR, "currency": "EUR", "user": USER});
            assert_eq!(self.call_orders("/orders", &body).await.0, 201, "{id}");
        }
        let registered = self.meter.take();
        self.notify(count).await;
        let registration_told = self.meter.take();
        for id in &ids {
            self.pay(id).await;
        }
        let called_back = self.meter.take();
        self.apply(count).await;
        let applied = self.meter.take();
        self.notify(count).await;
        let told = self.meter.take();
        assert!((told.messages - count as f64).abs() < 0.5, "each payment is told once: {told:?}");
        [
            ("register the order", registered),
            ("the change is looked at", registration_told),
            ("callback", called_back),
            ("apply", applied),
            ("the user is told", told),
        ]
    }

    /// A device gets a ticket, connects and asks for what it has missed.
    pub async fn connect_device(&self, id: &str) -> Units {
        self.meter.take();
        let (status, answer) = self.call_orders("/tickets", &json!({ "user": USER })).await;
        assert_eq!(status, 201, "{answer}");
        self.call_connections(id, "$connect", json!({"ticket": answer["ticket"]}), Value::Null).await;
        self.meter.add(Units { messages: 1.0, ..Units::default() });
        let resume = json!({"action": "resume", "cursor": ""}).to_string();
        self.call_connections(id, "$default", Value::Null, resume.into()).await;
        if id != "warm" {
            self.call_connections(id, "$disconnect", Value::Null, Value::Null).await;
        }
        self.meter.take()
    }

    async fn call_orders(&self, path: &str, body: &Value) -> (i64, Value) {
        self.meter.add(Units { invocations: 1.0, http: 1.0, ..Units::default() });
        let event = json!({
            "rawPath": path, "headers": {"authorization": format!("Bearer {API_KEY}")},
            "requestContext": {"http": {"method": "POST"}, "timeEpoch": 0},
            "body": body.to_string(), "isBase64Encoded": false,
        });
        let event = serde_json::from_value(event).expect("it is such an event");
        let answer = orders_function::handle(event, &self.orders, &SystemClock, &self.random).await;
        let answer_text = serde_json::to_value(answer.body).expect("it can be written");
        let text = answer_text.as_str().expect("the answer is a text");
        (answer.status_code, serde_json::from_str(text).expect("the answer is JSON"))
    }

    async fn call_connections(&self, id: &str, route: &str, query: Value, body: Value) {
        self.meter.add(Units { invocations: 1.0, ..Units::default() });
        let event = json!({
            "requestContext": {
                "routeKey": route, "connectionId": id, "connectedAt": 0, "requestTimeEpoch": 0, "messageId": null,
            },
            "queryStringParameters": query, "body": body,
        });
        let event = serde_json::from_value(event).expect("it is such an event");
        let answer = connections_function::handle(event, &self.connections, SystemClock.now()).await;
        assert_eq!(answer.status_code, 200, "{route}");
    }

    async fn pay(&self, order_id: &str) {
        self.meter.add(Units { invocations: 1.0, http: 1.0, ..Units::default() });
        let currency = Currency::new("EUR").expect("it is a currency");
        let amount = Money::from_minor(i128::from(AMOUNT_MINOR), currency).expect("it is not negative");
        let facts = SimulatedFacts {
            event_id: format!("evt_{order_id}"),
            order_id: order_id.to_owned(),
            transaction_id: format!("pi_{order_id}"),
            refund_id: format!("re_{order_id}"),
            refund: amount.clone(),
            amount,
            now: SystemClock.now(),
            path: format!("/callbacks/{ACCOUNT}/{}", self.provider.name),
        };
        let payload = self.provider.payload("paid", &facts, &self.keys).expect("there is such a payload");
        let request = self.provider.sandbox.sign(&self.keys, &payload).expect("it can be signed");
        let headers: serde_json::Map<_, _> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let event = json!({
            "rawPath": facts.path, "rawQueryString": request.query, "headers": headers,
            "requestContext": {"http": {"method": request.method}, "timeEpoch": 0},
            "body": String::from_utf8(request.body).expect("the provider sends JSON"), "isBase64Encoded": false,
        });
        let event = serde_json::from_value(event).expect("it is such an event");
        let answer = callback_function::handle(event, &self.callback, SystemClock.now()).await;
        assert_eq!(answer.status_code, 200, "{order_id}");
    }

    /// One invocation with all that waits. Lambda's poller receives the batch and deletes it, with a request each.
    async fn apply(&self, count: usize) {
        self.meter.add(Units { invocations: 1.0, sqs: 2.0, ..Units::default() });
        let url = &self.config.callbacks_queue_url;
        let messages = queue::receive(&self.sqs, url).await;
        assert_eq!(messages.len(), count);
        let deadline_ms = SystemClock.now_ms() + INVOCATION_MS;
        let response =
            apply_function::handle(queue::event_of(&messages), &self.apply, &SystemClock, deadline_ms).await;
        assert!(response.batch_item_failures.is_empty());
        for message in &messages {
            queue::delete(&self.sqs, url, message).await;
        }
    }

    /// The changes since the last time. Reading the stream costs a Lambda function nothing; each item has a lane of its
    /// own, so changes that come one at a time are an invocation each, and those of many payments share one.
    async fn notify(&mut self, payments: usize) {
        let records: Vec<EventRecord> = self.embedded.order_changes().expect("the stream can be read");
        let new = &records[self.told..];
        for batch in new.chunks(if payments == 1 { 1 } else { new.len().max(1) }) {
            self.meter.add(Units { invocations: 1.0, ..Units::default() });
            let mut event = aws_lambda_events::dynamodb::Event::default();
            event.records = batch.to_vec();
            let deadline_ms = SystemClock.now_ms() + INVOCATION_MS;
            let response = notify_function::handle(event, &self.notify, &SystemClock, deadline_ms).await;
            assert!(response.batch_item_failures.is_empty());
        }
        self.told = records.len();
    }
}
