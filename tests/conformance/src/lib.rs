//! What every provider is put through, whatever its protocol: cases from its sandbox, and what may be done to them.

pub mod fixtures;
pub mod mutations;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use paybell_shared::callback::{Credentials, KeySet, Origin, RawCallback, UnixSeconds, Verified};
use paybell_shared::domain::{Currency, Money, PaymentEvent};
use paybell_shared::providers::{Provider, Registry, Reply};
use paybell_shared::sandbox::payload::{exchanges, sign_payload, simulated_facts};
use paybell_shared::sandbox::request::raw_callback;
use paybell_shared::sandbox::vector::{Verdict, judge};
use paybell_shared::sandbox::{Payload, ProviderApi, SandboxKeys, SignedRequest, SimulatedFacts, render};

/// The time of receipt in all cases: 2026-01-01T00:00:00Z.
pub const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
/// The order in all cases.
pub const ORDER_ID: &str = "conformance0001";
/// The account in all cases.
pub const ACCOUNT: &str = "demo";
/// What the order asks for, in minor units.
pub const AMOUNT_MINOR: i128 = 123_456;
/// What a partial refund gives back, in minor units.
pub const REFUND_MINOR: i128 = 1_234;

/// One provider with its test keys.
pub struct Case {
    /// The provider.
    pub provider: &'static Provider,
    /// Its own keys.
    pub keys: SandboxKeys,
    /// Keys of somebody else.
    pub other_keys: SandboxKeys,
}

/// Names the only providers that are put through the suite, with commas between; all are when it is not set.
pub const PROVIDERS_VARIABLE: &str = "PAYBELL_CONFORMANCE_PROVIDERS";

/// All built-in providers, or those that [`PROVIDERS_VARIABLE`] names, with the keys of their fixture folders, else with
/// new ones.
pub fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let registry = Registry::default();
        let Ok(names) = std::env::var(PROVIDERS_VARIABLE) else {
            return registry.iter().map(Case::new).collect();
        };
        let find = |name| registry.find(name).unwrap_or_else(|| panic!("{PROVIDERS_VARIABLE}: `{name}`"));
        names.split(',').map(|name| Case::new(find(name))).collect()
    });
    &CASES
}

/// Whether [`cases`] has every provider of the registry.
pub fn has_all_cases() -> bool {
    cases().len() == Registry::default().iter().count()
}

/// The checkout's top folder.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A provider's fixture folder.
pub fn fixture_folder(provider: &str) -> PathBuf {
    repository().join("shared/fixtures").join(provider)
}

impl Case {
    fn new(provider: &'static Provider) -> Self {
        let kept = std::fs::read_to_string(fixture_folder(provider.name).join("keys.json"));
        let kept = kept
            .ok()
            .map(|text| serde_json::from_str(&text).expect("keys.json holds both sides of the keys"));
        let generate = || provider.sandbox.generate();
        Self { provider, keys: kept.unwrap_or_else(generate), other_keys: generate() }
    }

