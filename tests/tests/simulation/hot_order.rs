//! A thousand concurrent events of one order: every write races with all the others.

use std::sync::Arc;
use std::time::Duration;

use paybell_shared::domain::ATTEMPTS_MAX;
use tokio::task::JoinSet;

use crate::plan::{Callback, Fact, Plan, PlannedOrder};
use crate::sim::{Sim, lock};
use crate::world::{World, registry};
use crate::{check, consumer, merchant, provider};

const EVENTS: usize = 1_000;
/// Refunds among them; the others are attempts to pay, of which an order keeps the earliest, and the payment.
const REFUNDS: usize = 120;
const CONSUMERS: usize = 60;
const AMOUNT_MINOR: i128 = 100_000;
/// Receives that no message may need; the product gives a message 110.
const RECEIVES_MAX: u32 = 25;

#[test]
fn s7_a_thousand_concurrent_events_of_one_order_converge_with_bounded_retries() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O starts").block_on(async {
        let sim = Arc::new(Sim::new(7, None, false));
        // Nothing fails: what is in the way of each is all the others.
        sim.calm();
        let world = Arc::new(World::new(sim.clone(), plan(), RECEIVES_MAX).await);
        let mut machinery = JoinSet::new();
        (0..CONSUMERS).for_each(|_| drop(machinery.spawn(consumer::run(world.clone()))));
        let mut outside = JoinSet::new();
        outside.spawn(merchant::register(world.clone(), 0));
        (0..EVENTS).for_each(|at| drop(outside.spawn(provider::deliver(world.clone(), at))));
        outside.join_all().await;
        while !world.callbacks.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let counts = sim.counts();
        let count = |what: &str| counts.get(what).copied().unwrap_or_default();
        println!(
            "{EVENTS} events, {CONSUMERS} invocations at a time: {} races lost, {} messages given back, done after {} s",
            count("races lost"),
            count("messages redelivered"),
            sim.elapsed_ms() / 1_000
        );
        assert_eq!(world.callbacks.dead_letters(), [""; 0], "each was applied within {RECEIVES_MAX} receives");
        assert_eq!(*lock(&world.complaints), [""; 0]);
        assert!(count("races lost") > 100, "they did race");
        let order = world.orders.inner.all().remove(0);
        assert_eq!(order.events.len(), 1 + REFUNDS + ATTEMPTS_MAX);
        let planned = &world.plan.orders[0];
        let state = order.state();
        assert_eq!([state.captured_minor, state.refunded_minor, state.disputed_minor], planned.money());
        assert_eq!(check::status(&state), planned.status);
    });
}

fn plan() -> Plan {
    let fact = |kind, part: String, amount_minor| Fact {
        kind,
        transaction: "t1",
        part,
        amount_minor,
        names_order: true,
    };
    let mut facts = vec![fact("payment.captured", String::new(), AMOUNT_MINOR)];
    facts.extend((0..REFUNDS).map(|number| fact("refund.succeeded", format!("r{number}"), 100)));
    facts.resize(EVENTS, fact("payment.pending", String::new(), AMOUNT_MINOR));
    let order = PlannedOrder {
        account: "acme",
        id: "hot".to_owned(),
        user: "ann",
        provider: registry().find("standard_webhooks").expect("it is built in"),
        amount_minor: AMOUNT_MINOR,
        registered_at_ms: 20,
        is_sudden: true,
        facts,
        status: "partially_refunded",
    };
    let mut rng = fastrand::Rng::with_seed(7);
    let callbacks = (0..EVENTS).map(|number| Callback { copies: 0, ..order.callback(0, number, &mut rng) });
    Plan { callbacks: callbacks.collect(), orders: vec![order] }
}
