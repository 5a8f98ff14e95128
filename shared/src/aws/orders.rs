//! Orders and references on DynamoDB.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue};

use super::error::{port_error, saved, unreadable};
use super::items::{Item, order_from_item, order_to_item, reference_from_item, subject_of_order_key};
use super::keys;
use super::tables::{BY_USER, PARTITION_KEY, UPDATED_AT_MS, USER_KEY};
use crate::domain::{Order, PaymentEvent, Reference, Subject};
use crate::ports::{OrderScan, OrderStore, PortError, ReferenceRecord, Saved};

/// Most orders that one listing returns: what one `BatchGetItem` takes.
const LISTING_MAX: usize = 100;
/// Tries to read the rest of a listing when DynamoDB answers only a part of it.
const BATCH_READS_MAX: usize = 5;
/// Tries to park an event while others change the same reading of it.
const PARK_TRIES_MAX: usize = 5;

/// The orders table.
#[derive(Clone, Debug)]
pub struct DynamoOrders {
    client: Client,
    table: String,
}

impl DynamoOrders {
    /// The table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    async fn get(&self, key: String) -> Result<Option<Item>, PortError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(key))
            .consistent_read(true);
        let output = request.send().await.map_err(|error| port_error("GetItem", &error))?;
        Ok(output.item)
    }

    /// Stores the event under the reference if the stored reading of it is still `have`.
    async fn park_over(
        &self,
        key: &str,
        event: &PaymentEvent,
        have: Option<AttributeValue>,
    ) -> Result<Option<ReferenceRecord>, PortError> {
        let parked =
            serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(event).map_err(|_| unreadable("event"))?;
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(key.to_owned()))
            .update_expression("SET #item = :item, #parked = :parked")
            .expression_attribute_names("#item", "item")
            .expression_attribute_names("#parked", parked_attribute(event))
            .expression_attribute_values(":item", AttributeValue::S(keys::REFERENCE.to_owned()))
            .expression_attribute_values(":parked", parked)
            .return_values(ReturnValue::AllNew);
        request = match have {
            None => request.condition_expression("attribute_not_exists(#parked)"),
            Some(have) => {
                request.condition_expression("#parked = :have").expression_attribute_values(":have", have)
            }
        };
        match request.send().await {
            Ok(output) => reference_from_item(output.attributes).map(Some),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(port_error("UpdateItem", &error)),
        }
    }

    async fn load_all(&self, mut keys: Vec<Item>) -> Result<HashMap<String, Order>, PortError> {
        let mut orders = HashMap::new();
        for _ in 0..BATCH_READS_MAX {
            if keys.is_empty() {
                return Ok(orders);
            }
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
                .build()
                .expect("the keys are given");
            let request = self.client.batch_get_item().request_items(&self.table, wanted);
            let output = request.send().await.map_err(|error| port_error("BatchGetItem", &error))?;
            for item in output.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                let order = order_from_item(item)?;
                orders.insert(keys::order(&order.subject), order);
            }
            keys = output
                .unprocessed_keys
                .into_iter()
                .flatten()
                .flat_map(|(_, unprocessed)| unprocessed.keys)
                .collect();
        }
        if keys.is_empty() {
            Ok(orders)
        } else {
            Err(PortError::Transient("BatchGetItem: keys left unprocessed".to_owned()))
        }
    }
}

#[async_trait]
impl OrderStore for DynamoOrders {
    async fn load(&self, subject: &Subject) -> Result<Option<Order>, PortError> {
        self.get(keys::order(subject)).await?.map(order_from_item).transpose()
    }

