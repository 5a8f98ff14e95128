//! The `apply` function.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::{Clock, OrderStore};
use paybell_shared::providers::Registry;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Orders and references.
    pub orders: Arc<dyn OrderStore>,
    /// The providers.
    pub providers: Arc<Registry>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters) -> Self {
        Self { orders: adapters.orders.clone(), providers: adapters.providers.clone() }
    }
}

/// Applies a batch of verified callbacks to their orders; `deadline_ms` is when Lambda stops us, in milliseconds since 1970.
pub async fn handle(event: SqsEvent, ports: &Ports, clock: &dyn Clock, deadline_ms: i64) -> SqsBatchResponse {
    let _ = (ports, clock, deadline_ms);
    let mut response = SqsBatchResponse::default();
    response.set_failures(event.records.into_iter().filter_map(|message| message.message_id));
    response
}
