//! The `orders` function: what a merchant's back end calls.

mod error;
mod registration;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::HeaderValue;
use aws_lambda_events::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::try_join_all;
use paybell_shared::aws::Adapters;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Expectation, Order, Plan, Reference, Reminder, Subject, SubjectKind};
use paybell_shared::ports::fold::perform;
use paybell_shared::ports::{
    AccountStore, Clock, ConnectionStore, HintQueue, Inbox, OrderStore, Random, secret_sha256_hex,
};
use paybell_shared::providers::{ID_BYTES_MAX, Registry};
use paybell_shared::refusals::{Aim, Limited, Refusals};
use percent_encoding::percent_decode_str;

use error::ApiError;
use registration::Fields;

/// How long a ticket opens a WebSocket.
const TICKET_SECONDS: i64 = 60;
/// Random bytes of a ticket.
const TICKET_BYTES: usize = 32;
/// Most bytes of an API key; longer ones are nobody's.
const API_KEY_BYTES_MAX: usize = 256;
/// Most bytes of a cursor.
const CURSOR_BYTES_MAX: usize = 256;
/// Most bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Entries of a listing when the call does not say how many.
const LISTED: usize = 50;
/// Most entries of a listing.
const LISTED_MAX: usize = 100;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Merchants' API keys.
    pub accounts: Arc<dyn AccountStore>,
    /// Orders and references.
    pub orders: Arc<dyn OrderStore>,
    /// Users' inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Tickets.
    pub connections: Arc<dyn ConnectionStore>,
    /// Where it is kept that a provider is to be asked about what was registered.
    pub hints: Arc<dyn HintQueue>,
    /// The providers.
    pub providers: Arc<Registry>,
    /// Who came with a wrong API key how often.
    pub refusals: Arc<Refusals>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters, providers: Arc<Registry>) -> Self {
        Self {
            accounts: adapters.accounts.clone(),
            orders: adapters.orders.clone(),
            inbox: adapters.inbox.clone(),
            connections: adapters.connections.clone(),
            hints: adapters.hints.clone(),
            providers,
            refusals: Arc::default(),
        }
    }
}

/// One authorised call.
struct Call<'a> {
    account: String,
    event: &'a ApiGatewayV2httpRequest,
    ports: &'a Ports,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
}

/// A status with a JSON body.
struct Reply {
    status: u16,
    json: String,
    retry_after_seconds: Option<i64>,
}

impl Reply {
    fn new(status: u16, json: String) -> Self {
        Self { status, json, retry_after_seconds: None }
    }
}