    async fn save(&self, order: &Order) -> Result<Saved, PortError> {
        let mut assignments = Vec::new();
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(keys::order(&order.subject)));
        for (index, (name, value)) in order_to_item(order, order.version + 1)?.into_iter().enumerate() {
            assignments.push(format!("#a{index} = :a{index}"));
            request = request
                .expression_attribute_names(format!("#a{index}"), name)
                .expression_attribute_values(format!(":a{index}"), value);
        }
        request = request.update_expression(format!("SET {}", assignments.join(", ")));
        request = if order.version == 0 {
            request
                .condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", PARTITION_KEY)
        } else {
            request
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", AttributeValue::N(order.version.to_string()))
        };
        saved(request.send().await)
    }

    async fn tie(&self, reference: &Reference, subject: &Subject) -> Result<ReferenceRecord, PortError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(keys::reference(&subject.account, reference)))
            .update_expression("SET #item = :item ADD #subjects :subjects")
            .expression_attribute_names("#item", "item")
            .expression_attribute_names("#subjects", "subjects")
            .expression_attribute_values(":item", AttributeValue::S(keys::REFERENCE.to_owned()))
            .expression_attribute_values(":subjects", AttributeValue::Ss(vec![keys::subject(subject)]))
            .return_values(ReturnValue::AllNew);
        let output = request.send().await.map_err(|error| port_error("UpdateItem", &error))?;
        reference_from_item(output.attributes)
    }

    async fn park(
        &self,
        account: &str,
        reference: &Reference,
        event: &PaymentEvent,
    ) -> Result<ReferenceRecord, PortError> {
        let key = keys::reference(account, reference);
        for _ in 0..PARK_TRIES_MAX {
            let stored = self.get(key.clone()).await?;
            let have = stored.as_ref().and_then(|item| item.get(&parked_attribute(event))).cloned();
            if let Some(have) = &have {
                let earlier: PaymentEvent =
                    serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value(have.clone())
                        .map_err(|_| unreadable("event"))?;
                if earlier <= *event {
                    return reference_from_item(stored);
                }
            }
            if let Some(record) = self.park_over(&key, event, have).await? {
                return Ok(record);
            }
        }
        Err(PortError::Transient("UpdateItem: lost every race for a reference".to_owned()))
    }

    async fn reference(&self, account: &str, reference: &Reference) -> Result<ReferenceRecord, PortError> {
        reference_from_item(self.get(keys::reference(account, reference)).await?)
    }

    async fn orders_of_user(&self, account: &str, user: &str, limit: usize) -> Result<Vec<Order>, PortError> {
        let limit = limit.clamp(1, LISTING_MAX);
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_USER)
            .key_condition_expression("#user_key = :user_key")
            .expression_attribute_names("#user_key", USER_KEY)
            .expression_attribute_values(":user_key", AttributeValue::S(keys::orders_of_user(account, user)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let output = request.send().await.map_err(|error| port_error("Query", &error))?;
        let keys: Vec<String> = output
            .items
            .into_iter()
            .flatten()
            .filter_map(|mut item| match item.remove(PARTITION_KEY) {
                Some(AttributeValue::S(key)) => Some(key),
                _ => None,
            })
            .collect();
        let wanted =
            keys.iter().map(|key| Item::from([(PARTITION_KEY.to_owned(), AttributeValue::S(key.clone()))]));
        let mut orders = self.load_all(wanted.collect()).await?;
        Ok(keys.iter().filter_map(|key| orders.remove(key)).collect())
    }
}

#[async_trait]
impl OrderScan for DynamoOrders {
    async fn updated_since(&self, since_ms: i64) -> Result<Vec<Subject>, PortError> {
        let (mut subjects, mut start) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .projection_expression("#pk")
                .filter_expression("#item = :order AND #updated_at_ms >= :since")
                .expression_attribute_names("#pk", PARTITION_KEY)
                .expression_attribute_names("#item", "item")
                .expression_attribute_names("#updated_at_ms", UPDATED_AT_MS)
                .expression_attribute_values(":order", AttributeValue::S(keys::ORDER.to_owned()))
                .expression_attribute_values(":since", AttributeValue::N(since_ms.to_string()))
                .set_exclusive_start_key(start);
            let output = request.send().await.map_err(|error| port_error("Scan", &error))?;
            for mut item in output.items.into_iter().flatten() {
                let subject = match item.remove(PARTITION_KEY) {
                    Some(AttributeValue::S(key)) => subject_of_order_key(&key),
                    _ => None,
                };
                subjects.push(subject.ok_or_else(|| unreadable("order"))?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(subjects);
            }
        }
    }
}

fn parked_attribute(event: &PaymentEvent) -> String {
    format!("{}{}", super::items::PARKED_PREFIX, Order::event_id(event))
}
