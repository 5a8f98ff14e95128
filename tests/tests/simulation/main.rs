//! The real handlers in a world that one seed decides: time, faults, crashes and interleavings.
//!
//! `PAYBELL_SIMULATION_SEED` is the first seed, a random one unless told; `PAYBELL_SIMULATION_RUNS` is how many seeds from
//! it on are run. A run that fails prints what happened in it and the command that does it again.

mod check;
mod consumer;
mod device;
mod gateway;
mod hot_order;
mod merchant;
mod mutation;
mod plan;
mod ports;
mod provider;
mod queue;
mod run;
mod sim;
mod stream;
mod world;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mutation::Mutation;
use run::{Outcome, run};
use sim::lock;

/// How many runs there are unless told.
const RUNS: u64 = 20_000;
const THREADS: usize = 2;
/// Runs after which a mistake must have been found.
const RUNS_OF_MISTAKE_MAX: u64 = 300;

/// What a storm of many runs must have had in it; else it would prove nothing.
const MUST_HAPPEN: &[&str] = &[
    "answers to providers and merchants lost",
    "batches done in part",
    "callbacks sent again after their success",
    "callbacks sent again without an answer",
    "callbacks sent to another account",
    "calls done and hung for ever",
    "calls done and timed out",
    "calls failed for good",
    "calls hung",
    "calls refused in outages",
    "calls throttled",
    "connections cut off",
    "dead letters redriven",
    "devices resumed",
    "events parked",
    "finished messages not deleted",
    "invocations killed",
    "invocations stopped at their limit",
    "messages handed out twice",
    "messages received too often",
    "messages redelivered",
    "messages set aside",
    "notifications written again",
    "pushes to connections that are gone",
    "races lost",
    "races lost by word",
    "records replayed",
    "records set aside",
    "stream batches halved",
    "stream batches tried again",
    "stream records redelivered",
];

#[test]
fn f15_m4_m6_m7_m9_m10_s1_s2_s8_s9_every_run_ends_as_its_plan_says() {
    let first = setting("PAYBELL_SIMULATION_SEED").unwrap_or_else(|| fastrand::u64(..));
    let runs = setting("PAYBELL_SIMULATION_RUNS").unwrap_or(RUNS);
    println!("seeds {first} and the {runs} from there on");
    let (next, failed, begun) = (AtomicU64::new(0), Mutex::new(None), Instant::now());
    let counts = Mutex::new(BTreeMap::<&str, u64>::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while lock(&failed).is_none() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs {
                        return;
                    }
                    let seed = first.wrapping_add(number);
                    let outcome = run(seed, None, false);
                    if !outcome.failures.is_empty() {
                        *lock(&failed) = Some(seed);
                    }
                    let mut counts = lock(&counts);
                    outcome.counts.iter().for_each(|(what, times)| *counts.entry(what).or_default() += times);
                }
            });
        }
    });
    if let Some(seed) = lock(&failed).take() {
        tell(seed, &run(seed, None, true));
    }
    let counts = lock(&counts);
    counts.iter().for_each(|(what, times)| println!("{times:>10} {what}"));
    println!("{runs} runs in {:.0} s", begun.elapsed().as_secs_f32());
    let missing: Vec<_> = MUST_HAPPEN.iter().filter(|what| !counts.contains_key(**what)).collect();
    assert!(runs < 1_000 || missing.is_empty(), "none of the runs had {missing:?}");
}

#[test]
fn a_seed_does_the_same_every_time() {
    for seed in 0..40 {
        let (once, twice) = (run(seed, None, true), run(seed, None, true));
        let differing = once.trace.iter().zip(&twice.trace).find(|(one, two)| one != two);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(once.trace_hash, twice.trace_hash, "seed {seed}");
        assert_ne!(once.trace_hash, run(seed + 1, None, false).trace_hash, "seed {seed}");
    }
}

#[test]
fn every_mistake_is_found() {
    for mutation in Mutation::ALL {
        let found = (0..RUNS_OF_MISTAKE_MAX).find_map(|seed| {
            let failures = run(seed, Some(*mutation), false).failures;
            failures.into_iter().next().map(|failure| (seed + 1, failure))
        });
        let (runs, failure) = found.unwrap_or_else(|| panic!("{mutation:?} is not found"));
        println!("{mutation:?} is found in run {runs}: {failure}");
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, and is `{text}`")))
}

fn tell(seed: u64, outcome: &Outcome) {
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("\nSeed {seed} fails:");
    outcome.failures.iter().for_each(|failure| println!("- {failure}"));
    println!(
        "\nAgain, alone:\nPAYBELL_SIMULATION_SEED={seed} PAYBELL_SIMULATION_RUNS=1 \
         cargo test -p paybell-tests --test simulation every_run -- --nocapture"
    );
    panic!("seed {seed}: {}", outcome.failures.join("; "));
}
