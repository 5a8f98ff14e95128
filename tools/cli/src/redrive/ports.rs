//! What the command needs of a deployment.

use std::sync::Arc;
use std::time::Duration;

use paybell_shared::aws::{Adapters, Clients, DynamoOrders, SqsLetters, SqsReturnQueue, config_of_stage};
use paybell_shared::ports::Clock as _;
use paybell_shared::ports::{AccountStore, DeadLetterQueue, OrderStore, PortError, ReturnQueue, SystemClock};
use paybell_shared::providers::Registry;
use thiserror::Error;
use tokio::time::Instant;

use super::RedriveError;
use super::letters::Queue;
use super::untold::{Missing, Records, Untold, UntoldError};
use crate::deployment::{Deployment, DeploymentError};
use crate::up::embedded::config_at;

/// SQS asks all of its servers when it may wait for so long.
const WAIT_SECONDS: i32 = 1;
/// The longest that telling one letter's users may take.
const TELL_MAX: Duration = Duration::from_secs(60);
/// How often something is told that others overtake meanwhile. The second time its place is next to theirs, and only
/// half a minute of their writing overtakes it again.
const TELLS_MAX: usize = 3;

/// Why a letter stays.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum RedoError {
    /// It is not known what was not told.
    #[error(transparent)]
    Untold(#[from] UntoldError),
    /// What is to be done again is not stored.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Others might have it in hand by the time it is done.
    #[error("there was no time for it: run the command again")]
    NoTime,
}

/// What the command needs of a deployment.
pub(super) struct Ports {
    pub callbacks: Arc<dyn DeadLetterQueue>,
    pub hints: Arc<dyn DeadLetterQueue>,
    pub notify: Arc<dyn DeadLetterQueue>,
    pub to_callbacks: Arc<dyn ReturnQueue>,
    pub to_hints: Arc<dyn ReturnQueue>,
    pub orders: Arc<dyn OrderStore>,
    pub accounts: Arc<dyn AccountStore>,
    pub records: Records,
    pub teller: notify_function::Ports,
    pub providers: Arc<Registry>,
}

impl Ports {
    /// Those of an open deployment.
    ///
    /// # Errors
    /// [`RedriveError`] when a stage's queues are not found.
    pub async fn of(deployment: &Deployment, providers: Registry) -> Result<Self, RedriveError> {
        let (config, wait_seconds) = match &deployment.stage {
            Some(stage) => {
                let config = config_of_stage(&deployment.sdk_config, stage).await;
                (config.map_err(DeploymentError::from)?, WAIT_SECONDS)
            }
            None => (config_at(deployment.sdk_config.endpoint_url().unwrap_or_default()), 0),
        };
        let clients = Clients::new(&deployment.sdk_config, &config);
        let adapters = Adapters::with_clients(&clients, &config);
        let letters = |url: &String| Arc::new(SqsLetters::new(clients.sqs.clone(), url, wait_seconds));
        let queue = |url: &String| Arc::new(SqsReturnQueue::new(clients.sqs.clone(), url));
        let scan = Arc::new(DynamoOrders::new(clients.dynamodb.clone(), &config.tables.orders));
        Ok(Self {
            callbacks: letters(&config.callbacks_dead_letters_url),
            hints: letters(&config.hints_dead_letters_url),
            notify: letters(&config.notify_dead_letters_url),
            to_callbacks: queue(&config.callbacks_queue_url),
            to_hints: queue(&config.hints_queue_url),
            records: Records::new(adapters.orders.clone(), scan, adapters.inbox.clone()),
            teller: notify_function::Ports::new(&adapters),
            orders: adapters.orders,
            accounts: adapters.accounts,
            providers: Arc::new(providers),
        })
    }

    pub fn dead_letters(&self, queue: Queue) -> Arc<dyn DeadLetterQueue> {
        let source = match queue {
            Queue::Callbacks => &self.callbacks,
            Queue::Hints => &self.hints,
            Queue::Notify => &self.notify,
        };
        Arc::clone(source)
    }

    /// Has the work of a letter done again: returns once that is stored durably. Says how many notifications were
    /// missing and are told, of a letter of `notify`.
    ///
    /// # Errors
    /// [`RedoError`]; the letter is to stay.
    pub async fn redo(&self, queue: Queue, body: &str) -> Result<Option<usize>, RedoError> {
        match queue {
            Queue::Callbacks => self.to_callbacks.send_again(body).await?,
            Queue::Hints => self.to_hints.send_again(body).await?,
            Queue::Notify => {
                let missing = self.records.missing(&Untold::read(body), SystemClock.now()).await?;
                let count = missing.len();
                self.tell(missing).await?;
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    /// Tells what is missing, where devices look for it.
    ///
    /// What the deployment writes meanwhile has its place by the deployment's clock, long behind that of an old order. A
    /// device that has seen it looks for nothing that far before it, so what is missing moves behind it then.
    async fn tell(&self, mut missing: Vec<Missing>) -> Result<(), PortError> {
        let end = Instant::now() + TELL_MAX;
        for _ in 0..TELLS_MAX {
            let notifications = missing.iter().map(|it| (it.notification.clone(), it.place_ms)).collect();
            notify_function::tell(notifications, &self.teller, end).await?;
            missing = self.records.overtaken(missing).await?;
            if missing.is_empty() {
                return Ok(());
            }
        }
        Err(PortError::Transient("others write to the same inbox all the time".to_owned()))
    }
}
