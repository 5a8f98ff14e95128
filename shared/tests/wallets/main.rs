//! Alipay, WeChat Pay v3, UnionPay and PayPal, signed by the sandbox: round trips, tampering, mappings, keys.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

mod alipay;
mod certificates;
mod mappings;
mod qra;
mod round_trip;
mod tampering;

use std::sync::LazyLock;

use paybell_shared::callback::{Credentials, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use paybell_shared::domain::{Currency, Money, PaymentEvent};
use paybell_shared::providers::{MappingError, Provider, Registry};
use paybell_shared::sandbox::{
    Payload, Sandbox, SandboxKeys, SignedRequest, SimulatedFacts, payload_template, render,
};

const PROVIDERS: [&str; 4] = ["alipay", "paypal", "unionpay", "wechatpay_v3"];
const NOW: UnixSeconds = UnixSeconds(1_716_170_412);

/// Making keys is slow, so each provider's are made once.
static BENCHES: LazyLock<Vec<Bench>> =
    LazyLock::new(|| PROVIDERS.iter().map(|name| Bench::new(name)).collect());

/// A provider with keys of its own.
struct Bench {
    provider: &'static Provider,
    keys: SandboxKeys,
    /// The scenario `paid`, signed once.
    paid: std::sync::OnceLock<SignedRequest>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let provider = Registry::default().find(name).expect("the provider is registered");
        Self { provider, keys: provider.sandbox.generate(), paid: Default::default() }
    }

    fn of(name: &str) -> &'static Self {
        BENCHES.iter().find(|bench| bench.provider.name == name).expect("the provider has a bench")
    }

    fn sign(&self, content: String) -> SignedRequest {
        let Sandbox::Coded { sign, .. } = &self.provider.sandbox else { panic!("coded") };
        let event_id = "7000000001".to_owned();
        sign(&self.keys, &Payload { content, event_id, sent_at: NOW, path: "/".to_owned() })
    }

    fn paid(&self) -> SignedRequest {
        self.paid.get_or_init(|| self.scenario("paid")).clone()
    }

    fn scenario(&self, scenario: &str) -> SignedRequest {
        let template = payload_template(self.provider.name, scenario).expect("the scenario has a payload");
        self.sign(render(template, &facts(), &self.keys).expect("the payload names known facts"))
    }

    fn raw(&self, request: &SignedRequest) -> RawCallback {
        RawCallback::new(
            "account",
            self.provider.name,
            request.method,
            "/callbacks/account/provider",
            request.headers.clone(),
            request.body.clone(),
        )
    }

    fn credentials(&self) -> Credentials {
        Credentials { key_sets: vec![self.key_set("own")] }
    }

    fn key_set(&self, id: &str) -> KeySet {
        KeySet::new(id, self.keys.key_set.clone())
    }

    fn verify(&self, request: &SignedRequest) -> Result<Verified, Rejection> {
        self.provider.verify(&self.raw(request), &self.credentials(), NOW)
    }

    fn events(&self, request: &SignedRequest) -> Result<Vec<PaymentEvent>, MappingError> {
        let verified = self.verify(request).unwrap_or_else(|rejection| panic!("genuine: {rejection}"));
        self.provider.normalise(&verified)
    }
}

fn facts() -> SimulatedFacts {
    let money = |minor| Money::from_minor(minor, Currency::new("CNY").unwrap()).unwrap();
    SimulatedFacts {
        event_id: "7000000001".to_owned(),
        order_id: "ORDER-1".to_owned(),
        transaction_id: "T1".to_owned(),
        refund_id: "R1".to_owned(),
        amount: money(1990),
        refund: money(500),
        now: NOW,
        path: "/".to_owned(),
    }
}

/// One line for one event: kind, subject, transaction, amount, then what is set of the rest.
fn line(event: &PaymentEvent) -> String {
    let mut line = event.kind.name().to_owned();
    let amount = event
        .amount
        .as_ref()
        .map(|amount| format!("{}{}", amount, if event.amount_is_cumulative { " so far" } else { "" }));
    for (name, value) in [
        ("", event.subject_id.clone()),
        ("transaction=", event.transaction_id.clone()),
        ("refund=", event.refund_id.clone()),
        ("dispute=", event.dispute_id.clone()),
        ("", amount),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {name}{value}"));
        }
    }
    for reference in &event.references {
        line.push_str(&format!(" ~{}", reference.0));
    }
    line
}
