//! An account's API keys in the directory: several are active, one is revoked, and none is ever the wrong account's.

use paybell_shared::aws::{ApiKeyDigest, Created, KeyAdded, KeyRevoked, StoredApiKey};
use paybell_shared::callback::UnixSeconds;

use crate::dynamodb::EmbeddedDynamoDb;

fn at(seconds: i64) -> UnixSeconds {
    UnixSeconds(1_767_225_600 + seconds)
}

fn key(number: usize) -> ApiKeyDigest {
    ApiKeyDigest::of(&format!("pb_live_{number:064}"))
}

fn ids(keys: &[StoredApiKey]) -> Vec<String> {
    keys.iter().map(|key| key.id.clone()).collect()
}

#[tokio::test]
async fn keys_are_added_beside_each_other_and_revoked_for_good() {
    let database = EmbeddedDynamoDb::start().await;
    let (directory, accounts) = (database.directory("accounts"), database.adapters().accounts);
    assert_eq!(directory.add_api_key("shop", &key(1), at(0)).await, Ok(KeyAdded::NoAccount));
    assert_eq!(directory.create("shop", &key(1), at(0)).await, Ok(Created::Yes));
    assert_eq!(directory.create("other", &key(9), at(0)).await, Ok(Created::Yes));
    assert_eq!(directory.add_api_key("shop", &key(2), at(1)).await, Ok(KeyAdded::Yes));
    assert_eq!(directory.add_api_key("other", &key(2), at(1)).await, Ok(KeyAdded::Taken));
    let keys = directory.api_keys("shop").await.unwrap();
    assert_eq!(ids(&keys), [key(1).id(), key(2).id()]);
    assert_eq!(keys[1].ending.as_deref(), Some("0002"));
    assert_eq!((keys[1].created_at, keys[1].is_active()), (Some(at(1)), true));
    let owner = async |number| accounts.account_of_api_key(&key(number).sha256_hex).await.unwrap();
    for number in [1, 2] {
        assert_eq!(owner(number).await.as_deref(), Some("shop"), "both count during the change");
    }

    // Nobody revokes another account's key.
    let foreign = directory.revoke_api_key("other", &key(1).id(), at(2)).await;
    assert!(matches!(foreign, Ok(KeyRevoked::NoSuchId(_))), "{foreign:?}");
    let Ok(KeyRevoked::Yes(left)) = directory.revoke_api_key("shop", &key(1).id(), at(3)).await else {
        panic!("an active key can be revoked")
    };
    assert_eq!(ids(&left), [key(2).id()]);
    assert_eq!(owner(1).await, None, "the next read knows of it");
    assert_eq!(owner(2).await.as_deref(), Some("shop"));
    let again = directory.revoke_api_key("shop", &key(1).id(), at(4)).await;
    assert!(matches!(again, Ok(KeyRevoked::NoSuchId(_))), "{again:?}");
    assert_eq!(directory.add_api_key("shop", &key(1), at(4)).await, Ok(KeyAdded::Taken));
    // What every start of one machine does for the demo account.
    accounts.put_api_key("shop", &key(1).sha256_hex).await.unwrap();
    assert_eq!(owner(1).await, None, "what was revoked stays so");
    let listed = directory.api_keys("shop").await.unwrap();
    assert_eq!(listed.iter().map(|key| key.revoked_at).collect::<Vec<_>>(), [Some(at(3)), None]);
    assert_eq!(directory.list().await.unwrap()["shop"].api_keys, 1);
}

#[tokio::test]
async fn of_two_who_revoke_the_same_key_one_does() {
    let database = EmbeddedDynamoDb::start().await;
    let directory = database.directory("accounts");
    assert_eq!(directory.create("shop", &key(1), at(0)).await, Ok(Created::Yes));
    let id = key(1).id();
    let revoke = |seconds| directory.revoke_api_key("shop", &id, at(seconds));
    let (one, other) = tokio::join!(revoke(1), revoke(2));
    let done = [one.unwrap(), other.unwrap()];
    assert_eq!(done.iter().filter(|one| matches!(one, KeyRevoked::Yes(_))).count(), 1, "{done:?}");
}