    /// The provider's name.
    pub fn name(&self) -> &'static str {
        self.provider.name
    }

    /// The payloads that it has, the main one first.
    pub fn payloads(&self) -> Vec<&'static str> {
        self.provider.payloads()
    }

    /// The payload with which it tells what it is there for, such as `paid`.
    pub fn main(&self) -> &'static str {
        self.provider.main_payload().expect("every provider has a main payload").0
    }

    /// The account's credentials: one active set.
    pub fn credentials(&self) -> Credentials {
        Credentials { key_sets: vec![key_set("own", &self.keys)] }
    }

    /// The callback of a payload, signed at `sent_at`.
    pub fn request_at(&self, payload: &str, sent_at: UnixSeconds) -> SignedRequest {
        sign_payload(self.provider, &self.keys, payload, &self.facts(payload, sent_at))
            .expect("the provider has the payload")
    }

    /// The callback of a payload, signed at [`NOW`].
    pub fn request(&self, payload: &str) -> SignedRequest {
        self.request_at(payload, NOW)
    }

    /// The facts of a payload.
    pub fn facts(&self, payload: &str, now: UnixSeconds) -> SimulatedFacts {
        let amount = self.money(AMOUNT_MINOR);
        let refund = if payload == "partial-refund" { self.money(REFUND_MINOR) } else { amount.clone() };
        simulated_facts(ACCOUNT, self.name(), ORDER_ID, payload, &amount, &refund, now)
    }

    /// The template of a payload.
    pub fn template(&self, payload: &str) -> &str {
        self.provider.payload_template(payload).expect("the provider has the payload")
    }

    /// What the provider tells with a payload, before it is signed in the provider's own form.
    pub fn content(&self, payload: &str) -> String {
        render(self.template(payload), &self.facts(payload, NOW), &self.keys)
            .expect("the template is complete")
    }

    /// A content as the provider would sign it at [`NOW`].
    pub fn signed(&self, content: String) -> SignedRequest {
        let facts = self.facts(self.main(), NOW);
        let payload = Payload { content, event_id: facts.event_id, sent_at: NOW, path: facts.path };
        self.provider.sandbox.sign(&self.keys, &payload).expect("the sandbox signs every content")
    }

    /// The request as the callback function sees it.
    pub fn raw(&self, request: &SignedRequest) -> RawCallback {
        raw_callback(ACCOUNT, self.name(), request)
    }

    /// The verdict with the account's own credentials at [`NOW`].
    pub fn judge(&self, request: &SignedRequest) -> Verdict {
        self.judge_with(request, &self.credentials(), NOW)
    }

    /// The verdict with other credentials or at another time.
    pub fn judge_with(
        &self,
        request: &SignedRequest,
        credentials: &Credentials,
        now: UnixSeconds,
    ) -> Verdict {
        judge(self.provider, &self.raw(request), credentials, now)
    }

    /// How a genuine request must be answered.
    pub fn success(&self, request: &SignedRequest) -> Reply {
        let verified = self.provider.verify(&self.raw(request), &self.credentials(), NOW);
        self.provider.success(&verified.expect("the request is genuine"))
    }

    /// What comes of a request: as [`Case::judge`], but nothing comes of a hint itself, whatever it claims.
    pub fn effect(&self, request: &SignedRequest) -> Verdict {
        match self.provider.verify(&self.raw(request), &self.credentials(), NOW) {
            Ok(verified) if verified.origin() == Origin::Hint => Verdict::Genuine(Vec::new()),
            _ => self.judge(request),
        }
    }

    /// The events of a genuine payload: those that it proves, and those of the provider's answer where it is asked.
    pub fn events(&self, payload: &str) -> Vec<PaymentEvent> {
        let verified = self.provider.verify(&self.raw(&self.request(payload)), &self.credentials(), NOW);
        let verified = verified.unwrap_or_else(|error| panic!("{} {payload}: {error}", self.name()));
        self.events_of(&verified, payload)
    }

    /// The events of a genuine payload that was proved already.
    pub fn events_of(&self, verified: &Verified, payload: &str) -> Vec<PaymentEvent> {
        let unreadable = |error| panic!("{} {payload} is genuine, but: {error}", self.name());
        let exchanges = exchanges(self.provider, &self.keys, payload, &self.facts(payload, NOW))
            .unwrap_or_else(|error| panic!("{} {payload}: {error}", self.name()));
        if exchanges.is_empty() {
            return self.provider.normalise(verified).unwrap_or_else(unreadable);
        }
        let mut events = match verified.origin() {
            Origin::Hint => Vec::new(),
            _ => self.provider.normalise(verified).unwrap_or_else(unreadable),
        };
        let answered =
            ProviderApi::with(exchanges).events(self.provider, verified, &key_set("own", &self.keys), NOW);
        events.extend(answered.unwrap_or_else(unreadable));
        events
    }

    fn money(&self, amount_minor: i128) -> Money {
        let currency = Currency::new(self.provider.home_currency).expect("a home currency is a known one");
        Money::from_minor(amount_minor, currency).expect("the amount is positive")
    }
}

/// The account's side of the keys as an active set.
pub fn key_set(id: &str, keys: &SandboxKeys) -> KeySet {
    KeySet::new(id, keys.key_set.clone())
}

/// A verdict in one word: `genuine`, `unreadable`, or the rejection's reason.
pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Unreadable(_) => "unreadable",
        other => other.reason().unwrap_or("genuine"),
    }
}

/// Collects what went wrong over all providers, so that one run tells all of it.
#[derive(Default)]
pub struct Findings(BTreeMap<String, u64>);

impl Findings {
    /// Notes one; the same again is counted.
    pub fn note(&mut self, finding: String) {
        *self.0.entry(finding).or_default() += 1;
    }

    /// Fails when there are any.
    pub fn assert_none(self) {
        let lines: Vec<String> =
            self.0.iter().map(|(finding, count)| format!("{finding} ({count} times)")).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
