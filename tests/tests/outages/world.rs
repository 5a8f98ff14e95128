//! Handlers in this process, with the real adapters, behind a proxy that fails on purpose; time is moved by hand.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_lambda_events::dynamodb::EventRecord;
use aws_sdk_sqs::types::Message;
use paybell_cli::up::embedded::Embedded;
use paybell_shared::aws::{Adapters, Clients};
use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::config::Config;
use paybell_shared::domain::{Currency, Expectation, Money, Notification, Order, Plan, Subject, SubjectKind};
use paybell_shared::ports::dead_letters::REASON_ATTRIBUTE;
use paybell_shared::ports::fold::perform;
use paybell_shared::ports::memory::ManualClock;
use paybell_shared::ports::{Clock as _, SystemRandom};
use paybell_shared::providers::{Provider, Registry};
use paybell_shared::sandbox::{SandboxKeys, SimulatedFacts};
use paybell_tests::fault_proxy::FaultProxy;
use paybell_tests::queue;
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW_MS: i64 = 1_800_000_000_000;
const ACCOUNT: &str = "acme";
const USER: &str = "ann";
const AMOUNT_MINOR: i128 = 1_999;
/// The timeout of the functions behind queues and streams.
const INVOCATION_MS: i64 = 30_000;

pub struct World {
    pub clock: Arc<ManualClock>,
    pub proxy: FaultProxy,
    /// Past the proxy.
    pub direct: Adapters,
    embedded: Embedded,
    sqs: aws_sdk_sqs::Client,
    config: Config,
    /// Through the proxy.
    sdk_config: SdkConfig,
    callback: callback_function::Ports,
    apply: apply_function::Ports,
    notify: notify_function::Ports,
    provider: &'static Provider,
    keys: SandboxKeys,
    _folder: TempDir,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::at_ms(NOW_MS));
        let path = |name: &str| folder.path().join(name);
        let embedded = Embedded::start(&path("dynamodb.sqlite"), &path("queue.sqlite"), clock.clone())
            .await
            .unwrap_or_else(|error| panic!("the embedded services do not start: {error}"));
        let proxy = FaultProxy::start(&embedded.endpoint_url()).await;
        let config = embedded.config();
        let clients = Clients::new(&embedded.sdk_config(), &config);
        let direct = Adapters::with_clients(&clients, &config);
        let sdk_config = embedded.sdk_config().to_builder().endpoint_url(proxy.endpoint_url()).build();
        let proxied = Adapters::new(&sdk_config, &config);
        let provider = Registry::new(Vec::new()).find("stripe").expect("it is built in");
        let keys = provider.sandbox.generate();
        let credentials = Credentials { key_sets: vec![KeySet::new("one", keys.key_set.clone())] };
        direct.accounts.put_credentials(ACCOUNT, provider.name, &credentials).await.expect("it is stored");
        Self {
            clock,
            proxy,
            direct,
            embedded,
            sqs: clients.sqs,
            config,
            sdk_config,
            callback: callback_function::Ports::new(&proxied, Arc::default()),
            apply: apply_function::Ports::new(&proxied, Arc::default()),
            notify: notify_function::Ports::new(&proxied),
            provider,
            keys,
            _folder: folder,
        }
    }

    /// Adapters through the proxy that have done nothing yet.
    pub fn fresh_adapters(&self) -> Adapters {
        Adapters::new(&self.sdk_config, &self.config)
    }

    /// Forgets the credentials that `callback` remembers.
    pub fn restart_callback(&mut self) {
        self.callback = callback_function::Ports::new(&self.fresh_adapters(), Arc::default());
    }

    /// The provider says that an order is paid; the status that it gets.
    pub async fn paid(&self, order_id: &str) -> i64 {
        let amount = Money::from_minor(AMOUNT_MINOR, currency()).expect("it is not negative");
        let facts = SimulatedFacts {
            event_id: format!("evt_{order_id}"),
            order_id: order_id.to_owned(),
            transaction_id: format!("T{order_id}"),
            refund_id: format!("R{order_id}"),
            refund: amount.clone(),
            amount,
            now: self.clock.now(),
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
        callback_function::handle(event, &self.callback, self.clock.now()).await.status_code
    }

    /// Has `apply` work on what the queue hands out, and deletes what it does not report. How many messages it got, and
    /// how many of them it reported.
    pub async fn apply(&self) -> (usize, usize) {
        let url = &self.config.callbacks_queue_url;
        let messages = queue::receive(&self.sqs, url).await;
        let deadline_ms = self.clock.now_ms() + INVOCATION_MS;
        let response =
            apply_function::handle(queue::event_of(&messages), &self.apply, self.clock.as_ref(), deadline_ms)
                .await;
        let failed: Vec<String> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        for message in &messages {
            if !failed.contains(message.message_id.as_ref().expect("messages have ids")) {
                queue::delete(&self.sqs, url, message).await;
            }
        }
        (messages.len(), failed.len())
    }

    /// Puts a text into the queue of callbacks, past the proxy.
    pub async fn enqueue(&self, body: &str) {
        let url = &self.config.callbacks_queue_url;
        self.sqs.send_message().queue_url(url).message_body(body).send().await.expect("the queue answers");
    }

    /// What is in the dead-letter queue of callbacks.
    pub async fn dead_letters(&self) -> Vec<String> {
        let letters = self.messages(&self.config.callbacks_dead_letters_url).await;
        letters.into_iter().map(|(body, _)| body).collect()
    }

    /// What is in the dead-letter queue of notifications, each letter with its reason.
    pub async fn notify_dead_letters(&self) -> Vec<Value> {
        let letters = self.messages(&self.config.notify_dead_letters_url).await.into_iter();
        let read = |body: String| serde_json::from_str::<Value>(&body).expect("dead letters are JSON");
        letters.map(|(body, reason)| json!({ "letter": read(body), "reason": reason })).collect()
    }

    /// What a queue holds, received without being hidden: bodies, and the reason beside each.
    async fn messages(&self, url: &str) -> Vec<(String, Option<String>)> {
        let receive = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let receive = receive.visibility_timeout(0).message_attribute_names("All");
        let received = receive.send().await.expect("the queue answers").messages.unwrap_or_default();
        let reason = |message: &Message| {
            let attribute = message.message_attributes.as_ref()?.get(REASON_ATTRIBUTE)?;
            attribute.string_value.clone()
        };
        received
            .into_iter()
            .map(|message| (message.body.clone().expect("messages have bodies"), reason(&message)))
            .collect()
    }

    /// Registers an order, past the proxy.
    pub async fn register(&self, order_id: &str) {
        let expected = Expectation {
            amount: Some(Money::from_minor(AMOUNT_MINOR, currency()).expect("it is not negative")),
            user: USER.to_owned(),
            expires_at: None,
            references: Vec::new(),
        };
        let plan = Plan::registration(subject(order_id), expected);
        perform(&*self.direct.orders, &plan, self.clock.as_ref(), &SystemRandom::default())
            .await
            .expect("it is registered");
    }

    /// Version and captured amount of an order, read past the proxy; `None` when there is none.
    pub async fn order(&self, order_id: &str) -> Option<(u64, i128)> {
        let order: Option<Order> = self.direct.orders.load(&subject(order_id)).await.expect("it can be read");
        order.map(|order| (order.version, order.state().captured_minor))
    }

    /// The changes of orders so far, as `notify` gets them.
    pub fn order_changes(&self) -> Vec<EventRecord> {
        self.embedded.order_changes().expect("the stream can be read")
    }

    /// Has `notify` work on these changes; the sequence numbers that it reports.
    pub async fn notify(&self, records: &[EventRecord]) -> Vec<String> {
        let mut event = aws_lambda_events::dynamodb::Event::default();
        event.records = records.to_vec();
        let deadline_ms = self.clock.now_ms() + INVOCATION_MS;
        let response = notify_function::handle(event, &self.notify, self.clock.as_ref(), deadline_ms).await;
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier.expect("it names a record")).collect()
    }

    /// Order and kind of what the user was told, oldest first, read past the proxy.
    pub async fn told(&self) -> Vec<(String, String)> {
        let entries = self.direct.inbox.after(ACCOUNT, USER, "", 100).await.expect("the inbox can be read");
        let told = entries.into_iter().map(|entry| {
            let Notification { subject, kind, .. } = entry.notification;
            (subject.id, kind)
        });
        told.collect()
    }
}

pub fn subject(order_id: &str) -> Subject {
    Subject { account: ACCOUNT.to_owned(), kind: SubjectKind::Order, id: order_id.to_owned() }
}

fn currency() -> Currency {
    Currency::new("EUR").expect("it is a currency")
}
