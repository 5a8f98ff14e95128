//! Providers that are asked. A stage's `reconcile` goes out to the real ones, and nothing can make it go elsewhere. So
//! while tests run, its event source mapping is off, and this process takes the hints from the stage's queue and runs the
//! same handler, on the stage's tables and queues, with the sandbox as the way out.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::{Clock as _, FetchResponse, PortError, QueuedHint, SystemClock, Transport};
use paybell_shared::providers::FetchRequest;
use paybell_shared::sandbox::{Exchange, ProviderApi};
use tracing_subscriber::EnvFilter;

use crate::queue::event_of;

use super::aws::Aws;
use super::{Stage, clients, read_addresses};

/// The APIs of the providers, for every account of this process.
pub static PROVIDERS: LazyLock<Arc<Providers>> = LazyLock::new(Arc::default);

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// So talkative that a leak would show.
const LOG_FILTER: &str = "warn,reconcile_function=trace,paybell_shared=trace";
/// The most that SQS gives at once.
const BATCH_MESSAGES_MAX: i32 = 10;
const WAIT_SECONDS: i32 = 1;
/// Longer than one batch may take.
const VISIBILITY_TIMEOUT_SECONDS: i32 = 60;
const BATCH_MS_MAX: i64 = 30_000;
/// Tests do not wait for the delay that grows.
const RETRY_SECONDS: i32 = 1;

/// The APIs of the providers, for every account apart.
#[derive(Default)]
pub struct Providers {
    accounts: Mutex<HashMap<String, Arc<ProviderApi>>>,
}

impl Providers {
    /// From now on these are the answers for this account.
    pub fn put(&self, account: &str, exchanges: &[Exchange]) {
        let api = self.api(account);
        exchanges.iter().for_each(|exchange| api.put(exchange.clone()));
    }

    /// The API that an account's questions go to; it is made with the account.
    pub fn api(&self, account: &str) -> Arc<ProviderApi> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(account.to_owned()).or_default())
    }
}

#[async_trait]
impl Transport for Providers {
    async fn send(&self, account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        self.api(account).send(account, request).await
    }
}

/// Turns off the stage's own `reconcile` and answers in its place, as long as this process lives.
pub async fn play(stage: &Stage) {
    log_to_memory();
    stage.aws().enable_mapping(&stage.function("reconcile"), false).await;
    let name = stage.name.clone();
    // Every test has a runtime of its own that ends with it; this goes on.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be built").block_on(answer(&name));
    });
}

/// What was logged in the place of `reconcile`.
pub fn log() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

async fn answer(stage: &str) {
    let (clients, config) = clients(stage, &read_addresses(), &Aws::from_env().await).await;
    let adapters = Adapters::with_clients(&clients, &config);
    let transport = Arc::clone(&PROVIDERS);
    let ports = reconcile_function::Ports::new(&adapters, Arc::default(), transport, Arc::new(SystemClock));
    loop {
        let received = clients
            .sqs
            .receive_message()
            .queue_url(&config.hints_queue_url)
            .max_number_of_messages(BATCH_MESSAGES_MAX)
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(VISIBILITY_TIMEOUT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await;
        match received {
            Ok(received) => {
                let messages = received.messages.unwrap_or_default();
                consume(&clients.sqs, &config.hints_queue_url, messages, &ports).await;
            }
            Err(error) => tracing::warn!(?error, "the queue of hints does not answer"),
        }
    }
}

async fn consume(
    sqs: &aws_sdk_sqs::Client,
    queue: &str,
    messages: Vec<Message>,
    ports: &reconcile_function::Ports,
) {
    let event = event_of(messages.iter().filter(|message| is_ours(message)));
    let deadline_ms = SystemClock.now_ms() + BATCH_MS_MAX;
    let response = reconcile_function::handle(event, ports, &SystemClock, deadline_ms).await;
    let failed: Vec<&str> =
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    for message in messages {
        let receipt = message.receipt_handle.unwrap_or_default();
        let has_failed = message.message_id.as_deref().is_some_and(|id| failed.contains(&id));
        let settled = if has_failed {
            let change = sqs.change_message_visibility().queue_url(queue).receipt_handle(receipt);
            change
                .visibility_timeout(RETRY_SECONDS)
                .send()
                .await
                .map(drop)
                .map_err(|error| format!("{error:?}"))
        } else {
            let delete = sqs.delete_message().queue_url(queue).receipt_handle(receipt);
            delete.send().await.map(drop).map_err(|error| format!("{error:?}"))
        };
        if let Err(error) = settled {
            tracing::warn!(error, "a hint comes again");
        }
    }
}

/// Hints of accounts of a process that has ended are nobody's any more.
fn is_ours(message: &Message) -> bool {
    let Ok(hint) = QueuedHint::from_queue(message.body().unwrap_or_default()) else { return true };
    PROVIDERS.accounts.lock().unwrap_or_else(PoisonError::into_inner).contains_key(hint.account())
}

fn log_to_memory() {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(LOG_FILTER))
        .with_ansi(false)
        .with_writer(|| Memory);
    // There is one such subscriber in a process, and this is called once.
    let _ = subscriber.try_init();
}

struct Memory;

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
