//! Runs requests that providers and their official SDKs have signed, kept outside of this repository.
//!
//! Without the folder `../shared/vectors` beside the checkout nothing is run; the providers' own tests do not need it.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::{Credentials, KeySet, RawCallback, Rejection, UnixSeconds};
use paybell_shared::domain::PaymentEvent;
use paybell_shared::providers::{Provider, Registry};
use serde_json::{Map, Value};

#[test]
fn every_vector_of_every_provider_gives_its_verdict() {
    let Some(folder) = vectors_folder() else {
        println!("no folder of vectors beside the checkout: nothing was run");
        return;
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for provider in Registry::default().iter() {
        for vector in vectors(&folder, provider.name) {
            count += 1;
            if let Err(problem) = check(provider, &vector) {
                wrong.push(format!(
                    "{}/{}: {problem}",
                    provider.name,
                    vector["name"].as_str().unwrap_or("?")
                ));
            }
        }
    }
    println!("{count} vectors were run");
    assert!(wrong.is_empty(), "{} of {count} vectors differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn vectors_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    folder.is_dir().then_some(folder)
}

fn vectors(folder: &Path, provider: &str) -> Vec<Value> {
    match std::fs::read(folder.join(format!("{provider}.json"))) {
        Ok(bytes) => serde_json::from_slice(&bytes).expect("a file of vectors is an array"),
        Err(_) => Vec::new(),
    }
}

fn check(provider: &'static Provider, vector: &Value) -> Result<(), String> {
    let outcome = run(provider, vector);
    let expected = &vector["expect"];
    if expected["lenient_ok"].as_bool() == Some(true) {
        return Ok(());
    }
    match (expected["valid"].as_bool() == Some(true), outcome) {
        (false, Err(_)) => Ok(()),
        (false, Ok(_)) => Err("was accepted".to_owned()),
        (true, Err(rejection)) => Err(format!("was rejected: {rejection}")),
        (true, Ok(None)) => Ok(()),
        (true, Ok(Some(events))) => compare(&events?, &expected["fields"]),
    }
}

type Events = Result<Vec<PaymentEvent>, String>;

/// The events of a whole callback; none of a part.
fn run(provider: &'static Provider, vector: &Value) -> Result<Option<Events>, Rejection> {
    let raw = request(provider, vector);
    let options = vector["options"].as_object().cloned().unwrap_or_default();
    let keys = KeySet::new("vector", key_set(vector, &options));
    let option = |name: &str| options.get(name).and_then(Value::as_i64);
    let now = option("now").or_else(|| option("now_ms").map(|ms| ms.div_euclid(1000)));
    let now = UnixSeconds(now.unwrap_or(DEFAULT_NOW));
    let scheme = vector["scheme"].as_str().or_else(|| options.get("kind").and_then(Value::as_str));
    if let Some(part) = scheme.and_then(|scheme| provider.part(scheme)) {
        return (part.check)(&raw, &keys, now, &with_expectations(options, &vector["expect"])).map(|()| None);
    }
    let credentials = Credentials { key_sets: vec![keys] };
    let verified = provider.verify(&raw, &credentials, now)?;
    Ok(Some(provider.normalise(&verified).map_err(|error| error.to_string())))
}

/// For schemes without a time of receipt.
const DEFAULT_NOW: i64 = 1_700_000_000;

fn request(provider: &Provider, vector: &Value) -> RawCallback {
    let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
    let headers = vector["headers"].as_object().cloned().unwrap_or_default();
    let headers =
        headers.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()));
    let body = STANDARD.decode(text("raw_body_base64")).expect("bodies are in base64");
    RawCallback::new("account", provider.name, text("method"), text("path"), headers, body)
}

fn key_set(vector: &Value, options: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = vector["key_material"].as_object().cloned().unwrap_or_default();
    fields.extend(options.clone());
    fields.remove("now");
    fields.remove("now_ms");
    fields
}

/// A part has no events to compare: it is told what it should find.
fn with_expectations(mut options: Map<String, Value>, expected: &Value) -> Map<String, Value> {
    for source in [expected, &expected["fields"]] {
        let texts = source.as_object().into_iter().flatten().filter(|(_, value)| value.is_string());
        options.extend(texts.map(|(name, value)| (name.clone(), value.clone())));
    }
    options
}

fn compare(events: &[PaymentEvent], fields: &Value) -> Result<(), String> {
    if let Some(word) = fields["event"].as_str() {
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.name()).collect();
        match our_kinds(word) {
            Expected::Nothing if !kinds.is_empty() => return Err(format!("{word} gave {kinds:?}")),
            Expected::Nothing => return Ok(()),
            Expected::Any => {}
            Expected::Kind(kind) if !kinds.contains(&kind.as_str()) => {
                return Err(format!("{word} gave {kinds:?}"));
            }
            Expected::Kind(_) => {}
        }
    }
    if let Some(minor) = fields["amount_minor"].as_i64() {
        let amounts: Vec<i128> = events
            .iter()
            .filter_map(|event| event.amount.as_ref())
            .map(|amount| amount.amount_minor())
            .collect();
        if !amounts.contains(&i128::from(minor)) {
            return Err(format!("amount {minor} gave {amounts:?}"));
        }
    }
    if let Some(currency) = fields["currency"].as_str() {
        let amounts = events.iter().filter_map(|event| event.amount.as_ref());
        let mut codes = amounts.map(|amount| amount.currency().code());
        if !codes.all(|code| code.eq_ignore_ascii_case(currency)) {
            return Err(format!("the currency is not {currency}"));
        }
    }
    Ok(())
}

enum Expected {
    Kind(String),
    Nothing,
    /// A word outside of our vocabulary: only the verdict counts.
    Any,
}

/// The vectors' words that differ from our vocabulary.
fn our_kinds(word: &str) -> Expected {
    let kind = match word {
        "return_only" | "test" => return Expected::Nothing,
        "payment.succeeded" => "payment.captured",
        "payment.closed" => "payment.expired",
        "refund.closed" => "refund.failed",
        "refund.deposited" => "refund.succeeded",
        "mandate.unsigned" => "mandate.revoked",
        "submerchant.approved" => "merchant.approved",
        "submerchant.rejected" => "merchant.rejected",
        "pass.saved" => "token.updated",
        "pass.deleted" => "token.revoked",
        "payout.succeeded" | "settlement.split_result" | "settlement.split_returned" => "transfer.succeeded",
        "payout.failed" => "transfer.failed",
        "wallet.token" => "token.updated",
        "subscription.renewed" => "mandate.signed",
        ours => ours,
    };
    if paybell_shared::domain::EventKind::from_name(kind).is_some() {
        Expected::Kind(kind.to_owned())
    } else {
        Expected::Any
    }
}
