//! Orders that are paid while something else goes wrong.

use paybell_cli::simulate::Scenario;
use paybell_tests::wait;
use paybell_tests::world::{World, registration};

/// Orders of a user are registered and paid, each as soon as it is taken: whoever is busy says so with 503.
pub async fn pay(world: &World, user: &str, order_ids: impl IntoIterator<Item = String>) {
    let provider = world.provider("stripe");
    for order_id in order_ids {
        let facts = world.facts(provider, &order_id);
        let order = registration(&facts, user);
        let register = async || world.api.register(&order).await;
        wait::until("the order to be registered", register, |answer| matches!(answer.status, 200 | 201))
            .await;
        for request in world.requests(provider, Scenario::Paid, &facts) {
            let deliver = async || world.deliver(provider, &request).await;
            wait::until("the callback to be acknowledged", deliver, |answer| answer.status == 200).await;
        }
    }
}
