//! A merchant's and a provider's client.

use std::fmt;

use paybell_cli::client::SANDBOX_ANSWERS;
use paybell_shared::domain::SubjectKind;
use paybell_shared::sandbox::request::callback_path;
use paybell_shared::sandbox::{Exchange, SignedRequest};
use reqwest::header::HeaderValue;
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// A client of one account.
#[derive(Clone)]
pub struct Api {
    client: Client,
    addresses: Addresses,
    api_key: String,
}

/// Where a Paybell is reached, without a slash at the end.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// What `/callbacks/…` follows.
    pub callbacks: String,
    /// What `/orders` and the rest of the merchant's paths follow.
    pub orders: String,
    /// Where WebSockets are opened, without the ticket.
    pub websocket: String,
}

/// An answer, read to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, empty when absent.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{self:?} is not JSON: {error}"))
    }

    /// The body as JSON of an answer that must have this status.
    pub fn json_of(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {:?}", self.status, self.content_type, self.body)
    }
}

impl Api {
    /// A client for the Paybell at these addresses.
    pub fn new(addresses: Addresses, api_key: impl Into<String>) -> Self {
        Self { client: Client::new(), addresses, api_key: api_key.into() }
    }

    /// The same account with another (or a wrong) key.
    pub fn with_api_key(&self, api_key: impl Into<String>) -> Self {
        Self { api_key: api_key.into(), ..self.clone() }
    }

    /// Where WebSockets are opened, without the ticket.
    pub fn websocket_address(&self) -> &str {
        &self.addresses.websocket
    }

    /// Delivers a provider's request to an account; an error when the connection breaks.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub async fn deliver(
        &self,
        account: &str,
        provider: &str,
        request: &SignedRequest,
    ) -> reqwest::Result<Answer> {
        let method = Method::from_bytes(request.method.as_bytes()).expect("providers use valid methods");
        let address = format!("{}{}", self.addresses.callbacks, callback_path(account, provider, request));
        let mut call = self.client.request(method, address);
        for (name, value) in request.sent_headers() {
            // From bytes, so that a test may send what is no text.
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("header values have no line ends");
            call = call.header(name, value);
        }
        answer(call.body(request.body.clone()).send().await?).await
    }

    /// `POST /orders` with this body.
    pub async fn register(&self, order: &Value) -> Answer {
        self.call(Method::POST, "/orders", Some(order)).await
    }

    /// `GET /orders/{order_id}`.
    pub async fn order(&self, order_id: &str) -> Answer {
        self.get(&format!("/orders/{order_id}")).await
    }

    /// `GET /orders/{id}?kind=…`, for an order or another kind of thing.
    pub async fn subject(&self, kind: SubjectKind, id: &str) -> Answer {
        self.get(&format!("/orders/{id}?kind={}", kind.name())).await
    }

    /// The order as JSON, `null` when there is none.
    pub async fn order_if_any(&self, order_id: &str) -> Value {
        self.subject_if_any(SubjectKind::Order, order_id).await
    }

    /// The order or other thing as JSON, `null` when there is none.
    pub async fn subject_if_any(&self, kind: SubjectKind, id: &str) -> Value {
        let answer = self.subject(kind, id).await;
        if answer.status == 404 { Value::Null } else { answer.json_of(200) }
    }

    /// All of a user's inbox, page by page.
    pub async fn inbox(&self, user: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/users/{user}/inbox?after={cursor}&limit=100")).await.json_of(200);
            let page = page["notifications"].as_array().expect("an inbox page lists notifications").clone();
            let Some(last) = page.last() else { return entries };
            cursor = last["cursor"].as_str().expect("an inbox entry has a cursor").to_owned();
            entries.extend(page);
        }
    }

    /// Tells the sandbox of one machine what a provider's API answers from now on.
    pub async fn put_answers(&self, exchanges: &[Exchange]) {
        if !exchanges.is_empty() {
            let answer = self.call(Method::PUT, SANDBOX_ANSWERS, Some(&json!(exchanges))).await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
    }

    /// Mints a ticket for a user.
    pub async fn ticket(&self, user: &str) -> String {
        let answer = self.call(Method::POST, "/tickets", Some(&json!({ "user": user }))).await;
        let ticket = answer.json()["ticket"].as_str().map(str::to_owned);
        ticket.unwrap_or_else(|| panic!("no ticket: {answer:?}"))
    }

    /// `GET` of any path.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// Any call with the API key.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method.clone(), path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// Any call with the API key, without the key when it is empty.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut call = self.client.request(method, format!("{}{path}", self.addresses.orders));
        if !self.api_key.is_empty() {
            call = call.bearer_auth(&self.api_key);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        answer(call.send().await?).await
    }
}

async fn answer(response: reqwest::Response) -> reqwest::Result<Answer> {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    Ok(Answer { status, content_type, body: response.text().await? })
}
