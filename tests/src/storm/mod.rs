//! Many callbacks of many providers at once, sent as providers do: again and again until they are acknowledged, some of
//! them twice and some out of order.

mod sending;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use futures_util::future::join_all;
use paybell_cli::simulate::{Facts, Outcome, Scenario, Step};
use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::providers::{Provider, Reply};
use paybell_shared::sandbox::SignedRequest;
use paybell_shared::sandbox::request::raw_callback;
use serde_json::Value;

use crate::api::Api;
use crate::world::{World, registration};

pub use sending::Sending;
pub use tally::Tally;

/// Deliveries under way at once.
const SENDERS: usize = 24;
/// How far a callback may be moved from its place.
const DISPLACEMENT_MAX: usize = 60;
/// Requests that are kept to be looked for in the log.
const REQUESTS_KEPT_MAX: usize = 1_000;

const SCENARIOS: &[Scenario] = &[
    Scenario::Paid,
    Scenario::Paid,
    Scenario::Paid,
    Scenario::Refunded,
    Scenario::PartialRefund,
    Scenario::Failed,
    Scenario::Reordered,
    Scenario::WrongAmount,
    Scenario::BeforeOrder,
];

/// What a storm is made of.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// How many of a hundred callbacks are a repetition of another one.
    pub duplicates_percent: usize,
    /// How many of a hundred callbacks leave their place among the others.
    pub moved_percent: usize,
    /// How many users the orders belong to, in turn.
    pub users: usize,
}

/// The orders of a storm and what of it was sent so far.
pub struct Storm {
    mix: Mix,
    users: Vec<String>,
    orders: Vec<PlannedOrder>,
    requests: Vec<SignedRequest>,
    counts: Counts,
}

/// How many callbacks a storm had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them, the duplicates included, and each once, however often it was sent until it was acknowledged.
    pub callbacks: usize,
    /// Those that were the repetition of another one.
    pub duplicates: usize,
    /// Those that came behind one that the provider says later of the same order.
    pub overtaken: usize,
}

/// A part of a storm, signed so shortly before it is sent that no provider's protocol calls it stale.
pub struct Wave {
    jobs: Vec<Job>,
    callbacks: usize,
}

struct PlannedOrder {
    provider: &'static Provider,
    facts: Facts,
    user: String,
    scenario: Scenario,
    outcome: Outcome,
    /// Provider and event key of everything that its callbacks say.
    events: BTreeSet<(String, String)>,
}

#[derive(Clone)]
enum Job {
    Register(Value),
    Deliver(Delivery),
}

#[derive(Clone)]
struct Delivery {
    provider: &'static Provider,
    request: Arc<SignedRequest>,
    success: Arc<Reply>,
    /// Which order it is about, and the how manieth of its callbacks it is.
    place: (usize, usize),
}

impl Storm {
    /// Nothing yet.
    pub fn new(mix: Mix) -> Self {
        assert!(mix.duplicates_percent < 100, "a callback is the repetition of one that is none: {mix:?}");
        let users = (0..mix.users).map(|number| format!("storm-user-{number}")).collect();
        Self { mix, users, orders: Vec::new(), requests: Vec::new(), counts: Counts::default() }
    }

    /// Plans at least `callbacks_min` callbacks more and registers the orders that are not to be registered late.
    pub async fn next_wave(&mut self, world: &World, rng: &mut Rng, callbacks_min: usize) -> Wave {
        let fits = |provider: &&Provider| SCENARIOS.iter().all(|scenario| scenario.fits(provider));
        let tells_all = |provider: &&Provider| provider.inquiry.is_none();
        let providers: Vec<&'static Provider> = world.providers().filter(fits).filter(tells_all).collect();
        let (mut jobs, mut early) = (Vec::new(), Vec::new());
        let mut callbacks = 0;
        while callbacks < callbacks_min {
            let provider = rng.choice(&providers).expect("there are providers");
            let scenario = *rng.choice(SCENARIOS).expect("there are scenarios");
            let planned = self.add_order(world, rng, provider, scenario);
            callbacks += planned.iter().filter(|job| matches!(job, Job::Deliver(_))).count();
            jobs.extend(planned);
            early.extend((scenario != Scenario::BeforeOrder).then(|| self.last_registration()));
        }
        for at in 0..jobs.len() {
            if rng.usize(..100) < self.mix.moved_percent {
                let other = (at + rng.usize(0..DISPLACEMENT_MAX)).min(jobs.len() - 1);
                jobs.swap(at, other);
            }
        }
        self.counts.callbacks += callbacks;
        self.counts.overtaken += overtaken(&jobs);
        for some in early.chunks(SENDERS) {
            join_all(some.iter().map(|order| register(&world.api, order))).await;
        }
        Wave { jobs, callbacks }
    }

