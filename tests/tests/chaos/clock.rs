//! S12: the machine's clock is wrong, or jumps. All of `paybell up` runs in this process, on a clock of the test's.

use std::path::Path;
use std::sync::Arc;

use paybell_cli::Place;
use paybell_cli::demo::DemoAccount;
use paybell_cli::simulate::Facts;
use paybell_cli::up::run_with_clock;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Currency, Money, SubjectKind};
use paybell_shared::ports::memory::ManualClock;
use paybell_shared::ports::{Clock, SystemClock};
use paybell_shared::providers::{Provider, Registry};
use paybell_shared::sandbox::SignedRequest;
use paybell_tests::accounts::paid;
use paybell_tests::api::Addresses;
use paybell_tests::wait::PATIENCE;
use paybell_tests::{Api, Listener, told, wait};
use serde_json::json;
use tokio::runtime::Runtime;

pub const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const USER: &str = "anna";

/// The machine's clock, wrong by as much as the test wants.
pub struct WrongClock(pub ManualClock);

impl Clock for WrongClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.now_ms()
    }
}

/// A process in this process: a runtime that ends with it, without a word to anybody.
pub struct Machine {
    runtime: Option<Runtime>,
    pub api: Api,
    pub demo: DemoAccount,
    clock: Arc<WrongClock>,
    provider: &'static Provider,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let runtime = self.runtime.take().expect("it runs");
        let ended = std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE)).join();
        ended.expect("a runtime ends");
    }
}

impl Machine {
    pub async fn start(data: &Path, clock: &Arc<WrongClock>) -> Self {
        let port = paybell_tests::server::free_port();
        let place = Place { data: data.to_owned(), port };
        let runtime = Runtime::new().expect("a runtime can be built");
        let wall: Arc<dyn Clock> = clock.clone();
        runtime.spawn(async move {
            run_with_clock(&place, wall).await.unwrap_or_else(|error| panic!("it does not run: {error}"));
        });
        let address = format!("http://127.0.0.1:{port}");
        let health =
            async || reqwest::get(format!("{address}/health")).await.is_ok_and(|it| it.status() == 200);
        wait::until("the process to be ready", health, |is_ready| *is_ready).await;
        let demo = DemoAccount::read(data).unwrap_or_else(|error| panic!("no demo account: {error}"));
        let websocket = format!("ws://127.0.0.1:{port}/ws");
        let addresses = Addresses { callbacks: address.clone(), orders: address, websocket };
        let api = Api::new(addresses, demo.api_key.clone());
        let provider = Registry::new(Vec::new()).find("stripe").expect("it is built in");
        Self { runtime: Some(runtime), api, demo, clock: Arc::clone(clock), provider }
    }

    /// How the provider, whose clock shows `now_ms`, says that an order is paid.
    fn paid(&self, order_id: &str, now_ms: i64) -> SignedRequest {
        let currency = Currency::new(self.provider.home_currency).expect("it is a currency");
        let facts = Facts {
            kind: SubjectKind::Order,
            account: self.demo.account.clone(),
            order_id: order_id.to_owned(),
            amount: Money::from_minor(1_999, currency).expect("it is not negative"),
            now: UnixSeconds(now_ms.div_euclid(1000)),
            references: Vec::new(),
        };
        paid(self.provider, &self.demo.providers[self.provider.name], &facts)
    }

    async fn deliver(&self, request: &SignedRequest) -> u16 {
        let answer = self.api.deliver(&self.demo.account, self.provider.name, request).await;
        answer.expect("it answers").status
    }

    /// Registers an order and has it paid by a provider whose clock is as wrong as the machine's.
    async fn pay(&self, order_id: &str) {
        let currency = self.provider.home_currency;
        let order = json!({"order_id": order_id, "amount_minor": 1_999, "currency": currency, "user": USER});
        assert_eq!(self.api.register(&order).await.status, 201, "{order_id}");
        assert_eq!(self.deliver(&self.paid(order_id, self.clock.now_ms())).await, 200, "{order_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_clock_that_jumps_loses_nothing_and_everybody_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(WrongClock(ManualClock::at_ms(0)));
    let mut machine = Machine::start(folder.path(), &clock).await;
    let mut cursor = String::new();
    for (number, (jump_ms, restarts)) in [
        (0, false),
        (5 * MINUTE_MS, false),
        (-5 * MINUTE_MS, false),
        (-10 * MINUTE_MS, false),
        (3 * HOUR_MS, false),
        (-26 * HOUR_MS, false),
        (HOUR_MS, true),
        (-2 * HOUR_MS, true),
    ]
    .into_iter()
    .enumerate()
    {
        let stays = Listener::resume(&machine.api, USER, &cursor).await;
        machine.pay(&format!("before{number}")).await;
        stays.wait_for(&format!("before{number}"), "payment.captured").await;
        cursor = stays.cursor();
        clock.0.advance_ms(jump_ms);
        if restarts {
            drop(machine);
            machine = Machine::start(folder.path(), &clock).await;
        }
        // What was queued before a jump is not forgotten behind it, and whoever was away finds what was told meanwhile.
        machine.pay(&format!("after{number}")).await;
        let returned = Listener::resume(&machine.api, USER, &cursor).await;
        returned.wait_for(&format!("after{number}"), "payment.captured").await;
        if !restarts {
            stays.wait_for(&format!("after{number}"), "payment.captured").await;
        }
        let later = wait::until(
            "the inbox to have it",
            async || told::by_id(machine.api.inbox(USER).await),
            |inbox| inbox.len() == 2 * (number + 1),
        );
        later.await;
        // Who comes back only now has the cursor of before the jump as well.
        let late = Listener::resume(&machine.api, USER, &cursor).await;
        let orders: Vec<_> = late.told().into_values().map(|told| told["order_id"].clone()).collect();
        assert!(orders.contains(&json!(format!("after{number}"))), "jump of {jump_ms} ms: {orders:?}");
        cursor = late.cursor();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_f7_a_provider_is_believed_again_as_soon_as_the_clock_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(WrongClock(ManualClock::at_ms(0)));
    let machine = Machine::start(folder.path(), &clock).await;
    let mut wrong_by_ms = 0;
    for (order_id, by_ms, status) in [
        ("right", 0, 200),
        ("fast", 4 * MINUTE_MS, 200),
        ("too-fast", 6 * MINUTE_MS, 401),
        ("slow", -4 * MINUTE_MS, 200),
        ("too-slow", -6 * MINUTE_MS, 401),
        ("right-again", 0, 200),
    ] {
        clock.0.advance_ms(by_ms - wrong_by_ms);
        wrong_by_ms = by_ms;
        let request = machine.paid(order_id, SystemClock.now_ms());
        assert_eq!(machine.deliver(&request).await, status, "the clock is wrong by {by_ms} ms");
    }
}
