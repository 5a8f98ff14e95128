//! The providers with their test keys, and what their genuine callbacks mean.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use paybell_shared::callback::{Credentials, KeySet, Origin, UnixSeconds, Verified};
use paybell_shared::domain::{Currency, Money};
use paybell_shared::providers::{Covers, Provider, Registry};
use paybell_shared::sandbox::{SandboxKeys, SignedRequest, SimulatedFacts};

use crate::harvest;
use crate::request_text::{ACCOUNT, RequestText};

/// The time of receipt: 2026-01-01T00:00:00Z, at which the fixtures are signed.
pub const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

/// One provider.
pub struct Case {
    /// The provider.
    pub provider: &'static Provider,
    /// Both sides of its test keys.
    pub keys: SandboxKeys,
    /// The account's credentials.
    pub credentials: Credentials,
    /// Genuine callbacks, the name of their payload first.
    pub genuine: Vec<(&'static str, RequestText)>,
    /// What genuine callbacks, and those vectors that are none, may mean: no other may be accepted.
    meanings: BTreeSet<String>,
}

/// All providers that have test keys.
pub fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> =
        LazyLock::new(|| Registry::default().iter().filter_map(Case::new).collect());
    &CASES
}

/// The provider of this name.
pub fn case(name: &str) -> Option<&'static Case> {
    cases().iter().find(|case| case.provider.name == name)
}

impl Case {
    fn new(provider: &'static Provider) -> Option<Self> {
        let file = std::fs::read(harvest::fixtures().join(provider.name).join("keys.json")).ok()?;
        let keys: SandboxKeys = serde_json::from_slice(&file).ok()?;
        let credentials = Credentials { key_sets: vec![KeySet::new("own", keys.key_set.clone())] };
        let mut case = Self { provider, keys, credentials, genuine: Vec::new(), meanings: BTreeSet::new() };
        case.genuine = case.sign_all();
        let vectors = harvest::vectors().iter().map(|vector| &vector.request);
        let own = vectors.filter(|request| request.provider == provider.name);
        let all: Vec<&RequestText> = case.genuine.iter().map(|(_, request)| request).chain(own).collect();
        let accepted = all.into_iter().filter_map(|request| case.verify(request));
        case.meanings = accepted.map(|verified| case.meaning(&verified)).collect();
        Some(case)
    }

    /// The account's one key set.
    pub fn key_set(&self) -> &KeySet {
        &self.credentials.key_sets[0]
    }

    /// The facts of a payload.
    pub fn facts(&self) -> SimulatedFacts {
        let money = |amount_minor| {
            let currency = Currency::new(self.provider.home_currency).expect("a home currency is known");
            Money::from_minor(amount_minor, currency).expect("the amount is positive")
        };
        SimulatedFacts {
            event_id: "11111111111111111111".to_owned(),
            order_id: "fuzz0001".to_owned(),
            transaction_id: "22222222222222222222".to_owned(),
            refund_id: "33333333333333333333".to_owned(),
            amount: money(123_456),
            refund: money(1_234),
            now: NOW,
            path: format!("/callbacks/{ACCOUNT}/{}", self.provider.name),
        }
    }

    fn sign_all(&self) -> Vec<(&'static str, RequestText)> {
        let sign = |name: &'static str| {
            let payload = self.provider.payload(name, &self.facts(), &self.keys).ok()?;
            let signed = self.provider.sandbox.sign(&self.keys, &payload).ok()?;
            Some((name, self.sent(&signed)))
        };
        self.provider.payloads().into_iter().filter_map(sign).collect()
    }

    /// A signed request as it is sent.
    pub fn sent(&self, request: &SignedRequest) -> RequestText {
        let mark = if request.query.is_empty() { "" } else { "?" };
        let path = &self.facts().path;
        RequestText {
            provider: self.provider.name.to_owned(),
            method: request.method.to_owned(),
            path: format!("{path}{}{mark}{}", request.further_path(), request.query),
            headers: request.sent_headers().cloned().collect(),
            body: request.body.clone(),
        }
    }

    /// The proof of a request, as the callback function seeks it.
    pub fn verify(&self, request: &RequestText) -> Option<Verified> {
        self.provider.verify(&request.raw(), &self.credentials, NOW).ok()
    }

    /// What a proved callback means: its events, or why there are none.
    pub fn meaning(&self, verified: &Verified) -> String {
        match self.provider.normalise(verified) {
            Ok(events) => serde_json::to_string(&events).expect("events are texts and integers"),
            Err(error) => error.to_string(),
        }
    }

    /// # Panics
    /// When a callback is accepted that means something that no genuine one means.
    pub fn require_known_meaning(&self, verified: &Verified) {
        if verified.origin() == Origin::Hint || self.provider.covers == Covers::Nothing {
            return;
        }
        let meaning = self.meaning(verified);
        let name = self.provider.name;
        assert!(self.meanings.contains(&meaning), "{name} accepts what nobody signed: {meaning}");
    }
}
