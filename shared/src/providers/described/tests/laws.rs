//! What holds for every described provider and every way in which it may sign.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::callback::{KeySet, Rejection};
use crate::config;
use crate::domain::{Currency, Money, PaymentEvent};
use crate::providers::{Provider, Registry};
use crate::sandbox::{Sandbox, SimulatedFacts};

use super::*;

const OWN_PROVIDER: &str = include_str!("../../../../fixtures/own_provider/paybell.toml");

/// The described providers that sign in headers alone; the conformance suite has all of them.
const NAMES: &[&str] = &["razorpay", "standard_webhooks", "stripe", "harbour_pay"];

/// A genuine request of one provider with the keys that prove it.
struct Case {
    provider: &'static Provider,
    keys: SandboxKeys,
    request: SignedRequest,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let own = config::described_providers(OWN_PROVIDER).unwrap();
    let registry = Registry::new(own);
    let mut cases = Vec::new();
    for provider in registry.iter() {
        let Sandbox::Described(description) = &provider.sandbox else { continue };
        if !NAMES.contains(&provider.name) {
            continue;
        }
        for keys in description.generate_all_keys() {
            let payload = provider.payload("paid", &facts(), &keys).unwrap();
            let request = provider.sandbox.sign(&keys, &payload).unwrap();
            cases.push(Case { provider, keys, request });
        }
    }
    cases
});

fn facts() -> SimulatedFacts {
    let euros = |minor| Money::from_minor(minor, Currency::new("EUR").unwrap()).unwrap();
    SimulatedFacts {
        event_id: "event-1".to_owned(),
        order_id: "A-1".to_owned(),
        transaction_id: "p-1".to_owned(),
        refund_id: "r-1".to_owned(),
        amount: euros(1999),
        refund: euros(500),
        now: NOW,
        path: "/".to_owned(),
    }
}

impl Case {
    fn verify(&self, request: &SignedRequest, now: UnixSeconds) -> Result<(), Rejection> {
        let raw = raw(self.provider.name, request);
        self.provider.verify(&raw, &credentials(&self.keys), now).map(|_| ())
    }

    fn header(&self, at: prop::sample::Index) -> usize {
        // The content type is the one header that is not part of the proof.
        at.index(self.request.headers.len() - 1)
    }

    fn is_timed(&self) -> bool {
        self.provider.name != "razorpay"
    }
}

#[test]
fn all_four_are_among_the_cases() {
    let names: Vec<&str> = CASES.iter().map(|case| case.provider.name).collect();
    assert_eq!(names, ["razorpay", "standard_webhooks", "standard_webhooks", "stripe", "harbour_pay"]);
    for case in CASES.iter() {
        case.verify(&case.request, NOW).unwrap();
    }
}

#[test]
fn every_scenario_reads_as_its_event() {
    for case in CASES.iter() {
        for (scenario, kind, minor) in [
            ("paid", "payment.captured", 1999),
            ("failed", "payment.failed", 1999),
            ("refunded", "refund.succeeded", 500),
            ("partial-refund", "refund.succeeded", 500),
        ] {
            let payload = case.provider.payload(scenario, &facts(), &case.keys).unwrap();
            let request = case.provider.sandbox.sign(&case.keys, &payload).unwrap();
            let raw = raw(case.provider.name, &request);
            let verified = case.provider.verify(&raw, &credentials(&case.keys), NOW).unwrap();
            let events = case.provider.normalise(&verified).unwrap();
            let [event] = events.as_slice() else { panic!("{} {scenario}: {events:?}", case.provider.name) };
            check_event(event, case.provider.name, kind, minor);
        }
    }
}

fn check_event(event: &PaymentEvent, provider: &str, kind: &str, minor: i128) {
    assert_eq!((event.kind.name(), event.provider.as_str()), (kind, provider));
    assert_eq!(event.amount.as_ref().map(Money::amount_minor), Some(minor), "{provider} {kind}");
    assert_eq!(event.transaction_id.as_deref(), Some("p-1"), "{provider} {kind}");
    assert_eq!(event.refund_id.as_deref(), kind.starts_with("refund").then_some("r-1"));
    assert!(!event.references.is_empty(), "{provider} {kind}: nothing ties it to its order");
    assert!(kind.starts_with("refund") || event.subject_id.as_deref() == Some("A-1"), "{provider} {kind}");
    assert!(event.occurred_at.is_some(), "{provider} {kind}");
}

