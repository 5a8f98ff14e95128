//! Accounts beside the one that the first start on one machine makes. The harness writes them into the tables, with the
//! adapters that the functions themselves use; on one machine while the server is stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials as AwsCredentials, Region};
use dynoxide::Database;
use futures_util::{StreamExt as _, stream};
use paybell_cli::demo::DemoAccount;
use paybell_cli::simulate::{Facts, Scenario, Step, plan};
use paybell_shared::aws::DynamoAccounts;
use paybell_shared::callback::signature::sha256;
use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::ports::AccountStore;
use paybell_shared::providers::{Provider, registry};
use paybell_shared::sandbox::{SandboxKeys, SignedRequest};
use tokio::net::TcpListener;

use crate::api::Api;
use crate::place::Place;
use crate::world::World;

/// Writes to the table of accounts under way at once.
const WRITES_AT_ONCE: usize = 16;

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
        let steps = plan(provider, self.keys(provider), Scenario::Paid, facts);
        let steps = steps.unwrap_or_else(|error| panic!("{}: {error}", provider.name));
        let request = steps.into_iter().find_map(|step| match step {
            Step::Send(delivery) => Some(delivery.request),
            _ => None,
        });
        request.expect("a payment is sent")
    }
}

impl World {
    /// Adds an account whose name begins like this; on one machine the server is stopped and started for it.
    pub async fn add_account(&mut self, name: &str) -> SecondAccount {
        let keys = generate_keys();
        let account = match &mut self.place {
            Place::Stage(stage) => stage.create_account_with(name, keys).await,
            Place::Machine(server) => {
                let account = new_account(name.to_owned(), keys);
                assert!(server.stop().await.success(), "it stopped with an error");
                write_to_folder(&server.data(), &account).await;
                server.restart().await;
                account
            }
        };
        let api = self.api.with_api_key(account.api_key);
        SecondAccount { name: account.account, api, keys: account.providers }
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

/// Writes an account's API key and credentials.
pub async fn write(store: &dyn AccountStore, account: &DemoAccount) {
    let writes = account.providers.iter().map(|(provider, keys)| async move {
        let credentials = Credentials { key_sets: vec![KeySet::new("sandbox", keys.key_set.clone())] };
        store.put_credentials(&account.account, provider, &credentials).await
    });
    let written: Vec<_> = stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).collect().await;
    for outcome in written {
        outcome.expect("the store takes credentials");
    }
    let hash = hex::encode(sha256(account.api_key.as_bytes()));
    store.put_api_key(&account.account, &hash).await.expect("the store takes API keys");
}

async fn write_to_folder(data: &Path, account: &DemoAccount) {
    let file = data.join("dynamodb.sqlite");
    let database = Database::new(&file.to_string_lossy())
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", file.display()));
    let tables = database.list_tables(Default::default()).expect("tables can be listed").table_names;
    let table = tables.into_iter().find(|name| name.ends_with("accounts")).expect("there is such a table");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
    write(&DynamoAccounts::new(client(address), table), account).await;
    server.abort();
    let _ = server.await;
}

fn client(address: SocketAddr) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(AwsCredentials::new("test", "test", None, None, "tests"))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}
