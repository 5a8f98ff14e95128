//! Plays the Lambda runtime API to one binary for one invocation.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use paybell_shared::config;
use paybell_tests::binary;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::mpsc;

const START_AND_ANSWER_MAX: Duration = Duration::from_secs(60);

/// One event for one function.
pub struct Invocation {
    name: &'static str,
    event: Value,
    trace: Option<&'static str>,
    variables: Vec<(&'static str, String)>,
}

/// What the function answered, and the lines that it wrote.
pub struct Told {
    pub answer: Value,
    pub lines: Vec<Value>,
}

impl Invocation {
    pub fn of(name: &'static str, event: Value) -> Self {
        Self { name, event, trace: None, variables: Vec::new() }
    }

    /// With this variable in the environment.
    pub fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    /// With this X-Ray header of the runtime.
    pub fn traced(mut self, header: &'static str) -> Self {
        self.trace = Some(header);
        self
    }

    /// # Source
    /// AWS Lambda developer guide, "Using the Lambda runtime API".
    pub async fn run(self) -> Told {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let name = self.name;
        let next_event = Arc::new(Mutex::new(Some((self.event, self.trace))));
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(done))
            .with_state(RuntimeApi { next_event, answers });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let mut function = Command::new(binary::function(name))
            .env_clear()
            .envs(environment(name))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .envs(self.variables)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let answer = tokio::select! {
            answer = answered.recv() => answer.expect("the runtime API keeps a sender"),
            ended = function.wait() => panic!("{name} ended: {ended:?}"),
            () = tokio::time::sleep(START_AND_ANSWER_MAX) => panic!("{name} does not answer"),
        };
        serving.abort();
        function.kill().await.expect("it runs until it is killed");
        let mut written = String::new();
        let mut stdout = function.stdout.take().expect("it is piped");
        stdout.read_to_string(&mut written).await.expect("it writes UTF-8");
        let lines = written.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        Told { answer, lines }
    }
}

/// An event and the trace header that comes with it.
type NextEvent = (Value, Option<&'static str>);

/// What the runtime API knows: the one event that is left to hand out, and where answers go.
#[derive(Clone)]
struct RuntimeApi {
    next_event: Arc<Mutex<Option<NextEvent>>>,
    answers: mpsc::UnboundedSender<Value>,
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
        (config::STAGE, "test".to_owned()),
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
        config::NOTIFY_DEAD_LETTERS_URL,
        config::WEBSOCKET_ENDPOINT,
    ] {
        variables.push((address, nowhere.to_owned()));
    }
    variables
}

async fn next(State(api): State<RuntimeApi>) -> Response {
    let next_event = api.next_event.lock().expect("no holder panics").take();
    let Some((event, trace)) = next_event else { return std::future::pending().await };
    let mut headers = HeaderMap::new();
    let always = [
        ("lambda-runtime-aws-request-id", "request-1"),
        ("lambda-runtime-deadline-ms", "9999999999999"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:000000000000:function:f"),
    ];
    for (name, value) in always.into_iter().chain(trace.map(|trace| ("lambda-runtime-trace-id", trace))) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    (headers, event.to_string()).into_response()
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
