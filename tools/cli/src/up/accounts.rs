//! The demo account: sandbox keys for every provider, kept in `demo.json` and in the account store.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::ports::{AccountStore, PortError, secret_sha256_hex};
use paybell_shared::providers::{Provider, Registry};

use crate::accounts::random_api_key;
use crate::demo::DemoAccount;

/// Reads the demo account, or makes it; a provider that is new gets its keys.
///
/// # Errors
/// As reading and writing the file; a file that is there and unreadable is an error, not replaced.
pub async fn load_or_make(data: &Path, providers: &Registry) -> io::Result<DemoAccount> {
    let mut demo = match DemoAccount::read(data) {
        Ok(demo) => demo,
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_account(),
        Err(error) => {
            return Err(io::Error::new(error.kind(), format!("{}: {error}", DemoAccount::FILE_NAME)));
        }
    };
    let new: Vec<&'static Provider> =
        providers.iter().filter(|provider| !demo.providers.contains_key(provider.name)).collect();
    if new.is_empty() && data.join(DemoAccount::FILE_NAME).exists() {
        return Ok(demo);
    }
    // Making RSA keys takes a while: all providers' at once.
    let making: Vec<_> = new
        .into_iter()
        .map(|provider| (provider.name, tokio::task::spawn_blocking(|| provider.sandbox.generate())))
        .collect();
    for (name, keys) in making {
        demo.providers.insert(name.to_owned(), keys.await?);
    }
    demo.write(data)?;
    Ok(demo)
}

/// Brings the account store up to the demo account. A provider that the account already uses is left as it is, so that
/// keys which somebody rotated stay.
///
/// # Errors
/// As the store.
pub async fn store(demo: &DemoAccount, accounts: &dyn AccountStore) -> Result<(), PortError> {
    // Again at every start: data folders from before there were items for accounts get theirs.
    accounts.put_api_key(&demo.account, &secret_sha256_hex(&demo.api_key)).await?;
    for (provider, keys) in &demo.providers {
        if accounts.credentials(&demo.account, provider).await?.is_none() {
            let key_set = KeySet::new("sandbox", keys.key_set.clone());
            let credentials = Credentials { key_sets: vec![key_set] };
            accounts.put_credentials(&demo.account, provider, &credentials).await?;
        }
    }
    Ok(())
}

fn new_account() -> DemoAccount {
    DemoAccount {
        account: "demo".to_owned(),
        api_key: random_api_key("pb_test_"),
        user: "demo-user".to_owned(),
        providers: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_later_start_keeps_the_account_and_adds_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::default();
        let first = load_or_make(folder.path(), &registry).await.unwrap();
        for provider in registry.iter() {
            assert!(first.providers.contains_key(provider.name), "{}", provider.name);
        }
        let mut older = first.clone();
        let dropped = older.providers.pop_first().map(|(name, _)| name);
        older.write(folder.path()).unwrap();
        let second = load_or_make(folder.path(), &registry).await.unwrap();
        assert_eq!(second.api_key, first.api_key);
        assert!(second.providers.keys().eq(first.providers.keys()), "{dropped:?} is back");
        for (name, keys) in &older.providers {
            assert_eq!(keys.key_set, second.providers[name].key_set, "{name}");
        }
    }

    #[tokio::test]
    async fn an_unreadable_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(DemoAccount::FILE_NAME);
        std::fs::write(&file, "not JSON").unwrap();
        assert!(load_or_make(folder.path(), &Registry::default()).await.is_err());
        assert_eq!(std::fs::read_to_string(file).unwrap(), "not JSON");
    }
}
