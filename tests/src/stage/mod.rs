//! A deployed stage, in AWS or in an emulator of it, as the environment names it.
//!
//! A stage is shared: every test makes an account of its own there, so that orders and users are its own too. Providers
//! that are asked are played by this process (see [`asked`]), so one process at a time tests a stage.

pub mod asked;
pub mod aws;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use paybell_cli::demo::DemoAccount;
use paybell_shared::aws::{AccountDirectory, Clients, SecretPlace, account_clients};
use paybell_shared::config::{Config, TableNames};
use paybell_shared::ports::{Clock as _, SystemClock};
use paybell_shared::sandbox::{Exchange, SandboxKeys};
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};

use crate::accounts;
use crate::api::{Addresses, Api};
use crate::place::Queued;
use crate::queue;
use aws::Aws;

/// Names the stage to test; without it the tests start a Paybell on this machine.
pub const STAGE_VARIABLE: &str = "PAYBELL_STAGE_UNDER_TEST";
/// Names the file with the stage's addresses that `infra/deploy --outputs FILE` wrote.
pub const OUTPUTS_VARIABLE: &str = "PAYBELL_STAGE_OUTPUTS";

/// The functions of a stage.
pub const FUNCTIONS: [&str; 6] = ["callback", "apply", "reconcile", "notify", "connections", "orders"];

/// AWS's counts of messages are approximate: a queue is empty there when it was seen so this often, one after the other.
const LOOKS_ON_AWS: usize = 5;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The log is written a little after an invocation, and clocks differ.
const LOG_OVERLAP_MS: i64 = 2_000;

/// The outputs of the stage's stack that say where it is reached: one address for callbacks and orders, or one for
/// each, as its front door has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outputs {
    #[serde(default)]
    http_address: Option<String>,
    #[serde(default)]
    callback_address: Option<String>,
    #[serde(default)]
    orders_address: Option<String>,
    web_socket_address: String,
}

impl Outputs {
    fn addresses(self) -> Option<Addresses> {
        let without_slash = |address: String| address.trim_end_matches('/').to_owned();
        let websocket = without_slash(self.web_socket_address);
        Some(Addresses {
            callbacks: without_slash(self.callback_address.or_else(|| self.http_address.clone())?),
            orders: without_slash(self.orders_address.or(self.http_address)?),
            // An emulator's address is said with the scheme that it has for everything.
            websocket: websocket.strip_prefix("http").map(|rest| format!("ws{rest}")).unwrap_or(websocket),
        })
    }
}

/// A deployed stage.
pub struct Stage {
    name: String,
    addresses: Addresses,
    aws: Aws,
    clients: Clients,
    config: Config,
    begun_at_ms: i64,
    dead_letters_before: u64,
    last_look: Mutex<Option<(Instant, Queued)>>,
}

impl Stage {
    /// The stage that the environment names, on which this process plays the providers; none when it names none.
    pub async fn from_env() -> Option<Self> {
        static PLAYED: OnceCell<()> = OnceCell::const_new();
        let stage = Self::untouched_from_env().await?;
        PLAYED.get_or_init(|| asked::play(&stage)).await;
        Some(stage)
    }

    /// The stage that the environment names as it is deployed, with its own way to the providers.
    pub async fn untouched_from_env() -> Option<Self> {
        let name = std::env::var(STAGE_VARIABLE).ok().filter(|name| !name.is_empty())?;
        let addresses = read_addresses();
        let aws = Aws::from_env().await;
        let (clients, config) = clients(&name, &addresses, &aws).await;
        let mut stage = Self {
            name,
            addresses,
            aws,
            clients,
            config,
            begun_at_ms: SystemClock.now_ms() - LOG_OVERLAP_MS,
            dead_letters_before: 0,
            last_look: Mutex::default(),
        };
        stage.dead_letters_before = stage.look().await.dead_letters;
        Some(stage)
    }

    /// A client with an account's API key.
    pub fn api(&self, api_key: &str) -> Api {
        Api::new(self.addresses.clone(), api_key)
    }

