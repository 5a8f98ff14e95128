//! A running Paybell with its demo account, and the providers' side of it.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use paybell_cli::demo::DemoAccount;
use paybell_cli::simulate::{Delivery, Facts, Outcome, Scenario, Step, order_references, plan};
use paybell_shared::callback::{Credentials, KeySet, UnixSeconds};
use paybell_shared::domain::{Currency, Money, SubjectKind};
use paybell_shared::providers::{Provider, Registry, Reply};
use paybell_shared::sandbox::request::raw_callback;
use paybell_shared::sandbox::{SandboxKeys, SignedRequest};
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::logs;
use crate::place::Place;
use crate::server::{Options, Server};
use crate::stage::Stage;
use crate::wait::until;

/// What the orders of the tests ask for, in minor units.
pub const AMOUNT_MINOR: i128 = 1_999;

const NO_PROCESS: &str =
    "this test wants a process, which a stage does not have: run it without the stage's variables";

/// A running Paybell with its demo account, and the providers' side of it.
pub struct World {
    /// Where it runs.
    pub place: Place,
    /// The merchant's and the providers' client.
    pub api: Api,
    /// The demo account; on a stage one that no other test has.
    pub demo: DemoAccount,
    registry: Registry,
    sent: Mutex<Vec<SignedRequest>>,
}

impl World {
    /// A Paybell that nobody has used: on the stage that the environment names, else on this machine.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// As [`World::start`]; on this machine so talkative that a leak into the log would show.
    pub async fn start_talkative() -> Self {
        Self::start_with(talkative()).await
    }

    /// A Paybell on this machine, whatever the environment names, with a fresh data folder.
    pub async fn start_on_this_machine() -> Self {
        Self::on_this_machine(Options::default()).await
    }

    /// As [`World::start_on_this_machine`], with options.
    pub async fn start_on_this_machine_with(options: Options) -> Self {
        Self::on_this_machine(options).await
    }

    /// As [`World::start_on_this_machine`], so talkative that a leak into the log would show.
    pub async fn start_talkative_on_this_machine() -> Self {
        Self::on_this_machine(talkative()).await
    }

    async fn start_with(options: Options) -> Self {
        match Stage::from_env().await {
            Some(stage) => Self::on_stage(stage).await,
            None => Self::on_this_machine(options).await,
        }
    }

    async fn on_this_machine(options: Options) -> Self {
        let server = Server::start_with(options).await;
        let (api, demo) = (server.api(), server.demo());
        Self::new(Place::Machine(Box::new(server)), api, demo)
    }

    async fn on_stage(stage: Stage) -> Self {
        let demo = stage.create_account("demo").await;
        let api = stage.api(&demo.api_key);
        Self::new(Place::Stage(Box::new(stage)), api, demo)
    }

    fn new(place: Place, api: Api, demo: DemoAccount) -> Self {
        Self { place, api, demo, registry: Registry::new(Vec::new()), sent: Mutex::default() }
    }

    /// The process; there is none on a stage.
    pub fn server(&self) -> &Server {
        match &self.place {
            Place::Machine(server) => server,
            Place::Stage(_) => panic!("{NO_PROCESS}"),
        }
    }

    /// The process, to be stopped and started.
    pub fn server_mut(&mut self) -> &mut Server {
        match &mut self.place {
            Place::Machine(server) => server,
            Place::Stage(_) => panic!("{NO_PROCESS}"),
        }
    }

