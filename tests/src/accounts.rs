//! Accounts beside the one that the first start on one machine makes.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use paybell_cli::demo::DemoAccount;
use paybell_cli::simulate::{Facts, Scenario, Step, plan};
use paybell_shared::aws::{AccountDirectory, ApiKeyDigest, Created};
use paybell_shared::ports::{Clock as _, Saved, SystemClock};
use paybell_shared::providers::{Provider, registry};
use paybell_shared::sandbox::{SandboxKeys, SignedRequest};
use serde_json::Value;

use crate::api::Api;
use crate::command::paybell;
use crate::world::World;

/// Writes to the table of accounts under way at once.
const WRITES_AT_ONCE: usize = 16;
/// Commands that run at once.
const COMMANDS_AT_ONCE: usize = 4;

/// An account beside the demo account, with keys of its own for every built-in provider.
pub struct SecondAccount {
    /// Its name.
    pub name: String,
    /// A client with its API key.
    pub api: Api,
    keys: BTreeMap<String, SandboxKeys>,
}

impl SecondAccount {
    /// Its keys for a provider.
    pub fn keys(&self, provider: &Provider) -> &SandboxKeys {
        self.keys.get(provider.name).unwrap_or_else(|| panic!("no keys for `{}`", provider.name))
    }

    /// A payment of the order in `facts`, signed with this account's keys.
    pub fn paid(&self, provider: &Provider, facts: &Facts) -> SignedRequest {
        paid(provider, self.keys(provider), facts)
    }
}

/// A payment of the order in `facts`, signed with these keys.
pub fn paid(provider: &Provider, keys: &SandboxKeys, facts: &Facts) -> SignedRequest {
    let steps = plan(provider, keys, Scenario::Paid, facts);
    let steps = steps.unwrap_or_else(|error| panic!("{}: {error}", provider.name));
    let request = steps.into_iter().find_map(|step| match step {
        Step::Send(delivery) => Some(delivery.request),
        _ => None,
    });
    request.expect("a payment is sent")
}

impl World {
    /// Adds an account whose name begins like this, with the commands that an operator would use.
    pub async fn add_account(&self, name: &str) -> SecondAccount {
        let (place, name) = (self.place.arguments(), self.place.new_account_name(name));
        let made = paybell(&place, &["account", "create", &name, "--json"], "").await.json();
        let api_key = made["api_key"].as_str().expect("the new account has an API key");
        let keys = generate_keys();
        let put = |(provider, keys): (&String, &SandboxKeys)| {
            let (place, name, provider) = (place.clone(), name.clone(), provider.clone());
            let fields = Value::Object(keys.key_set.clone()).to_string();
            async move {
                let arguments = ["credentials", "put", &name, &provider, "--json", "-"];
                paybell(&place, &arguments, &fields).await.ok();
            }
        };
        stream::iter(keys.iter().map(put)).buffer_unordered(COMMANDS_AT_ONCE).collect::<()>().await;
        SecondAccount { api: self.api.with_api_key(api_key), name, keys }
    }
}

/// Sandbox keys for every built-in provider.
pub fn generate_keys() -> BTreeMap<String, SandboxKeys> {
    let providers = registry::built_in();
    providers.map(|provider| (provider.name.to_owned(), provider.sandbox.generate())).collect()
}

/// An account with a new API key.
pub fn new_account(name: String, providers: BTreeMap<String, SandboxKeys>) -> DemoAccount {
    let api_key = format!("pb_test_{:032x}", fastrand::u128(..));
    DemoAccount { user: format!("{name}-user"), account: name, api_key, providers }
}

/// Writes a new account's API key and credentials, as the commands do.
pub async fn write(directory: &AccountDirectory, account: &DemoAccount) {
    let api_key = ApiKeyDigest::of(&account.api_key);
    let made = directory.create(&account.account, &api_key, SystemClock.now()).await;
    assert_eq!(made, Ok(Created::Yes), "the directory takes accounts");
    let writes = account.providers.iter().map(|(provider, keys)| async move {
        let mut stored = directory.credentials(&account.account, provider).await?;
        let added = stored.credentials.add(Some("sandbox"), keys.key_set.clone(), SystemClock.now());
        added.expect("a new account has no key sets");
        directory.replace(&account.account, provider, &stored).await
    });
    let written: Vec<_> = stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).collect().await;
    for outcome in written {
        assert_eq!(outcome, Ok(Saved::Yes), "the directory takes credentials");
    }
}
