//! Every state of the model within bounds; and that the model can fail.
//!
//! `cargo test -p paybell-model -- --nocapture` prints how many states that were.

mod bounds;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use paybell_model::pipeline::{Action, Bounds, Mutation, Pipeline};
use paybell_model::properties::{APPLIED, COUNTED_ONCE, NEVER_NOWHERE, RESUMED, TOLD, TOLD_ONCE};
use paybell_model::state::State;
use stateright::{Checker as _, HasDiscoveries, Model as _};

const THREADS: usize = 2;

#[test]
fn m4_m7_s1_s8_s9_what_must_hold_holds_in_every_state() {
    let (mut states, begun) = (0, Instant::now());
    for bounds in bounds::ALL {
        let begun = Instant::now();
        let checker = Pipeline::new(**bounds).checker().threads(THREADS).spawn_bfs().join();
        println!(
            "{}: {} unique states, {} transitions, {} steps deep, {:.1} s",
            bounds.name,
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth() - 1,
            begun.elapsed().as_secs_f32()
        );
        states += checker.unique_state_count();
        checker.assert_properties();
    }
    println!("{states} unique states in all, {:.1} s", begun.elapsed().as_secs_f32());
}

/// The end of a run is a state in which nothing is left to be done only if no run goes on for ever.
#[test]
fn every_run_ends() {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(bounds) = bounds::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let states = states_of_runs_that_end(bounds);
                    println!("{}: no cycle among {states} states", bounds.name);
                }
            });
        }
    });
}

/// Follows every run within bounds to its end; how many states that were. Panics when a run comes back to one of its own.
fn states_of_runs_that_end(bounds: &Bounds) -> usize {
    let model = Pipeline::new(*bounds);
    let initial = model.init_states().remove(0);
    // Whether all that follows a state has been looked at, by the state's digest, for there are millions: a state that
    // follows itself has not.
    let mut looked_at = HashMap::from([(digest(&initial), false)]);
    let mut path: Vec<(u64, Vec<State>)> = vec![(digest(&initial), model.next_states(&initial))];
    while let Some((state, next)) = path.last_mut() {
        let Some(next) = next.pop() else {
            looked_at.insert(*state, true);
            path.pop();
            continue;
        };
        match looked_at.get(&digest(&next)) {
            Some(true) => {}
            Some(false) => panic!("{}: a run comes back to {next:?}", bounds.name),
            None => {
                looked_at.insert(digest(&next), false);
                path.push((digest(&next), model.next_states(&next)));
            }
        }
    }
    looked_at.len()
}

fn digest(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Each mistake, the bounds within which it shows, and the property that it breaks.
const MISTAKES: &[(Mutation, &Bounds, &str)] = &[
    (Mutation::WriteWithoutCondition, &bounds::DELIVERIES, NEVER_NOWHERE),
    (Mutation::WriteWithoutCondition, &bounds::REGISTRATION, NEVER_NOWHERE),
    (Mutation::RetryWithoutReading, &bounds::DELIVERIES, NEVER_NOWHERE),
    (Mutation::KeyPerDelivery, &bounds::DELIVERIES, COUNTED_ONCE),
    (Mutation::KeyPerDelivery, &bounds::PARTS, COUNTED_ONCE),
    (Mutation::AcknowledgeFirst, &bounds::DELIVERIES, NEVER_NOWHERE),
    (Mutation::DeleteFirst, &bounds::DELIVERIES, NEVER_NOWHERE),
    (Mutation::ForgetOnReceive, &bounds::DELIVERIES, NEVER_NOWHERE),
    (Mutation::NoRedrive, &bounds::DEAD_LETTERS, APPLIED),
    (Mutation::CheckpointFirst, &bounds::REGISTRATION, TOLD),
    (Mutation::IdPerDelivery, &bounds::REGISTRATION, TOLD_ONCE),
    (Mutation::KeepFirstPlace, &bounds::REDELIVERED_RECORDS, RESUMED),
    (Mutation::PushFirst, &bounds::CONNECTIONS, RESUMED),
    (Mutation::LookupFirst, &bounds::CONNECTIONS, RESUMED),
    (Mutation::KeepAfterFailedPush, &bounds::CONNECTIONS, RESUMED),
    (Mutation::NoOverlap, &bounds::CONNECTIONS, RESUMED),
    (Mutation::CursorBeforeResumed, &bounds::REGISTRATION, RESUMED),
];

#[test]
fn every_mistake_has_a_counter_example() {
    for (mutation, bounds, broken) in MISTAKES {
        let shortest = shortest_counter_example(*mutation, bounds, broken);
        let shortest =
            shortest.unwrap_or_else(|| panic!("{mutation:?} within {} breaks nothing", bounds.name));
        println!("{mutation:?} breaks \"{broken}\" in {} steps: {shortest:?}", shortest.len());
    }
}

/// The checker stops at one that is nearly the shortest, so it is asked again for shorter ones.
fn shortest_counter_example(
    mutation: Mutation,
    bounds: &Bounds,
    broken: &'static str,
) -> Option<Vec<Action>> {
    let mut shortest: Option<Vec<Action>> = None;
    loop {
        let mut search = Pipeline::mutated(*bounds, mutation).checker().threads(THREADS);
        search = search.finish_when(HasDiscoveries::AnyOf([broken].into()));
        if let Some(known) = &shortest {
            // A path of as many steps has one state more.
            search = search.target_max_depth(known.len() + 1);
        }
        let Some(path) = search.spawn_bfs().join().discovery(broken) else { return shortest };
        shortest = Some(path.into_actions());
    }
}
