//! Whole callbacks, and what providers say when they are asked.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::{Origin, Verified};
use paybell_shared::providers::{FetchRequest, Provider};
use paybell_shared::sandbox::{Exchange, ProviderApi};
use serde_json::{Value, json};

use crate::cases::{Case, NOW, case, cases};
use crate::harvest;
use crate::request_text::{ACCOUNT, RequestText};

/// A callback of one provider alone, for longer runs of one protocol.
const PROVIDER_VARIABLE: &str = "PAYBELL_FUZZ_PROVIDER";

fn only_provider() -> Option<&'static str> {
    static ONLY: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(PROVIDER_VARIABLE).ok());
    ONLY.as_deref()
}

fn wanted_cases() -> impl Iterator<Item = &'static Case> {
    cases().iter().filter(|case| only_provider().is_none_or(|only| case.provider.name == only))
}

/// What is accepted means what some genuine callback means, and travels through the queue unchanged.
pub fn request(input: &[u8]) {
    let Some(mut request) = RequestText::parse(input) else { return };
    if let Some(only) = only_provider() {
        only.clone_into(&mut request.provider);
    }
    let Some(case) = case(&request.provider) else { return };
    let (provider, raw) = (case.provider, request.raw());
    let _ = provider.handshake(&raw, &case.credentials);
    if let Some(key_fetch) = provider.key_fetch {
        require_pinned(key_fetch(&raw, case.key_set()).ok().flatten().map(|key| key.request).as_ref());
    }
    let accepted = provider.accept(&raw, &case.credentials, NOW);
    let Ok(verified) = provider.verify(&raw, &case.credentials, NOW) else {
        assert!(accepted.is_err(), "accepted without a proof");
        return;
    };
    if let Ok(accepted) = accepted {
        assert!(accepted == verified, "accepted as something else than proved");
    }
    case.require_known_meaning(&verified);
    let again = Verified::from_queue(&verified.to_message()).expect("the queue's message can be read");
    assert!(again == verified, "a callback changes in the queue");
    read_everything(case, &verified);
}

fn require_pinned(request: Option<&FetchRequest>) {
    let Some(request) = request else { return };
    let prefix = format!("https://{}", request.pinned_host);
    let rest = request.url.strip_prefix(&prefix).expect("what is fetched is at the pinned host");
    // Behind a `:` might stand a password, and behind that another host.
    assert!(rest.is_empty() || rest.starts_with(['/', '?']), "another host is fetched from");
}

/// Everything that is done with a proved callback.
fn read_everything(case: &Case, verified: &Verified) {
    let provider = case.provider;
    if let Ok(events) = provider.normalise(verified) {
        let text = serde_json::to_string(&events).expect("events are texts and integers");
        let again: Vec<paybell_shared::domain::PaymentEvent> =
            serde_json::from_str(&text).expect("events can be read again");
        assert!(again == events, "an event changes when it is stored");
    }
    let _ = provider.success(verified);
    for request in provider.inquiries(verified, case.key_set()).unwrap_or_default() {
        require_pinned(Some(&request));
    }
}

/// Genuine callbacks of every provider, and the vectors.
pub fn request_seeds() -> Vec<Vec<u8>> {
    let genuine = wanted_cases().flat_map(|case| case.genuine.iter().map(|(_, request)| request));
    let vectors = harvest::vectors().iter().map(|vector| &vector.request);
    let wanted = vectors.filter(|request| only_provider().is_none_or(|only| request.provider == only));
    let mut seeds: Vec<Vec<u8>> = genuine.chain(wanted).map(RequestText::to_bytes).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

/// Whatever was proved is read or refused: the method of the request says how it came to be believed (`signed`, `opened`,
/// `hint`, `answer`).
pub fn content(input: &[u8]) {
    let Some(request) = RequestText::parse(input) else { return };
    let Some(case) = case(&request.provider) else { return };
    let Some(verified) = believed(&request) else { return };
    read_everything(case, &verified);
}

fn believed(request: &RequestText) -> Option<Verified> {
    let body = STANDARD.encode(&request.body);
    let (origin, resource) = match request.method.as_str() {
        "opened" => ("signed", Some(&body)),
        "answer" => ("answer", Some(&body)),
        "hint" => ("hint", None),
        _ => ("signed", None),
    };
    let mut message = json!({
        "version": 2, "account": ACCOUNT, "provider": request.provider, "method": "POST", "path": request.path,
        "headers": request.headers, "body_base64": body, "received_at": NOW, "key_set_id": "own",
        "origin": origin,
    });
    if let Some(resource) = resource {
        message["resource_base64"] = Value::from(resource.as_str());
    }
    Verified::from_queue(&message.to_string()).ok()
}

/// The contents of genuine callbacks and of providers' answers.
pub fn content_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in wanted_cases() {
        for (name, request) in &case.genuine {
            let Some(verified) = case.verify(request) else { continue };
            let origin = match verified.origin() {
                Origin::Hint => "hint",
                _ if verified.content() == verified.raw().body() => "signed",
                _ => "opened",
            };
            let body = verified.content().to_vec();
            seeds.push(RequestText { method: origin.to_owned(), body, ..request.clone() }.to_bytes());
            for exchange in exchanges(case, name) {
                let answer =
                    RequestText { method: "answer".to_owned(), body: body_of(&exchange), ..request.clone() };
                seeds.push(answer.to_bytes());
            }
        }
    }
    seeds
}

