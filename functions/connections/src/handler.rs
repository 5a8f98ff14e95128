//! The `connections` function: opens, resumes and closes users' WebSockets.

mod resume;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::http::HeaderValue;
use aws_lambda_events::http::header::RETRY_AFTER;
use paybell_shared::aws::Adapters;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::callback::json::Json;
use paybell_shared::ports::{
    Connection, ConnectionStore, Inbox, PortError, Pushed, Pusher, secret_sha256_hex,
};
use paybell_shared::push::Message;
use paybell_shared::refusals::{Limited, Refusals};
use thiserror::Error;

/// Most bytes of a ticket; ours have 43.
const TICKET_BYTES_MAX: usize = 128;
/// Most open WebSockets of a user. Devices that connect at the same moment may be a few more for as long as that.
const CONNECTIONS_OF_USER_MAX: usize = 32;
/// What a client is told that says anything else.
const ALLOWED: &str = r#"send {"action":"resume","cursor":"…"}, with an empty cursor for everything"#;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Users' inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Open WebSockets and tickets.
    pub connections: Arc<dyn ConnectionStore>,
    /// Sends to them.
    pub pusher: Arc<dyn Pusher>,
    /// Who came with a wrong ticket how often.
    pub refusals: Arc<Refusals>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self {
            inbox: adapters.inbox.clone(),
            connections: adapters.connections.clone(),
            pusher: adapters.pusher.clone(),
            refusals: Arc::default(),
        }
    }
}

