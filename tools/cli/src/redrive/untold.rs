//! The dead letters of `notify`: which orders they are about, and what of these was not told.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use paybell_shared::aws::subject_of_order_key;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Notification, Order, Subject, facts_since};
use paybell_shared::ports::{
    INBOX_KEPT_SECONDS, INBOX_OVERLAP_MS, Inbox, OrderScan, OrderStore, PortError, inbox_cursor,
    place_ms_of_cursor,
};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Mutex;

/// Orders are stored this much before their change is in the stream, at most: clocks differ.
const CLOCKS_DIFFER_MS: i64 = 15 * 60 * 1000;
/// Entries of an inbox that are read at once.
const INBOX_PAGE: usize = 100;

/// What a letter of `notify` says. There are three forms: the one of `notify` itself, of a change that is beyond help;
/// the one of the local stream's trigger, with the record; and Lambda's, which tells of a batch without its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Untold {
    /// The order's key in its table.
    pub key: Option<String>,
    /// The first and the last moment at which the changes of a batch came into the stream, milliseconds since 1970.
    pub came_between_ms: Option<(i64, i64)>,
    /// Why it is here.
    pub reason: Option<String>,
}

impl Untold {
    /// Reads a letter; what it does not say is absent.
    ///
    /// # Source
    /// AWS Lambda Developer Guide, "Retain discarded batches from a DynamoDB event source", the message to SQS.
    pub fn read(body: &str) -> Self {
        let letter: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |pointer: &str| letter.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let moment_ms = |name: &str| {
            let moment = text(&format!("/DDBStreamBatchInfo/{name}"))?.parse::<Timestamp>().ok()?;
            Some(moment.as_millisecond())
        };
        let first = moment_ms("approximateArrivalOfFirstRecord");
        let last = moment_ms("approximateArrivalOfLastRecord");
        Self {
            key: text("/key").or_else(|| text("/record/dynamodb/Keys/pk/S")),
            came_between_ms: first.map(|first| (first, last.unwrap_or(first))),
            reason: text("/reason").or_else(|| text("/requestContext/condition")),
        }
    }
}

/// Why it is not known what was not told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum UntoldError {
    /// The letter names nothing.
    #[error("the letter names neither an order nor a time")]
    Nothing,
    /// The order is not stored.
    #[error("there is no such order")]
    NoOrder,
    /// The orders or the inbox cannot be read.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A notification that is not in its inbox.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub notification: Notification,
    /// The moment of writing that puts it where devices look for it, behind everything that they may have seen. The
    /// clocks of the deployment have passed it; the one of this machine may be another one and says nothing.
    pub place_ms: i64,
}

/// Where orders and inboxes are.
#[derive(Clone)]
pub(super) struct Records {
    orders: Arc<dyn OrderStore>,
    scan: Arc<dyn OrderScan>,
    inbox: Arc<dyn Inbox>,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// The orders that were stored at a moment or later.
struct Seen {
    since_ms: i64,
    subjects: Vec<Subject>,
}

impl Records {
    pub fn new(orders: Arc<dyn OrderStore>, scan: Arc<dyn OrderScan>, inbox: Arc<dyn Inbox>) -> Self {
        Self { orders, scan, inbox, seen: Arc::default() }
    }

    /// What is true of a letter's orders and is not in the inbox.
    ///
    /// What an inbox no longer keeps was told long ago, so facts of that age count as told. Of facts that others have
    /// overtaken meanwhile nobody is told any more.
    ///
    /// # Errors
    /// [`UntoldError`].
    pub async fn missing(&self, untold: &Untold, now: UnixSeconds) -> Result<Vec<Missing>, UntoldError> {
        let since = UnixSeconds(now.0 - INBOX_KEPT_SECONDS);
        let subjects = match (untold.key.as_deref().and_then(subject_of_order_key), untold.came_between_ms) {
            (Some(subject), _) => {
                let order = self.orders.load(&subject).await?.ok_or(UntoldError::NoOrder)?;
                return Ok(self.missing_of(&order, since).await?);
            }
            // An order that was changed again later has a later time, so the end of the batch is no bound.
            (None, Some((first_ms, _))) => self.updated_since(first_ms - CLOCKS_DIFFER_MS).await?,
            (None, None) => return Err(UntoldError::Nothing),
        };
        let mut missing = Vec::new();
        for subject in &subjects {
            if let Some(order) = self.orders.load(subject).await? {
                missing.extend(self.missing_of(&order, since).await?);
            }
        }
        Ok(missing)
    }

    /// One look at all orders serves all letters that are not older.
    async fn updated_since(&self, since_ms: i64) -> Result<Vec<Subject>, PortError> {
        let mut seen = self.seen.lock().await;
        match &*seen {
            Some(seen) if seen.since_ms <= since_ms => Ok(seen.subjects.clone()),
            _ => {
                let subjects = self.scan.updated_since(since_ms).await?;
                *seen = Some(Seen { since_ms, subjects: subjects.clone() });
                Ok(subjects)
            }
        }
    }

    /// Those of which something that was written meanwhile lies so far behind them that a device that has seen it would
    /// not look for them any more; with a place behind that.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn overtaken(&self, told: Vec<Missing>) -> Result<Vec<Missing>, PortError> {
        let mut overtaken = Vec::new();
        for Missing { notification, place_ms } in told {
            let out_of_sight = inbox_cursor(place_ms + INBOX_OVERLAP_MS + 1, "");
            let later =
                self.inbox_after(&notification.subject.account, &notification.user, out_of_sight).await?;
            if let Some(last_ms) = later.last_place_ms {
                overtaken.push(Missing { notification, place_ms: last_ms + 1 });
            }
        }
        Ok(overtaken)
    }

    async fn missing_of(&self, order: &Order, since: UnixSeconds) -> Result<Vec<Missing>, PortError> {
        let facts = facts_since(order, since);
        let Some(user) = facts.first().map(|fact| fact.user.clone()) else { return Ok(Vec::new()) };
        let told = self.inbox_after(&order.subject.account, &user, String::new()).await?;
        let behind_ms = told.last_place_ms.map_or(0, |last_ms| last_ms + 1).max(order.updated_at_ms);
        let missing = facts.into_iter().filter(|fact| !told.ids.contains(&fact.id));
        Ok(missing
            .zip(behind_ms..)
            .map(|(notification, place_ms)| Missing { notification, place_ms })
            .collect())
    }

    /// Everything in a user's inbox after a cursor.
    async fn inbox_after(&self, account: &str, user: &str, mut cursor: String) -> Result<InInbox, PortError> {
        let mut found = InInbox::default();
        loop {
            let page = self.inbox.after(account, user, &cursor, INBOX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            cursor.clone_from(&last.cursor);
            found.last_place_ms = place_ms_of_cursor(&cursor).or(found.last_place_ms);
            found.ids.extend(page.into_iter().map(|entry| entry.notification.id));
        }
    }
}

/// What was found in an inbox.
#[derive(Default)]
struct InInbox {
    ids: BTreeSet<String>,
    last_place_ms: Option<i64>,
}
