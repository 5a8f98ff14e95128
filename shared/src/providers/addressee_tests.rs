//! Whose callbacks an account takes when its key set holds nothing but what the check of a signature needs.

use super::*;
use crate::domain::{Currency, Money};
use crate::sandbox::payload::{sign_payload, simulated_facts};
use crate::sandbox::request::raw_callback;
use crate::sandbox::{SandboxKeys, SignedRequest};

/// 2026-01-01T00:00:00Z.
const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const ACCOUNT: &str = "demo";

fn sandbox_keys(provider: &Provider) -> SandboxKeys {
    let file = format!("{}/fixtures/{}/keys.json", env!("CARGO_MANIFEST_DIR"), provider.name);
    let text = std::fs::read_to_string(file).expect("every provider has test keys");
    serde_json::from_str(&text).expect("keys.json holds both sides of the keys")
}

fn genuine(provider: &Provider, keys: &SandboxKeys) -> SignedRequest {
    let (main, _) = provider.main_payload().expect("every provider has a main payload");
    let currency = Currency::new(provider.home_currency).expect("a home currency is a known one");
    let amount = Money::from_minor(123_456, currency).expect("the amount is positive");
    let facts = simulated_facts(ACCOUNT, provider.name, "order0001", main, &amount, &amount, NOW);
    sign_payload(provider, keys, main, &facts).expect("the provider has the payload")
}

fn credentials(fields: &Map<String, Value>) -> Credentials {
    Credentials { key_sets: vec![KeySet::new("own", fields.clone())] }
}

/// A provider that signs for all merchants with one key wants an id that says whose callbacks are meant; one that gives
/// each merchant a key does not.
#[test]
fn a_key_set_that_fits_anybody_accepts_nothing() {
    let mut table = String::new();
    for provider in Registry::default().iter().filter(|provider| provider.signs()) {
        let keys = sandbox_keys(provider);
        let raw = raw_callback(ACCOUNT, provider.name, &genuine(provider, &keys));
        let whole = provider.accept(&raw, &credentials(&keys.key_set), NOW);
        assert!(whole.is_ok(), "{}: {whole:?}", provider.name);
        let mut fields = keys.key_set.clone();
        for name in keys.key_set.keys() {
            let mut fewer = fields.clone();
            fewer.remove(name);
            if provider.verify(&raw, &credentials(&fewer), NOW).is_ok() {
                fields = fewer;
            }
        }
        let outcome = match provider.accept(&raw, &credentials(&fields), NOW) {
            Ok(_) => "accepted".to_owned(),
            Err(rejection) => rejection.to_string(),
        };
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        table.push_str(&format!("{:<24} {}: {outcome}\n", provider.name, names.join(" ")));
    }
    insta::assert_snapshot!(table);
}
