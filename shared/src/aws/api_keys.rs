//! Accounts' API keys as operators change them: several are active while one takes another's place.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};

use super::accounts::{ACCOUNT, CREATED_AT, ENDING, REVOKED_AT};
use super::directory::AccountDirectory;
use super::error::{port_error, saved, unreadable};
use super::items::Item;
use super::keys;
use super::tables::PARTITION_KEY;
use crate::callback::UnixSeconds;
use crate::ports::{PortError, Saved, secret_sha256_hex};

/// Digits of an API key's hash by which operators name it.
const ID_DIGITS: usize = 12;
/// Last characters of an API key that are stored in clear, so that its holder finds it in a listing: of the 64 random
/// digits of ours, 60 stay unknown.
const ENDING_CHARACTERS: usize = 4;

/// What is stored of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyDigest {
    /// Its hash, by which a call finds its account.
    pub sha256_hex: String,
    /// How it ends; empty when it is too short to tell anything of it.
    pub ending: String,
}

impl ApiKeyDigest {
    /// Of this key.
    pub fn of(api_key: &str) -> Self {
        let before_ending = api_key.chars().count().saturating_sub(ENDING_CHARACTERS);
        let tells_little = before_ending >= 8 * ENDING_CHARACTERS;
        let ending = if tells_little { api_key.chars().skip(before_ending).collect() } else { String::new() };
        Self { sha256_hex: secret_sha256_hex(api_key), ending }
    }

    /// By what operators name it.
    pub fn id(&self) -> String {
        id_of(&self.sha256_hex)
    }
}

/// An API key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredApiKey {
    /// The beginning of its hash.
    pub id: String,
    /// How the key ends, where that was written down.
    pub ending: Option<String>,
    /// When it was made, where that was written down.
    pub created_at: Option<UnixSeconds>,
    /// When it was revoked; active without it.
    pub revoked_at: Option<UnixSeconds>,
    sha256_hex: String,
}

impl StoredApiKey {
    /// Whether calls with it are answered.
    pub fn is_active(&self) -> bool {
        self.revoked_at.is_none()
    }
}

/// The outcome of adding an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAdded {
    /// It is active from now on.
    Yes,
    /// There is no such account.
    NoAccount,
    /// Somebody has this very key already.
    Taken,
}

/// The outcome of revoking an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRevoked {
    /// No call with it is answered any more; these are the account's active ones.
    Yes(Vec<StoredApiKey>),
    /// The account has no active key of this id; these are the active ones.
    NoSuchId(Vec<StoredApiKey>),
    /// Somebody else has changed it at the same time.
    LostRace,
}

