//! The public gateway: the HTTP and WebSocket APIs in front of the functions.

mod convert;
mod health;
pub mod hub;
mod routes;
pub mod serving;
mod source;
mod websocket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::StreamExt;
use paybell_shared::ports::Clock;
use uuid::Uuid;

use self::convert::{Receipt, internal_error, plain, to_event, to_http};
use self::hub::Hub;
use self::routes::Target;
use super::dynamodb::DynamoDb;
use super::functions::{Functions, HTTP_TIMEOUT, InvocationError, invoke};
use super::queue::Store;
use super::sandbox::{self, Sandbox};
use super::triggers::Stopping;

pub use self::health::Health;
pub use self::websocket::OPEN_MAX;

/// What a function sees of a body: one byte more than `callback` takes, so that it can give the provider's own answer
/// to one that is too large.
const BODY_BYTES_SEEN_MAX: usize = 256 * 1024 + 1;
/// What is read at all, as in API Gateway; a client that is answered early may still be sending.
const BODY_BYTES_READ_MAX: usize = 10 * 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the routes share.
#[derive(Clone)]
pub struct Gateway {
    /// The functions.
    pub functions: Functions,
    /// Open WebSockets.
    pub hub: Arc<Hub>,
    /// The queues.
    pub store: Arc<Store>,
    /// The tables.
    pub dynamodb: DynamoDb,
    /// The provider's side of the demo account.
    pub sandbox: Arc<Sandbox>,
    /// Whether these take what is written.
    pub health: Arc<Health>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The text of `GET /`.
    pub about: Arc<str>,
    /// Reverse proxies on other machines, whose word on where a request comes from counts.
    pub trusted_proxies: Arc<[IpAddr]>,
    /// Turns true when the process is to stop.
    pub stopping: Stopping,
}

/// The gateway's routes.
pub fn router(gateway: Gateway) -> Router {
    let sandbox = sandbox::router(Arc::clone(&gateway.sandbox));
    Router::new()
        .route("/", get(|State(gateway): State<Gateway>| async move { gateway.about.to_string() }))
        .route("/health", get(health))
        .route("/ws", get(websocket::upgrade))
        .fallback(call)
        .with_state(gateway)
        .merge(sandbox)
}

/// 200 as long as what is acknowledged can be made durable.
async fn health(State(gateway): State<Gateway>) -> Response {
    // In a task of its own: a client that leaves must not end a probe half-way, and have the next one begin another.
    let asked = tokio::spawn(async move { gateway.health.ask(probe(&gateway)).await });
    match asked.await {
        Ok(Ok(())) => axum::Json(serde_json::json!({"status": "ok"})).into_response(),
        _ => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "The storage has failed. See the log; a restart may help.")
        }
    }
}

async fn probe(gateway: &Gateway) -> Result<(), String> {
    let stores = futures_util::future::try_join(
        async { gateway.store.probe().await.map_err(|error| error.to_string()) },
        async { gateway.dynamodb.probe().await.map_err(|error| error.to_string()) },
    );
    stores.await.map(drop)
}

async fn call(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(route) = routes::find(parts.method.as_str(), parts.uri.path()) else {
        return plain(StatusCode::NOT_FOUND, "Not Found");
    };
    let body = match tokio::time::timeout(BODY_TIMEOUT, read(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(status)) => return plain(status, status.canonical_reason().unwrap_or_default()),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
    };
    let target = route.target;
    if target != Target::Callback && body.len() >= BODY_BYTES_SEEN_MAX {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    }
    let receipt = Receipt {
        source_ip: source::of(peer, &parts.headers, &gateway.trusted_proxies),
        request_id: Uuid::new_v4().to_string(),
        now_ms: gateway.clock.now_ms(),
    };
    let event = to_event(&parts, &body, route, receipt);
    let function = match target {
        Target::Callback => &gateway.functions.callback,
        Target::Orders => &gateway.functions.orders,
    };
    match invoke(function, event, HTTP_TIMEOUT).await {
        Ok(response) => to_http(response),
        Err(InvocationError::TimedOut) => plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        Err(InvocationError::Panicked) => internal_error(),
    }
}

/// Reads all of a body and keeps as much of it as a function sees.
async fn read(body: Body) -> Result<Vec<u8>, StatusCode> {
    let (mut kept, mut bytes_read) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        bytes_read += chunk.len();
        if bytes_read > BODY_BYTES_READ_MAX {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let room = BODY_BYTES_SEEN_MAX - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(kept)
}
