//! The `reconcile` function: asks providers for the truth of what callbacks only hint at.
//!
//! An answer goes into the queue of callbacks, as one with the origin `Answer`; nothing else changes an order. Of what no
//! callback mentions it asks when a reminder is due (`reminders.rs`).

mod batch;
mod recent;
mod reminders;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{StreamExt as _, stream};
use paybell_shared::aws::Adapters;
use paybell_shared::callback::verified::MessageError;
use paybell_shared::callback::{Fetched, KeySet, Verified};
use paybell_shared::domain::Reminder;
use paybell_shared::ports::{
    AccessTokens, AccountStore, CallbackQueue, Clock, Fetcher, HintQueue, OrderStore, PortError, QueuedHint,
    Random, SystemRandom, TokenError, Transport,
};
use paybell_shared::providers::{FetchRequest, MappingError, Provider, Registry};
use paybell_shared::telemetry::lag_ms;
use thiserror::Error;

use batch::{Batch, Question};
pub use recent::RecentQuestions;

/// Nothing is asked any more when less than this is left.
const DEADLINE_MARGIN_MS: i64 = 5_000;
/// What was asked is given up when less than this is left, so that what failed is set aside or given back.
const ANSWER_MARGIN_MS: i64 = 3_000;
/// Setting aside and giving back is given up when less than this is left, so that what is finished is still reported.
const REPORT_MARGIN_MS: i64 = 500;
/// Questions that are under way at the same time.
const CONCURRENCY_MAX: usize = 8;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Accounts' credentials.
    pub accounts: Arc<dyn AccountStore>,
    /// Where answers go.
    pub callbacks: Arc<dyn CallbackQueue>,
    /// The queue that the hints come from, and where reminders go again.
    pub hints: Arc<dyn HintQueue>,
    /// The orders that reminders are about; they are only read.
    pub orders: Arc<dyn OrderStore>,
    /// The way to the providers.
    pub fetcher: Fetcher,
    /// The access tokens that some providers want with a question.
    pub tokens: Arc<AccessTokens>,
    /// The providers.
    pub providers: Arc<Registry>,
    /// What was asked a moment ago.
    pub recent: Arc<RecentQuestions>,
    /// For the delays of what is given back.
    pub random: Arc<dyn Random>,
}

impl Ports {
    /// The ports on AWS, with this way to the providers.
    pub fn new(
        adapters: &Adapters,
        providers: Arc<Registry>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let fetcher = Fetcher::new(transport, clock.clone());
        Self {
            accounts: adapters.accounts.clone(),
            callbacks: adapters.callbacks.clone(),
            hints: adapters.hints.clone(),
            orders: adapters.orders.clone(),
            tokens: Arc::new(AccessTokens::new(fetcher.clone(), clock)),
            fetcher,
            providers,
            recent: Arc::default(),
            random: Arc::new(SystemRandom::default()),
        }
    }
}

/// Why a hint has led to no answer.
#[derive(Clone, Debug, Error)]
pub enum ReconcileError {
    /// It is neither a verified callback nor a reminder.
    #[error(transparent)]
    Unreadable(#[from] MessageError),
    /// Its provider is not known any more, or is not asked.
    #[error("the provider `{0}` cannot be asked")]
    NotAskable(String),
    /// The account does not use the provider any more.
    #[error("the account has no credentials for the provider")]
    NoCredentials,
    /// It does not say what to ask about, or the key set lacks what asking needs.
    #[error("nothing can be asked: {0}")]
    Unasked(MappingError),
    /// The provider answered something that is no answer to what was asked.
    #[error("the answer is refused: {0}")]
    Refused(MappingError),
    /// The provider answered with this status.
    #[error("the provider answered with status {0}")]
    Status(u16),
    /// The provider, or one of our own services, did not do what it was asked.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The account's client credentials are not those that the provider knows.
    #[error("unconfigured: {0}")]
    Client(TokenError),
    /// The same was asked a moment ago, maybe before what this hint is about.
    #[error("the same was asked a moment ago")]
    AskedJustNow,
    /// There was no time left.
    #[error("no time left in this invocation")]
    OutOfTime,
}

impl From<TokenError> for ReconcileError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Port(error) => Self::Port(error),
            TokenError::Refused(_) | TokenError::Unreadable(_) => Self::Client(error),
        }
    }
}

/// What becomes of a hint that has led to no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It comes again, after a pause that grows.
    Again,
    /// No further try can help: it is seen in the dead-letter queue.
    SetAside,
    /// Anybody may have made it up.
    Dropped,
}