    /// Every built-in provider.
    pub fn providers(&self) -> impl Iterator<Item = &'static Provider> {
        self.registry.iter()
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> &'static Provider {
        self.registry.find(name).unwrap_or_else(|| panic!("there is no provider `{name}`"))
    }

    /// The demo account's sandbox keys for a provider.
    pub fn keys(&self, provider: &Provider) -> &SandboxKeys {
        let keys = self.demo.providers.get(provider.name);
        keys.unwrap_or_else(|| panic!("the demo account has no keys for `{}`", provider.name))
    }

    /// The facts of an order that asks for [`AMOUNT_MINOR`] in the provider's home currency.
    pub fn facts(&self, provider: &Provider, order_id: &str) -> Facts {
        let currency = Currency::new(provider.home_currency).expect("home currencies are currencies");
        let facts = Facts {
            kind: provider.main_payload().map_or(SubjectKind::Order, |(_, kind)| kind),
            account: self.demo.account.clone(),
            order_id: order_id.to_owned(),
            amount: Money::from_minor(AMOUNT_MINOR, currency).expect("the amount is not negative"),
            now: now(),
            references: Vec::new(),
        };
        Facts { references: order_references(provider, self.keys(provider), &facts), ..facts }
    }

    /// The steps of a scenario for an order.
    pub fn plan(&self, provider: &Provider, scenario: Scenario, facts: &Facts) -> Vec<Step> {
        plan(provider, self.keys(provider), scenario, facts)
            .unwrap_or_else(|error| panic!("{} {scenario}: {error}", provider.name))
    }

    /// The requests of a scenario in the order in which its steps send them.
    pub fn requests(&self, provider: &Provider, scenario: Scenario, facts: &Facts) -> Vec<SignedRequest> {
        let steps = self.plan(provider, scenario, facts).into_iter();
        steps
            .filter_map(|step| match step {
                Step::Send(delivery) => Some(delivery.request),
                _ => None,
            })
            .collect()
    }

    /// Carries out a scenario and returns its last outcome; `user` is the one who is told.
    pub async fn perform(
        &self,
        provider: &Provider,
        scenario: Scenario,
        facts: &Facts,
        user: &str,
    ) -> Outcome {
        let mut last = Outcome::Unchanged;
        for step in self.plan(provider, scenario, facts) {
            match step {
                Step::Register => self.register(facts, user).await,
                Step::Send(delivery) => self.send(provider, &delivery).await,
                Step::Await(outcome) => {
                    self.wait_for_outcome(facts, outcome).await;
                    last = outcome;
                }
                Step::Note(_) => {}
            }
        }
        last
    }

    /// Registers the order of `facts`, which must be new to the merchant.
    pub async fn register(&self, facts: &Facts, user: &str) {
        let answer = self.api.register(&registration(facts, user)).await;
        assert_eq!(answer.status, 201, "registering {}: {answer:?}", facts.order_id);
    }

    /// Delivers a request to the demo account and remembers it for [`World::assert_log_is_clean`].
    pub async fn deliver(&self, provider: &Provider, request: &SignedRequest) -> Answer {
        self.deliver_to(&self.demo.account, provider.name, request).await
    }

    /// Delivers a request to any account and provider name, and remembers it.
    pub async fn deliver_to(&self, account: &str, provider: &str, request: &SignedRequest) -> Answer {
        self.sent.lock().expect("no holder of this lock panics").push(request.clone());
        let answer = self.api.deliver(account, provider, request).await;
        answer.unwrap_or_else(|error| panic!("delivering to {account}/{provider}: {error:?}"))
    }

    /// Delivers a request that must be acknowledged as the provider wants it.
    pub async fn deliver_genuine(&self, provider: &Provider, request: &SignedRequest) {
        let expected = success(&self.demo.account, provider, self.keys(provider), request);
        self.assert_answer(&self.deliver(provider, request).await, &expected, provider.name);
    }

    /// Delivers a request that must be refused with this status and the provider's failure body.
    pub async fn deliver_refused(&self, provider: &Provider, request: &SignedRequest, status: u16) {
        let answer = self.deliver(provider, request).await;
        self.assert_answer(&answer, &provider.answers.failure(status).into(), provider.name);
    }

    /// Fails unless a callback was answered exactly so.
    pub fn assert_answer(&self, answer: &Answer, expected: &Reply, provider: &str) {
        let got_type = if expected.content_type.is_empty() && self.place.adds_content_type() {
            ""
        } else {
            answer.content_type.as_str()
        };
        let got = (answer.status, got_type, answer.body.as_str());
        let expected = (expected.status, expected.content_type.as_str(), expected.body.as_str());
        assert_eq!(got, expected, "{provider}");
    }

    /// Tells the sandbox everything that the provider's API answers in a scenario.
    pub async fn put_answers(&self, provider: &Provider, scenario: Scenario, facts: &Facts) {
        for step in self.plan(provider, scenario, facts) {
            if let Step::Send(delivery) = step {
                self.place.put_answers(&self.api, &self.demo.account, &delivery.exchanges).await;
            }
        }
    }

    async fn send(&self, provider: &Provider, delivery: &Delivery) {
        self.place.put_answers(&self.api, &self.demo.account, &delivery.exchanges).await;
        let copies = (0..delivery.copies).map(|_| async {
            let answer = self.deliver(provider, &delivery.request).await;
            self.assert_answer(&answer, &delivery.answer, provider.name);
        });
        join_all(copies).await;
    }

    async fn wait_for_outcome(&self, facts: &Facts, outcome: Outcome) {
        match outcome {
            Outcome::Unchanged => {
                self.settle().await;
                let order = self.api.subject_if_any(facts.kind, &facts.order_id).await;
                assert_eq!(order["events"], json!([]), "{order:#}");
                assert_eq!(order["status"], "created", "{order:#}");
            }
            Outcome::Is { status, captured_minor, refunded_minor } => {
                let expected = json!([status, captured_minor, refunded_minor]);
                let facts_of = |order: &Value| {
                    json!([order["status"], order["captured_minor"], order["refunded_minor"]])
                };
                let what = format!("order {} to be {expected}", facts.order_id);
                let ask = async || self.api.subject_if_any(facts.kind, &facts.order_id).await;
                until(&what, ask, |order| facts_of(order) == expected).await;
            }
        }
    }

    /// Waits until every acknowledged callback has been applied.
    pub async fn settle(&self) {
        let queues = async || self.place.queued().await;
        until("the queues to be empty", queues, |queued| queued.callbacks == 0).await;
    }

    /// Fails when the log holds a secret of the demo account, or a signature or part of a body that was delivered.
    pub async fn assert_log_is_clean(&self) {
        let log = self.place.log().await;
        let sent = self.sent.lock().expect("no holder of this lock panics");
        logs::assert_clean(&log, &self.demo, &sent);
    }
}

fn talkative() -> Options {
    Options { log_filter: Some("trace".to_owned()), ..Options::default() }
}

/// The body that registers the order of `facts`.
pub fn registration(facts: &Facts, user: &str) -> Value {
    json!({
        "order_id": facts.order_id,
        "kind": facts.kind.name(),
        "amount_minor": facts.amount.amount_minor().to_string(),
        "currency": facts.amount.currency().code(),
        "user": user,
        "references": facts.references,
    })
}

/// How a genuine request must be answered.
pub fn success(account: &str, provider: &Provider, keys: &SandboxKeys, request: &SignedRequest) -> Reply {
    let raw = raw_callback(account, provider.name, request);
    let credentials = Credentials { key_sets: vec![KeySet::new("sandbox", keys.key_set.clone())] };
    let verified = provider.verify(&raw, &credentials, now());
    provider.success(&verified.expect("the sandbox signs what its provider accepts"))
}

/// The time now.
pub fn now() -> UnixSeconds {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    UnixSeconds(i64::try_from(since_1970.as_secs()).expect("seconds fit for long"))
}