/// Why an event of the WebSocket API is not done.
#[derive(Debug, Error)]
enum ConnectionError {
    /// The ticket is absent, unknown, used or expired.
    #[error("the ticket is not valid")]
    Unauthorized,
    /// Too many wrong tickets came from the same source.
    #[error("too many tickets were not valid")]
    Limited(#[from] Limited),
    /// A message of a connection that we do not know.
    #[error("unknown connection")]
    UnknownConnection,
    /// The event is not one of a WebSocket API.
    #[error("the event has no connection id")]
    NotAWebSocket,
    /// We could not do our part.
    #[error(transparent)]
    Failed(#[from] PortError),
}

/// Answers one event of the WebSocket API. `$connect` takes a ticket from the query; every other message is JSON.
pub async fn handle(
    event: ApiGatewayWebsocketProxyRequest,
    ports: &Ports,
    now: UnixSeconds,
) -> ApiGatewayProxyResponse {
    let route = event.request_context.route_key.as_deref().unwrap_or_default();
    let outcome = match (event.request_context.connection_id.as_deref(), route) {
        (None, _) => Err(ConnectionError::NotAWebSocket),
        (Some(id), "$connect") => connect_unless_limited(id, &event, ports, now).await,
        (Some(id), "$disconnect") => disconnect(id, ports).await,
        (Some(id), _) => {
            let outcome = message(id, event.body.as_deref().unwrap_or_default(), ports).await;
            if let Err(ConnectionError::Failed(_) | ConnectionError::UnknownConnection) = &outcome {
                close(id, ports).await;
            }
            outcome
        }
    };
    let status = match &outcome {
        Ok(()) => 200,
        Err(error) => status_of(error),
    };
    let mut response = ApiGatewayProxyResponse::default();
    match &outcome {
        Ok(()) => tracing::info!(outcome = "done", route, "connections"),
        Err(ConnectionError::Limited(Limited { retry_after_seconds, to_tell })) => {
            if let Some(requests) = to_tell {
                tracing::warn!(outcome = "limited", requests, route, "connections");
            }
            response.headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
        }
        Err(error) if status >= 500 => {
            tracing::error!(outcome = "failed", route, reason = %error, "connections")
        }
        Err(error) => tracing::warn!(outcome = "refused", route, reason = %error, "connections"),
    }
    response.status_code = status;
    response
}

/// The one place where an error becomes a status.
fn status_of(error: &ConnectionError) -> i64 {
    match error {
        ConnectionError::Unauthorized => 401,
        ConnectionError::UnknownConnection => 410,
        ConnectionError::Limited(_) => 429,
        ConnectionError::NotAWebSocket => 400,
        ConnectionError::Failed(_) => 503,
    }
}

/// A source that has come with too many wrong tickets waits before another one is looked up.
async fn connect_unless_limited(
    id: &str,
    event: &ApiGatewayWebsocketProxyRequest,
    ports: &Ports,
    now: UnixSeconds,
) -> Result<(), ConnectionError> {
    let ticket = event.query_string_parameters.first("ticket");
    let source_ip = event.request_context.identity.source_ip.as_deref();
    let is_refusal = |error: &ConnectionError| matches!(error, ConnectionError::Unauthorized);
    let now_ms = now.0.saturating_mul(1_000);
    // A ticket is used up by what it proves, so there is nothing to remember.
    ports
        .refusals
        .unless_limited((source_ip, None), now_ms, connect(id, ticket, ports, now), is_refusal)
        .await
}

async fn connect(
    id: &str,
    ticket: Option<&str>,
    ports: &Ports,
    now: UnixSeconds,
) -> Result<(), ConnectionError> {
    let ticket = ticket.filter(|ticket| !ticket.is_empty() && ticket.len() <= TICKET_BYTES_MAX);
    let ticket = ticket.ok_or(ConnectionError::Unauthorized)?;
    let holder = ports.connections.take_ticket(&secret_sha256_hex(ticket), now).await?;
    let (account, user) = holder.ok_or(ConnectionError::Unauthorized)?;
    let connection = Connection { id: id.to_owned(), account, user };
    make_room(&connection, ports).await?;
    ports.connections.put(&connection, now).await?;
    Ok(())
}

/// Cuts those connections of the user that were opened first, when there would be too many with the new one. They are
/// the ones that may long be dead; a device that is not comes back and is the newest then.
async fn make_room(connection: &Connection, ports: &Ports) -> Result<(), PortError> {
    let open = ports.connections.of_user(&connection.account, &connection.user).await?;
    let too_many = (open.len() + 1).saturating_sub(CONNECTIONS_OF_USER_MAX);
    for oldest in &open[..too_many] {
        ports.connections.delete(oldest).await?;
        close(&oldest.id, ports).await;
        tracing::info!(outcome = "displaced", account = oldest.account, "connections");
    }
    Ok(())
}

async fn disconnect(id: &str, ports: &Ports) -> Result<(), ConnectionError> {
    if let Some(connection) = ports.connections.find(id).await? {
        ports.connections.delete(&connection).await?;
    }
    Ok(())
}

async fn message(id: &str, body: &str, ports: &Ports) -> Result<(), ConnectionError> {
    let connection = ports.connections.find(id).await?.ok_or(ConnectionError::UnknownConnection)?;
    let request = Json::parse(body.as_bytes()).ok();
    let is_resume = request.as_ref().and_then(|request| request.text("/action")) == Some("resume");
    let cursor = match request.as_ref().and_then(|request| request.at("/cursor")) {
        None | Some(Json::Null) => Some(""),
        Some(Json::Text(cursor)) if resume::is_cursor(cursor) => Some(cursor.as_str()),
        Some(_) => None,
    };
    match cursor.filter(|_| is_resume) {
        Some(cursor) => {
            if let Err(error) = resume::resume(&connection, cursor, ports).await {
                ports.connections.delete(&connection).await?;
                return Err(error.into());
            }
        }
        None => {
            send(&connection, &Message::Error { message: ALLOWED }, ports).await?;
        }
    }
    Ok(())
}

/// Closes a connection whose client waits for an answer that does not come, so that it comes back and asks again.
async fn close(id: &str, ports: &Ports) {
    if let Err(error) = ports.pusher.close(id).await {
        tracing::warn!(outcome = "not_closed", reason = %error, "connections");
    }
}

/// Sends one message; a connection that is gone is forgotten.
async fn send(connection: &Connection, message: &Message<'_>, ports: &Ports) -> Result<Pushed, PortError> {
    let pushed = ports.pusher.push(&connection.id, &message.to_json()).await?;
    if pushed == Pushed::Gone {
        ports.connections.delete(connection).await?;
    }
    Ok(pushed)
}