    /// An account whose name begins like this and that nobody else has. All accounts of a process have the same keys,
    /// because making them takes a while.
    pub async fn create_account(&self, name: &str) -> DemoAccount {
        static KEYS: OnceCell<BTreeMap<String, SandboxKeys>> = OnceCell::const_new();
        let keys = KEYS.get_or_init(async || accounts::generate_keys()).await;
        let account = accounts::new_account(self.new_account_name(name), keys.clone());
        let secrets = SecretPlace { stage: self.name.clone(), kms_key_id: None };
        let clients = account_clients(self.aws.sdk_config());
        let directory = AccountDirectory::new(clients, &self.config.tables.accounts, Some(secrets));
        accounts::write(&directory, &account).await;
        account
    }

    /// An account's name that begins like this and that nobody else has; its providers are played by this process.
    pub fn new_account_name(&self, name: &str) -> String {
        let name = format!("{name}-{:08x}", fastrand::u32(..));
        asked::PROVIDERS.api(&name);
        name
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a provider's API give these answers when it is asked for this account.
    pub fn put_answers(&self, account: &str, exchanges: &[Exchange]) {
        asked::PROVIDERS.put(account, exchanges);
    }

    /// How many messages wait or are in flight, and how many dead letters are new since the test began.
    pub async fn queued(&self) -> Queued {
        let asked_at = Instant::now();
        let mut last_look = self.last_look.lock().await;
        // Many tasks wait for the same: one look that begins after they asked serves them all.
        if let Some((begun, queued)) = *last_look
            && begun >= asked_at
        {
            return queued;
        }
        let begun = Instant::now();
        let mut queued = self.look().await;
        for _ in 1..if self.aws.is_emulated() { 1 } else { LOOKS_ON_AWS } {
            if queued.callbacks > 0 {
                break;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            queued = self.look().await;
        }
        queued.dead_letters = queued.dead_letters.saturating_sub(self.dead_letters_before);
        *last_look = Some((begun, queued));
        queued
    }

    /// What the functions have logged since the test began, and what was logged here in the place of `reconcile`.
    pub async fn log(&self) -> String {
        let mut log = asked::log();
        for function in FUNCTIONS {
            log.push_str(&self.log_of(function).await);
        }
        log
    }

    /// What a function has logged since the test began.
    pub async fn log_of(&self, function: &str) -> String {
        let group = format!("/aws/lambda/{}", self.function(function));
        self.aws.log(&group, self.begun_at_ms).await
    }

    /// Deletes all hints.
    pub async fn empty_hints(&self) {
        let purge = self.clients.sqs.purge_queue().queue_url(&self.config.hints_queue_url);
        purge.send().await.unwrap_or_else(|error| panic!("the hints cannot be deleted: {error:?}"));
    }

    /// Puts any text into the queue of callbacks.
    pub async fn enqueue(&self, body: &str) {
        queue::send(&self.clients.sqs, &self.config.callbacks_queue_url, body).await;
    }

    /// Puts any text into the queue of hints.
    pub async fn send_hint(&self, text: &str) {
        queue::send(&self.clients.sqs, &self.config.hints_queue_url, text).await;
    }

    /// Sets how long callbacks that were received stay hidden, in seconds, and says how long they did before.
    pub async fn set_visibility_timeout(&self, seconds: u32) -> u32 {
        use aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout;
        let (sqs, url) = (&self.clients.sqs, &self.config.callbacks_queue_url);
        let asked = sqs.get_queue_attributes().queue_url(url).attribute_names(VisibilityTimeout);
        let attributes = asked.send().await.expect("the queue says how it is set").attributes;
        let before = attributes.and_then(|attributes| attributes.get(&VisibilityTimeout)?.parse().ok());
        let set =
            sqs.set_queue_attributes().queue_url(url).attributes(VisibilityTimeout, seconds.to_string());
        set.send().await.expect("the queue can be set");
        before.expect("a queue has a visibility timeout")
    }

    /// Texts of dead letters of callbacks, at most ten, which stay where they are.
    pub async fn callback_dead_letters(&self) -> Vec<String> {
        let receive = self.clients.sqs.receive_message().queue_url(&self.config.callbacks_dead_letters_url);
        let received = receive.max_number_of_messages(10).visibility_timeout(0).send().await;
        let received = received.unwrap_or_else(|error| panic!("the dead letters cannot be read: {error:?}"));
        received.messages.unwrap_or_default().into_iter().filter_map(|message| message.body).collect()
    }

    /// A function's name.
    pub fn function(&self, name: &str) -> String {
        format!("paybell-{}-{name}", self.name)
    }

    /// AWS, or its emulator.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    async fn look(&self) -> Queued {
        let count = |address| messages(&self.clients.sqs, address);
        let Config { callbacks_queue_url, callbacks_dead_letters_url, .. } = &self.config;
        Queued {
            callbacks: count(callbacks_queue_url).await + count(&self.config.hints_queue_url).await,
            dead_letters: count(callbacks_dead_letters_url).await
                + count(&self.config.hints_dead_letters_url).await
                + count(&self.config.notify_dead_letters_url).await,
        }
    }
}

fn read_addresses() -> Addresses {
    let file = std::env::var(OUTPUTS_VARIABLE).unwrap_or_else(|_| {
        panic!("{STAGE_VARIABLE} names a stage: name the file with its addresses with {OUTPUTS_VARIABLE}")
    });
    let text = std::fs::read_to_string(Path::new(&file));
    let text = text.unwrap_or_else(|error| panic!("cannot read {file}: {error}"));
    let outputs = serde_json::from_str::<Outputs>(&text);
    let outputs = outputs.unwrap_or_else(|error| panic!("{file} holds no addresses: {error}"));
    outputs.addresses().unwrap_or_else(|| panic!("{file} does not say where callbacks are sent"))
}

/// Clients of the stage's tables and queues, under the names that the template gives them.
async fn clients(stage: &str, addresses: &Addresses, aws: &Aws) -> (Clients, Config) {
    let mut config = Config {
        tables: TableNames::with_prefix(&format!("paybell-{stage}-")),
        callbacks_queue_url: String::new(),
        callbacks_dead_letters_url: String::new(),
        hints_queue_url: String::new(),
        hints_dead_letters_url: String::new(),
        notify_dead_letters_url: String::new(),
        websocket_endpoint: addresses.websocket.replacen("ws", "http", 1),
        dynamodb_endpoint: None,
        sqs_endpoint: None,
    };
    let clients = Clients::new(aws.sdk_config(), &config);
    for (name, address) in [
        ("callbacks", &mut config.callbacks_queue_url),
        ("callbacks-dead-letters", &mut config.callbacks_dead_letters_url),
        ("hints", &mut config.hints_queue_url),
        ("hints-dead-letters", &mut config.hints_dead_letters_url),
        ("notify-dead-letters", &mut config.notify_dead_letters_url),
    ] {
        let queue = format!("paybell-{stage}-{name}");
        let found = clients.sqs.get_queue_url().queue_name(&queue).send().await;
        let found = found.unwrap_or_else(|error| panic!("there is no queue {queue}: {error:?}"));
        found.queue_url().expect("a queue has an address").clone_into(address);
    }
    (clients, config)
}

async fn messages(sqs: &aws_sdk_sqs::Client, address: &str) -> u64 {
    use aws_sdk_sqs::types::QueueAttributeName::{
        ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible,
    };
    // A reminder that is held back is nobody's work yet.
    let names = [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible];
    let request = sqs.get_queue_attributes().queue_url(address).set_attribute_names(Some(names.to_vec()));
    let output = request.send().await.unwrap_or_else(|error| panic!("{address} does not answer: {error:?}"));
    let attributes = output.attributes.unwrap_or_default();
    names
        .iter()
        .map(|name| {
            let count = attributes.get(name).and_then(|count| count.parse::<u64>().ok());
            count.unwrap_or_else(|| panic!("{address} does not say {name}: {attributes:?}"))
        })
        .sum()
}
