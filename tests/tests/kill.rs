//! S1: killed or stopped at any moment and started again, Paybell loses nothing that it acknowledged and repeats nothing.
//!
//! These variables say what the storm of the kill test is like:
//!
//! - `PAYBELL_KILL_ROUNDS`: how often, each with a data folder of its own;
//! - `PAYBELL_KILL_SEED`: the first round's seed; the next ones count up;
//! - `PAYBELL_KILL_CALLBACKS`: callbacks of a round;
//! - `PAYBELL_KILL_KILLS`: how often the process is killed in a round;
//! - `PAYBELL_KILL_DUPLICATES_PERCENT`: the share of callbacks that repeat another one;
//! - `PAYBELL_KILL_MOVED_PERCENT`: the share that leaves its place, so that later ones overtake earlier ones.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use paybell_tests::storm::{Mix, Sending, Storm, Tally};
use paybell_tests::world::World;
use paybell_tests::{Listener, logs, told, wait};
use serde_json::Value;

const ROUNDS: usize = 1;
const CALLBACKS: usize = 1_000;
const KILLS: usize = 3;
const DUPLICATES_PERCENT: usize = 20;
const MOVED_PERCENT: usize = 50;
/// Callbacks that are signed and sent together.
const WAVE_CALLBACKS_MAX: usize = 2_000;
const USERS_MIN: usize = 4;
/// Reading a user's inbox costs as much as it holds.
const CALLBACKS_PER_USER: usize = 1_000;
/// A kill comes this long after the acknowledgement that triggers it, at most.
const KILL_DELAY_MICROSECONDS_MAX: u64 = 50_000;

#[derive(Clone, Copy)]
enum End {
    Killed,
    Stopped,
}