fn exchanges(case: &Case, payload: &str) -> Vec<Exchange> {
    case.provider.exchanges(payload, &case.facts(), &case.keys).unwrap_or_default()
}

fn body_of(exchange: &Exchange) -> Vec<u8> {
    match &exchange.body {
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    }
}

/// An answer of a provider's API, which its first line names, to everything that it is asked about a genuine callback.
pub fn answer(input: &[u8]) {
    let Some((name, body)) = named(input) else { return };
    let Some(case) = case(&name).filter(|case| case.provider.inquiry.is_some()) else { return };
    for verified in asked_about(case) {
        let Ok(requests) = case.provider.inquiries(&verified, case.key_set()) else { continue };
        let tokens = case.provider.token_request(case.key_set()).ok().flatten().map(|token| token.request);
        let exchanges = tokens.iter().chain(&requests).map(|request| answered_with(request, body));
        let _ = ProviderApi::with(exchanges).events(case.provider, &verified, case.key_set(), NOW);
    }
}

fn asked_about(case: &Case) -> Vec<Verified> {
    let verified = case.genuine.iter().filter_map(|(_, request)| case.verify(request));
    verified.filter(|verified| case.provider.must_ask(verified)).take(2).collect()
}

fn answered_with(request: &FetchRequest, body: &[u8]) -> Exchange {
    let method = match request.method {
        paybell_shared::providers::FetchMethod::Get => "GET",
        paybell_shared::providers::FetchMethod::Post => "POST",
    };
    Exchange {
        method: method.to_owned(),
        url: request.url.clone(),
        question: String::new(),
        headers: Default::default(),
        basic: None,
        status: 200,
        body: Value::from(String::from_utf8_lossy(body)),
    }
}

fn named(input: &[u8]) -> Option<(String, &[u8])> {
    let at = input.iter().position(|byte| *byte == b'\n')?;
    Some((String::from_utf8_lossy(&input[..at]).into_owned(), &input[at + 1..]))
}

/// The answers of fixtures.
pub fn answer_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in wanted_cases() {
        for (name, _) in &case.genuine {
            let bodies = exchanges(case, name).into_iter().map(|exchange| body_of(&exchange));
            seeds.extend(bodies.map(|body| [case.provider.name.as_bytes(), b"\n", &body].concat()));
        }
    }
    seeds
}

/// A reader of fetched keys.
type ReadKey = fn(&[u8]) -> Option<Value>;

/// What reads the keys that are fetched, by provider and field: asked for by genuine callbacks to accounts without them.
fn key_readers() -> &'static [(String, ReadKey)] {
    static READERS: LazyLock<Vec<(String, ReadKey)>> = LazyLock::new(|| {
        let mut readers: Vec<(String, ReadKey)> = Vec::new();
        for case in cases() {
            let Some(key_fetch) = case.provider.key_fetch else { continue };
            let raws: Vec<_> = case.genuine.iter().map(|(_, request)| request.raw()).collect();
            for field in case.keys.key_set.keys() {
                let mut fields = case.keys.key_set.clone();
                fields.remove(field);
                let keys = paybell_shared::callback::KeySet::new("without", fields);
                let wanted = raws.iter().filter_map(|raw| key_fetch(raw, &keys).ok().flatten());
                for key in wanted {
                    let name = label(case.provider, key.field);
                    if readers.iter().all(|(have, _)| *have != name) {
                        readers.push((name, key.read));
                    }
                }
            }
        }
        readers
    });
    &READERS
}

fn label(provider: &Provider, field: &str) -> String {
    format!("{}:{field}", provider.name)
}

/// A fetched key is read or refused; the first line says for which provider and field.
pub fn fetched_key(input: &[u8]) {
    let Some((name, body)) = named(input) else { return };
    for (_, read) in key_readers().iter().filter(|(have, _)| *have == name) {
        let _ = read(body);
    }
}

/// What the key sets of fixtures hold in those fields.
pub fn fetched_key_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (name, _) in key_readers() {
        let Some((provider, field)) = name.split_once(':') else { continue };
        let value = case(provider).and_then(|case| case.keys.key_set.get(field)).cloned().unwrap_or_default();
        let members = value.as_object().into_iter().flat_map(|members| members.values());
        for value in members.chain([&value]) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            seeds.push(format!("{name}\n{text}").into_bytes());
        }
    }
    seeds
}

/// A message is read and written the same, or refused without quoting what stands in it.
pub fn queue_message(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Verified::from_queue(text) {
        Ok(verified) => {
            let again = Verified::from_queue(&verified.to_message()).expect("what was written can be read");
            assert!(again == verified, "a message changes when it is written anew");
            if let Some(case) = case(verified.provider()) {
                read_everything(case, &verified);
            }
        }
        Err(error) => assert!(error.to_string().len() < 256, "an error quotes the message"),
    }
}

/// The messages of genuine callbacks.
pub fn queue_message_seeds() -> Vec<Vec<u8>> {
    let verified = wanted_cases()
        .filter_map(|case| case.genuine.first().and_then(|(_, request)| case.verify(request)))
        .map(|verified| verified.to_message().into_bytes());
    verified.collect()
}
