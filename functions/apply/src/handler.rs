//! The `apply` function: folds verified callbacks into their orders.

mod reading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::{join, join_all};
use futures_util::{StreamExt as _, stream};
use paybell_shared::aws::Adapters;
use paybell_shared::callback::Origin;
use paybell_shared::domain::{Order, PaymentEvent, Plan};
use paybell_shared::ports::fold::{Done, FoldError, perform};
use paybell_shared::ports::redelivery::{InFlight, give_back, within};
use paybell_shared::ports::{CallbackQueue, Clock, HintQueue, OrderStore, PortError, Random, SystemRandom};
use paybell_shared::providers::Registry;
use paybell_shared::telemetry::lag_ms;
use thiserror::Error;

pub use reading::{ReadError, Reading, read};

/// Work is not begun when less than this is left.
const DEADLINE_MARGIN_MS: i64 = 5_000;
/// Work that has begun is given up when less than this is left, so that what failed is set aside or given back.
const ANSWER_MARGIN_MS: i64 = 3_000;
/// Setting aside and giving back is given up when less than this is left, so that what is finished is still reported.
const REPORT_MARGIN_MS: i64 = 500;
/// Orders that are worked on at the same time.
const CONCURRENCY_MAX: usize = 16;

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Orders and references.
    pub orders: Arc<dyn OrderStore>,
    /// The queue that the callbacks come from.
    pub callbacks: Arc<dyn CallbackQueue>,
    /// Where callbacks go of which the provider must be asked.
    pub hints: Arc<dyn HintQueue>,
    /// The providers.
    pub providers: Arc<Registry>,
    /// For the delays of what is given back, and between attempts after lost races.
    pub random: Arc<dyn Random>,
}

impl Ports {
    /// The ports on AWS.
    pub fn new(adapters: &Adapters, providers: Arc<Registry>) -> Self {
        Self {
            orders: adapters.orders.clone(),
            callbacks: adapters.callbacks.clone(),
            hints: adapters.hints.clone(),
            providers,
            random: Arc::new(SystemRandom::default()),
        }
    }
}

/// Why a message goes back to the queue.
#[derive(Clone, Debug, Error)]
enum ApplyError {
    /// It, or a part of it, cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The provider must be asked of it, and it could not be handed on for that.
    #[error("not handed on: {0}")]
    NotHandedOn(PortError),
    /// The order could not be changed.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// There was no time left.
    #[error("no time left in this invocation")]
    OutOfTime,
}

impl ApplyError {
    /// Whether the message itself is at fault, or the order that it is for, so that no further try can apply it: it is
    /// set aside at once, where it is seen. Everything else is given back to the queue for a while that grows; what
    /// fails for half a day or more is moved to the same place.
    fn is_poison(&self) -> bool {
        match self {
            Self::Unreadable(_) => true,
            Self::Fold(error) => {
                matches!(error, FoldError::Order(_) | FoldError::Port(PortError::Permanent(_)))
            }
            Self::NotHandedOn(_) | Self::OutOfTime => false,
        }
    }
}

/// Applies a batch of verified callbacks to their orders; `deadline_ms` is when Lambda stops us, in milliseconds
/// since 1970. Only the messages that are not applied completely are reported, so that only they come again, each after
/// a while that grows with its receives.
pub async fn handle(event: SqsEvent, ports: &Ports, clock: &dyn Clock, deadline_ms: i64) -> SqsBatchResponse {
    received(&event.records, clock.now_ms());
    let mut batch = Batch::default();
    let mut hints = Vec::new();
    for (index, message) in event.records.iter().enumerate() {
        match read(message.body.as_deref().unwrap_or_default(), &ports.providers) {
            Ok(reading) => {
                tell(&reading);
                let Reading { verified, events, unreadable, must_ask, .. } = reading;
                batch.add(index, verified.account().to_owned(), events);
                batch.partly.extend(unreadable.map(|error| (index, error)));
                hints.extend(must_ask.then_some((index, verified)));
            }
            Err(error) => batch.fail(index, error.into()),
        }
    }
    let handed_on = hints.iter().map(|(index, hint)| async { (*index, ports.hints.send(hint).await) });
    for (index, outcome) in join_all(handed_on).await {
        if let Err(error) = outcome {
            batch.fail(index, ApplyError::NotHandedOn(error));
        }
    }
    let outcomes: Vec<_> = stream::iter(batch.plans())
        .map(|plan| async move {
            let outcome = perform_until(deadline_ms, &plan, ports, clock).await;
            (plan, outcome)
        })
        .buffer_unordered(CONCURRENCY_MAX)
        .collect()
        .await;
    for (plan, outcome) in outcomes {
        match outcome {
            Ok(done) => tracing::info!(
                outcome = if done.written == 0 { "nothing_new" } else { "applied" },
                account = plan.account(),
                subject = plan.home().map(|subject| subject.id.as_str()),
                orders_written = done.written,
                "apply"
            ),
            Err(error) => batch.fail_all_of(&plan, &error),
        }
    }
    let left_ms = deadline_ms.saturating_sub(clock.now_ms()).saturating_sub(REPORT_MARGIN_MS);
    let allowed = Duration::from_millis(u64::try_from(left_ms).unwrap_or_default());
    batch.response(&event.records, ports, allowed).await
}

