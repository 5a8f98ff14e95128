//! One run: a seed, a world, a storm, and what is left when it is over.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::check;
use crate::device::{self, Device};
use crate::mutation::Mutation;
use crate::plan::{ACCOUNTS, Plan, USERS};
use crate::sim::{STORM_MS, Sim, lock};
use crate::stream::{self, LANES};
use crate::world::{World, registry};
use crate::{consumer, merchant, provider};

/// The longest that a run takes after its storm: what hangs ends, and every connection is cut once.
const CALM_MS_MAX: u64 = 8 * 3_600 * 1_000;
/// Receives after which a message is a dead letter: far fewer than in the product, so that runs get there.
const RECEIVES_MAX: RangeInclusive<u32> = 2..=7;
/// How often the operator looks at the dead letters.
const OPERATOR_LOOKS_EVERY: Duration = Duration::from_secs(60);

/// What came of a run.
pub struct Outcome {
    pub failures: Vec<String>,
    /// How often each fault and each of its consequences happened.
    pub counts: BTreeMap<&'static str, u64>,
    pub trace_hash: u64,
    /// What happened, line by line, when that was asked for.
    pub trace: Vec<String>,
}

/// Runs a seed; `is_told` keeps the trace.
pub fn run(seed: u64, mutation: Option<Mutation>, is_told: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O starts").block_on(async {
        let sim = Arc::new(Sim::new(seed, mutation, is_told));
        let mut rng = Rng::with_seed(seed.rotate_left(32));
        // What panics outside of a task must not take along which seed it was and what happened before.
        let failures = AssertUnwindSafe(live(&sim, &mut rng)).catch_unwind().await;
        let failures = failures.unwrap_or_else(|_| vec!["a part of the run panicked".to_owned()]);
        Outcome { failures, counts: sim.counts(), trace_hash: sim.trace_hash(), trace: sim.trace_lines() }
    })
}

async fn live(sim: &Arc<Sim>, rng: &mut Rng) -> Vec<String> {
    let plan = Plan::draw(rng, registry());
    let world = Arc::new(World::new(sim.clone(), plan, rng.u32(RECEIVES_MAX)).await);
    let devices = devices(&world, rng);
    let mut machinery = JoinSet::new();
    for _ in 0..rng.usize(2..=4) {
        machinery.spawn(consumer::run(world.clone()));
    }
    (0..LANES).for_each(|lane| drop(machinery.spawn(stream::run_lane(world.clone(), lane))));
    devices.iter().for_each(|device| drop(machinery.spawn(device::run(world.clone(), device.clone()))));
    let mut outside = JoinSet::new();
    (0..world.plan.callbacks.len()).for_each(|at| drop(outside.spawn(provider::deliver(world.clone(), at))));
    (0..world.plan.orders.len()).for_each(|at| drop(outside.spawn(merchant::register(world.clone(), at))));

    sleep(sim.between_ms(0..STORM_MS)).await;
    operate(&world).await;
    sleep(Duration::from_millis(STORM_MS.saturating_sub(sim.elapsed_ms()))).await;
    sim.calm();
    let mut failures = drain(&world, &devices, &mut outside).await;
    failures.extend(check::failures(&world, &devices));
    while let Some(ended) = machinery.try_join_next() {
        failures.push(format!("a part of the machinery ended: {ended:?}"));
    }
    let mut tasks = std::mem::take(&mut *lock(&world.tasks));
    while let Some(ended) = tasks.try_join_next() {
        failures.extend(ended.err().map(|error| format!("a function ended: {error}")));
    }
    failures
}

fn devices(world: &World, rng: &mut Rng) -> Vec<Arc<Device>> {
    let own = world.plan.orders.iter().map(|order| (order.account, order.user));
    let others = ACCOUNTS.iter().flat_map(|account| USERS.iter().map(|user| (*account, *user)));
    let mut owners: Vec<_> = own.collect();
    owners.extend(others.take(1));
    let devices = (0..rng.usize(1..=3)).map(|number| {
        let (account, user) = *rng.choice(&owners).expect("there are owners");
        let (name, is_restless) = (format!("device{number}-{account}-{user}"), rng.bool());
        Arc::new(Device { account, user, name, is_restless, told: Default::default() })
    });
    devices.collect()
}

/// What is in the way is repaired, and the dead letters go back.
async fn operate(world: &World) {
    world.callbacks.redrive();
    let letters = std::mem::take(&mut *lock(&world.notify_dead_letters.letters));
    for letter in letters {
        world.sim.count("records replayed");
        if !stream::replay(world, &letter).await {
            lock(&world.notify_dead_letters.letters).push(letter);
        }
    }
}

/// Waits until nothing is left to be done.
async fn drain(world: &Arc<World>, devices: &[Arc<Device>], outside: &mut JoinSet<()>) -> Vec<String> {
    let mut failures = Vec::new();
    let end_ms = world.sim.elapsed_ms() + CALM_MS_MAX;
    while world.sim.elapsed_ms() < end_ms {
        while let Some(ended) = outside.try_join_next() {
            failures.extend(ended.err().map(|error| format!("a provider or merchant ended: {error}")));
        }
        operate(world).await;
        let is_done = outside.is_empty()
            && world.callbacks.is_empty()
            && world.callbacks.dead_letters().is_empty()
            && lock(&world.notify_dead_letters.letters).is_empty()
            && world.orders.stream.is_drained();
        let is_told = |device: &Arc<Device>| *lock(&device.told) == check::inbox_of(world, device);
        if is_done && devices.iter().all(is_told) {
            return failures;
        }
        sleep(OPERATOR_LOOKS_EVERY).await;
    }
    failures.push("it is not over after hours without a fault".to_owned());
    failures
}
