//! Every provider goes through every scenario: the answers, the order, the inbox and the WebSocket agree.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use paybell_cli::simulate::{Outcome, Scenario};
use paybell_shared::providers::Provider;
use paybell_tests::world::World;
use paybell_tests::{Listener, told, wait};
use serde_json::Value;

const SCENARIOS: &[Scenario] = &[
    Scenario::Paid,
    Scenario::Refunded,
    Scenario::PartialRefund,
    Scenario::Failed,
    Scenario::Duplicate,
    Scenario::Reordered,
    Scenario::Forged,
    Scenario::Stale,
    Scenario::WrongAmount,
    Scenario::BeforeOrder,
];

/// Providers whose scenarios run at the same time.
const PROVIDERS_AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn every_provider_goes_through_every_scenario() {
    let world = World::start_talkative().await;
    let providers: Vec<&Provider> = world.providers().collect();
    assert!(providers.len() >= 60, "only {} providers are registered", providers.len());
    let performed = stream::iter(&providers).map(|provider| all_scenarios(&world, provider));
    performed.buffer_unordered(PROVIDERS_AT_ONCE).collect::<Vec<()>>().await;
    world.assert_log_is_clean().await;
}

async fn all_scenarios(world: &World, provider: &Provider) {
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.fits(provider)) {
        let order_id = format!("{}{}", provider.name, scenario.name()).replace(['_', '-'], "");
        let user = format!("user-of-{order_id}");
        let listener = Listener::connect(&world.api, &user).await;
        let facts = world.facts(provider, &order_id);
        let outcome = world.perform(provider, *scenario, &facts, &user).await;
        world.settle().await;
        let told = told_to(world, provider, &listener, &user, *scenario, outcome).await;
        for told in told.values() {
            assert_eq!(told["order_id"], order_id, "{} {scenario}", provider.name);
        }
    }
}

/// Waits until the device has been told this; then the inbox holds the same, each once.
async fn told_to(
    world: &World,
    provider: &Provider,
    listener: &Listener,
    user: &str,
    scenario: Scenario,
    outcome: Outcome,
) -> BTreeMap<String, Value> {
    let expected = told::expected_kinds(provider, scenario, outcome);
    let what = format!("{user} to be told {expected:?}");
    let enough = |told: &Vec<Value>| told::kinds_that_count(provider, scenario, told) == expected;
    wait::until(&what, async || listener.told_in_order(), enough).await;
    let inbox = told::by_id(world.api.inbox(user).await);
    assert_eq!(listener.told(), inbox, "{user}: the device and the inbox differ");
    inbox
}
