//! Accounts' credentials and API keys: the table is the directory, and Secrets Manager holds what it points to.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use super::error::{port_error, unreadable};
use super::items::Item;
use super::keys;
use super::secrets::{SecretPointer, Secrets};
use super::tables::PARTITION_KEY;
use crate::callback::Credentials;
use crate::ports::{AccountStore, PortError};

/// Attribute with the key sets themselves, as JSON.
pub(super) const INLINE: &str = "credentials";
/// Attribute with the name of the secret that holds the key sets.
pub(super) const SECRET: &str = "secret";
/// Attribute with the `VersionId` of that secret.
pub(super) const SECRET_VERSION: &str = "secret_version";
/// Attribute that counts the changes of an item.
pub(super) const VERSION: &str = "version";
/// Attribute with the account's name.
pub(super) const ACCOUNT: &str = "account";
/// Attribute with the second in which the item was made.
pub(super) const CREATED_AT: &str = "created_at";
/// Attribute with how an API key ends.
pub(super) const ENDING: &str = "ending";
/// Attribute with the second in which an API key was revoked.
pub(super) const REVOKED_AT: &str = "revoked_at";

/// The accounts table, and the secrets that it points to.
#[derive(Clone)]
pub struct DynamoAccounts {
    client: Client,
    secrets: Secrets,
    table: String,
}

impl DynamoAccounts {
    /// The table of this name. Secrets Manager is asked only for credentials that the table points to.
    pub fn new(client: Client, secrets: aws_sdk_secretsmanager::Client, table: impl Into<String>) -> Self {
        Self { client, secrets: Secrets::new(secrets), table: table.into() }
    }

    pub(super) async fn item(&self, key: String) -> Result<Option<Item>, PortError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(key))
            .consistent_read(true);
        Ok(request.send().await.map_err(|error| port_error("GetItem", &error))?.item)
    }

    /// The credentials that an item holds or points to.
    pub(super) async fn credentials_of(&self, item: &Item) -> Result<Credentials, PortError> {
        if let Some(inline) = text(item, INLINE)? {
            return serde_json::from_str(inline).map_err(|_| unreadable("credentials"));
        }
        let pointer = text(item, SECRET)?.zip(text(item, SECRET_VERSION)?);
        let (name, version) = pointer.ok_or_else(|| unreadable("account"))?;
        let pointer = SecretPointer { name: name.to_owned(), version: version.to_owned() };
        self.secrets.credentials(&pointer).await
    }
}

fn text<'a>(item: &'a Item, attribute: &str) -> Result<Option<&'a str>, PortError> {
    match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(unreadable("account")),
    }
}

#[async_trait]
impl AccountStore for DynamoAccounts {
    async fn credentials(&self, account: &str, provider: &str) -> Result<Option<Credentials>, PortError> {
        match self.item(keys::credentials(account, provider)).await? {
            None => Ok(None),
            Some(item) => self.credentials_of(&item).await.map(Some),
        }
    }

    async fn put_credentials(
        &self,
        account: &str,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<(), PortError> {
        let text = serde_json::to_string(credentials).map_err(|_| unreadable("credentials"))?;
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(keys::credentials(account, provider)))
            .update_expression("SET #inline = :text REMOVE #secret, #secret_version ADD #version :one")
            .expression_attribute_names("#inline", INLINE)
            .expression_attribute_names("#secret", SECRET)
            .expression_attribute_names("#secret_version", SECRET_VERSION)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":text", AttributeValue::S(text))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        request.send().await.map(drop).map_err(|error| port_error("UpdateItem", &error))
    }

    async fn account_of_api_key(&self, api_key_sha256_hex: &str) -> Result<Option<String>, PortError> {
        match self.item(keys::api_key(api_key_sha256_hex)).await? {
            None => Ok(None),
            Some(item) if item.contains_key(REVOKED_AT) => Ok(None),
            Some(item) => text(&item, ACCOUNT).map(|account| account.map(str::to_owned)),
        }
    }

    async fn put_api_key(&self, account: &str, api_key_sha256_hex: &str) -> Result<(), PortError> {
        // An update leaves a key revoked that was revoked.
        let name = |key: String| {
            let update = Update::builder()
                .table_name(&self.table)
                .key(PARTITION_KEY, AttributeValue::S(key))
                .update_expression("SET #account = :account")
                .expression_attribute_names("#account", ACCOUNT)
                .expression_attribute_values(":account", AttributeValue::S(account.to_owned()))
                .build()
                .expect("every part of the update is given");
            TransactWriteItem::builder().update(update).build()
        };
        let request = self
            .client
            .transact_write_items()
            .transact_items(name(keys::account(account)))
            .transact_items(name(keys::api_key(api_key_sha256_hex)));
        request.send().await.map(drop).map_err(|error| port_error("TransactWriteItems", &error))
    }
}
