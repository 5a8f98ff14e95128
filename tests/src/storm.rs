//! Many callbacks of many providers at once, sent as providers do: again and again until they are acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use paybell_cli::simulate::request::raw_callback;
use paybell_cli::simulate::{Facts, Outcome, Scenario, Step};
use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::providers::{Provider, Reply};
use paybell_shared::sandbox::SignedRequest;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::told;
use crate::world::{World, registration};

/// Users whom the orders of a storm belong to, in turn.
pub const USERS: [&str; 4] = ["storm-user-0", "storm-user-1", "storm-user-2", "storm-user-3"];

/// Deliveries under way at once.
const SENDERS: usize = 24;
/// How far a callback may be moved from its place.
const DISPLACEMENT_MAX: usize = 60;
/// Longest pause before the same callback is sent again.
const RETRY_PAUSE_MILLISECONDS_MAX: u64 = 100;

const SCENARIOS: &[Scenario] = &[
    Scenario::Paid,
    Scenario::Paid,
    Scenario::Refunded,
    Scenario::PartialRefund,
    Scenario::Failed,
    Scenario::Duplicate,
    Scenario::Reordered,
    Scenario::WrongAmount,
    Scenario::BeforeOrder,
];

/// The orders and callbacks of a storm.
pub struct Storm {
    orders: Vec<PlannedOrder>,
    jobs: Vec<Job>,
    callbacks: usize,
}

struct PlannedOrder {
    provider: &'static Provider,
    facts: Facts,
    user: &'static str,
    scenario: Scenario,
    outcome: Outcome,
    /// Provider and event key of everything that its callbacks say.
    events: BTreeSet<(String, String)>,
}

#[derive(Clone)]
enum Job {
    Register(Value),
    Deliver(&'static Provider, Arc<SignedRequest>, Arc<Reply>),
}

/// A storm under way.
pub struct Sending {
    acknowledged: Arc<AtomicUsize>,
    senders: JoinSet<()>,
}

impl Storm {
    /// Plans at least `callbacks_min` callbacks and registers the orders that are not to be registered late.
    pub async fn prepare(world: &World, rng: &mut Rng, callbacks_min: usize) -> Self {
        let fits = |provider: &&Provider| SCENARIOS.iter().all(|scenario| scenario.fits(provider));
        let tells_all = |provider: &&Provider| provider.inquiry.is_none();
        let providers: Vec<&'static Provider> = world.providers().filter(fits).filter(tells_all).collect();
        let mut storm = Self { orders: Vec::new(), jobs: Vec::new(), callbacks: 0 };
        let mut early = Vec::new();
        while storm.callbacks < callbacks_min {
            let provider = rng.choice(&providers).expect("there are providers");
            let scenario = *rng.choice(SCENARIOS).expect("there are scenarios");
            early.extend(storm.add_order(world, provider, scenario));
        }
        for at in 0..storm.jobs.len() {
            let other = (at + rng.usize(0..DISPLACEMENT_MAX)).min(storm.jobs.len() - 1);
            storm.jobs.swap(at, other);
        }
        for some in early.chunks(SENDERS) {
            join_all(some.iter().map(|order| register(&world.api, order))).await;
        }
        storm
    }

    /// How many callbacks it has, duplicates included.
    pub fn callbacks(&self) -> usize {
        self.callbacks
    }

    /// The requests, for [`crate::logs::assert_clean`].
    pub fn requests(&self) -> Vec<SignedRequest> {
        let requests = self.jobs.iter().filter_map(|job| match job {
            Job::Deliver(_, request, _) => Some(SignedRequest::clone(request)),
            Job::Register(_) => None,
        });
        requests.collect()
    }

    /// Begins to send everything.
    pub fn send(&self, api: &Api, account: &str, seed: u64) -> Sending {
        let queue = Arc::new(Mutex::new(VecDeque::from(self.jobs.clone())));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let sender = Sender {
                api: api.clone(),
                account: account.to_owned(),
                queue: Arc::clone(&queue),
                acknowledged: Arc::clone(&acknowledged),
                rng: Rng::with_seed(seed.wrapping_add(sender as u64)),
            };
            senders.spawn(sender.run());
        }
        Sending { acknowledged, senders }
    }

    /// Fails unless every order holds exactly what its callbacks say, with the right amounts.
    pub async fn assert_orders(&self, api: &Api) {
        for some in self.orders.chunks(SENDERS) {
            join_all(some.iter().map(|order| order.assert_applied_once(api))).await;
        }
    }

