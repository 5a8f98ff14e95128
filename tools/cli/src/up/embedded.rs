//! The embedded services: DynamoDB, SQS and `@connections` behind one loopback address, with Paybell's tables and queues.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_lambda_events::dynamodb::EventRecord;
use axum::serve::ListenerExt as _;
use paybell_shared::aws::{Clients, tables};
use paybell_shared::config::{Config, TableNames};
use paybell_shared::ports::Clock;
use paybell_shared::ports::redelivery::{RECEIVES_MAX, VISIBILITY_TIMEOUT_SECONDS};
use tokio::net::TcpListener;

use super::StartError;
use super::dynamodb::DynamoDb;
use super::endpoint::Endpoint;
use super::gateway::hub::Hub;
use super::internal::{self, Services};
use super::queue::{Redrive, Store};
use super::triggers::stream;

/// The queue of verified callbacks.
pub const CALLBACKS_QUEUE: &str = "callbacks";
/// Its dead-letter queue.
pub const CALLBACKS_DEAD_LETTERS: &str = "callbacks-dead-letters";
/// The queue of hints.
pub const HINTS_QUEUE: &str = "hints";
/// Its dead-letter queue.
pub const HINTS_DEAD_LETTERS: &str = "hints-dead-letters";
/// The queue of order changes that `notify` could not tell.
pub const NOTIFY_DEAD_LETTERS: &str = "notify-dead-letters";

/// The running services. They end with the runtime that they were started on.
pub struct Embedded {
    pub(super) dynamodb: DynamoDb,
    pub(super) store: Arc<Store>,
    pub(super) hub: Arc<Hub>,
    address: SocketAddr,
    access_key_id: String,
}

impl Embedded {
    /// Opens the tables and the queues in these files, creates what is missing, and serves them. `clock` is the time of
    /// the queues.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(dynamodb: &Path, queue: &Path, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let store = Arc::new(Store::open(queue, Arc::clone(&clock))?);
        let dynamodb = DynamoDb::open(dynamodb)?;
        let hub = Arc::new(Hub::new(clock));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, access_key_id) = (listener.local_addr()?, internal::random_access_key_id());
        let router = internal::router(Services {
            dynamodb: dynamodb.clone(),
            queue: Arc::clone(&store),
            hub: Arc::clone(&hub),
            address,
            access_key_id: access_key_id.clone(),
        });
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let embedded = Self { dynamodb, store, hub, address, access_key_id };
        let config = embedded.config();
        let clients = Clients::new(&embedded.sdk_config(), &config);
        tables::create_missing(&clients.dynamodb, &config.tables).await?;
        create_queues(&embedded.store).await?;
        Ok(embedded)
    }

    /// Where it is.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What makes the AWS SDK's clients talk to it.
    pub fn sdk_config(&self) -> SdkConfig {
        self.endpoint().sdk_config()
    }

    /// Where it is, for other processes of the same owner.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.address, access_key_id: self.access_key_id.clone() }
    }

    /// Its tables and queues.
    pub fn config(&self) -> Config {
        config_at(&self.endpoint_url())
    }

    /// The changes of the table of orders since the start, as `notify` gets them; at most 100.
    ///
    /// # Errors
    /// What the engine says.
    pub fn order_changes(&self) -> Result<Vec<EventRecord>, String> {
        stream::records(&self.dynamodb, &self.config().tables.orders)
    }
}

/// The tables and queues of one machine whose services are at this address.
pub(crate) fn config_at(endpoint_url: &str) -> Config {
    let queue_url = |name: &str| format!("{endpoint_url}/000000000000/{name}");
    Config {
        callbacks_queue_url: queue_url(CALLBACKS_QUEUE),
        callbacks_dead_letters_url: queue_url(CALLBACKS_DEAD_LETTERS),
        hints_queue_url: queue_url(HINTS_QUEUE),
        hints_dead_letters_url: queue_url(HINTS_DEAD_LETTERS),
        notify_dead_letters_url: queue_url(NOTIFY_DEAD_LETTERS),
        websocket_endpoint: endpoint_url.to_owned(),
        dynamodb_endpoint: None,
        sqs_endpoint: None,
        tables: table_names(),
    }
}

/// The tables of one machine.
pub(crate) fn table_names() -> TableNames {
    TableNames::with_prefix("paybell-")
}

async fn create_queues(store: &Store) -> Result<(), StartError> {
    store.create_queue(NOTIFY_DEAD_LETTERS, 30, None).await?;
    for (queue, dead_letters) in
        [(CALLBACKS_QUEUE, CALLBACKS_DEAD_LETTERS), (HINTS_QUEUE, HINTS_DEAD_LETTERS)]
    {
        store.create_queue(dead_letters, 30, None).await?;
        let redrive = Redrive { dead_letter_queue: dead_letters.to_owned(), receive_count_max: RECEIVES_MAX };
        store.create_queue(queue, VISIBILITY_TIMEOUT_SECONDS, Some(redrive)).await?;
    }
    Ok(())
}
