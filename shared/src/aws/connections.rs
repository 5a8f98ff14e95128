//! Open WebSockets and tickets on DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValue, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::error::{port_error, unreadable};
use super::items::Item;
use super::keys;
use super::tables::{PARTITION_KEY, SORT_KEY};
use crate::callback::UnixSeconds;
use crate::ports::{Connection, ConnectionStore, PortError};

/// When DynamoDB may sweep a connection that was never closed: far beyond the two hours that API Gateway keeps one.
const CONNECTION_KEPT_SECONDS: i64 = 24 * 60 * 60;
/// When DynamoDB may sweep a ticket that was never used, after its expiry.
const TICKET_KEPT_SECONDS: i64 = 60 * 60;
/// Sort key of items that are alone under their partition key.
const ALONE: &str = "-";

/// The connections table.
#[derive(Clone, Debug)]
pub struct DynamoConnections {
    client: Client,
    table: String,
}

impl DynamoConnections {
    /// The table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes both items of a connection or neither.
    async fn write_both(&self, writes: [TransactWriteItem; 2]) -> Result<(), PortError> {
        let request = self.client.transact_write_items().set_transact_items(Some(writes.into()));
        request.send().await.map(|_| ()).map_err(|error| port_error("TransactWriteItems", &error))
    }
}

/// A ticket, or a connection under its id or under its user.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    sk: String,
    account: String,
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<i64>,
    expires_at: i64,
}

#[async_trait]
impl ConnectionStore for DynamoConnections {
    async fn put_ticket(
        &self,
        ticket_sha256_hex: &str,
        account: &str,
        user: &str,
        expires_at: UnixSeconds,
    ) -> Result<(), PortError> {
        let stored = Stored {
            pk: keys::ticket(ticket_sha256_hex),
            sk: ALONE.to_owned(),
            account: account.to_owned(),
            user: user.to_owned(),
            valid_until: Some(expires_at.0),
            expires_at: expires_at.0 + TICKET_KEPT_SECONDS,
        };
        let request = self.client.put_item().table_name(&self.table).set_item(Some(to_item(&stored)?));
        request.send().await.map(|_| ()).map_err(|error| port_error("PutItem", &error))
    }

    async fn take_ticket(
        &self,
        ticket_sha256_hex: &str,
        now: UnixSeconds,
    ) -> Result<Option<(String, String)>, PortError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(keys::ticket(ticket_sha256_hex)))
            .key(SORT_KEY, AttributeValue::S(ALONE.to_owned()))
            .return_values(ReturnValue::AllOld);
        let output = request.send().await.map_err(|error| port_error("DeleteItem", &error))?;
        let Some(stored) = output.attributes.map(from_item).transpose()? else { return Ok(None) };
        let valid = stored.valid_until.is_some_and(|valid_until| now.0 < valid_until);
        Ok(valid.then_some((stored.account, stored.user)))
    }

    async fn put(&self, connection: &Connection, now: UnixSeconds) -> Result<(), PortError> {
        let put = |(pk, sk): (String, String)| {
            let stored = Stored {
                pk,
                sk,
                account: connection.account.clone(),
                user: connection.user.clone(),
                valid_until: None,
                expires_at: now.0 + CONNECTION_KEPT_SECONDS,
            };
            let put = Put::builder().table_name(&self.table).set_item(Some(to_item(&stored)?));
            let put = put.build().expect("the table and the item are given");
            Ok::<_, PortError>(TransactWriteItem::builder().put(put).build())
        };
        self.write_both([put(key_by_id(&connection.id))?, put(key_by_user(connection))?]).await
    }

    async fn find(&self, connection_id: &str) -> Result<Option<Connection>, PortError> {
        let (pk, sk) = key_by_id(connection_id);
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(pk))
            .key(SORT_KEY, AttributeValue::S(sk))
            .consistent_read(true);
        let output = request.send().await.map_err(|error| port_error("GetItem", &error))?;
        let stored = output.item.map(from_item).transpose()?;
        Ok(stored.map(|stored| Connection {
            id: connection_id.to_owned(),
            account: stored.account,
            user: stored.user,
        }))
    }

    async fn of_user(&self, account: &str, user: &str) -> Result<Vec<Connection>, PortError> {
        let mut connections: Vec<Stored> = Vec::new();
        let mut start = None;
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk")
                .expression_attribute_names("#pk", PARTITION_KEY)
                .expression_attribute_values(
                    ":pk",
                    AttributeValue::S(keys::connections_of_user(account, user)),
                )
                .set_exclusive_start_key(start);
            let output = request.send().await.map_err(|error| port_error("Query", &error))?;
            for item in output.items.into_iter().flatten() {
                connections.push(from_item(item)?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                // Every one is kept for the same time.
                connections.sort_by_key(|stored| stored.expires_at);
                let connection =
                    |stored: Stored| Connection { id: stored.sk, account: stored.account, user: stored.user };
                return Ok(connections.into_iter().map(connection).collect());
            }
        }
    }

    async fn delete(&self, connection: &Connection) -> Result<(), PortError> {
        let delete = |(pk, sk): (String, String)| {
            let delete = Delete::builder()
                .table_name(&self.table)
                .key(PARTITION_KEY, AttributeValue::S(pk))
                .key(SORT_KEY, AttributeValue::S(sk))
                .build()
                .expect("the table and the key are given");
            TransactWriteItem::builder().delete(delete).build()
        };
        self.write_both([delete(key_by_id(&connection.id)), delete(key_by_user(connection))]).await
    }
}

fn key_by_id(connection_id: &str) -> (String, String) {
    (keys::connection(connection_id), ALONE.to_owned())
}

fn key_by_user(connection: &Connection) -> (String, String) {
    (keys::connections_of_user(&connection.account, &connection.user), connection.id.clone())
}

fn to_item(stored: &Stored) -> Result<Item, PortError> {
    serde_dynamo::aws_sdk_dynamodb_1::to_item(stored).map_err(|_| unreadable("connection"))
}

fn from_item(item: Item) -> Result<Stored, PortError> {
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|_| unreadable("connection"))
}
