//! The contract of every port, asked of every implementation: the one in memory, and the real SDK's clients against
//! an embedded DynamoDB.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

mod api_keys;
mod contracts;
mod dynamodb;
mod secrets;

use std::sync::Arc;

use paybell_shared::ports::OverlayOrders;
use paybell_shared::ports::memory::{MemoryAccounts, MemoryConnections, MemoryInbox, MemoryOrders};

use dynamodb::EmbeddedDynamoDb;

macro_rules! contract {
    ($contract:ident, $memory:expr, $port:ident) => {
        mod $contract {
            use super::*;

            #[tokio::test]
            async fn in_memory() {
                contracts::$contract(&$memory).await;
            }

            #[tokio::test]
            async fn on_dynamodb() {
                let database = EmbeddedDynamoDb::start().await;
                contracts::$contract(&*database.adapters().$port).await;
            }
        }
    };
}

contract!(accounts_are_found_by_key_and_keep_their_credentials, MemoryAccounts::default(), accounts);
contract!(an_order_comes_back_as_it_was_saved, MemoryOrders::default(), orders);
contract!(only_one_of_two_writers_of_a_version_wins, MemoryOrders::default(), orders);
contract!(ties_and_parked_events_only_grow, MemoryOrders::default(), orders);
contract!(a_users_orders_are_listed_newest_first, MemoryOrders::default(), orders);
contract!(a_plan_finds_parked_events_when_the_tie_is_learned, MemoryOrders::default(), orders);
mod an_overlay_is_an_order_store {
    use super::*;

    macro_rules! contract {
        ($contract:ident) => {
            #[tokio::test]
            async fn $contract() {
                let below = Arc::new(MemoryOrders::default());
                contracts::$contract(&OverlayOrders::over(below.clone())).await;
                assert_eq!((below.all(), below.writes()), (Vec::new(), 0), "nothing is written below");
            }
        };
    }

    contract!(an_order_comes_back_as_it_was_saved);
    contract!(only_one_of_two_writers_of_a_version_wins);
    contract!(ties_and_parked_events_only_grow);
    contract!(a_users_orders_are_listed_newest_first);
    contract!(a_plan_finds_parked_events_when_the_tie_is_learned);
}

mod orders_are_found_by_the_time_of_their_last_change {
    use super::*;

    #[tokio::test]
    async fn in_memory() {
        let orders = MemoryOrders::default();
        contracts::orders_are_found_by_the_time_of_their_last_change(&orders, &orders).await;
    }

    #[tokio::test]
    async fn on_dynamodb() {
        let orders = EmbeddedDynamoDb::start().await.orders();
        contracts::orders_are_found_by_the_time_of_their_last_change(&orders, &orders).await;
    }
}

/// What lies below is seen, what is written above hides it, and below nothing changes.
#[tokio::test]
async fn an_overlay_sees_what_lies_below_it() {
    contracts::an_overlay_adds_to_what_lies_below(Arc::new(MemoryOrders::default())).await;
}

contract!(a_notification_is_there_once_and_read_in_order, MemoryInbox::default(), inbox);
contract!(a_ticket_opens_once_and_only_in_time, MemoryConnections::default(), connections);
contract!(of_many_who_take_a_ticket_at_once_one_opens, MemoryConnections::default(), connections);
contract!(connections_are_found_by_id_and_by_user, MemoryConnections::default(), connections);
contract!(orders_of_different_accounts_never_meet, MemoryOrders::default(), orders);
contract!(inboxes_of_different_accounts_never_meet, MemoryInbox::default(), inbox);
contract!(connections_of_different_accounts_never_meet, MemoryConnections::default(), connections);
contract!(credentials_of_different_accounts_never_meet, MemoryAccounts::default(), accounts);

#[tokio::test]
async fn tables_are_created_once_and_creating_them_again_is_fine() {
    let database = EmbeddedDynamoDb::start().await;
    database.create_tables().await.unwrap();
    let tables = database.table_names().await;
    assert_eq!(tables, ["accounts", "connections", "inbox", "orders"]);
}

#[tokio::test]
async fn an_absent_table_or_server_may_be_there_later() {
    use paybell_shared::ports::PortError;
    let database = EmbeddedDynamoDb::start_without_tables().await;
    let absent_table = database.adapters().accounts.account_of_api_key("00").await;
    assert!(matches!(absent_table, Err(PortError::Transient(_))), "{absent_table:?}");
    let absent_server = EmbeddedDynamoDb::nowhere().adapters().accounts.account_of_api_key("00").await;
    assert!(matches!(absent_server, Err(PortError::Transient(_))), "{absent_server:?}");
}
