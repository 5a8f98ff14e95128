//! The merchant API and the callback addresses of a running Paybell, as the client commands use them.

use std::path::Path;
use std::time::Duration;

use paybell_shared::domain::{Reference, SubjectKind};
use paybell_shared::sandbox::{Exchange, SignedRequest};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::demo::DemoAccount;
use paybell_shared::sandbox::request::callback_path;

/// Where the sandbox is told what providers' APIs answer.
pub const SANDBOX_ANSWERS: &str = "/sandbox/answers";
/// Longest wait for one answer; the callback function answers in milliseconds.
const ANSWER_TIMEOUT_SECONDS: u64 = 30;

/// Why a client command cannot do its work. The texts say what to do next.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing listens on the port.
    #[error("nothing answers on 127.0.0.1:{port}: start it with `paybell up`, or name its port with --port")]
    NotRunning {
        /// The port that was tried.
        port: u16,
    },
    /// The data folder has no readable demo account.
    #[error(
        "{folder} holds no demo account ({source}): name the folder of the running `paybell up` with --data"
    )]
    NoDemoAccount {
        /// The data folder.
        folder: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The API key is not known to the server.
    #[error(
        "the server does not know this API key: --data must name the folder that the server on this port runs with"
    )]
    Unauthorized,
    /// The server answered something unexpected.
    #[error("the server answered {status}: {body}")]
    Unexpected {
        /// HTTP status.
        status: u16,
        /// The body, shortened.
        body: String,
    },
    /// The connection broke.
    #[error("the request failed: {0}")]
    Transport(String),
}

/// Reads the demo account of a data folder.
///
/// # Errors
/// [`ClientError::NoDemoAccount`].
pub fn demo_account(data: &Path) -> Result<DemoAccount, ClientError> {
    DemoAccount::read(data)
        .map_err(|source| ClientError::NoDemoAccount { folder: data.display().to_string(), source })
}

/// A merchant's back end talking to a Paybell on this machine.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    port: u16,
    api_key: String,
}

/// What to register an order with.
#[derive(Clone, Debug, Serialize)]
pub struct Registration {
    /// The merchant's order number.
    pub order_id: String,
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// The amount in minor units, as digits.
    pub amount_minor: String,
    /// The currency's code.
    pub currency: String,
    /// The user who is told.
    pub user: String,
    /// Ids under which the order is found where a callback does not name it.
    pub references: Vec<Reference>,
}

/// An order as the API tells it; amounts are in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OrderView {
    /// The merchant's order number.
    pub order_id: String,
    /// Where it stands, such as `paid`.
    pub status: String,
    /// What the merchant expects; absent until registered.
    #[serde(default)]
    pub expected: Option<ExpectedView>,
    /// Taken.
    #[serde(default)]
    pub captured_minor: Option<i128>,
    /// Given back.
    #[serde(default)]
    pub refunded_minor: Option<i128>,
    /// The currency's code, when known.
    #[serde(default)]
    pub currency: Option<String>,
}

/// What the merchant expects of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExpectedView {
    /// The amount in minor units.
    #[serde(default)]
    pub amount_minor: Option<i128>,
    /// The currency's code.
    #[serde(default)]
    pub currency: Option<String>,
}

/// The answer to a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`; empty when there is none.
    pub content_type: String,
    /// The body.
    pub body: String,
}

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

impl Client {
    /// A client of the server on 127.0.0.1:`port`.
    pub fn new(port: u16, api_key: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(ANSWER_TIMEOUT_SECONDS))
            .no_proxy()
            .build()
            .expect("a client without TLS and proxy needs nothing that can fail");
        Self { http, port, api_key: api_key.into() }
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Registers an order; the same again is fine.
    ///
    /// # Errors
    /// [`ClientError`]; 409 means that it is registered with other facts.
    pub async fn register(&self, registration: &Registration) -> Result<(), ClientError> {
        self.call(self.api(Method::POST, "/orders").json(registration)).await.map(drop)
    }

    /// An order (or another kind of thing) as it stands; `None` when nothing is known of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn order(&self, kind: SubjectKind, order_id: &str) -> Result<Option<OrderView>, ClientError> {
        let path = format!("/orders/{order_id}?kind={}", kind.name());
        match self.call(self.api(Method::GET, &path)).await {
            Ok(body) => read(&body).map(Some),
            Err(ClientError::Unexpected { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A single-use ticket to open a WebSocket as `user`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ticket(&self, user: &str) -> Result<String, ClientError> {
        let request = self.api(Method::POST, "/tickets").json(&serde_json::json!({ "user": user }));
        read::<Ticket>(&self.call(request).await?).map(|answer| answer.ticket)
    }

    /// Tells the sandbox what the provider's API answers to Paybell's questions from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_answers(&self, exchanges: &[Exchange]) -> Result<(), ClientError> {
        self.call(self.api(Method::PUT, SANDBOX_ANSWERS).json(exchanges)).await.map(drop)
    }

    /// Sends a callback as the provider would and returns whatever the answer is.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] and [`ClientError::Transport`].
    pub async fn deliver(
        &self,
        account: &str,
        provider: &str,
        request: &SignedRequest,
    ) -> Result<Answered, ClientError> {
        let method =
            Method::from_bytes(request.method.as_bytes()).expect("a provider's method is a valid token");
        let address = self.address(&callback_path(account, provider, request));
        let mut builder = self.http.request(method, address).body(request.body.clone());
        for (name, value) in request.sent_headers() {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.map_err(|error| self.transport(error))?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = response.text().await.map_err(|error| self.transport(error))?;
        Ok(Answered { status, content_type, body })
    }

    fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.address(path)).bearer_auth(&self.api_key)
    }

    async fn call(&self, request: RequestBuilder) -> Result<String, ClientError> {
        let response = request.send().await.map_err(|error| self.transport(error))?;
        let status = response.status();
        let body = response.text().await.map_err(|error| self.transport(error))?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ClientError::Unauthorized),
            status if status.is_success() => Ok(body),
            status => Err(unexpected(status.as_u16(), &body)),
        }
    }

    fn transport(&self, error: reqwest::Error) -> ClientError {
        if error.is_connect() {
            ClientError::NotRunning { port: self.port }
        } else {
            ClientError::Transport(error.without_url().to_string())
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: &str) -> Result<T, ClientError> {
    serde_json::from_str(body).map_err(|_| unexpected(StatusCode::OK.as_u16(), body))
}

fn unexpected(status: u16, body: &str) -> ClientError {
    ClientError::Unexpected { status, body: body.chars().take(300).collect() }
}
