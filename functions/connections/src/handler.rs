//! The `connections` function: opens, resumes and closes users' WebSockets.

mod resume;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use paybell_shared::aws::Adapters;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::callback::json::Json;
use paybell_shared::ports::{
    Connection, ConnectionStore, Inbox, PortError, Pushed, Pusher, secret_sha256_hex,
};
use paybell_shared::push::Message;
use thiserror::Error;

/// Most bytes of a ticket; ours have 43.
const TICKET_BYTES_MAX: usize = 128;
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
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self {
            inbox: adapters.inbox.clone(),
            connections: adapters.connections.clone(),
            pusher: adapters.pusher.clone(),
        }
    }
}

/// Why an event of the WebSocket API is not done.
#[derive(Debug, Error)]
enum ConnectionError {
    /// The ticket is absent, unknown, used or expired.
    #[error("the ticket is not valid")]
    Unauthorized,
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
        (Some(id), "$connect") => {
            connect(id, event.query_string_parameters.first("ticket"), ports, now).await
        }
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
    match &outcome {
        Ok(()) => tracing::info!(outcome = "done", route, "connections"),
        Err(error) if status >= 500 => {
            tracing::error!(outcome = "failed", route, reason = %error, "connections")
        }
        Err(error) => tracing::warn!(outcome = "refused", route, reason = %error, "connections"),
    }
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = status;
    response
}

/// The one place where an error becomes a status.
fn status_of(error: &ConnectionError) -> i64 {
    match error {
        ConnectionError::Unauthorized => 401,
        ConnectionError::UnknownConnection => 410,
        ConnectionError::NotAWebSocket => 400,
        ConnectionError::Failed(_) => 503,
    }
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
    ports.connections.put(&Connection { id: id.to_owned(), account, user }, now).await?;
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
