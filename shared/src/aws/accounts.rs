//! Accounts' credentials and API keys on DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::{port_error, unreadable};
use super::items::compose_key;
use super::tables::PARTITION_KEY;
use crate::callback::Credentials;
use crate::ports::{AccountStore, PortError};

/// The accounts table.
#[derive(Clone, Debug)]
pub struct DynamoAccounts {
    client: Client,
    table: String,
}

impl DynamoAccounts {
    /// The table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    async fn get_text(&self, key: String, attribute: &str) -> Result<Option<String>, PortError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(key))
            .consistent_read(true);
        let output = request.send().await.map_err(|error| port_error("GetItem", &error))?;
        match output.item.map(|mut item| item.remove(attribute)) {
            None => Ok(None),
            Some(Some(AttributeValue::S(text))) => Ok(Some(text)),
            Some(_) => Err(unreadable("account")),
        }
    }

    async fn put_text(&self, key: String, attribute: &str, text: String) -> Result<(), PortError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(PARTITION_KEY, AttributeValue::S(key))
            .item(attribute, AttributeValue::S(text));
        request.send().await.map(|_| ()).map_err(|error| port_error("PutItem", &error))
    }
}

#[async_trait]
impl AccountStore for DynamoAccounts {
    async fn credentials(&self, account: &str, provider: &str) -> Result<Option<Credentials>, PortError> {
        let key = compose_key(&["credentials", account, provider]);
        let text = self.get_text(key, "credentials").await?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| unreadable("credentials"))).transpose()
    }

    async fn put_credentials(
        &self,
        account: &str,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<(), PortError> {
        let key = compose_key(&["credentials", account, provider]);
        let text = serde_json::to_string(credentials).map_err(|_| unreadable("credentials"))?;
        self.put_text(key, "credentials", text).await
    }

    async fn account_of_api_key(&self, api_key_sha256_hex: &str) -> Result<Option<String>, PortError> {
        self.get_text(compose_key(&["api_key", api_key_sha256_hex]), "account").await
    }

    async fn put_api_key(&self, account: &str, api_key_sha256_hex: &str) -> Result<(), PortError> {
        self.put_text(compose_key(&["api_key", api_key_sha256_hex]), "account", account.to_owned()).await
    }
}
