//! Users' inboxes on DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};

use super::error::{port_error, unreadable};
use super::items::Item;
use super::keys;
use super::tables::{BY_CURSOR, CURSOR, PARTITION_KEY, SORT_KEY};
use crate::domain::Notification;
use crate::ports::{INBOX_KEPT_SECONDS, Inbox, InboxEntry, PortError, inbox_cursor};

/// The inbox table.
#[derive(Clone, Debug)]
pub struct DynamoInbox {
    client: Client,
    table: String,
}

impl DynamoInbox {
    /// The table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    async fn get(&self, pk: String, id: &str) -> Result<Option<Item>, PortError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(pk))
            .key(SORT_KEY, AttributeValue::S(id.to_owned()))
            .consistent_read(true);
        Ok(request.send().await.map_err(|error| port_error("GetItem", &error))?.item)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    pk: String,
    sk: String,
    cursor: String,
    expires_at: i64,
    notification: Notification,
}

#[async_trait]
impl Inbox for DynamoInbox {
    async fn put(&self, notification: &Notification, now_ms: i64) -> Result<InboxEntry, PortError> {
        let stored = StoredEntry {
            pk: keys::inbox(&notification.subject.account, &notification.user),
            sk: notification.id.clone(),
            cursor: inbox_cursor(now_ms, &notification.id),
            expires_at: now_ms.div_euclid(1000) + INBOX_KEPT_SECONDS,
            notification: notification.clone(),
        };
        let item =
            serde_dynamo::aws_sdk_dynamodb_1::to_item(&stored).map_err(|_| unreadable("notification"))?;
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk) OR #cursor < :cursor")
            .expression_attribute_names("#pk", PARTITION_KEY)
            .expression_attribute_names("#cursor", CURSOR)
            .expression_attribute_values(":cursor", AttributeValue::S(stored.cursor.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(stored.into()),
            Err(SdkError::ServiceError(context)) if context.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(failed) = context.into_err() else {
                    return Err(unreadable("notification"));
                };
                let item = match failed.item {
                    Some(item) => Some(item),
                    None => self.get(stored.pk, &stored.sk).await?,
                };
                item.map_or_else(|| Err(unreadable("notification")), entry_from_item)
            }
            Err(error) => Err(port_error("PutItem", &error)),
        }
    }

    async fn after(
        &self,
        account: &str,
        user: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<InboxEntry>, PortError> {
        let mut entries = Vec::new();
        let mut start = None;
        while entries.len() < limit {
            let mut request = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(BY_CURSOR)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk AND #cursor > :cursor")
                .expression_attribute_names("#pk", PARTITION_KEY)
                .expression_attribute_names("#cursor", CURSOR)
                .expression_attribute_values(":pk", AttributeValue::S(keys::inbox(account, user)))
                .limit(i32::try_from(limit - entries.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            // A key of an index is never empty, so a space sorts before all of them.
            let after = if cursor.is_empty() { " " } else { cursor };
            request = request.expression_attribute_values(":cursor", AttributeValue::S(after.to_owned()));
            let output = request.send().await.map_err(|error| port_error("Query", &error))?;
            for item in output.items.into_iter().flatten() {
                entries.push(entry_from_item(item)?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(entries)
    }
}

fn entry_from_item(item: Item) -> Result<InboxEntry, PortError> {
    let stored: StoredEntry =
        serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|_| unreadable("notification"))?;
    Ok(stored.into())
}

impl From<StoredEntry> for InboxEntry {
    fn from(stored: StoredEntry) -> Self {
        Self { cursor: stored.cursor, notification: stored.notification }
    }
}
