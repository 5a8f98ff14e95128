//! How callbacks find an order that they do not name.

use paybell_shared::callback::{Credentials, KeySet, Origin};
use paybell_shared::domain::Reference;
use paybell_shared::providers::Provider;
use paybell_shared::sandbox::SandboxKeys;
use paybell_shared::sandbox::payload::{sign_payload, simulated_facts};
use paybell_shared::sandbox::request::raw_callback;

use super::plan::Facts;

/// The references by which a provider's callbacks find an order that they do not name, such as the address that the
/// money goes to; empty where they name it.
pub fn order_references(provider: &Provider, keys: &SandboxKeys, facts: &Facts) -> Vec<Reference> {
    let Some((main, _)) = provider.main_payload() else { return Vec::new() };
    let Facts { account, order_id, amount, now, .. } = facts;
    let simulated = simulated_facts(account, provider.name, order_id, main, amount, amount, *now);
    let Ok(request) = sign_payload(provider, keys, main, &simulated) else { return Vec::new() };
    let raw = raw_callback(&facts.account, provider.name, &request);
    let credentials = Credentials { key_sets: vec![KeySet::new("sandbox", keys.key_set.clone())] };
    let verified = provider.verify(&raw, &credentials, facts.now).ok();
    let verified = verified.filter(|verified| verified.origin() == Origin::Signed);
    let events = verified.and_then(|verified| provider.normalise(&verified).ok()).unwrap_or_default();
    let nameless = events.into_iter().filter(|event| event.subject_id.is_none());
    nameless.flat_map(|event| event.references).collect()
}
