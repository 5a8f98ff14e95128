//! One world: the plan, the ports, and the functions' handlers on them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use paybell_shared::callback::{Credentials, KeySet};
use paybell_shared::ports::memory::{MemoryAccounts, MemoryConnections, MemoryInbox, MemoryOrders};
use paybell_shared::ports::{AccountStore as _, FetchedKeys, secret_sha256_hex};
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::SandboxKeys;

use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::mutation::Mutation;
use crate::plan::{ACCOUNTS, PROVIDERS, Plan};
use crate::ports::{SimAccounts, SimConnections, SimDeadLetters, SimInbox, SimOrders};
use crate::queue::SimQueue;
use crate::sim::{Sim, lock};
use crate::stream::SimStream;

/// The keys of each account for each provider, made once for all runs.
pub type Keys = BTreeMap<(&'static str, &'static str), SandboxKeys>;

/// One world.
pub struct World {
    pub sim: Arc<Sim>,
    pub plan: Plan,
    pub orders: Arc<SimOrders>,
    pub inbox: Arc<SimInbox>,
    pub gateway: Arc<Gateway>,
    pub callbacks: Arc<SimQueue>,
    pub notify_dead_letters: Arc<SimDeadLetters>,
    pub callback: callback_function::Ports,
    pub apply: apply_function::Ports,
    pub notify: notify_function::Ports,
    pub connections: connections_function::Ports,
    pub merchant: orders_function::Ports,
    /// What went wrong in the world itself, such as a forgery that was accepted.
    pub complaints: Mutex<Vec<String>>,
    /// Invocations that nobody waits for.
    pub tasks: Mutex<JoinSet<()>>,
}

impl World {
    /// A world in which nothing has happened yet; a message that is received `receives_max` times is a dead letter then.
    pub async fn new(sim: Arc<Sim>, plan: Plan, receives_max: u32) -> Self {
        let accounts = Arc::new(SimAccounts { sim: sim.clone(), inner: MemoryAccounts::default() });
        for ((account, provider), keys) in keys() {
            let credentials = Credentials { key_sets: vec![KeySet::new("one", keys.key_set.clone())] };
            accounts.put_credentials(account, provider, &credentials).await.expect("memory takes it");
        }
        for account in ACCOUNTS {
            let hash = secret_sha256_hex(&api_key(account));
            accounts.put_api_key(account, &hash).await.expect("memory takes it");
        }
        let orders = Arc::new(SimOrders {
            sim: sim.clone(),
            inner: MemoryOrders::default(),
            stream: Arc::new(SimStream::default()),
        });
        let inbox = Arc::new(SimInbox { sim: sim.clone(), inner: Arc::new(MemoryInbox::default()) });
        let connections = Arc::new(SimConnections { sim: sim.clone(), inner: MemoryConnections::default() });
        let gateway = Arc::new(Gateway::new(&sim));
        let callbacks = Arc::new(SimQueue::new("callbacks", &sim, receives_max));
        let hints = Arc::new(SimQueue::new("hints", &sim, receives_max));
        let notify_dead_letters = Arc::new(SimDeadLetters { sim: sim.clone(), letters: Mutex::default() });
        Self {
            callback: callback_function::Ports {
                accounts: accounts.clone(),
                callbacks: callbacks.clone(),
                keys: Arc::new(FetchedKeys::unreachable()),
                providers: registry().clone(),
                refusals: Arc::default(),
            },
            apply: apply_function::Ports {
                orders: orders.clone(),
                callbacks: callbacks.clone(),
                hints: hints.clone(),
                providers: registry().clone(),
                random: sim.clone(),
            },
            notify: notify_function::Ports {
                inbox: inbox.clone(),
                connections: connections.clone(),
                pusher: gateway.clone(),
                dead_letters: notify_dead_letters.clone(),
            },
            connections: connections_function::Ports {
                inbox: inbox.clone(),
                connections: connections.clone(),
                pusher: gateway.clone(),
                refusals: Arc::default(),
            },
            merchant: orders_function::Ports {
                accounts,
                orders: orders.clone(),
                inbox: inbox.clone(),
                connections,
                hints,
                providers: registry().clone(),
                refusals: Arc::default(),
            },
            sim,
            plan,
            orders,
            inbox,
            gateway,
            callbacks,
            notify_dead_letters,
            complaints: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// Does something that nobody waits for.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        tasks.spawn(work);
        while let Some(ended) = tasks.try_join_next() {
            lock(&self.complaints).extend(ended.err().map(|error| format!("a function ended: {error}")));
        }
    }

    /// Whether a mistake is made on purpose.
    pub fn has(&self, mutation: Mutation) -> bool {
        self.sim.has(mutation)
    }
}

pub fn registry() -> &'static Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Arc::default)
}

pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let generate = |account, provider| {
        let found = registry().find(provider).expect("it is built in");
        ((account, provider), found.sandbox.generate())
    };
    KEYS.get_or_init(|| {
        ACCOUNTS
            .iter()
            .flat_map(|account| PROVIDERS.iter().map(|provider| generate(*account, *provider)))
            .collect()
    })
}

pub fn api_key(account: &str) -> String {
    format!("key-of-{account}")
}
