//! Killed or stopped at any moment and started again, Paybell loses nothing that it acknowledged and repeats nothing.
//!
//! `PAYBELL_KILL_ROUNDS` (how many), `PAYBELL_KILL_SEED` (the first round's seed; the next ones count up) and
//! `PAYBELL_KILL_CALLBACKS` (per round) change what the kill test does.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;
use paybell_tests::storm::{Sending, Storm, USERS};
use paybell_tests::world::World;
use paybell_tests::{Listener, logs, told, wait};
use serde_json::Value;

const ROUNDS: usize = 2;
const CALLBACKS: usize = 1_000;
const KILLS_PER_ROUND: usize = 3;
/// A kill comes this long after the acknowledgement that triggers it, at most.
const KILL_DELAY_MICROSECONDS_MAX: u64 = 50_000;

#[derive(Clone, Copy)]
enum End {
    Killed,
    Stopped,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_repeated_when_killed() {
    let first_seed = variable("PAYBELL_KILL_SEED", fastrand::u64(..));
    let rounds = variable("PAYBELL_KILL_ROUNDS", ROUNDS);
    for round in 0..rounds {
        let seed = first_seed.wrapping_add(round as u64);
        println!("round {} of {rounds}: PAYBELL_KILL_SEED={seed}", round + 1);
        storm(seed, variable("PAYBELL_KILL_CALLBACKS", CALLBACKS), KILLS_PER_ROUND, End::Killed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_repeated_when_stopped() {
    let seed = variable("PAYBELL_KILL_SEED", fastrand::u64(..));
    println!("PAYBELL_KILL_SEED={seed}");
    storm(seed, 300, 2, End::Stopped).await;
}

async fn storm(seed: u64, callbacks: usize, ends: usize, end: End) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::start_on_this_machine().await;
    let storm = Storm::prepare(&world, &mut rng, callbacks).await;
    let [live_user, other_live_user, ..] = USERS;
    let listeners = [
        Listener::connect(&world.api, live_user).await,
        Listener::connect(&world.api, other_live_user).await,
    ];

    let mut moments: Vec<usize> = (0..ends).map(|_| rng.usize(1..storm.callbacks())).collect();
    moments.sort_unstable();
    println!("{} callbacks; it ends after {moments:?} acknowledgements", storm.callbacks());
    let sending = storm.send(&world.api, &world.demo.account, rng.u64(..));
    for moment in moments {
        wait_for_acknowledgements(&sending, moment).await;
        tokio::time::sleep(Duration::from_micros(rng.u64(0..KILL_DELAY_MICROSECONDS_MAX))).await;
        end_and_restart(&mut world, end).await;
    }
    sending.finish().await;

    world.settle().await;
    storm.assert_orders(&world.api).await;
    let mut inboxes = BTreeMap::new();
    for user in USERS {
        let inbox = async || told::by_id(world.api.inbox(user).await);
        let inbox =
            wait::until(&format!("the inbox of {user}"), inbox, |told| storm.is_told(user, told)).await;
        storm.assert_told(user, &inbox);
        inboxes.insert(user, inbox);
    }
    for (user, listener) in USERS.iter().zip(&listeners) {
        assert_told_as_inbox(user, listener, &inboxes[user]).await;
        // Two ends may come so close to each other that one reconnection is for both.
        assert!(listener.connections() > 1, "{user} has not reconnected: the test proves nothing");
    }
    for user in USERS {
        let listener = Listener::connect(&world.api, user).await;
        assert_told_as_inbox(user, &listener, &inboxes[user]).await;
    }

    assert!(world.server_mut().stop().await.success(), "it stopped with an error");
    let queued = world.server().queued();
    assert_eq!((queued.callbacks, queued.dead_letters), (0, 0), "something is left in the queues");
    world.server_mut().restart().await;
    for user in USERS {
        let inbox = told::by_id(world.api.inbox(user).await);
        assert_eq!(inbox, inboxes[user], "the inbox of {user} changed by itself");
    }
    storm.assert_orders(&world.api).await;
    logs::assert_clean(&world.place.log().await, &world.demo, &storm.requests());
}

async fn wait_for_acknowledgements(sending: &Sending, count: usize) {
    while sending.acknowledged() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn end_and_restart(world: &mut World, end: End) {
    match end {
        End::Killed => world.server_mut().kill().await,
        End::Stopped => assert!(world.server_mut().stop().await.success(), "it stopped with an error"),
    }
    world.server_mut().restart().await;
}

/// The device has every notification of the inbox, with the same content, and no other.
async fn assert_told_as_inbox(user: &str, listener: &Listener, inbox: &BTreeMap<String, Value>) {
    let complete = |told: &BTreeMap<String, Value>| told.len() >= inbox.len();
    let told = wait::until(&format!("{user} to be told all"), async || listener.told(), complete).await;
    assert_eq!(told, *inbox, "{user}: the device and the inbox differ");
    assert_eq!(listener.contradictions(), Vec::<String>::new(), "{user}: one id, two contents");
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is not a number")),
    }
}
