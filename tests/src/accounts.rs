//! A second account. No command creates one yet, so the harness writes it into the stopped server's tables,
//! with the adapters that the functions themselves use.

use std::net::SocketAddr;
use std::path::Path;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials as AwsCredentials, Region};
use dynoxide::Database;
use paybell_cli::simulate::{Facts, Scenario, Step, plan};
use paybell_shared::aws::DynamoAccounts;
use paybell_shared::callback::signature::sha256;
use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::ports::AccountStore;
use paybell_shared::providers::Provider;
use paybell_shared::sandbox::{SandboxKeys, SignedRequest};
use tokio::net::TcpListener;

use crate::api::Api;
use crate::world::World;

/// An account beside the demo account, with keys of its own for every built-in provider.
pub struct SecondAccount {
    /// A client with its API key.
    pub api: Api,
    keys: Vec<(&'static str, SandboxKeys)>,
}

impl SecondAccount {
    /// Its keys for a provider.
    pub fn keys(&self, provider: &Provider) -> &SandboxKeys {
        let keys = self.keys.iter().find(|(name, _)| *name == provider.name);
        &keys.unwrap_or_else(|| panic!("no keys for `{}`", provider.name)).1
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
    /// Adds an account of this name; the server is stopped and started for it.
    pub async fn add_account(&mut self, account: &str) -> SecondAccount {
        let api_key = format!("key-of-{account}-{:016x}", fastrand::u64(..));
        let keys: Vec<_> =
            self.providers().map(|provider| (provider.name, provider.sandbox.generate())).collect();
        assert!(self.server.stop().await.success(), "it stopped with an error");
        write(&self.server.data(), account, &api_key, &keys).await;
        self.server.restart().await;
        SecondAccount { api: self.api.with_api_key(api_key), keys }
    }
}

async fn write(data: &Path, account: &str, api_key: &str, keys: &[(&'static str, SandboxKeys)]) {
    let file = data.join("dynamodb.sqlite");
    let database = Database::new(&file.to_string_lossy())
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", file.display()));
    let tables = database.list_tables(Default::default()).expect("tables can be listed").table_names;
    let table = tables.into_iter().find(|name| name.ends_with("accounts")).expect("there is such a table");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let server = tokio::spawn(dynoxide::server::serve_on(listener, database));

    let store = DynamoAccounts::new(client(address), table);
    for (provider, keys) in keys {
        let credentials = Credentials { key_sets: vec![KeySet::new("sandbox", keys.key_set.clone())] };
        store.put_credentials(account, provider, &credentials).await.expect("the table takes credentials");
    }
    let hash = hex::encode(sha256(api_key.as_bytes()));
    store.put_api_key(account, &hash).await.expect("the table takes API keys");
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
