//! Pushes to open WebSockets by API Gateway.

use async_trait::async_trait;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::primitives::Blob;

use super::error::port_error;
use crate::ports::{PortError, Pushed, Pusher};

/// The management endpoint of the WebSocket API.
#[derive(Clone, Debug)]
pub struct GatewayPusher {
    client: Client,
}

impl GatewayPusher {
    /// The endpoint that this client is for.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Pusher for GatewayPusher {
    async fn push(&self, connection_id: &str, text: &str) -> Result<Pushed, PortError> {
        let request =
            self.client.post_to_connection().connection_id(connection_id).data(Blob::new(text.as_bytes()));
        match request.send().await {
            Ok(_) => Ok(Pushed::Yes),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_gone_exception()) => {
                Ok(Pushed::Gone)
            }
            Err(error) => Err(port_error("PostToConnection", &error)),
        }
    }

    async fn close(&self, connection_id: &str) -> Result<(), PortError> {
        match self.client.delete_connection().connection_id(connection_id).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_gone_exception()) => Ok(()),
            Err(error) => Err(port_error("DeleteConnection", &error)),
        }
    }
}