impl AccountDirectory {
    /// Gives an account one more API key, whose hash alone is stored; the others stay active.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn add_api_key(
        &self,
        account: &str,
        api_key: &ApiKeyDigest,
        now: UnixSeconds,
    ) -> Result<KeyAdded, PortError> {
        let account_is_there = ConditionCheck::builder()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(keys::account(account)))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", PARTITION_KEY)
            .build()
            .expect("every part of the check is given");
        let request = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(account_is_there).build())
            .transact_items(self.put_new_api_key(account, api_key, now));
        match request.send().await {
            Ok(_) => Ok(KeyAdded::Yes),
            Err(error) => match error.as_service_error().map(failed_conditions).as_deref() {
                Some([true, ..]) => Ok(KeyAdded::NoAccount),
                Some([false, true]) => Ok(KeyAdded::Taken),
                _ => Err(port_error("TransactWriteItems", &error)),
            },
        }
    }

    /// The write of an API key that nobody has.
    pub(super) fn put_new_api_key(
        &self,
        account: &str,
        api_key: &ApiKeyDigest,
        now: UnixSeconds,
    ) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.table)
            .item(PARTITION_KEY, AttributeValue::S(keys::api_key(&api_key.sha256_hex)))
            .item(ACCOUNT, AttributeValue::S(account.to_owned()))
            .item(CREATED_AT, AttributeValue::N(now.0.to_string()))
            .item(ENDING, AttributeValue::S(api_key.ending.clone()))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PARTITION_KEY)
            .build()
            .expect("every part of the item is given");
        TransactWriteItem::builder().put(put).build()
    }

    /// An account's API keys, revoked ones included, the oldest first. It reads the whole table, which holds a few items
    /// for each account.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn api_keys(&self, account: &str) -> Result<Vec<StoredApiKey>, PortError> {
        let mut keys = Vec::new();
        for item in self.scan(&[ACCOUNT, CREATED_AT, ENDING, REVOKED_AT]).await? {
            if text(&item, ACCOUNT) == Some(account) {
                keys.extend(api_key_of(&item)?);
            }
        }
        keys.sort_by(|one, other| {
            (one.created_at, &one.sha256_hex).cmp(&(other.created_at, &other.sha256_hex))
        });
        Ok(keys)
    }

    /// Revokes one of an account's API keys. What was revoked stays in the table, so that it is never active again.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn revoke_api_key(
        &self,
        account: &str,
        id: &str,
        now: UnixSeconds,
    ) -> Result<KeyRevoked, PortError> {
        let mut active = self.api_keys(account).await?;
        active.retain(StoredApiKey::is_active);
        let Some(place) = active.iter().position(|key| key.id == id) else {
            return Ok(KeyRevoked::NoSuchId(active));
        };
        let revoked = active.remove(place);
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PARTITION_KEY, AttributeValue::S(keys::api_key(&revoked.sha256_hex)))
            .update_expression("SET #revoked_at = :now")
            .condition_expression("#account = :account AND attribute_not_exists(#revoked_at)")
            .expression_attribute_names("#account", ACCOUNT)
            .expression_attribute_names("#revoked_at", REVOKED_AT)
            .expression_attribute_values(":account", AttributeValue::S(account.to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(now.0.to_string()));
        match saved(request.send().await)? {
            Saved::Yes => Ok(KeyRevoked::Yes(active)),
            Saved::LostRace => Ok(KeyRevoked::LostRace),
        }
    }
}

/// Which writes of a transaction found something else than they asked for; none when it failed for another reason.
pub(super) fn failed_conditions(error: &TransactWriteItemsError) -> Vec<bool> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return Vec::new() };
    let reasons = cancelled.cancellation_reasons().iter();
    reasons.map(|reason| reason.code() == Some("ConditionalCheckFailed")).collect()
}

/// The API key of an item; `None` for another item.
fn api_key_of(item: &Item) -> Result<Option<StoredApiKey>, PortError> {
    let key = text(item, PARTITION_KEY).and_then(keys::parts).ok_or_else(|| unreadable("account"))?;
    let [kind, sha256_hex] = &key[..] else { return Ok(None) };
    if kind != keys::API_KEY {
        return Ok(None);
    }
    Ok(Some(StoredApiKey {
        id: id_of(sha256_hex),
        ending: text(item, ENDING).filter(|ending| !ending.is_empty()).map(str::to_owned),
        created_at: seconds(item, CREATED_AT),
        // A moment that cannot be read was one all the same.
        revoked_at: item.get(REVOKED_AT).map(|_| seconds(item, REVOKED_AT).unwrap_or(UnixSeconds(0))),
        sha256_hex: sha256_hex.clone(),
    }))
}

fn id_of(sha256_hex: &str) -> String {
    sha256_hex.chars().take(ID_DIGITS).collect()
}

pub(super) fn text<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    match item.get(attribute) {
        Some(AttributeValue::S(text)) => Some(text.as_str()),
        _ => None,
    }
}

pub(super) fn seconds(item: &Item, attribute: &str) -> Option<UnixSeconds> {
    match item.get(attribute) {
        Some(AttributeValue::N(seconds)) => seconds.parse().ok().map(UnixSeconds),
        _ => None,
    }
}
