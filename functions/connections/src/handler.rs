//! The `connections` function.

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use paybell_shared::aws::Adapters;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::ports::{ConnectionStore, Inbox, Pusher};

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

/// Answers one event of the WebSocket API.
pub async fn handle(
    event: ApiGatewayWebsocketProxyRequest,
    ports: &Ports,
    now: UnixSeconds,
) -> ApiGatewayProxyResponse {
    let _ = (event, ports, now);
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = 503;
    response
}
