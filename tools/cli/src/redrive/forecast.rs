//! What returning a dead letter would do, found out by doing it on an overlay of the orders.

use std::collections::BTreeSet;
use std::sync::Arc;

use apply_function::read;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Notification, Order, OrderState, PaymentEvent, Plan, notifications};
use paybell_shared::ports::fold::{FoldError, perform};
use paybell_shared::ports::{
    AccountStore, OrderChange, OrderStore, OverlayOrders, PortError, SystemClock, SystemRandom,
};
use paybell_shared::providers::Registry;
use serde::Serialize;

use super::letters::{Letter, Queue};
use super::untold::{Records, Untold, UntoldError};

/// What would come of a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Forecast {
    /// What becomes of the orders that change.
    pub orders: Vec<OrderForecast>,
    /// Events that are in their orders already, or wait already for an order that names them.
    pub known_events: usize,
    /// Events that are new and would wait for an order that names them.
    pub waiting_events: usize,
    /// Whether it tells nothing that we act on.
    pub ignored: bool,
    /// The hosts that would be asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
    /// Whether the provider must be asked, which happens by way of the queue of hints.
    pub handed_on: bool,
    /// What users would be told, of `notify`'s letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tells: Vec<Told>,
    /// Why it would be among the dead letters again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still_fails: Option<String>,
}

/// What would become of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct OrderForecast {
    pub account: String,
    pub kind: &'static str,
    pub id: String,
    pub before: Option<Standing>,
    pub after: Standing,
    /// The kinds of the events that are new to it.
    pub new_events: Vec<&'static str>,
    pub tells: Vec<Told>,
}

/// An order's status and money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Standing {
    pub status: &'static str,
    pub captured_minor: String,
    pub refunded_minor: String,
    pub currency: Option<String>,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    pub user: String,
    pub kind: String,
    pub subject: String,
}

impl From<Notification> for Told {
    fn from(notification: Notification) -> Self {
        Self { user: notification.user, kind: notification.kind, subject: notification.subject.id }
    }
}

impl From<&OrderState> for Standing {
    fn from(state: &OrderState) -> Self {
        Self {
            status: state.status.name(),
            captured_minor: state.captured_minor.to_string(),
            refunded_minor: state.refunded_minor.to_string(),
            currency: state.currency.as_ref().map(|currency| currency.code().to_owned()),
        }
    }
}

/// Forecasts letters one after the other: each finds the orders as the ones before would leave them.
pub(super) struct Forecaster {
    overlay: OverlayOrders,
    records: Records,
    accounts: Arc<dyn AccountStore>,
    providers: Arc<Registry>,
    random: SystemRandom,
    now: UnixSeconds,
}

impl Forecaster {
    pub fn new(
        orders: Arc<dyn OrderStore>,
        records: Records,
        accounts: Arc<dyn AccountStore>,
        providers: Arc<Registry>,
        now: UnixSeconds,
    ) -> Self {
        let (overlay, random) = (OverlayOrders::over(orders), SystemRandom::default());
        Self { overlay, records, accounts, providers, random, now }
    }

    /// What would come of returning this letter. It writes nothing.
    ///
    /// # Errors
    /// [`PortError`] when that cannot be found out now.
    pub async fn forecast(&self, letter: &Letter) -> Result<Forecast, PortError> {
        match letter.queue {
            Queue::Callbacks => self.callback(&letter.letter.body).await,
            Queue::Hints => self.hint(&letter.letter.body).await,
            Queue::Notify => self.untold(&letter.letter.body).await,
        }
    }

    async fn callback(&self, body: &str) -> Result<Forecast, PortError> {
        let reading = match read(body, &self.providers) {
            Ok(reading) => reading,
            Err(error) => return Ok(Forecast::failing(error.to_string())),
        };
        let mut forecast = Forecast {
            ignored: reading.events.is_empty() && !reading.must_ask,
            handed_on: reading.must_ask,
            still_fails: reading.unreadable.map(|error| error.to_string()),
            ..Forecast::default()
        };
        let ids: BTreeSet<String> = reading.events.iter().map(Order::event_id).collect();
        let mut all_taken = true;
        for plan in Plan::group(reading.verified.account(), reading.events) {
            match perform(&self.overlay, &plan, &SystemClock, &self.random).await {
                Ok(_) => {}
                Err(FoldError::Port(error @ PortError::Transient(_))) => return Err(error),
                Err(error) => {
                    forecast.still_fails = Some(error.to_string());
                    all_taken = false;
                }
            }
        }
        let (changes, parked) = (self.overlay.take_changes(), self.overlay.take_parked());
        // What joins an order may have been parked on the way, and other events may join along with it.
        let joined: BTreeSet<&String> = changes.iter().flat_map(new_events).map(|(id, _)| id).collect();
        let not_joined = ids.iter().filter(|id| !joined.contains(id));
        let (waiting, known): (Vec<&String>, Vec<&String>) = not_joined.partition(|id| parked.contains(*id));
        forecast.waiting_events = waiting.len();
        // Of events that an order does not take nothing is known.
        forecast.known_events = if all_taken { known.len() } else { 0 };
        forecast.orders = changes.into_iter().map(OrderForecast::from).collect();
        Ok(forecast)
    }

    async fn hint(&self, body: &str) -> Result<Forecast, PortError> {
        use reconcile_function::{ReconcileError, questions};
        match questions(body, &*self.accounts, &self.providers).await {
            Ok(requests) => {
                let mut asks: Vec<String> = requests.into_iter().map(|it| it.pinned_host).collect();
                asks.dedup();
                Ok(Forecast { ignored: asks.is_empty(), asks, ..Forecast::default() })
            }
            Err(ReconcileError::Port(error @ PortError::Transient(_))) => Err(error),
            Err(error) => Ok(Forecast::failing(error.to_string())),
        }
    }

    async fn untold(&self, body: &str) -> Result<Forecast, PortError> {
        match self.records.missing(&Untold::read(body), self.now).await {
            Ok(missing) => {
                let tells: Vec<Told> = missing.into_iter().map(|it| Told::from(it.notification)).collect();
                Ok(Forecast { ignored: tells.is_empty(), tells, ..Forecast::default() })
            }
            Err(UntoldError::Port(error @ PortError::Transient(_))) => Err(error),
            Err(error) => Ok(Forecast::failing(error.to_string())),
        }
    }
}

impl Forecast {
    fn failing(reason: String) -> Self {
        Self { still_fails: Some(reason), ..Self::default() }
    }
}

/// The events that a change brings into its order, by their ids.
fn new_events(change: &OrderChange) -> impl Iterator<Item = (&String, &PaymentEvent)> {
    let is_known = |id: &String| change.old.as_ref().is_some_and(|old| old.events.contains_key(id));
    change.new.events.iter().filter(move |(id, _)| !is_known(id))
}

impl From<OrderChange> for OrderForecast {
    fn from(change: OrderChange) -> Self {
        let new_events = new_events(&change).map(|(_, event)| event.kind.name()).collect();
        let OrderChange { old, new } = change;
        Self {
            account: new.subject.account.clone(),
            kind: new.subject.kind.name(),
            id: new.subject.id.clone(),
            before: old.as_ref().map(|old| Standing::from(&old.state())),
            after: Standing::from(&new.state()),
            new_events,
            tells: notifications(old.as_ref(), &new).into_iter().map(Told::from).collect(),
        }
    }
}
