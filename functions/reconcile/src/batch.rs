//! One batch of hints: each question is asked once, and what comes of it is said of every hint that led to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use futures_util::future::{join, join_all};
use paybell_shared::callback::{KeySet, UnixSeconds, Verified};
use paybell_shared::domain::Reminder;
use paybell_shared::ports::HintQueue;
use paybell_shared::ports::redelivery::{InFlight, give_back, within};
use paybell_shared::providers::{FetchRequest, Provider};

use super::{Fate, Hint, Ports, ReconcileError, reminders};

/// One question, and the youngest of the hints that led to it.
pub(super) struct Question {
    hint: Arc<Hint>,
    request: FetchRequest,
    received_at: UnixSeconds,
    indexes: Vec<usize>,
}

impl Question {
    pub(super) fn account(&self) -> &str {
        self.hint.verified.account()
    }

    pub(super) fn provider(&self) -> &'static Provider {
        self.hint.provider
    }

    pub(super) fn about(&self) -> &Verified {
        &self.hint.verified
    }

    pub(super) fn keys(&self) -> &KeySet {
        &self.hint.keys
    }

    pub(super) fn request(&self) -> &FetchRequest {
        &self.request
    }

    /// When the youngest of its hints came in.
    pub(super) fn received_at(&self) -> UnixSeconds {
        self.received_at
    }
}

/// Which hints led to which questions, and which of them failed.
#[derive(Default)]
pub(super) struct Batch {
    questions: HashMap<(String, FetchRequest), Question>,
    unsigned: BTreeMap<usize, bool>,
    /// Which of them are reminders.
    reminders: BTreeMap<usize, Reminder>,
    failed: BTreeMap<usize, (ReconcileError, Fate)>,
}

impl Batch {
    pub(super) fn add(&mut self, index: usize, mut hint: Hint) {
        self.unsigned.insert(index, hint.is_unsigned);
        self.reminders.extend(hint.reminder.take().map(|reminder| (index, reminder)));
        let hint = Arc::new(hint);
        if hint.requests.is_empty() {
            let (account, provider) = (hint.verified.account(), hint.provider.name);
            tracing::info!(outcome = "nothing_to_ask", account, provider, "reconcile");
        }
        for request in &hint.requests {
            let key = (hint.verified.account().to_owned(), request.clone());
            let received_at = hint.verified.received_at();
            let question = self.questions.entry(key).or_insert_with(|| Question {
                hint: Arc::clone(&hint),
                request: request.clone(),
                received_at,
                indexes: Vec::new(),
            });
            question.received_at = question.received_at.max(received_at);
            question.indexes.push(index);
        }
    }

    pub(super) fn questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions).into_values().collect()
    }

    pub(super) fn fail(&mut self, index: usize, error: ReconcileError, is_unsigned: bool) {
        let fate = error.fate(is_unsigned);
        let (_, worst) = self.failed.entry(index).or_insert((error, fate));
        // What must come again does so, even if another of its questions is beyond help.
        if fate == Fate::Again {
            *worst = fate;
        }
    }

    /// Says of every hint that led to a question what came of it.
    pub(super) fn settle(&mut self, question: &Question, outcome: Result<(), ReconcileError>) {
        let (account, provider) = (question.account(), question.provider().name);
        match outcome {
            Ok(()) => tracing::info!(outcome = "answered", account, provider, "reconcile"),
            Err(error) => {
                let is_absent = matches!(error, ReconcileError::Status(404 | 410));
                for index in &question.indexes {
                    // What a merchant has registered may only be there later: its time is not up.
                    if is_absent && self.reminders.contains_key(index) {
                        tracing::info!(outcome = "not_there", account, provider, "reconcile");
                        continue;
                    }
                    let is_unsigned = self.unsigned.get(index).copied().unwrap_or_default();
                    self.fail(*index, error.clone(), is_unsigned);
                }
            }
        }
    }

    /// Sends the next reminder of each one that is done. Only then its message may go: of two reminders one is enough, of
    /// none nobody would ask again.
    pub(super) async fn remind_again(&mut self, hints: &dyn HintQueue, now: UnixSeconds, allowed: Duration) {
        let reminders = std::mem::take(&mut self.reminders);
        let done = reminders.into_iter().filter(|(index, _)| !self.failed.contains_key(index));
        let sending = done.map(|(index, reminder)| async move {
            let Some(next) = reminder.next(now) else {
                reminders::log_over(&reminder, "it was the last question");
                return Ok(());
            };
            let sent = within(allowed, hints.remind(&next, next.delay_seconds(now))).await;
            sent.map_err(|error| (index, error))
        });
        for (index, error) in join_all(sending).await.into_iter().filter_map(Result::err) {
            self.fail(index, error.into(), false);
        }
    }

    /// Sets aside what is beyond help and gives back what must come again, as must what cannot be set aside.
    pub(super) async fn response(
        self,
        messages: &[SqsMessage],
        ports: &Ports,
        allowed: Duration,
    ) -> SqsBatchResponse {
        let message_id = |index: usize| messages[index].message_id.clone().unwrap_or_default();
        let (mut again, mut poison) = (BTreeSet::new(), Vec::new());
        for (index, (error, fate)) in self.failed {
            let message_id = message_id(index);
            match fate {
                Fate::Dropped => {
                    tracing::info!(outcome = "dropped", reason = %error, message_id, "reconcile");
                }
                Fate::SetAside => {
                    tracing::error!(outcome = "poison", reason = %error, message_id, "reconcile");
                    poison.push((index, error));
                }
                Fate::Again => {
                    tracing::warn!(outcome = "retried", reason = %error, message_id, "reconcile");
                    again.insert(index);
                }
            }
        }
        let set_aside = poison.into_iter().map(|(index, reason)| async move {
            let body = messages[index].body.as_deref().unwrap_or_default();
            let reason = reason.to_string();
            within(allowed, ports.hints.set_aside(body, &reason)).await.map_err(|error| (index, error))
        });
        let in_flight = again.iter().filter_map(|index| {
            let message = &messages[*index];
            InFlight::new(message.receipt_handle.as_deref(), &message.attributes)
        });
        let given_back = within(allowed, give_back(&*ports.hints, in_flight, &*ports.random));
        let (set_aside, given_back) = join(join_all(set_aside), given_back).await;
        if let Err(error) = given_back {
            tracing::warn!(outcome = "not_given_back", reason = %error, "reconcile");
        }
        for (index, error) in set_aside.into_iter().filter_map(Result::err) {
            tracing::warn!(outcome = "not_set_aside", reason = %error, message_id = message_id(index), "reconcile");
            again.insert(index);
        }
        let mut response = SqsBatchResponse::default();
        again.into_iter().for_each(|index| response.add_failure(message_id(index)));
        response
    }
}
