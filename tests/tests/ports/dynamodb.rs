//! A DynamoDB in this process, in memory, behind a real HTTP port.

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::{Database, server};
use paybell_shared::aws::{AccountDirectory, Adapters, Clients, DynamoOrders, tables};
use paybell_shared::config::{Config, TableNames};
use paybell_shared::ports::PortError;
use tokio::net::TcpListener;

pub struct EmbeddedDynamoDb {
    clients: Clients,
    config: Config,
}

impl EmbeddedDynamoDb {
    pub async fn start() -> Self {
        let database = Self::start_without_tables().await;
        database.create_tables().await.expect("the tables can be created");
        database
    }

    pub async fn start_without_tables() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let database = Database::memory().expect("a database in memory");
        tokio::spawn(server::serve_on(listener, database));
        Self::at(&format!("http://{address}"))
    }

    /// Clients of a port where nothing listens.
    pub fn nowhere() -> Self {
        Self::at("http://127.0.0.1:1")
    }

    fn at(endpoint: &str) -> Self {
        let config = Config {
            tables: TableNames::with_prefix(""),
            callbacks_queue_url: format!("{endpoint}/queue"),
            callbacks_dead_letters_url: format!("{endpoint}/dead-letters"),
            hints_queue_url: format!("{endpoint}/hints"),
            hints_dead_letters_url: format!("{endpoint}/hints-dead-letters"),
            notify_dead_letters_url: format!("{endpoint}/notify-dead-letters"),
            websocket_endpoint: endpoint.to_owned(),
            dynamodb_endpoint: Some(endpoint.to_owned()),
            sqs_endpoint: Some(endpoint.to_owned()),
        };
        Self { clients: Clients::new(&sdk_config(endpoint), &config), config }
    }

    pub fn adapters(&self) -> Adapters {
        Adapters::with_clients(&self.clients, &self.config)
    }

    pub fn orders(&self) -> DynamoOrders {
        DynamoOrders::new(self.clients.dynamodb.clone(), &self.config.tables.orders)
    }

    pub async fn create_tables(&self) -> Result<(), PortError> {
        tables::create_missing(&self.clients.dynamodb, &self.config.tables).await
    }

    /// The directory in a table of this database alone.
    pub fn directory(&self, table: &str) -> AccountDirectory {
        let clients = (self.clients.dynamodb.clone(), self.clients.secrets.clone());
        AccountDirectory::new(clients, table, None)
    }

    /// A client of this database, and one of a Secrets Manager at another address.
    pub fn clients_with_secrets_at(
        &self,
        endpoint: &str,
    ) -> (aws_sdk_dynamodb::Client, aws_sdk_secretsmanager::Client) {
        let clients = Clients::new(&sdk_config(endpoint), &self.config);
        (self.clients.dynamodb.clone(), clients.secrets)
    }

    /// An item by its key, as it is stored.
    pub async fn item(&self, table: &str, key: &str) -> HashMap<String, AttributeValue> {
        let get = self.clients.dynamodb.get_item().table_name(table).consistent_read(true);
        let output = get.key("pk", AttributeValue::S(key.to_owned())).send().await;
        output.expect("the table can be read").item.expect("there is such an item")
    }

    pub async fn table_names(&self) -> Vec<String> {
        let listed = self.clients.dynamodb.list_tables().send().await.expect("the tables can be listed");
        let mut names = listed.table_names.unwrap_or_default();
        names.sort();
        names
    }
}

fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}
