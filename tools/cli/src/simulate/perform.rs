//! Carries out the steps of a scenario against a running Paybell.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use paybell_shared::providers::{Provider, Reply};
use paybell_shared::sandbox::request::callback_path;

use super::plan::{Delivery, Facts, Outcome, Step};
use crate::client::{Answered, Client, ClientError, OrderView, Registration};

/// Pause between two looks at the order.
const POLL_MILLISECONDS: u64 = 50;
/// How long an order that must not change is given to change.
const UNCHANGED_MILLISECONDS: u64 = 300;

/// Carries out steps.
pub struct Performer<'a> {
    /// The server.
    pub client: &'a Client,
    /// The provider that sends.
    pub provider: &'a Provider,
    /// The order.
    pub facts: &'a Facts,
    /// The user who is told.
    pub user: &'a str,
    /// Longest wait for one outcome.
    pub wait: Duration,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performance {
    /// The order at the end; `None` when nothing is known of it.
    pub order: Option<OrderView>,
    /// What was not as the scenario should give; `None` when all was.
    pub unmet: Option<Unmet>,
}

/// What was not as the scenario should give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// A callback was answered otherwise.
    Answer {
        /// What it should have been, in words.
        expected: String,
        /// HTTP status of the answer.
        status: u16,
    },
    /// The order came out otherwise.
    Order {
        /// What it should have been, in words.
        expected: String,
        /// What it was, in words.
        got: String,
    },
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { expected, status } => write!(f, "expected {expected}, got status {status}"),
            Self::Order { expected, got } => write!(f, "expected the order {expected}, got {got}"),
        }
    }
}

impl Performer<'_> {
    /// Carries out the steps in order and stops at the first unmet one; `tell` gets lines for people.
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be asked.
    pub async fn perform(
        &self,
        steps: &[Step],
        tell: &mut dyn FnMut(String),
    ) -> Result<Performance, ClientError> {
        let mut before = self.client.order(self.facts.kind, &self.facts.order_id).await?;
        for step in steps {
            let unmet = match step {
                Step::Note(note) => {
                    tell(note.clone());
                    None
                }
                Step::Register => {
                    self.register(tell).await?;
                    before = self.client.order(self.facts.kind, &self.facts.order_id).await?;
                    None
                }
                Step::Send(delivery) => self.send(delivery, tell).await?,
                Step::Await(outcome) => self.await_outcome(outcome, before.as_ref(), tell).await?,
            };
            if unmet.is_some() {
                let order = self.client.order(self.facts.kind, &self.facts.order_id).await?;
                return Ok(Performance { order, unmet });
            }
        }
        Ok(Performance {
            order: self.client.order(self.facts.kind, &self.facts.order_id).await?,
            unmet: None,
        })
    }

    async fn register(&self, tell: &mut dyn FnMut(String)) -> Result<(), ClientError> {
        let amount = &self.facts.amount;
        let registration = Registration {
            order_id: self.facts.order_id.clone(),
            kind: self.facts.kind,
            amount_minor: amount.amount_minor().to_string(),
            currency: amount.currency().code().to_owned(),
            user: self.user.to_owned(),
            references: self.facts.references.clone(),
        };
        self.client.register(&registration).await?;
        let Facts { kind, order_id, .. } = self.facts;
        tell(format!("registered {} {order_id} of {amount} for {}", kind.name(), self.user));
        Ok(())
    }

    async fn send(
        &self,
        delivery: &Delivery,
        tell: &mut dyn FnMut(String),
    ) -> Result<Option<Unmet>, ClientError> {
        let Delivery { about, request, copies, .. } = delivery;
        let account = &self.facts.account;
        let path = callback_path(account, self.provider.name, request);
        if !delivery.exchanges.is_empty() {
            self.client.put_answers(&delivery.exchanges).await?;
            tell(format!("told the provider's API {} answers", delivery.exchanges.len()));
        }
        let times = if *copies == 1 { String::new() } else { format!(", {copies} times at once") };
        tell(format!("> {} {path} ({about}, {} bytes{times})", request.method, request.body.len()));
        let copies = (0..*copies).map(|_| self.client.deliver(account, self.provider.name, request));
        for answered in join_all(copies).await {
            let answered = answered?;
            tell(format!("< {} {}", answered.status, answered.body));
            if let Some(unmet) = unmet_answer(&delivery.answer, &answered) {
                return Ok(Some(unmet));
            }
        }
        Ok(None)
    }

    async fn await_outcome(
        &self,
        outcome: &Outcome,
        before: Option<&OrderView>,
        tell: &mut dyn FnMut(String),
    ) -> Result<Option<Unmet>, ClientError> {
        let started = Instant::now();
        if *outcome == Outcome::Unchanged {
            tokio::time::sleep(Duration::from_millis(UNCHANGED_MILLISECONDS)).await;
        }
        loop {
            let order = self.client.order(self.facts.kind, &self.facts.order_id).await?;
            let met = match outcome {
                Outcome::Unchanged => order.as_ref() == before,
                Outcome::Is { .. } => order.as_ref().is_some_and(|order| is(order, outcome)),
            };
            let final_look = *outcome == Outcome::Unchanged || started.elapsed() >= self.wait;
            if met || final_look {
                let kind = self.facts.kind.name();
                tell(format!("{kind} {} {}", self.facts.order_id, self.words(order.as_ref())));
                return Ok((!met).then(|| Unmet::Order {
                    expected: self.expected_words(outcome),
                    got: self.words(order.as_ref()),
                }));
            }
            tokio::time::sleep(Duration::from_millis(POLL_MILLISECONDS)).await;
        }
    }

    fn words(&self, order: Option<&OrderView>) -> String {
        match order {
            None => "is not known".to_owned(),
            Some(order) => {
                let currency = order.currency.as_deref().unwrap_or(self.facts.amount.currency().code());
                let amount = |minor: Option<i128>| minor.unwrap_or(0);
                format!(
                    "is {}: captured {} and refunded {} minor units of {currency}",
                    order.status,
                    amount(order.captured_minor),
                    amount(order.refunded_minor)
                )
            }
        }
    }

    fn expected_words(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Unchanged => "to be as before".to_owned(),
            Outcome::Is { status, captured_minor, refunded_minor } => {
                format!("{status} with {captured_minor} captured and {refunded_minor} refunded")
            }
        }
    }
}

fn unmet_answer(expected: &Reply, answered: &Answered) -> Option<Unmet> {
    let met = answered.status == expected.status && answered.body == expected.body;
    (!met).then(|| Unmet::Answer {
        expected: format!("status {} with the body `{}`", expected.status, expected.body),
        status: answered.status,
    })
}

fn is(order: &OrderView, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unchanged => true,
        Outcome::Is { status, captured_minor, refunded_minor } => {
            order.status == *status
                && order.captured_minor.unwrap_or(0) == *captured_minor
                && order.refunded_minor.unwrap_or(0) == *refunded_minor
        }
    }
}
