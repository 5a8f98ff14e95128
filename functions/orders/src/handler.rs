//! The `orders` function.

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::{AccountStore, Clock, ConnectionStore, Inbox, OrderStore, Random};

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
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self {
            accounts: adapters.accounts.clone(),
            orders: adapters.orders.clone(),
            inbox: adapters.inbox.clone(),
            connections: adapters.connections.clone(),
        }
    }
}

/// Answers one call of a merchant's back end.
pub async fn handle(
    event: ApiGatewayV2httpRequest,
    ports: &Ports,
    clock: &dyn Clock,
    random: &dyn Random,
) -> ApiGatewayV2httpResponse {
    let _ = (event, ports, clock, random);
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = 503;
    response
}
