//! One trace runs from the callback to what is done about it behind the queue.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use paybell_shared::callback::{Credentials, KeySet, UnixSeconds};
use paybell_shared::config;
use paybell_shared::domain::{Currency, Money};
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::{SandboxKeys, SignedRequest, SimulatedFacts};
use prost::Message as _;
use serde_json::{Value, json};

use crate::runtime::Invocation;

const AT_CALLBACK: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const AT_APPLY: &str = "Root=1-6759e988-000000000000000000000001;Parent=00000000000000aa;Sampled=1";
const UNSAMPLED: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
const QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:000000000000:paybell-test-callbacks";

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_runs_from_the_callback_to_apply() {
    let genuine = Genuine::new();
    let outside = Outside::start(&genuine.keys).await;

    let told = outside.invoke("callback", genuine.event()).traced(AT_CALLBACK).run().await;
    assert_eq!(told.answer["statusCode"], 200, "{:?}", told.lines);
    let [received] = &outside.spans()[..] else { panic!("one span for one invocation") };
    assert_eq!(hex::encode(&received.trace_id), "5759e988bd862e3fe1be46a994272793");
    assert_eq!(hex::encode(&received.parent_span_id), "53995c3f42cd8ad8");
    assert_eq!(received.name, "callback");
    let mut expected = json!({
        "faas.trigger": "http", "faas.invocation_id": "request-1", "faas.coldstart": true,
        "http.request.method": "POST", "http.route": "/callbacks/{account}/{provider}",
        "http.response.status_code": 200,
    });
    assert_eq!(attributes(&received.attributes), expected);

    let told = outside.invoke("apply", outside.delivered()).traced(AT_APPLY).run().await;
    assert_eq!(told.answer["batchItemFailures"], json!([]), "{:?}", told.lines);
    let [_, applied] = &outside.spans()[..] else { panic!("one span for one invocation") };
    assert_eq!(applied.trace_id, received.trace_id);
    assert_eq!(applied.parent_span_id, received.span_id);
    let links: Vec<_> = applied.links.iter().map(|link| hex::encode(&link.trace_id)).collect();
    assert_eq!(links, ["6759e988000000000000000000000001"]);
    expected = json!({
        "faas.trigger": "pubsub", "faas.invocation_id": "request-1", "faas.coldstart": true,
        "messaging.system": "aws_sqs", "messaging.operation.type": "process",
        "messaging.operation.name": "process", "messaging.destination.name": "paybell-test-callbacks",
        "messaging.batch.message_count": 1, "paybell.batch.failed_count": 0,
    });
    assert_eq!(attributes(&applied.attributes), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_takes_the_trace_on_to_reconcile() {
    let keys = Registry::default().find("mollie").unwrap().sandbox.generate();
    let outside = Outside::start(&keys).await;
    let hint = json!({
        "rawPath": "/callbacks/acme/mollie", "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": "POST"}}, "body": "id=tr_1", "isBase64Encoded": false,
    });
    let told = outside.invoke("callback", hint).run().await;
    assert_eq!(told.answer["statusCode"], 200, "{:?}", told.lines);
    let told = outside.invoke("apply", outside.delivered()).run().await;
    assert!(told.lines.iter().any(|line| line["outcome"] == "to_be_asked"), "{:?}", told.lines);
    // What it says is not to be asked here: a message that cannot be read is traced like any other.
    let mut handed_on = outside.delivered();
    handed_on["Records"][0]["body"] = json!("?");
    outside.invoke("reconcile", handed_on).run().await;
    let spans = outside.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["callback", "apply", "reconcile"]);
    for pair in spans.windows(2) {
        assert_eq!((&pair[1].trace_id, &pair[1].parent_span_id), (&pair[0].trace_id, &pair[0].span_id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_not_sent() {
    let genuine = Genuine::new();
    let outside = Outside::start(&genuine.keys).await;
    let told = outside.invoke("callback", genuine.event()).traced(UNSAMPLED).run().await;
    assert_eq!(told.answer["statusCode"], 200, "{:?}", told.lines);
    assert!(outside.spans().is_empty());
    let carried = outside.sent()["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].clone();
    assert!(carried.as_str().unwrap().ends_with(";Sampled=0"), "{carried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_is_traced() {
    let genuine = Genuine::new();
    let outside = Outside::start(&genuine.keys).await;
    let invocation = outside.invoke("callback", genuine.event()).with(config::OTLP_ENDPOINT, "");
    let told = invocation.traced(AT_CALLBACK).run().await;
    assert_eq!(told.answer["statusCode"], 200, "{:?}", told.lines);
    assert!(outside.spans().is_empty());
    assert_eq!(outside.sent()["MessageSystemAttributes"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_fails_fails_no_invocation() {
    let genuine = Genuine::new();
    let outside = Outside::start(&genuine.keys).await;
    // Connections to it are made and never answered, because nobody accepts them.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for collector in [
        "http://127.0.0.1:9".to_owned(),
        format!("http://{}", silent.local_addr().unwrap()),
        format!("{}/nowhere", outside.address),
        "https://collector.example".to_owned(),
    ] {
        let invocation = outside.invoke("callback", genuine.event()).with(config::OTLP_ENDPOINT, &collector);
        let told = invocation.traced(AT_CALLBACK).run().await;
        assert_eq!(told.answer["statusCode"], 200, "{collector}: {:?}", told.lines);
        let lost =
            |line: &&Value| line["message"].as_str().is_some_and(|text| text.starts_with("traces are lost"));
        assert_eq!(told.lines.iter().filter(lost).count(), 1, "{collector}: {:?}", told.lines);
        assert_eq!(outside.sent()["MessageBody"].as_str().map(str::is_empty), Some(false));
    }
    assert!(outside.spans().is_empty());
}

/// A callback that the provider has just signed, of a kind that `apply` has nothing to do about.
struct Genuine {
    keys: SandboxKeys,
    request: SignedRequest,
}

impl Genuine {
    fn new() -> Self {
        let registry = Registry::default();
        let stripe = registry.find("stripe").unwrap();
        let keys = stripe.sandbox.generate();
        let amount = Money::from_minor(1999, Currency::new("EUR").unwrap()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let facts = SimulatedFacts {
            event_id: "evt_1".into(),
            order_id: "A1".into(),
            transaction_id: "T1".into(),
            refund_id: "R1".into(),
            refund: amount.clone(),
            amount,
            now: UnixSeconds(i64::try_from(now).unwrap()),
            path: "/callbacks/acme/stripe".into(),
        };
        let mut payload = stripe.payload("paid", &facts, &keys).unwrap();
        let mut content: Value = serde_json::from_str(&payload.content).unwrap();
        content["type"] = json!("customer.created");
        payload.content = content.to_string();
        let request = stripe.sandbox.sign(&keys, &payload).unwrap();
        Self { keys, request }
    }

    fn event(&self) -> Value {
        let headers = self.request.headers.iter().map(|(name, value)| (name.to_lowercase(), json!(value)));
        json!({
            "rawPath": "/callbacks/acme/stripe", "rawQueryString": self.request.query,
            "headers": headers.collect::<serde_json::Map<_, _>>(),
            "requestContext": {"http": {"method": self.request.method}},
            "body": String::from_utf8(self.request.body.clone()).unwrap(), "isBase64Encoded": false,
        })
    }
}

/// AWS and the collector, at one address.
struct Outside {
    address: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    credentials: String,
    spans: Mutex<Vec<Span>>,
    sent: Mutex<Value>,
}

impl Outside {
    async fn start(keys: &SandboxKeys) -> Self {
        let credentials = Credentials { key_sets: vec![KeySet::new("one", keys.key_set.clone())] };
        let credentials = serde_json::to_string(&credentials).unwrap();
        let seen = Arc::new(Seen { credentials, ..Seen::default() });
        let router = Router::new()
            .route("/", post(aws))
            .route("/v1/traces", post(collect))
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    fn invoke(&self, name: &'static str, event: Value) -> Invocation {
        Invocation::of(name, event)
            .with("AWS_ENDPOINT_URL", &self.address)
            .with(config::OTLP_ENDPOINT, &self.address)
    }

    fn spans(&self) -> Vec<Span> {
        self.seen.spans.lock().unwrap().clone()
    }

    /// The event source mapping's event of what was sent last.
    fn delivered(&self) -> Value {
        let sent = self.sent();
        let carried = &sent["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"];
        json!({"Records": [{
            "messageId": "m1", "body": sent["MessageBody"], "eventSourceARN": QUEUE_ARN,
            "attributes": {"SentTimestamp": "1000", "AWSTraceHeader": carried},
        }]})
    }

    fn sent(&self) -> Value {
        self.seen.sent.lock().unwrap().clone()
    }
}

/// Has the account's credentials and takes every message.
async fn aws(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let input: Value = serde_json::from_slice(&body).unwrap();
    let (_, operation) = headers["x-amz-target"].to_str().unwrap().split_once('.').unwrap();
    let is_account = input["TableName"] == config::ACCOUNTS_TABLE.to_lowercase();
    let output = match operation {
        "GetItem" if is_account => json!({"Item": {"credentials": {"S": seen.credentials}}}),
        "SendMessage" => {
            *seen.sent.lock().unwrap() = input;
            json!({"MessageId": "m1"})
        }
        _ => json!({}),
    };
    Json(output).into_response()
}

async fn collect(State(seen): State<Arc<Seen>>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_resource in request.resource_spans {
        let resource = attributes(&of_resource.resource.unwrap().attributes);
        assert!(resource["service.name"].is_string(), "{resource}");
        assert_eq!(resource["deployment.environment.name"], "test");
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        seen.spans.lock().unwrap().extend(spans);
    }
    StatusCode::OK
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let plain = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Attribute::StringValue(text) => json!(text),
        Attribute::IntValue(number) => json!(number),
        Attribute::BoolValue(truth) => json!(truth),
        other => panic!("{other:?}"),
    };
    attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), plain(attribute)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