impl ReconcileError {
    /// `is_unsigned` says that anybody may have sent the hint.
    fn fate(&self, is_unsigned: bool) -> Fate {
        match self {
            Self::AskedJustNow | Self::OutOfTime | Self::Port(PortError::Transient(_)) => Fate::Again,
            Self::Status(408 | 425 | 429 | 500..=599) => Fate::Again,
            // A block that is not final yet will be, or its transaction will be gone.
            Self::Refused(MappingError::Unsettled) => Fate::Again,
            Self::Status(404 | 410) | Self::Unasked(_) if is_unsigned => Fate::Dropped,
            // The provider says itself that there is such a thing, so it will find it.
            Self::Status(404) => Fate::Again,
            _ => Fate::SetAside,
        }
    }
}

/// Asks about a batch of hints and reminders; `deadline_ms` is when Lambda stops us, in milliseconds since 1970. Only
/// those that must come again are reported, each after a while that grows with its receives.
pub async fn handle(event: SqsEvent, ports: &Ports, clock: &dyn Clock, deadline_ms: i64) -> SqsBatchResponse {
    let queued: Vec<Result<QueuedHint, MessageError>> = event.records.iter().map(queued_hint).collect();
    received(event.records.iter().zip(&queued), clock.now_ms());
    let now = clock.now();
    let mut batch = Batch::default();
    let taking_up = queued.into_iter().map(|queued| async move {
        match queued.map_err(|error| (error.into(), false))? {
            QueuedHint::Callback(verified) => {
                read(verified, &*ports.accounts, &ports.providers).await.map(Some)
            }
            QueuedHint::Reminder(reminder) => {
                reminders::take_up(reminder, ports, now).await.map_err(|error| (error, false))
            }
        }
    });
    let taken_up: Vec<_> = stream::iter(taking_up).buffered(CONCURRENCY_MAX).collect().await;
    for (index, taken_up) in taken_up.into_iter().enumerate() {
        match taken_up {
            Ok(Some(hint)) => batch.add(index, hint),
            Ok(None) => {}
            Err((error, is_unsigned)) => batch.fail(index, error, is_unsigned),
        }
    }
    let outcomes: Vec<_> = stream::iter(batch.questions())
        .map(|question| async move {
            let outcome = ask_until(deadline_ms, &question, ports, clock).await;
            (question, outcome)
        })
        .buffer_unordered(CONCURRENCY_MAX)
        .collect()
        .await;
    for (question, outcome) in outcomes {
        batch.settle(&question, outcome);
    }
    let allowed = || {
        let left_ms = deadline_ms.saturating_sub(clock.now_ms()).saturating_sub(REPORT_MARGIN_MS);
        Duration::from_millis(u64::try_from(left_ms).unwrap_or_default())
    };
    batch.remind_again(&*ports.hints, clock.now(), allowed()).await;
    batch.response(&event.records, ports, allowed()).await
}

fn queued_hint(message: &SqsMessage) -> Result<QueuedHint, MessageError> {
    QueuedHint::from_queue(message.body.as_deref().unwrap_or_default())
}

/// The lag is that of callbacks alone: a reminder waits on purpose.
fn received<'a>(
    messages: impl ExactSizeIterator<Item = (&'a SqsMessage, &'a Result<QueuedHint, MessageError>)>,
    now_ms: i64,
) {
    let count = messages.len();
    let sent = messages
        .filter(|(_, queued)| !matches!(queued, Ok(QueuedHint::Reminder(_))))
        .filter_map(|(message, _)| message.attributes.get("SentTimestamp"));
    if let Some(lag_ms) = lag_ms(sent.map(String::as_str), now_ms) {
        tracing::info!(outcome = "received", messages = count, lag_ms, "reconcile");
    }
}

/// A hint and what to ask about it.
struct Hint {
    verified: Verified,
    provider: &'static Provider,
    keys: KeySet,
    requests: Vec<FetchRequest>,
    is_unsigned: bool,
    /// What made us ask, where it was no callback.
    reminder: Option<Reminder>,
}

/// What a message of the queue of hints makes us ask its provider now, or when it is due, without asking.
///
/// # Errors
/// [`ReconcileError`] when nothing can be asked.
pub async fn questions(
    body: &str,
    accounts: &dyn AccountStore,
    providers: &Registry,
) -> Result<Vec<FetchRequest>, ReconcileError> {
    let hint = match QueuedHint::from_queue(body)? {
        QueuedHint::Callback(verified) => {
            read(verified, accounts, providers).await.map_err(|(error, _)| error)
        }
        QueuedHint::Reminder(reminder) => reminders::hint(reminder, accounts, providers).await,
    };
    hint.map(|hint| hint.requests)
}

