//! The `callback` function.

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use paybell_shared::aws::Adapters;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::ports::{AccountStore, CallbackQueue};
use paybell_shared::providers::Registry;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Accounts' credentials.
    pub accounts: Arc<dyn AccountStore>,
    /// Where verified callbacks go.
    pub callbacks: Arc<dyn CallbackQueue>,
    /// The providers.
    pub providers: Arc<Registry>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self {
            accounts: adapters.accounts.clone(),
            callbacks: adapters.callbacks.clone(),
            providers: adapters.providers.clone(),
        }
    }
}

/// Answers one provider callback.
pub async fn handle(
    event: ApiGatewayV2httpRequest,
    ports: &Ports,
    now: UnixSeconds,
) -> ApiGatewayV2httpResponse {
    let _ = (event, ports, now);
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = 503;
    response
}
