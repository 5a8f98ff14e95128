//! The four tables. The deployment template states the same for the cloud.
//!
//! | table | key | holds |
//! |---|---|---|
//! | orders | `pk` | orders (`item` = `order`) and references (`item` = `reference`); stream of old and new images; index `by_user` |
//! | inbox | `pk` account and user, `sk` notification id | notifications; local index `by_cursor`; `expires_at` |
//! | connections | `pk`, `sk` | tickets, connections by id and by user; `expires_at` |
//! | accounts | `pk` | accounts, credentials or where they are by account and provider, accounts by hash of the API key |

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder as CreateTable;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};

use super::error::port_error;
use crate::config::TableNames;
use crate::ports::PortError;

/// Partition key of every table.
pub const PARTITION_KEY: &str = "pk";
/// Sort key of the tables that have one.
pub const SORT_KEY: &str = "sk";
/// Attribute with the second after which DynamoDB may delete an item.
pub const EXPIRES_AT: &str = "expires_at";
/// Index of a user's orders: `user_key`, `updated_at_ms`; keys only.
pub const BY_USER: &str = "by_user";
/// Partition key of [`BY_USER`].
pub const USER_KEY: &str = "user_key";
/// Sort key of [`BY_USER`].
pub const UPDATED_AT_MS: &str = "updated_at_ms";
/// Local index of a user's notifications by the order of writing.
pub const BY_CURSOR: &str = "by_cursor";
/// Sort key of [`BY_CURSOR`].
pub const CURSOR: &str = "cursor";

const POLL_INTERVAL: Duration = Duration::from_millis(250);
const POLLS_MAX: usize = 240;

/// Creates the tables that do not exist yet and waits until all of them can be used.
///
/// # Errors
/// [`PortError`] of the first call that failed, or `Transient` when a table is not ready after a minute.
pub async fn create_missing(client: &Client, names: &TableNames) -> Result<(), PortError> {
    create(client, &names.orders, orders_table).await?;
    create(client, &names.inbox, inbox_table).await?;
    create(client, &names.connections, connections_table).await?;
    create(client, &names.accounts, |create| with_key(create, &[(PARTITION_KEY, KeyType::Hash)])).await?;
    for name in [&names.orders, &names.inbox, &names.connections, &names.accounts] {
        wait_until_active(client, name).await?;
    }
    for name in [&names.inbox, &names.connections] {
        enable_expiry(client, name).await?;
    }
    Ok(())
}

async fn create(
    client: &Client,
    name: &str,
    define: impl FnOnce(CreateTable) -> CreateTable,
) -> Result<(), PortError> {
    let request = define(client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest));
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(())
        }
        Err(error) => Err(port_error("CreateTable", &error)),
    }
}

fn orders_table(create: CreateTable) -> CreateTable {
    let by_user = GlobalSecondaryIndex::builder()
        .index_name(BY_USER)
        .key_schema(key(USER_KEY, KeyType::Hash))
        .key_schema(key(UPDATED_AT_MS, KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .expect("every part of the index is given");
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .expect("every part of the stream is given");
    with_key(create, &[(PARTITION_KEY, KeyType::Hash)])
        .attribute_definitions(attribute(USER_KEY, ScalarAttributeType::S))
        .attribute_definitions(attribute(UPDATED_AT_MS, ScalarAttributeType::N))
        .global_secondary_indexes(by_user)
        .stream_specification(stream)
}

fn inbox_table(create: CreateTable) -> CreateTable {
    let by_cursor = LocalSecondaryIndex::builder()
        .index_name(BY_CURSOR)
        .key_schema(key(PARTITION_KEY, KeyType::Hash))
        .key_schema(key(CURSOR, KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .expect("every part of the index is given");
    with_key(create, &[(PARTITION_KEY, KeyType::Hash), (SORT_KEY, KeyType::Range)])
        .attribute_definitions(attribute(CURSOR, ScalarAttributeType::S))
        .local_secondary_indexes(by_cursor)
}

fn connections_table(create: CreateTable) -> CreateTable {
    with_key(create, &[(PARTITION_KEY, KeyType::Hash), (SORT_KEY, KeyType::Range)])
}

fn with_key(create: CreateTable, parts: &[(&str, KeyType)]) -> CreateTable {
    parts.iter().fold(create, |create, (name, key_type)| {
        create
            .key_schema(key(name, key_type.clone()))
            .attribute_definitions(attribute(name, ScalarAttributeType::S))
    })
}

fn key(name: &str, key_type: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(key_type)
        .build()
        .expect("every part of the key is given")
}

fn attribute(name: &str, attribute_type: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(attribute_type)
        .build()
        .expect("every part of the attribute is given")
}

async fn wait_until_active(client: &Client, name: &str) -> Result<(), PortError> {
    for _ in 0..POLLS_MAX {
        let described = client.describe_table().table_name(name).send().await;
        let described = described.map_err(|error| port_error("DescribeTable", &error))?;
        if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(PortError::Transient(format!("table `{name}` is not active yet")))
}

async fn enable_expiry(client: &Client, name: &str) -> Result<(), PortError> {
    let described = client.describe_time_to_live().table_name(name).send().await;
    let described = described.map_err(|error| port_error("DescribeTimeToLive", &error))?;
    let status = described.time_to_live_description().and_then(|expiry| expiry.time_to_live_status());
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let expiry = TimeToLiveSpecification::builder()
        .attribute_name(EXPIRES_AT)
        .enabled(true)
        .build()
        .expect("every part of the specification is given");
    let updated = client.update_time_to_live().table_name(name).time_to_live_specification(expiry).send();
    updated.await.map(|_| ()).map_err(|error| port_error("UpdateTimeToLive", &error))
}