async fn read(
    verified: Verified,
    accounts: &dyn AccountStore,
    providers: &Registry,
) -> Result<Hint, (ReconcileError, bool)> {
    let name = verified.provider();
    let not_askable = || (ReconcileError::NotAskable(name.to_owned()), false);
    let provider = providers.find(name).ok_or_else(not_askable)?;
    let inquiry = provider.inquiry.as_ref().ok_or_else(not_askable)?;
    let is_unsigned = inquiry.is_unsigned(&verified);
    match plan(&verified, provider, accounts).await {
        Ok((keys, requests)) => Ok(Hint { verified, provider, keys, requests, is_unsigned, reminder: None }),
        Err(error) => Err((error, is_unsigned)),
    }
}

/// What to ask, with the key set that proved the hint, else with the first one that can ask.
async fn plan(
    verified: &Verified,
    provider: &Provider,
    accounts: &dyn AccountStore,
) -> Result<(KeySet, Vec<FetchRequest>), ReconcileError> {
    let credentials = accounts.credentials(verified.account(), provider.name).await?;
    let credentials = credentials.ok_or(ReconcileError::NoCredentials)?;
    let mut key_sets: Vec<&KeySet> = credentials.active().collect();
    key_sets.sort_by_key(|keys| keys.id != verified.key_set_id());
    let mut error = ReconcileError::NoCredentials;
    for keys in key_sets {
        match provider.inquiries(verified, keys) {
            Ok(requests) => return Ok((keys.clone(), requests)),
            Err(unasked) => error = ReconcileError::Unasked(unasked),
        }
    }
    Err(error)
}

async fn ask_until(
    deadline_ms: i64,
    question: &Question,
    ports: &Ports,
    clock: &dyn Clock,
) -> Result<(), ReconcileError> {
    let now_ms = clock.now_ms();
    let left_ms = deadline_ms.saturating_sub(now_ms);
    if left_ms < DEADLINE_MARGIN_MS {
        return Err(ReconcileError::OutOfTime);
    }
    match ports.recent.begin(question.account(), question.request(), question.received_at(), now_ms) {
        recent::Begun::AnsweredAlready => return Ok(()),
        recent::Begun::TooSoon => return Err(ReconcileError::AskedJustNow),
        recent::Begun::Yes => {}
    }
    let allowed = Duration::from_millis((left_ms - ANSWER_MARGIN_MS).unsigned_abs());
    let asked = tokio::time::timeout(allowed, ask(question, ports)).await;
    let outcome = asked.unwrap_or(Err(ReconcileError::OutOfTime));
    if matches!(outcome, Ok(()) | Err(ReconcileError::Status(404 | 410))) {
        ports.recent.answered(question.account(), question.request());
    }
    outcome
}

async fn ask(question: &Question, ports: &Ports) -> Result<(), ReconcileError> {
    let fetched = fetch(question, ports).await?;
    if !(200..300).contains(&fetched.status()) {
        return Err(ReconcileError::Status(fetched.status()));
    }
    if question.provider().says_absent(question.about(), &fetched) {
        return Err(ReconcileError::Status(404));
    }
    let answer = answer(question, &fetched).map_err(ReconcileError::Refused)?;
    ports.callbacks.send(&answer).await?;
    Ok(())
}

/// Asks, with an access token where the provider wants one; one that is refused before its time is renewed once.
async fn fetch(question: &Question, ports: &Ports) -> Result<Fetched, ReconcileError> {
    let (account, provider, request) = (question.account(), question.provider(), question.request());
    let wanted = provider.token_request(question.keys()).map_err(ReconcileError::Unasked)?;
    let Some(wanted) = wanted else { return Ok(ports.fetcher.fetch(account, request).await?) };
    let token = ports.tokens.get(account, provider, &wanted, None).await?;
    let fetched = ports.fetcher.fetch(account, &wanted.authorized(request, &token)).await?;
    if fetched.status() != 401 {
        return Ok(fetched);
    }
    tracing::info!(outcome = "token_renewed", account, provider = provider.name, "reconcile");
    let token = ports.tokens.get(account, provider, &wanted, Some(&token)).await?;
    Ok(ports.fetcher.fetch(account, &wanted.authorized(request, &token)).await?)
}

/// The answer as a callback that `apply` can read, or it would be of no use there.
fn answer(question: &Question, fetched: &Fetched) -> Result<Verified, MappingError> {
    let answer = question.provider().answered(question.about(), fetched, question.keys())?;
    question.provider().normalise(&answer)?;
    Ok(answer)
}
