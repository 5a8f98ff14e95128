//! The `notify` function.

use std::sync::Arc;

use aws_lambda_events::dynamodb::Event as DynamoDbEvent;
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::{Clock, ConnectionStore, Inbox, Pusher};

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Users' inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Open WebSockets.
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

/// Tells users what a batch of order changes means.
pub async fn handle(event: DynamoDbEvent, ports: &Ports, clock: &dyn Clock) -> DynamoDbEventResponse {
    let _ = (ports, clock);
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures = event
        .records
        .into_iter()
        .map(|record| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = record.change.sequence_number;
            failure
        })
        .collect();
    response
}
