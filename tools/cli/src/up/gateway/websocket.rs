//! WebSockets as API Gateway serves them: `$connect` decides, messages go to the route that their `action` names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use paybell_shared::ports::Clock;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::Gateway;
use super::convert::{plain, query_of};
use super::hub::{Hub, Line, MESSAGE_BYTES_MAX};
use super::serving::Seat;
use super::source;
use crate::up::functions::{HTTP_TIMEOUT, WebSocketFunction, invoke};
use crate::up::triggers::stopped;

/// Largest frame that a client may send, as in API Gateway.
const FRAME_BYTES_MAX: usize = 32 * 1024;
/// What may wait to leave beside one message: the answers to pings of a client that does not read them.
const UNSENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 64 * 1024;
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a connection lives, as in API Gateway.
pub const OPEN_MAX: Duration = Duration::from_secs(2 * 3600);
/// How long one frame may take to leave.
const SEND_MAX: Duration = Duration::from_secs(10);
/// Messages of one client that may wait for the function.
const INCOMING_MESSAGES_MAX: usize = 16;

/// One connection, as the function's events name it.
#[derive(Clone)]
struct Connection {
    id: String,
    connected_at_ms: i64,
    source_ip: String,
    user_agent: String,
}

/// `GET /ws?ticket=…`.
pub async fn upgrade(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(seat): Extension<Seat>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let user_agent =
        headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let connection = Connection {
        id: Uuid::new_v4().simple().to_string(),
        connected_at_ms: gateway.clock.now_ms(),
        source_ip: source::of(peer, &headers, &gateway.trusted_proxies),
        user_agent: user_agent.to_owned(),
    };
    // Open before the function runs: what is pushed as soon as it has stored the connection must find it.
    let line = gateway.hub.open(&connection.id, connection.source_ip.clone(), connection.user_agent.clone());
    let mut event = event(&*gateway.clock, &connection, "CONNECT", "$connect");
    event.query_string_parameters = query_of(&uri)
        .into_iter()
        .filter_map(|(name, mut values)| Some((name, values.pop()?)))
        .collect::<std::collections::HashMap<_, _>>()
        .into();
    event.headers = headers;
    let status = match invoke(&gateway.functions.connections, event, HTTP_TIMEOUT).await {
        Ok(response) => u16::try_from(response.status_code).unwrap_or(502),
        Err(_) => 502,
    };
    if !(200..300).contains(&status) {
        let _ = gateway.hub.cut(&connection.id);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        return plain(status, status.canonical_reason().unwrap_or("Refused"));
    }
    let (failed_gateway, failed_connection) = (gateway.clone(), connection.clone());
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_BYTES_MAX)
        .on_failed_upgrade(move |_| {
            tokio::spawn(async move {
                disconnect(&failed_gateway, &failed_connection, close_code::ABNORMAL).await
            });
        })
        .on_upgrade(move |socket| async move {
            let _seat = seat;
            serve(gateway, connection, line, socket).await;
        })
        .into_response()
}

/// One socket's life.
async fn serve(gateway: Gateway, connection: Connection, mut line: Line, mut socket: WebSocket) {
    let (incoming, messages) = mpsc::channel(INCOMING_MESSAGES_MAX);
    let served_by = ServedBy {
        function: Arc::clone(&gateway.functions.connections),
        hub: Arc::clone(&gateway.hub),
        clock: Arc::clone(&gateway.clock),
    };
    let worker = tokio::spawn(answer(served_by, connection.clone(), messages));
    let code = exchange(&gateway, &mut line, &mut socket, &incoming).await;
    let close = CloseFrame { code, reason: Utf8Bytes::from_static("") };
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(Message::Close(Some(close)))).await;
    let _ = gateway.hub.cut(&connection.id);
    drop(incoming);
    let _ = worker.await;
    disconnect(&gateway, &connection, code).await;
}

/// Carries messages both ways until something ends it; the code says what.
async fn exchange(
    gateway: &Gateway,
    line: &mut Line,
    socket: &mut WebSocket,
    incoming: &mpsc::Sender<Utf8Bytes>,
) -> u16 {
    let (end, mut stopping) = (Instant::now() + OPEN_MAX, gateway.stopping.clone());
    let mut idle_end = Instant::now() + IDLE_MAX;
    loop {
        tokio::select! {
            message = line.outgoing.recv() => {
                let Some(message) = message.and_then(|bytes| Utf8Bytes::try_from(bytes).ok()) else {
                    return close_code::POLICY;
                };
                match tokio::time::timeout(SEND_MAX, socket.send(Message::Text(message))).await {
                    Ok(Ok(())) => {}
                    _ => return close_code::ABNORMAL,
                }
            }
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    if incoming.try_send(text).is_err() {
                        return close_code::POLICY;
                    }
                }
                // API Gateway takes binary frames as well, but no route of ours does.
                Some(Ok(Message::Binary(_))) => return close_code::UNSUPPORTED,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return close_code::NORMAL,
                Some(Err(error)) => return code_of(&error),
            },
            () = tokio::time::sleep_until(idle_end.min(end)) => return close_code::AWAY,
            () = stopped(&mut stopping) => return close_code::AWAY,
        }
        idle_end = Instant::now() + IDLE_MAX;
        line.active_at_ms.store(gateway.clock.now_ms(), Ordering::Relaxed);
    }
}

