//! Of a payment whose callback never comes the provider is asked: when, how often, and until when.

use serde::{Deserialize, Serialize};

use super::{Expectation, Order, Reference, Status, Subject, TransactionStatus};
use crate::callback::UnixSeconds;

/// The age of a registration at the first question; each further one comes at twice the age of the one before.
///
/// Most payers pay within these minutes, and most callbacks come within seconds of that: then nothing is ever asked.
pub const FIRST_QUESTION_SECONDS: i64 = 5 * 60;
/// How long after an order's expiry the last question comes: what was paid in the last moment is known by then.
pub const AFTER_EXPIRY_SECONDS: i64 = 5 * 60;
/// The age at the last question where the order does not expire: payment pages are open for a day at most.
pub const WITHOUT_EXPIRY_SECONDS: i64 = 24 * 60 * 60;
/// The age at the last question however late the order expires, so that what is never paid costs little.
pub const LAST_QUESTION_SECONDS_MAX: i64 = 3 * 24 * 60 * 60;
/// Most questions of one reminder, which follows from the limits above: at 5, 10, 20 … 2560 minutes and at the end.
pub const QUESTIONS_MAX: usize = 11;
/// The longest that a queue holds a message back before its first receive, in seconds.
///
/// # Source
/// Amazon SQS API Reference, "SendMessage", `DelaySeconds`.
pub const DELAY_SECONDS_MAX: u32 = 900;

/// That the provider is to be asked about a registered payment, unless its order has come to an end by then.
///
/// Reminders are repeated and lost track of harmlessly: a question changes nothing, and its answer is the same set of
/// events however often it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// The order that waits for the money; its account asks.
    pub subject: Subject,
    /// What the provider is asked about, such as `mollie:tr_123`.
    pub reference: Reference,
    /// When the merchant registered it.
    pub registered_at: UnixSeconds,
    /// When the next question is due.
    pub due_at: UnixSeconds,
    /// When the last one is.
    pub ends_at: UnixSeconds,
}

impl Reminder {
    /// The reminder of what is registered at `now` under `reference`.
    pub fn first(subject: Subject, reference: Reference, expected: &Expectation, now: UnixSeconds) -> Self {
        let after = |seconds: i64| UnixSeconds(now.0.saturating_add(seconds));
        let ends_at = match expected.expires_at {
            Some(expires_at) => UnixSeconds(expires_at.0.saturating_add(AFTER_EXPIRY_SECONDS)),
            None => after(WITHOUT_EXPIRY_SECONDS),
        };
        let due_at = after(FIRST_QUESTION_SECONDS);
        let ends_at = ends_at.clamp(due_at, after(LAST_QUESTION_SECONDS_MAX));
        Self { subject, reference, registered_at: now, due_at, ends_at }
    }

    /// How long a queue is to hold it back: 0 when it is due, else what is left, at most [`DELAY_SECONDS_MAX`].
    pub fn delay_seconds(&self, now: UnixSeconds) -> u32 {
        let left_seconds = self.due_at.0.saturating_sub(now.0).clamp(0, i64::from(DELAY_SECONDS_MAX));
        u32::try_from(left_seconds).unwrap_or(DELAY_SECONDS_MAX)
    }

    /// The reminder after a question that was asked at `now`; `None` after the last one. Questions that an outage has
    /// held up are not made up for.
    pub fn next(&self, now: UnixSeconds) -> Option<Self> {
        let asked_at = now.max(self.due_at);
        let mut age_seconds = FIRST_QUESTION_SECONDS;
        while age_seconds < LAST_QUESTION_SECONDS_MAX
            && self.registered_at.0.saturating_add(age_seconds) <= asked_at.0
        {
            age_seconds *= 2;
        }
        let due_at = UnixSeconds(self.registered_at.0.saturating_add(age_seconds)).min(self.ends_at);
        (asked_at < due_at).then(|| Self { due_at, ..self.clone() })
    }

    /// Whether there is nothing left to ask about, so that it ends before its time.
    ///
    /// That is so when the money has come, whichever payment brought it, and when this very payment has ended: taken, given
    /// up or expired. An order whose *other* payment has ended, or that is held, still waits for this one: a payer may
    /// have tried twice, and captures in parts do not fit before the last one.
    pub fn is_over(&self, order: &Order) -> bool {
        let state = order.state();
        let has_ended = |status| {
            use TransactionStatus::{Cancelled, Captured, Expired};
            matches!(status, Cancelled | Captured | Expired)
        };
        match state.status {
            Status::Paid
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed
            | Status::ChargedBack
            | Status::LatePaid
            | Status::Overpaid => true,
            // Nobody waits for the money of what is not registered, or is no order.
            Status::Unclaimed | Status::Active | Status::Inactive => true,
            Status::Created
            | Status::Pending
            | Status::Authorized
            | Status::Failed
            | Status::Cancelled
            | Status::Expired
            | Status::Held => state.transactions.iter().any(|transaction| {
                let known_as = Reference::new(&transaction.provider, &transaction.transaction_id);
                known_as == self.reference && has_ended(transaction.status)
            }),
        }
    }
}