    /// Fails unless a user's notifications are exactly those that the user's orders mean, each once.
    pub fn assert_told(&self, user: &str, told: &BTreeMap<String, Value>) {
        let mut by_order = BTreeMap::<&str, Vec<&Value>>::new();
        for told in told.values() {
            by_order.entry(told::text(told, "order_id")).or_default().push(told);
        }
        for order in self.orders.iter().filter(|order| order.user == user) {
            let told = by_order.remove(order.facts.order_id.as_str()).unwrap_or_default();
            assert_eq!(order.kinds_that_count(&told), order.expected_kinds(), "{told:#?}");
        }
        assert!(by_order.is_empty(), "{user} was told of orders that are not theirs: {by_order:#?}");
    }

    /// Whether a user has been told everything.
    pub fn is_told(&self, user: &str, told: &BTreeMap<String, Value>) -> bool {
        self.orders.iter().filter(|order| order.user == user).all(|order| {
            let of_order = told.values().filter(|told| told["order_id"] == order.facts.order_id.as_str());
            order.kinds_that_count(&of_order.collect::<Vec<_>>()) == order.expected_kinds()
        })
    }

    fn add_order(&mut self, world: &World, provider: &'static Provider, scenario: Scenario) -> Option<Value> {
        let number = self.orders.len();
        let user = USERS[number % USERS.len()];
        let facts = world.facts(provider, &format!("storm{number:05}"));
        let mut order = PlannedOrder {
            user,
            provider,
            scenario,
            outcome: Outcome::Unchanged,
            events: BTreeSet::new(),
            facts: facts.clone(),
        };
        let body = registration(&facts, user);
        for step in world.plan(provider, scenario, &facts) {
            match step {
                Step::Send(delivery) => {
                    order.events.extend(event_keys(world, provider, &delivery.request, &facts));
                    let job = Job::Deliver(provider, Arc::new(delivery.request), Arc::new(delivery.answer));
                    self.jobs.extend(std::iter::repeat_n(job, delivery.copies));
                    self.callbacks += delivery.copies;
                }
                Step::Await(outcome) => order.outcome = outcome,
                Step::Register if scenario == Scenario::BeforeOrder => {
                    self.jobs.push(Job::Register(body.clone()));
                }
                Step::Register | Step::Note(_) => {}
            }
        }
        self.orders.push(order);
        (scenario != Scenario::BeforeOrder).then_some(body)
    }
}

impl Sending {
    /// How many callbacks have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until everything is acknowledged.
    pub async fn finish(mut self) {
        while let Some(sender) = self.senders.join_next().await {
            sender.expect("a sender does not panic");
        }
    }
}

impl PlannedOrder {
    async fn assert_applied_once(&self, api: &Api) {
        let order = api.order(&self.facts.order_id).await.json_of(200);
        let events = order["events"].as_array().expect("an order lists its events");
        let keys: BTreeSet<(String, String)> = events
            .iter()
            .map(|event| (told::text(event, "provider").to_owned(), told::text(event, "key").to_owned()))
            .collect();
        assert_eq!(keys, self.events, "{order:#}");
        assert_eq!(events.len(), keys.len(), "an event is there twice: {order:#}");
        let Outcome::Is { status, captured_minor, refunded_minor } = self.outcome else { return };
        let amounts = json!([order["status"], order["captured_minor"], order["refunded_minor"]]);
        assert_eq!(amounts, json!([status, captured_minor, refunded_minor]), "{order:#}");
    }

    fn expected_kinds(&self) -> BTreeMap<String, usize> {
        told::expected_kinds(self.provider, self.scenario, self.outcome)
    }

    fn kinds_that_count(&self, told: &[&Value]) -> BTreeMap<String, usize> {
        told::kinds_that_count(self.scenario, told.iter().copied())
    }
}

struct Sender {
    api: Api,
    account: String,
    queue: Arc<Mutex<VecDeque<Job>>>,
    acknowledged: Arc<AtomicUsize>,
    rng: Rng,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let job = self.queue.lock().expect("no holder of this lock panics").pop_front();
            let Some(job) = job else { return };
            while !self.succeeds(&job).await {
                let pause = Duration::from_millis(self.rng.u64(1..=RETRY_PAUSE_MILLISECONDS_MAX));
                tokio::time::sleep(pause).await;
            }
            if matches!(job, Job::Deliver(..)) {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    async fn succeeds(&self, job: &Job) -> bool {
        match job {
            Job::Register(order) => {
                let answer = self.api.try_call(Method::POST, "/orders", Some(order)).await;
                answer.is_ok_and(|answer| matches!(answer.status, 200 | 201))
            }
            Job::Deliver(provider, request, success) => {
                let answer = self.api.deliver(&self.account, provider.name, request).await;
                answer.is_ok_and(|answer| answer.status == success.status && answer.body == success.body)
            }
        }
    }
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