fn code_of(error: &axum::Error) -> u16 {
    let text = error.to_string();
    if text.contains("too long") || text.contains("too big") {
        close_code::SIZE
    } else {
        close_code::ABNORMAL
    }
}

/// What a client's messages need of the gateway.
struct ServedBy {
    function: WebSocketFunction,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
}

/// Gives a client's messages to the function, one after the other, until one fails.
async fn answer(served_by: ServedBy, connection: Connection, mut messages: mpsc::Receiver<Utf8Bytes>) {
    while let Some(text) = messages.recv().await {
        let mut event = event(&*served_by.clock, &connection, "MESSAGE", route_of(&text));
        event.request_context.message_direction = Some("IN".to_owned());
        event.request_context.message_id = Some(Uuid::new_v4().simple().to_string());
        event.body = Some(text.to_string());
        let request_id = event.request_context.request_id.clone();
        if let Err(error) = invoke(&served_by.function, event, HTTP_TIMEOUT).await {
            tracing::error!(connection = connection.id, %error, "a message failed");
            let body = serde_json::json!({
                "message": "Internal server error", "connectionId": connection.id, "requestId": request_id,
            });
            let _ = served_by.hub.push(&connection.id, Bytes::from(body.to_string())).await;
            // API Gateway leaves it open; but whoever waits for the answer to a `resume` would wait for hours.
            let _ = served_by.hub.cut(&connection.id);
            // What else it said waits for an answer no more, and would keep its `$disconnect` waiting.
            return;
        }
    }
}

/// The route selection `$request.body.action`.
fn route_of(text: &str) -> &'static str {
    let action =
        serde_json::from_str::<Value>(text).ok().and_then(|body| Some(body["action"].as_str()? == "resume"));
    if action == Some(true) { "resume" } else { "$default" }
}

async fn disconnect(gateway: &Gateway, connection: &Connection, code: u16) {
    let _ = gateway.hub.cut(&connection.id);
    let mut event = event(&*gateway.clock, connection, "DISCONNECT", "$disconnect");
    event.request_context.disconnect_status_code = Some(code.into());
    if let Err(error) = invoke(&gateway.functions.connections, event, HTTP_TIMEOUT).await {
        tracing::warn!(connection = connection.id, %error, "a disconnection failed");
    }
}

fn event(
    clock: &dyn Clock,
    connection: &Connection,
    event_type: &str,
    route_key: &str,
) -> ApiGatewayWebsocketProxyRequest {
    let mut event = ApiGatewayWebsocketProxyRequest::default();
    let context = &mut event.request_context;
    context.route_key = Some(route_key.to_owned());
    context.event_type = Some(event_type.to_owned());
    context.connection_id = Some(connection.id.clone());
    context.connected_at = connection.connected_at_ms;
    context.request_id = Some(Uuid::new_v4().to_string());
    context.request_time_epoch = clock.now_ms();
    context.stage = Some("local".to_owned());
    context.identity.source_ip = Some(connection.source_ip.clone());
    context.identity.user_agent = Some(connection.user_agent.clone());
    event
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use paybell_shared::ports::SystemClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s9_after_a_message_that_failed_the_others_of_the_client_are_not_tried() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let hub = Arc::new(Hub::new(Arc::new(SystemClock)));
        let served_by = ServedBy {
            function: Arc::new(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                Box::pin(std::future::pending())
            }),
            hub: Arc::clone(&hub),
            clock: Arc::new(SystemClock),
        };
        let connection = Connection {
            id: "c".to_owned(),
            connected_at_ms: 0,
            source_ip: String::new(),
            user_agent: String::new(),
        };
        let mut line = hub.open("c", String::new(), String::new());
        let (incoming, messages) = mpsc::channel(INCOMING_MESSAGES_MAX);
        for _ in 0..3 {
            incoming.try_send(Utf8Bytes::from_static(r#"{"action":"resume"}"#)).unwrap();
        }
        drop(incoming);
        answer(served_by, connection, messages).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(line.outgoing.recv().await.is_some(), "it is told");
        assert_eq!(line.outgoing.recv().await, None, "and cut");
    }

    #[test]
    fn messages_go_to_the_route_that_their_action_names() {
        for (text, route) in [
            (r#"{"action":"resume","cursor":""}"#, "resume"),
            (r#"{"action":"other"}"#, "$default"),
            (r#"{"action":1}"#, "$default"),
            ("resume", "$default"),
            ("", "$default"),
        ] {
            assert_eq!(route_of(text), route, "{text}");
        }
    }
}