fn received(messages: &[SqsMessage], now_ms: i64) {
    let sent = messages.iter().filter_map(|message| message.attributes.get("SentTimestamp"));
    if let Some(lag_ms) = lag_ms(sent.map(String::as_str), now_ms) {
        tracing::info!(outcome = "received", messages = messages.len(), lag_ms, "apply");
    }
}

/// Giving up is safe at any point: performing the plan again completes it.
async fn perform_until(
    deadline_ms: i64,
    plan: &Plan,
    ports: &Ports,
    clock: &dyn Clock,
) -> Result<Done, ApplyError> {
    let left_ms = deadline_ms.saturating_sub(clock.now_ms());
    if left_ms < DEADLINE_MARGIN_MS {
        return Err(ApplyError::OutOfTime);
    }
    let allowed = Duration::from_millis((left_ms - ANSWER_MARGIN_MS).unsigned_abs());
    match tokio::time::timeout(allowed, perform(&*ports.orders, plan, clock, &*ports.random)).await {
        Ok(performed) => Ok(performed?),
        Err(_) => Err(ApplyError::OutOfTime),
    }
}

fn tell(reading: &Reading) {
    let is_hint = reading.verified.origin() == Origin::Hint;
    let outcome = match (reading.must_ask, is_hint, reading.events.is_empty()) {
        (true, ..) => "to_be_asked",
        (false, true, _) => "hint_without_inquiry",
        (false, false, true) => "ignored",
        (false, false, false) => return,
    };
    tracing::info!(outcome, account = reading.verified.account(), provider = reading.provider, "apply");
}

/// Which message every event came from, and which messages failed.
#[derive(Default)]
struct Batch {
    events: BTreeMap<String, Vec<PaymentEvent>>,
    messages_of_event: HashMap<(String, String), BTreeSet<usize>>,
    failed: BTreeMap<usize, ApplyError>,
    /// Messages of which a part cannot be read. They are set aside once the rest of them is applied.
    partly: BTreeMap<usize, ReadError>,
}

impl Batch {
    fn add(&mut self, index: usize, account: String, events: Vec<PaymentEvent>) {
        for event in events {
            let key = (account.clone(), Order::event_id(&event));
            self.messages_of_event.entry(key).or_default().insert(index);
            self.events.entry(account.clone()).or_default().push(event);
        }
    }

    fn plans(&mut self) -> Vec<Plan> {
        let events = std::mem::take(&mut self.events);
        events.into_iter().flat_map(|(account, events)| Plan::group(&account, events)).collect()
    }

    fn fail(&mut self, index: usize, error: ApplyError) {
        self.failed.entry(index).or_insert(error);
    }

    fn fail_all_of(&mut self, plan: &Plan, error: &ApplyError) {
        for event in plan.events() {
            let key = (plan.account().to_owned(), Order::event_id(event));
            for index in self.messages_of_event.get(&key).into_iter().flatten() {
                self.failed.entry(*index).or_insert_with(|| error.clone());
            }
        }
    }

    /// Sets aside what is beyond help and gives back the rest. What cannot be set aside comes again.
    async fn response(
        mut self,
        messages: &[SqsMessage],
        ports: &Ports,
        allowed: Duration,
    ) -> SqsBatchResponse {
        let message_id = |index: usize| messages[index].message_id.clone().unwrap_or_default();
        for (index, error) in std::mem::take(&mut self.partly) {
            self.fail(index, error.into());
        }
        let (poison, again): (Vec<_>, Vec<_>) =
            self.failed.into_iter().partition(|(_, error)| error.is_poison());
        for (index, error) in &poison {
            tracing::error!(outcome = "poison", reason = %error, message_id = message_id(*index), "apply");
        }
        for (index, error) in &again {
            tracing::warn!(outcome = "retried", reason = %error, message_id = message_id(*index), "apply");
        }
        let set_aside = poison.iter().map(|(index, reason)| async {
            let body = messages[*index].body.as_deref().unwrap_or_default();
            let reason = reason.to_string();
            within(allowed, ports.callbacks.set_aside(body, &reason)).await.map_err(|error| (*index, error))
        });
        let in_flight = again.iter().filter_map(|(index, _)| {
            let message = &messages[*index];
            InFlight::new(message.receipt_handle.as_deref(), &message.attributes)
        });
        let given_back = within(allowed, give_back(&*ports.callbacks, in_flight, &*ports.random));
        let (set_aside, given_back) = join(join_all(set_aside), given_back).await;
        if let Err(error) = given_back {
            tracing::warn!(outcome = "not_given_back", reason = %error, "apply");
        }
        let mut failed: BTreeSet<usize> = again.into_iter().map(|(index, _)| index).collect();
        for (index, error) in set_aside.into_iter().filter_map(Result::err) {
            tracing::warn!(outcome = "not_set_aside", reason = %error, message_id = message_id(index), "apply");
            failed.insert(index);
        }
        let mut response = SqsBatchResponse::default();
        failed.into_iter().for_each(|index| response.add_failure(message_id(index)));
        response
    }
}
