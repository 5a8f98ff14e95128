//! The functions as Lambda binaries: each starts as Lambda starts it, and answers an event that asks nothing of AWS.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use paybell_shared::config;
use paybell_tests::binary;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::mpsc;

const START_AND_ANSWER_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_function_starts_and_answers() {
    let http = |path: &str| {
        json!({
            "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
            "requestContext": {
                "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            },
        })
    };
    let connect = json!({
        "headers": {}, "multiValueHeaders": {}, "isBase64Encoded": false,
        "requestContext": {
            "routeKey": "$connect", "connectionId": "c1", "eventType": "CONNECT", "connectedAt": 1, "requestTimeEpoch": 1,
        },
    });
    for (name, event, pointer, expected) in [
        ("callback", http("/callbacks/acme/nosuch"), "/statusCode", json!(404)),
        ("apply", json!({"Records": []}), "/batchItemFailures", json!([])),
        ("reconcile", json!({"Records": []}), "/batchItemFailures", json!([])),
        ("notify", json!({"Records": []}), "/batchItemFailures", json!([])),
        ("connections", connect, "/statusCode", json!(401)),
        ("orders", http("/orders"), "/statusCode", json!(401)),
    ] {
        let answer = answer(name, event).await;
        assert_eq!(answer.pointer(pointer), Some(&expected), "{name} answered {answer}");
    }
}

/// What the runtime API knows: the one event that is left to hand out, and where answers go.
#[derive(Clone)]
struct RuntimeApi {
    event: Arc<Mutex<Option<Value>>>,
    answers: mpsc::UnboundedSender<Value>,
}

/// # Source
/// AWS Lambda developer guide, "Using the Lambda runtime API".
async fn answer(name: &str, event: Value) -> Value {
    let (answers, mut answered) = mpsc::unbounded_channel();
    let api = RuntimeApi { event: Arc::new(Mutex::new(Some(event))), answers };
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(done))
        .with_state(api);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut function = Command::new(binary::function(name))
        .env_clear()
        .envs(environment(name))
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let answer = tokio::select! {
        answer = answered.recv() => answer.expect("the runtime API keeps a sender"),
        ended = function.wait() => panic!("{name} ended: {ended:?}"),
        () = tokio::time::sleep(START_AND_ANSWER_MAX) => panic!("{name} does not answer"),
    };
    serving.abort();
    answer
}

fn environment(name: &str) -> Vec<(&'static str, String)> {
    let nowhere = "http://127.0.0.1:9";
    let mut variables = vec![
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ];
    for table in
        [config::ORDERS_TABLE, config::INBOX_TABLE, config::CONNECTIONS_TABLE, config::ACCOUNTS_TABLE]
    {
        variables.push((table, table.to_lowercase()));
    }
    for address in [
        config::CALLBACKS_QUEUE_URL,
        config::CALLBACKS_DEAD_LETTERS_URL,
        config::HINTS_QUEUE_URL,
        config::HINTS_DEAD_LETTERS_URL,
        config::WEBSOCKET_ENDPOINT,
    ] {
        variables.push((address, nowhere.to_owned()));
    }
    variables
}

async fn next(State(api): State<RuntimeApi>) -> Response {
    let event = api.event.lock().expect("no holder panics").take();
    match event {
        Some(event) => {
            let headers = AppendHeaders([
                ("Lambda-Runtime-Aws-Request-Id", "request-1"),
                ("Lambda-Runtime-Deadline-Ms", "9999999999999"),
                ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:000000000000:function:f"),
            ]);
            (headers, event.to_string()).into_response()
        }
        None => std::future::pending().await,
    }
}

async fn done(
    State(api): State<RuntimeApi>,
    Path((_, outcome)): Path<(String, String)>,
    body: String,
) -> Response {
    let answer = if outcome == "response" {
        serde_json::from_str(&body).unwrap_or(Value::Null)
    } else {
        json!({ "failed": body })
    };
    let _ = api.answers.send(answer);
    axum::http::StatusCode::ACCEPTED.into_response()
}