#[test]
fn a_blank_or_absent_secret_proves_nothing() {
    for case in CASES.iter() {
        let field = case.keys.private.keys().next().unwrap();
        for blank in [Value::Null, "".into(), " ".into(), Value::Array(Vec::new())] {
            let mut key_set = case.keys.key_set.clone();
            key_set.insert(field.clone(), blank);
            let credentials = Credentials { key_sets: vec![KeySet::new("test", key_set)] };
            let got = case.provider.verify(&raw(case.provider.name, &case.request), &credentials, NOW);
            assert_eq!(got.err(), Some(Rejection::unconfigured(field.as_str())), "{}", case.provider.name);
        }
    }
}

#[test]
fn the_window_is_closed_on_both_sides() {
    for case in CASES.iter().filter(|case| case.is_timed()) {
        let tolerance = if case.provider.name == "harbour_pay" { 120 } else { 300 };
        let at = |offset: i64| case.verify(&case.request, UnixSeconds(NOW.0 + offset));
        assert_eq!((at(tolerance), at(-tolerance)), (Ok(()), Ok(())));
        for age_seconds in [tolerance + 1, -tolerance - 1, 86_400, -86_400, i64::MAX - NOW.0] {
            assert_eq!(at(age_seconds), Err(Rejection::Stale { age_seconds }), "{}", case.provider.name);
        }
    }
}

proptest! {
    #[test]
    fn one_changed_byte_of_a_proof_header_is_rejected(
        case in 0..5_usize, header in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), to in 0x21..0x7f_u8,
    ) {
        let case = &CASES[case];
        let mut request = case.request.clone();
        let value = &mut request.headers[case.header(header)].1;
        let at = byte.index(value.len());
        prop_assume!(value.as_bytes()[at] != to);
        value.replace_range(at..=at, &char::from(to).to_string());
        prop_assert!(case.verify(&request, NOW).is_err());
    }

    #[test]
    fn one_changed_byte_of_the_body_is_rejected(
        case in 0..5_usize, byte in any::<prop::sample::Index>(), change in 1..=255_u8,
    ) {
        let case = &CASES[case];
        let mut request = case.request.clone();
        let at = byte.index(request.body.len());
        request.body[at] ^= change;
        prop_assert_eq!(case.verify(&request, NOW), Err(Rejection::SignatureMismatch));
    }

    #[test]
    fn a_body_cut_or_lengthened_is_rejected(
        case in 0..5_usize, cut in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let case = &CASES[case];
        let mut request = case.request.clone();
        request.body.truncate(cut.index(request.body.len() + 1));
        request.body.extend(more);
        prop_assume!(request.body != case.request.body);
        prop_assert_eq!(case.verify(&request, NOW), Err(Rejection::SignatureMismatch));
    }

    #[test]
    fn a_proof_header_dropped_emptied_cut_or_repeated_is_rejected(
        case in 0..5_usize, header in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), other in "[ -~]{0,80}",
    ) {
        let case = &CASES[case];
        let at = case.header(header);
        let (name, value) = case.request.headers[at].clone();
        let mut dropped = case.request.clone();
        dropped.headers.remove(at);
        prop_assert!(case.verify(&dropped, NOW).is_err());
        for repeated in [value.clone(), other] {
            let mut twice = case.request.clone();
            twice.headers.push((name.to_uppercase(), repeated));
            let got = case.verify(&twice, NOW).map_err(|rejection| rejection.reason());
            prop_assert_eq!(got, Err("duplicate"));
        }
        let mut short = case.request.clone();
        short.headers[at].1.truncate(cut.index(value.len()));
        prop_assert!(case.verify(&short, NOW).is_err());
    }
}
