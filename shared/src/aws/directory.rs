//! The accounts table as operators change it: accounts are made once, credentials by whoever has read them last.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use zeroize::Zeroizing;

use super::accounts::{
    ACCOUNT, CREATED_AT, DynamoAccounts, INLINE, REVOKED_AT, SECRET, SECRET_VERSION, VERSION,
};
use super::api_keys::{ApiKeyDigest, failed_conditions, seconds, text};
use super::error::{port_error, saved, unreadable};
use super::items::Item;
use super::keys;
use super::secret_writer::SecretWriter;
use super::secrets::SecretPointer;
use super::tables::PARTITION_KEY;
use crate::callback::{Credentials, UnixSeconds};
use crate::ports::{PortError, Saved};

pub use super::secret_writer::SecretPlace;

/// The accounts of one deployment.
pub struct AccountDirectory {
    pub(super) client: Client,
    accounts: DynamoAccounts,
    secrets: Option<SecretWriter>,
    pub(super) table: String,
}

/// An account's credentials for a provider as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredentials {
    /// The key sets; none when the account does not use the provider yet.
    pub credentials: Credentials,
    version: Option<u64>,
}

/// What the directory tells of an account without reading any credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountSummary {
    /// When it was made, where that was written down.
    pub created_at: Option<UnixSeconds>,
    /// How many active API keys it has.
    pub api_keys: usize,
    /// The providers that it has credentials for.
    pub providers: Vec<String>,
}

/// The outcome of making an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    Yes,
    /// There is one of this name.
    Exists,
}

impl AccountDirectory {
    /// The directory in a table; credentials are kept in `secrets`, and in the table itself without that.
    pub fn new(
        (client, secrets_client): (Client, aws_sdk_secretsmanager::Client),
        table: impl Into<String>,
        secrets: Option<SecretPlace>,
    ) -> Self {
        let table = table.into();
        Self {
            accounts: DynamoAccounts::new(client.clone(), secrets_client.clone(), &table),
            client,
            secrets: secrets.map(|place| SecretWriter::new(secrets_client, place)),
            table,
        }
    }