/// Answers one call of a merchant's back end; the API key says which account it is.
pub async fn handle(
    event: ApiGatewayV2httpRequest,
    ports: &Ports,
    clock: &dyn Clock,
    random: &dyn Random,
) -> ApiGatewayV2httpResponse {
    let method = event.request_context.http.method.as_str();
    let outcome = async {
        let account = authorise_unless_limited(&event, ports, clock.now_ms()).await?;
        route(Call { account, event: &event, ports, clock, random }).await
    };
    let reply = match outcome.await {
        Ok(reply) => {
            tracing::info!(outcome = "done", method, status = reply.status, "orders");
            reply
        }
        Err(error) => {
            let status = error.status();
            if let ApiError::Limited(Limited { to_tell, .. }) = &error {
                if let Some(requests) = to_tell {
                    tracing::warn!(outcome = "limited", requests, method, status, "orders");
                }
            } else if status >= 500 {
                tracing::error!(outcome = "failed", method, status, reason = %error, "orders");
            } else {
                tracing::warn!(outcome = "refused", method, status, reason = error.code(), "orders");
            }
            let retry_after_seconds = match &error {
                ApiError::Limited(limited) => Some(limited.retry_after_seconds),
                _ => None,
            };
            Reply { status, json: error.to_json(), retry_after_seconds }
        }
    };
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(reply.status);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = reply.retry_after_seconds {
        response.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.body = Some(Body::Text(reply.json));
    response
}

/// A source that has come with too many wrong keys waits before another one is looked up; a key that was right a short
/// while ago does not wait for wrong ones beside it.
async fn authorise_unless_limited(
    event: &ApiGatewayV2httpRequest,
    ports: &Ports,
    now_ms: i64,
) -> Result<String, ApiError> {
    let source_ip = event.request_context.http.source_ip.as_deref();
    let hash = api_key(event).map(secret_sha256_hex);
    let claim = hash.clone().map(|sha256_hex| Aim::ApiKey { sha256_hex });
    let authorise = async {
        let hash = hash.ok_or(ApiError::Unauthorized)?;
        ports.accounts.account_of_api_key(&hash).await?.ok_or(ApiError::Unauthorized)
    };
    let is_refusal = |error: &ApiError| matches!(error, ApiError::Unauthorized);
    ports.refusals.unless_limited((source_ip, claim), now_ms, authorise, is_refusal).await
}

fn api_key(event: &ApiGatewayV2httpRequest) -> Option<&str> {
    let header = event.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (_, key) = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    Some(key.trim()).filter(|key| !key.is_empty() && key.len() <= API_KEY_BYTES_MAX)
}

async fn route(call: Call<'_>) -> Result<Reply, ApiError> {
    let path = call.event.raw_path.as_deref().unwrap_or_default();
    match (call.event.request_context.http.method.as_str(), path) {
        ("POST", "/orders") => call.register().await,
        ("POST", "/tickets") => call.mint_ticket().await,
        ("GET", path) => {
            if let Some(id) = path.strip_prefix("/orders/") {
                call.order(&decoded(id)?).await
            } else if let Some(rest) = path.strip_prefix("/users/") {
                match rest.rsplit_once('/') {
                    Some((user, "orders")) => call.orders_of_user(&decoded(user)?).await,
                    Some((user, "inbox")) => call.inbox_of_user(&decoded(user)?).await,
                    _ => Err(ApiError::NotFound),
                }
            } else {
                Err(ApiError::NotFound)
            }
        }
        _ => Err(ApiError::NotFound),
    }
}

impl Call<'_> {
    async fn register(&self) -> Result<Reply, ApiError> {
        let fields = Fields::parse(&self.body()?)?;
        let (subject, expected) = fields.registration(&self.account)?;
        let plan = Plan::registration(subject, expected.clone());
        let done = perform(&*self.ports.orders, &plan, self.clock, self.random).await?;
        let order = done.home.ok_or(ApiError::NotFound)?;
        self.remind(&order, &expected).await?;
        Ok(Reply::new(if done.was_registered { 200 } else { 201 }, view::order(&order)))
    }

    /// Has the provider asked about each payment that the merchant names, in case that no callback ever does. A merchant
    /// who is told that this failed registers again; a reminder that is there twice then is harmless.
    async fn remind(&self, order: &Order, expected: &Expectation) -> Result<(), ApiError> {
        // What can be asked by a reference is a payment, and payments pay orders.
        if order.subject.kind != SubjectKind::Order {
            return Ok(());
        }
        let now = self.clock.now();
        let can_be_asked =
            |reference: &&Reference| self.ports.providers.hint_of(&self.account, reference, now).is_some();
        let reminders = expected
            .references
            .iter()
            .filter(can_be_asked)
            .map(|reference| Reminder::first(order.subject.clone(), reference.clone(), expected, now))
            .filter(|reminder| !reminder.is_over(order));
        let sending = reminders.map(|reminder| async move {
            let sent = self.ports.hints.remind(&reminder, reminder.delay_seconds(now)).await;
            sent.inspect(|()| tracing::info!(outcome = "reminded", account = self.account, "orders"))
        });
        try_join_all(sending).await?;
        Ok(())
    }

    async fn order(&self, id: &str) -> Result<Reply, ApiError> {
        let kind = match self.query("kind") {
            None => SubjectKind::Order,
            Some(name) => SubjectKind::from_name(name).ok_or_else(registration::unknown_kind)?,
        };
        let subject = Subject { account: self.account.clone(), kind, id: id.to_owned() };
        let order = self.ports.orders.load(&subject).await?.ok_or(ApiError::NotFound)?;
        Ok(Reply::new(200, view::order(&order)))
    }

    async fn orders_of_user(&self, user: &str) -> Result<Reply, ApiError> {
        let limit = self.limit()?;
        let orders = self.ports.orders.orders_of_user(&self.account, user, limit).await?;
        Ok(Reply::new(200, view::orders(&orders)))
    }

    async fn inbox_of_user(&self, user: &str) -> Result<Reply, ApiError> {
        let limit = self.limit()?;
        let after = self.query("after").unwrap_or_default();
        if after.len() > CURSOR_BYTES_MAX {
            return Err(ApiError::field("after", "is not a cursor of this inbox"));
        }
        let entries = self.ports.inbox.after(&self.account, user, after, limit).await?;
        Ok(Reply::new(200, view::inbox(&entries, after, entries.len() < limit, self.clock.now_ms())))
    }

    async fn mint_ticket(&self) -> Result<Reply, ApiError> {
        let user = Fields::parse(&self.body()?)?.only_user()?;
        let mut bytes = [0; TICKET_BYTES];
        self.random.fill(&mut bytes);
        let ticket = URL_SAFE_NO_PAD.encode(bytes);
        let expires_at = UnixSeconds(self.clock.now().0 + TICKET_SECONDS);
        let hash = secret_sha256_hex(&ticket);
        self.ports.connections.put_ticket(&hash, &self.account, &user, expires_at).await?;
        Ok(Reply::new(201, view::ticket(&ticket, expires_at)))
    }

    fn body(&self) -> Result<Vec<u8>, ApiError> {
        let text = self.event.body.as_deref().unwrap_or_default();
        let bytes = if self.event.is_base64_encoded {
            STANDARD.decode(text).map_err(|_| ApiError::NotJson)?
        } else {
            text.as_bytes().to_vec()
        };
        if bytes.len() > BODY_BYTES_MAX {
            return Err(ApiError::TooLarge { limit_bytes: BODY_BYTES_MAX });
        }
        Ok(bytes)
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.event.query_string_parameters.first(name)
    }

    fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.query("limit") else { return Ok(LISTED) };
        let limit = text.parse().ok().filter(|limit| (1..=LISTED_MAX).contains(limit));
        limit
            .ok_or_else(|| ApiError::field("limit", format!("must be a whole number from 1 to {LISTED_MAX}")))
    }
}

fn decoded(segment: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| ApiError::NotFound)?;
    if (1..=ID_BYTES_MAX).contains(&decoded.len()) {
        Ok(decoded.into_owned())
    } else {
        Err(ApiError::NotFound)
    }
}