    /// The users whom the orders belong to.
    pub fn users(&self) -> &[String] {
        &self.users
    }

    /// How many orders it has.
    pub fn orders(&self) -> usize {
        self.orders.len()
    }

    /// How many callbacks it has.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Some of the requests, for [`crate::logs::assert_clean`].
    pub fn requests(&self) -> &[SignedRequest] {
        &self.requests
    }
}

impl Storm {
    fn last_registration(&self) -> Value {
        let order = self.orders.last().expect("there is an order");
        registration(&order.facts, &order.user)
    }

    /// Adds an order and returns what is to be sent of it, in order.
    fn add_order(
        &mut self,
        world: &World,
        rng: &mut Rng,
        provider: &'static Provider,
        scenario: Scenario,
    ) -> Vec<Job> {
        let number = self.orders.len();
        let facts = world.facts(provider, &format!("storm{number:06}"));
        let mut order = PlannedOrder {
            user: self.users[number % self.users.len()].clone(),
            provider,
            scenario,
            outcome: Outcome::Unchanged,
            events: BTreeSet::new(),
            facts: facts.clone(),
        };
        let mut jobs = Vec::new();
        for step in world.plan(provider, scenario, &facts) {
            match step {
                Step::Send(told) => {
                    order.events.extend(event_keys(world, provider, &told.request, &facts));
                    if self.requests.len() < REQUESTS_KEPT_MAX {
                        self.requests.push(told.request.clone());
                    }
                    let delivery = Delivery {
                        provider,
                        request: Arc::new(told.request),
                        success: Arc::new(told.answer),
                        place: (number, jobs.len()),
                    };
                    jobs.push(Job::Deliver(delivery.clone()));
                    while rng.usize(..100) < self.mix.duplicates_percent {
                        jobs.push(Job::Deliver(delivery.clone()));
                        self.counts.duplicates += 1;
                    }
                }
                Step::Await(outcome) => order.outcome = outcome,
                Step::Register if scenario == Scenario::BeforeOrder => {
                    jobs.push(Job::Register(registration(&facts, &order.user)));
                }
                Step::Register | Step::Note(_) => {}
            }
        }
        self.orders.push(order);
        jobs
    }
}

/// How many callbacks come behind one that is later of the same order.
fn overtaken(jobs: &[Job]) -> usize {
    let mut latest = BTreeMap::new();
    let deliveries = jobs.iter().filter_map(|job| match job {
        Job::Deliver(delivery) => Some(delivery.place),
        Job::Register(_) => None,
    });
    deliveries
        .filter(|(order, number)| {
            let latest = latest.entry(*order).or_insert(*number);
            let is_overtaken = number < latest;
            *latest = (*latest).max(*number);
            is_overtaken
        })
        .count()
}

async fn register(api: &Api, order: &Value) {
    let answer = api.register(order).await;
    assert_eq!(answer.status, 201, "registering {order}: {answer:?}");
}

/// What a request says, read without the server.
fn event_keys(
    world: &World,
    provider: &'static Provider,
    request: &SignedRequest,
    facts: &Facts,
) -> Vec<(String, String)> {
    let raw = raw_callback(&facts.account, provider.name, request);
    let key_set = KeySet::new("sandbox", world.keys(provider).key_set.clone());
    let credentials = Credentials { key_sets: vec![key_set] };
    let verified = provider.verify(&raw, &credentials, facts.now);
    let verified = verified.unwrap_or_else(|error| panic!("{}: {error}", provider.name));
    let events = provider.normalise(&verified).unwrap_or_else(|error| panic!("{}: {error}", provider.name));
    events.into_iter().map(|event| (event.provider, event.key)).collect()
}