    /// Makes an account with its first API key, whose hash alone is stored.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn create(
        &self,
        account: &str,
        api_key: &ApiKeyDigest,
        now: UnixSeconds,
    ) -> Result<Created, PortError> {
        let put = Put::builder()
            .table_name(&self.table)
            .item(PARTITION_KEY, AttributeValue::S(keys::account(account)))
            .item(ACCOUNT, AttributeValue::S(account.to_owned()))
            .item(CREATED_AT, AttributeValue::N(now.0.to_string()))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PARTITION_KEY)
            .build()
            .expect("every part of the item is given");
        let request = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(self.put_new_api_key(account, api_key, now));
        match request.send().await {
            Ok(_) => Ok(Created::Yes),
            Err(error) => match error.as_service_error().map(failed_conditions) {
                Some(failed) if failed.contains(&true) => Ok(Created::Exists),
                _ => Err(port_error("TransactWriteItems", &error)),
            },
        }
    }

    /// Whether there is such a directory at all.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn is_deployed(&self) -> Result<bool, PortError> {
        let request = self.client.get_item().table_name(&self.table);
        match request.key(PARTITION_KEY, AttributeValue::S(keys::account(""))).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(port_error("GetItem", &error)),
        }
    }

    /// Whether there is an account of this name.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn exists(&self, account: &str) -> Result<bool, PortError> {
        Ok(self.accounts.item(keys::account(account)).await?.is_some())
    }

    /// All accounts by name. It reads the whole table, which holds a few items for each account.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn list(&self) -> Result<BTreeMap<String, AccountSummary>, PortError> {
        let mut accounts = BTreeMap::new();
        let items = self.scan(&[ACCOUNT, CREATED_AT, REVOKED_AT]).await?;
        items.iter().try_for_each(|item| count(&mut accounts, item))?;
        accounts.values_mut().for_each(|account| account.providers.sort());
        Ok(accounts)
    }

    /// The keys of all items of the table, with these attributes.
    pub(super) async fn scan(&self, attributes: &[&str]) -> Result<Vec<Item>, PortError> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let mut request = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .projection_expression(format!("#pk, #{}", attributes.join(", #")))
                .expression_attribute_names("#pk", PARTITION_KEY)
                .set_exclusive_start_key(start);
            for attribute in attributes {
                request = request.expression_attribute_names(format!("#{attribute}"), *attribute);
            }
            let output = request.send().await.map_err(|error| port_error("Scan", &error))?;
            items.extend(output.items.into_iter().flatten());
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// An account's credentials for a provider, to be changed and put back.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn credentials(&self, account: &str, provider: &str) -> Result<StoredCredentials, PortError> {
        let Some(item) = self.accounts.item(keys::credentials(account, provider)).await? else {
            return Ok(StoredCredentials { credentials: Credentials::default(), version: None });
        };
        let version = match item.get(VERSION) {
            None => None,
            Some(AttributeValue::N(number)) => Some(number.parse().map_err(|_| unreadable("account"))?),
            Some(_) => return Err(unreadable("account")),
        };
        Ok(StoredCredentials { credentials: self.accounts.credentials_of(&item).await?, version })
    }

    /// Puts credentials back, unless somebody else has changed them since they were read. The secret is written first:
    /// whoever finds the pointer finds what it points to.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn replace(
        &self,
        account: &str,
        provider: &str,
        stored: &StoredCredentials,
    ) -> Result<Saved, PortError> {
        let text = serde_json::to_string(&stored.credentials).map_err(|_| unreadable("credentials"))?;
        let text = Zeroizing::new(text);
        let place = match &self.secrets {
            Some(secrets) => Place::Secret(secrets.write(account, provider, &text).await?),
            None => Place::Inline(text),
        };
        self.save(&keys::credentials(account, provider), stored.version, place).await
    }

    async fn save(&self, key: &str, version: Option<u64>, place: Place) -> Result<Saved, PortError> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(key.to_owned()))
            .expression_attribute_names("#inline", INLINE)
            .expression_attribute_names("#secret", SECRET)
            .expression_attribute_names("#secret_version", SECRET_VERSION)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":next", number(version.unwrap_or_default() + 1));
        request = match place {
            Place::Secret(SecretPointer { name, version }) => request
                .update_expression(
                    "SET #version = :next, #secret = :name, #secret_version = :id REMOVE #inline",
                )
                .expression_attribute_values(":name", AttributeValue::S(name))
                .expression_attribute_values(":id", AttributeValue::S(version)),
            Place::Inline(text) => request
                .update_expression("SET #version = :next, #inline = :text REMOVE #secret, #secret_version")
                .expression_attribute_values(":text", AttributeValue::S(text.to_string())),
        };
        request = match version {
            Some(read) => request
                .condition_expression("#version = :read")
                .expression_attribute_values(":read", number(read)),
            None => request.condition_expression("attribute_not_exists(#version)"),
        };
        saved(request.send().await)
    }
}

/// Where an account's key sets for a provider are.
enum Place {
    Secret(SecretPointer),
    Inline(Zeroizing<String>),
}

fn count(accounts: &mut BTreeMap<String, AccountSummary>, item: &Item) -> Result<(), PortError> {
    let key = text(item, PARTITION_KEY).and_then(keys::parts).ok_or_else(|| unreadable("account"))?;
    match key.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [keys::CREDENTIALS, account, provider] => {
            accounts.entry(account.to_owned()).or_default().providers.push(provider.to_owned());
        }
        [keys::API_KEY, _] => {
            let account = text(item, ACCOUNT).ok_or_else(|| unreadable("account"))?;
            let account = accounts.entry(account.to_owned()).or_default();
            account.api_keys += usize::from(!item.contains_key(REVOKED_AT));
        }
        [keys::ACCOUNT, account] => {
            accounts.entry(account.to_owned()).or_default().created_at = seconds(item, CREATED_AT);
        }
        _ => {}
    }
    Ok(())
}
