//! The ports on DynamoDB, SQS and API Gateway.

pub mod tables;

mod accounts;
mod api_keys;
mod clients;
mod connections;
mod dead_letters;
mod directory;
mod error;
mod inbox;
mod items;
mod keys;
mod operator;
mod orders;
mod pusher;
mod queue;
mod secret_writer;
mod secrets;

use std::sync::Arc;

/// Where AWS's services are, and as whom they are asked.
pub use aws_config::SdkConfig;

use crate::config::{Config, ConfigError};
use crate::ports::{
    AccountStore, CachedAccounts, CallbackQueue, ConnectionStore, DeadLetters, ForwardClock, HintQueue,
    Inbox, OrderStore, Pusher, SystemClock,
};

pub use accounts::DynamoAccounts;
pub use api_keys::{ApiKeyDigest, KeyAdded, KeyRevoked, StoredApiKey};
pub use clients::{Clients, account_clients, sdk_config};
pub use connections::DynamoConnections;
pub use dead_letters::{SqsLetters, SqsReturnQueue};
pub use directory::{AccountDirectory, AccountSummary, Created, SecretPlace, StoredCredentials};
pub use inbox::DynamoInbox;
#[cfg(feature = "sandbox")]
pub use items::order_to_stream_image;
pub use items::{order_from_stream_image, subject_of_order_key};
pub use operator::{StageError, accounts_table, config_of_stage, sdk_config_of_stage};
pub use orders::DynamoOrders;
pub use pusher::GatewayPusher;
pub use queue::{SqsDeadLetters, SqsQueue};

/// One adapter for each port.
#[derive(Clone)]
pub struct Adapters {
    /// Accounts' credentials and API keys, cached for a short while.
    pub accounts: Arc<dyn AccountStore>,
    /// The queue of verified callbacks.
    pub callbacks: Arc<dyn CallbackQueue>,
    /// The queue of hints.
    pub hints: Arc<dyn HintQueue>,
    /// Where `notify` sets aside what is beyond help.
    pub notify_dead_letters: Arc<dyn DeadLetters>,
    /// Orders and references.
    pub orders: Arc<dyn OrderStore>,
    /// Users' inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Open WebSockets and tickets.
    pub connections: Arc<dyn ConnectionStore>,
    /// Sends to open WebSockets.
    pub pusher: Arc<dyn Pusher>,
}

impl Adapters {
    /// Adapters to where the environment says.
    ///
    /// # Errors
    /// [`ConfigError`] when a variable is missing.
    pub fn from_env() -> Result<Self, ConfigError> {
        let config = Config::from_env()?;
        Ok(Self::new(&sdk_config(), &config))
    }

    /// Adapters to where `sdk_config` and `config` say.
    pub fn new(sdk_config: &SdkConfig, config: &Config) -> Self {
        Self::with_clients(&Clients::new(sdk_config, config), config)
    }

    /// Adapters that share these clients.
    pub fn with_clients(clients: &Clients, config: &Config) -> Self {
        let accounts =
            DynamoAccounts::new(clients.dynamodb.clone(), clients.secrets.clone(), &config.tables.accounts);
        // Nobody's retired key counts for longer because the clock was set back.
        let clock = ForwardClock::new(Arc::new(SystemClock));
        Self {
            accounts: Arc::new(CachedAccounts::new(Arc::new(accounts), Arc::new(clock))),
            callbacks: Arc::new(SqsQueue::new(
                clients.sqs.clone(),
                &config.callbacks_queue_url,
                &config.callbacks_dead_letters_url,
            )),
            hints: Arc::new(SqsQueue::new(
                clients.sqs.clone(),
                &config.hints_queue_url,
                &config.hints_dead_letters_url,
            )),
            notify_dead_letters: Arc::new(SqsDeadLetters::new(
                clients.sqs.clone(),
                &config.notify_dead_letters_url,
            )),
            orders: Arc::new(DynamoOrders::new(clients.dynamodb.clone(), &config.tables.orders)),
            inbox: Arc::new(DynamoInbox::new(clients.dynamodb.clone(), &config.tables.inbox)),
            connections: Arc::new(DynamoConnections::new(
                clients.dynamodb.clone(),
                &config.tables.connections,
            )),
            pusher: Arc::new(GatewayPusher::new(clients.websocket.clone())),
        }
    }
}
