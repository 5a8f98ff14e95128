//! Orders on a deployed stage whose functions reach DynamoDB and SQS through a proxy that fails on purpose.

use std::sync::LazyLock;

use futures_util::{StreamExt as _, stream};
use paybell_cli::simulate::{Facts, Scenario};
use paybell_shared::providers::Provider;
use paybell_shared::sandbox::SignedRequest;
use paybell_tests::fault_proxy::FaultProxy;
use paybell_tests::place::Place;
use paybell_tests::stage::Stage;
use paybell_tests::{World, told, wait};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// Names the port at which the stage's functions look for AWS.
const PROXY_PORT_VARIABLE: &str = "PAYBELL_FAULT_PROXY_PORT";
/// Who signs JSON, and who signs a form and wants an answer of its own.
pub const PROVIDERS: [&str; 2] = ["stripe", "alipay"];
/// Whose credentials no function has read, as it delivers nothing while all is well.
pub const STRANGER: [&str; 1] = ["razorpay"];
const ORDERS_PER_PROVIDER: usize = 20;
const REGISTRATIONS_AT_ONCE: usize = 4;

/// An order that is registered, and how its provider says that it is paid.
pub struct Payment {
    pub provider: &'static Provider,
    facts: Facts,
    request: SignedRequest,
}

/// The stage, the proxy, which no other test has meanwhile, and an account that nobody else has.
pub struct Outage {
    pub world: World,
    pub proxy: MutexGuard<'static, FaultProxy>,
}

impl Outage {
    /// Everything works at first.
    pub async fn start() -> Self {
        let proxy = the_proxy().await;
        proxy.heal();
        Self { world: World::start().await, proxy }
    }

    pub fn stage(&self) -> &Stage {
        match &self.world.place {
            Place::Stage(stage) => stage,
            Place::Machine(_) => panic!("this test wants a stage: see CONTRIBUTING.md"),
        }
    }

    /// Registers orders of all [`PROVIDERS`], whose ids begin like this.
    pub async fn orders(&self, prefix: &str) -> Vec<Payment> {
        self.orders_of(&PROVIDERS, prefix, ORDERS_PER_PROVIDER).await
    }

    /// Registers so many orders of each of these providers, whose ids begin like this.
    pub async fn orders_of(&self, providers: &[&str], prefix: &str, count: usize) -> Vec<Payment> {
        let numbers = providers.iter().flat_map(|name| (0..count).map(move |number| (*name, number)));
        let registered = stream::iter(numbers).map(|(name, number)| async move {
            let provider = self.world.provider(name);
            let facts = self.world.facts(provider, &format!("{prefix}{name}{number:02}"));
            self.world.register(&facts, &self.world.demo.user).await;
            let requests = self.world.requests(provider, Scenario::Paid, &facts);
            let [request] = requests.try_into().expect("a payment is said by one callback");
            Payment { provider, facts, request }
        });
        registered.buffered(REGISTRATIONS_AT_ONCE).collect().await
    }

    /// Has one order of every provider paid, so that the first instance of `callback`, which gets every callback that
    /// comes alone, remembers the credentials, and `notify` has told everything so far.
    pub async fn warm_up(&self) {
        let payments = self.orders_of(&PROVIDERS, "warm", 1).await;
        self.acknowledged(&payments).await;
        self.assert_paid_once(&payments).await;
    }

    /// The providers deliver, one callback after the other, and each is acknowledged as it wants it.
    pub async fn acknowledged(&self, payments: &[Payment]) {
        for payment in payments {
            self.world.deliver_genuine(payment.provider, &payment.request).await;
        }
    }

    /// The providers deliver, one callback after the other, and each is told to come again.
    pub async fn refused(&self, payments: &[Payment]) {
        for payment in payments {
            self.world.deliver_refused(payment.provider, &payment.request, 503).await;
        }
    }

    /// Fails unless each order is paid by one write of one event, and nobody is told anything twice, as soon as the
    /// queue is empty.
    pub async fn assert_paid_once(&self, payments: &[Payment]) {
        self.world.settle().await;
        for payment in payments {
            let order = self.order(payment).await;
            let events = order["events"].as_array().map(Vec::len);
            // The first version is the registration.
            let got = json!([order["status"], order["captured_minor"], events, order["version"]]);
            assert_eq!(got, json!(["paid", 1_999, 1, 2]), "{order:#}");
        }
        let is_told = |inbox: &Vec<Value>| payments.iter().all(|payment| times_told(inbox, payment) > 0);
        let inbox = async || self.world.api.inbox(&self.world.demo.user).await;
        let inbox = wait::until("the inbox to have every payment", inbox, is_told).await;
        for payment in payments {
            assert_eq!(times_told(&inbox, payment), 1, "{}: {inbox:#?}", payment.facts.order_id);
        }
        told::by_id(inbox);
    }

    /// Fails unless nothing has happened to any of the orders.
    pub async fn assert_untouched(&self, payments: &[Payment]) {
        self.world.settle().await;
        for payment in payments {
            let order = self.order(payment).await;
            assert_eq!((&order["status"], &order["version"]), (&json!("created"), &json!(1)), "{order:#}");
        }
    }

    async fn order(&self, payment: &Payment) -> Value {
        self.world.api.subject_if_any(payment.facts.kind, &payment.facts.order_id).await
    }
}

fn times_told(inbox: &[Value], payment: &Payment) -> usize {
    let is_meant = |told: &&Value| {
        told["order_id"] == payment.facts.order_id.as_str() && told["kind"] == "payment.captured"
    };
    inbox.iter().filter(is_meant).count()
}

/// The proxy between the functions and the emulator. It stays while this process lives: the functions go on between
/// the tests, and every test has a runtime of its own that ends with it.
async fn the_proxy() -> MutexGuard<'static, FaultProxy> {
    static PROXY: LazyLock<Mutex<FaultProxy>> = LazyLock::new(|| {
        let port = std::env::var(PROXY_PORT_VARIABLE).ok().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{PROXY_PORT_VARIABLE} names no port: see CONTRIBUTING.md"));
        let emulator = std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL names the emulator");
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(async {
                let proxy = FaultProxy::start_on(port, &emulator).await;
                sender.send(proxy).expect("it is waited for");
                std::future::pending::<()>().await;
            });
        });
        Mutex::new(receiver.recv().expect("the proxy starts"))
    });
    PROXY.lock().await
}
