//! What a provider tells in a scenario: its signed callback, and what its API answers about it.

use super::{Exchange, Payload, PayloadError, SandboxKeys, SignedRequest, SimulatedFacts, render};
use crate::callback::UnixSeconds;
use crate::callback::signature::sha256;
use crate::domain::Money;
use crate::providers::Provider;

/// What the provider's API is asked and answers about its callback in a `scenario`.
///
/// # Errors
/// [`PayloadError`] when what it answers is not written down as it should be.
pub fn exchanges(
    provider: &Provider,
    keys: &SandboxKeys,
    scenario: &str,
    facts: &SimulatedFacts,
) -> Result<Vec<Exchange>, PayloadError> {
    let own = provider.exchanges(scenario, facts, keys)?;
    match scenario_without_own_template(scenario) {
        Some(like) if own.is_empty() => provider.exchanges(like, facts, keys),
        _ => Ok(own),
    }
}

/// Signs the provider's payload for `scenario` with the facts filled in.
///
/// # Errors
/// [`PayloadError`] when there is no such payload or it names a fact that does not exist.
pub fn sign_payload(
    provider: &Provider,
    keys: &SandboxKeys,
    scenario: &str,
    facts: &SimulatedFacts,
) -> Result<SignedRequest, PayloadError> {
    let no_template =
        || PayloadError::NoTemplate { provider: provider.name.into(), scenario: scenario.into() };
    let template = provider
        .payload_template(scenario)
        .or_else(|| provider.payload_template(scenario_without_own_template(scenario)?))
        .ok_or_else(no_template)?;
    let content = render(template, facts, keys)?;
    let (event_id, path) = (facts.event_id.clone(), facts.path.clone());
    let payload = Payload { content, event_id, sent_at: facts.now, path };
    provider.sandbox.sign(keys, &payload)
}

/// The facts of one callback about an order; the provider's ids are derived from the order's.
pub fn simulated_facts(
    account: &str,
    provider: &str,
    order_id: &str,
    scenario: &str,
    amount: &Money,
    refund: &Money,
    now: UnixSeconds,
) -> SimulatedFacts {
    let refund_minor = refund.amount_minor().to_string();
    SimulatedFacts {
        event_id: digits(&[provider, order_id, scenario, &amount.amount_minor().to_string(), &refund_minor]),
        order_id: order_id.to_owned(),
        transaction_id: digits(&[provider, order_id, "transaction"]),
        refund_id: digits(&[provider, order_id, "refund", &refund_minor]),
        amount: amount.clone(),
        refund: refund.clone(),
        now,
        path: format!("/callbacks/{account}/{provider}"),
    }
}

/// A partial refund is told like a whole one with another amount, except where a provider has its own template.
fn scenario_without_own_template(scenario: &str) -> Option<&'static str> {
    (scenario == "partial-refund").then_some("refunded")
}

/// An id of 20 decimal digits, the form that every provider's documents allow; some write it as a JSON number, which
/// does not begin with a zero.
fn digits(facts: &[&str]) -> String {
    let digest = sha256(facts.join("\n").as_bytes());
    let digits: String = digest.iter().take(20).map(|byte| char::from(b'0' + byte % 10)).collect();
    match digits.strip_prefix('0') {
        Some(rest) => format!("1{rest}"),
        None => digits,
    }
}
