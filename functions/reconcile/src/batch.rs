//! One batch of hints: each question is asked once, and what comes of it is said of every hint that led to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use paybell_shared::callback::{KeySet, UnixSeconds, Verified};
use paybell_shared::ports::HintQueue;
use paybell_shared::providers::{FetchRequest, Provider};

use super::{Fate, Hint, ReconcileError};

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
    failed: BTreeMap<usize, (ReconcileError, Fate)>,
}

impl Batch {
    pub(super) fn add(&mut self, index: usize, hint: Hint) {
        self.unsigned.insert(index, hint.is_unsigned);
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
                for index in &question.indexes {
                    let is_unsigned = self.unsigned.get(index).copied().unwrap_or_default();
                    self.fail(*index, error.clone(), is_unsigned);
                }
            }
        }
    }

    pub(super) async fn response(self, messages: &[SqsMessage], hints: &dyn HintQueue) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for (index, (error, fate)) in self.failed {
            let message_id = messages[index].message_id.clone().unwrap_or_default();
            match fate {
                Fate::Dropped => {
                    tracing::info!(outcome = "dropped", reason = %error, message_id, "reconcile");
                    continue;
                }
                Fate::SetAside => {
                    tracing::error!(outcome = "poison", reason = %error, message_id, "reconcile");
                    match hints.set_aside(messages[index].body.as_deref().unwrap_or_default()).await {
                        Ok(()) => continue,
                        Err(error) => {
                            tracing::warn!(outcome = "not_set_aside", reason = %error, message_id, "reconcile");
                        }
                    }
                }
                Fate::Again => {
                    tracing::warn!(outcome = "retried", reason = %error, message_id, "reconcile");
                }
            }
            response.add_failure(message_id);
        }
        response
    }
}