/// One round.
#[derive(Clone, Copy)]
struct Plan {
    callbacks: usize,
    ends: usize,
    end: End,
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_m7_nothing_acknowledged_is_lost_or_repeated_when_killed() {
    let first_seed = variable("PAYBELL_KILL_SEED", fastrand::u64(..));
    let rounds = variable("PAYBELL_KILL_ROUNDS", ROUNDS);
    let callbacks = variable("PAYBELL_KILL_CALLBACKS", CALLBACKS);
    let plan = Plan { callbacks, ends: variable("PAYBELL_KILL_KILLS", KILLS), end: End::Killed };
    for round in 0..rounds {
        let seed = first_seed.wrapping_add(round as u64);
        println!("round {} of {rounds}: PAYBELL_KILL_SEED={seed}", round + 1);
        storm(seed, plan).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_nothing_acknowledged_is_lost_or_repeated_when_stopped() {
    let seed = variable("PAYBELL_KILL_SEED", fastrand::u64(..));
    println!("PAYBELL_KILL_SEED={seed}");
    storm(seed, Plan { callbacks: 300, ends: 2, end: End::Stopped }).await;
}

async fn storm(seed: u64, plan: Plan) {
    let begun = Instant::now();
    let mut rng = Rng::with_seed(seed);
    let mut world = World::start_on_this_machine().await;
    let mut storm = Storm::new(Mix {
        duplicates_percent: variable("PAYBELL_KILL_DUPLICATES_PERCENT", DUPLICATES_PERCENT),
        moved_percent: variable("PAYBELL_KILL_MOVED_PERCENT", MOVED_PERCENT),
        users: (plan.callbacks / CALLBACKS_PER_USER).max(USERS_MIN),
    });
    let users = storm.users().to_vec();
    let mut listeners = Vec::new();
    for user in users.iter().step_by(2) {
        listeners.push((user, Listener::connect(&world.api, user).await));
    }

    let repeated = send_all(&mut storm, &mut world, &mut rng, plan).await;

    world.settle().await;
    let mut tally = storm.tally_orders(&world.api).await;
    let mut inboxes = BTreeMap::new();
    for user in &users {
        let inbox = inbox_when_told(&storm, &world, user).await;
        tally.add(storm.tally_told(user, &inbox));
        inboxes.insert(user.as_str(), inbox);
    }
    report(&storm, &tally, plan, repeated);
    tally.assert_faultless();
    for (user, listener) in &listeners {
        assert_told_as_inbox(user, listener, &inboxes[user.as_str()]).await;
        // Two ends may come so close to each other that one reconnection is for both.
        assert!(listener.connections() > 1, "{user} has not reconnected: the test proves nothing");
    }
    for user in &users {
        let listener = Listener::connect(&world.api, user).await;
        assert_told_as_inbox(user, &listener, &inboxes[user.as_str()]).await;
    }
    println!(
        "{} devices that stayed and {} that came later were told the same",
        listeners.len(),
        users.len()
    );

    assert!(world.server_mut().stop().await.success(), "it stopped with an error");
    let queued = world.server().queued();
    assert_eq!((queued.callbacks, queued.dead_letters), (0, 0), "something is left in the queues");
    world.server_mut().restart().await;
    for user in &users {
        let inbox = told::by_id(world.api.inbox(user).await);
        assert_eq!(inbox, inboxes[user.as_str()], "the inbox of {user} changed by itself");
    }
    storm.tally_orders(&world.api).await.assert_faultless();
    logs::assert_clean(&world.place.log().await, &world.demo, storm.requests());
    println!("it took {} s, PAYBELL_KILL_SEED={seed}", begun.elapsed().as_secs());
}

/// Sends all callbacks and ends the process at random moments meanwhile; how often a callback had to be sent again.
async fn send_all(storm: &mut Storm, world: &mut World, rng: &mut Rng, plan: Plan) -> usize {
    let mut moments: Vec<usize> = (0..plan.ends).map(|_| rng.usize(1..plan.callbacks)).collect();
    moments.sort_unstable();
    println!("{} callbacks; it ends after {moments:?} acknowledgements", plan.callbacks);
    let mut moments = moments.into_iter().peekable();
    let (mut sent, mut repeated) = (0, 0);
    while sent < plan.callbacks {
        let wave = storm.next_wave(world, rng, (plan.callbacks - sent).min(WAVE_CALLBACKS_MAX)).await;
        let callbacks = wave.callbacks();
        let sending: Sending = wave.send(&world.api, &world.demo.account, rng.u64(..));
        while let Some(moment) = moments.next_if(|moment| *moment <= sent + callbacks) {
            sending.wait_for_acknowledged(moment - sent).await;
            tokio::time::sleep(Duration::from_micros(rng.u64(0..KILL_DELAY_MICROSECONDS_MAX))).await;
            end_and_restart(world, plan.end).await;
        }
        repeated += sending.finish().await;
        sent += callbacks;
    }
    repeated
}

async fn end_and_restart(world: &mut World, end: End) {
    match end {
        End::Killed => world.server_mut().kill().await,
        End::Stopped => assert!(world.server_mut().stop().await.success(), "it stopped with an error"),
    }
    world.server_mut().restart().await;
}

/// A user's inbox as soon as it has everything, or when that does not come.
async fn inbox_when_told(storm: &Storm, world: &World, user: &str) -> BTreeMap<String, Value> {
    let inbox = async || told::by_id(world.api.inbox(user).await);
    let is_told = |inbox: &BTreeMap<String, Value>| storm.tally_told(user, inbox).lost.is_empty();
    wait::until_or_last(inbox, is_told).await
}

fn report(storm: &Storm, tally: &Tally, plan: Plan, repeated: usize) {
    let counts = storm.counts();
    let percent = counts.duplicates as f64 * 100.0 / counts.callbacks as f64;
    println!(
        "{} callbacks of {} orders: {} duplicates ({percent:.1} %), {} overtaken by a later one of their order; \
         ended {} times; {} sent again for want of an answer",
        counts.callbacks,
        storm.orders(),
        counts.duplicates,
        counts.overtaken,
        plan.ends,
        repeated
    );
    println!(
        "lost {}, double {}, wrong {}; {} changes, {} notifications in the inboxes, {} of them of moments that passed",
        tally.lost.len(),
        tally.doubled.len(),
        tally.wrong.len(),
        tally.changes,
        tally.told,
        tally.passing
    );
}

/// The device has every notification of the inbox, with the same content, and no other.
async fn assert_told_as_inbox(user: &str, listener: &Listener, inbox: &BTreeMap<String, Value>) {
    let complete = |count: &usize| *count >= inbox.len();
    wait::until(&format!("{user} to be told all"), async || listener.told().len(), complete).await;
    assert_eq!(listener.told(), *inbox, "{user}: the device and the inbox differ");
    assert_eq!(listener.contradictions(), Vec::<String>::new(), "{user}: one id, two contents");
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is not a number")),
    }
}
