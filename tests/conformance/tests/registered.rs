//! Payments that a merchant has registered and no callback mentions: every provider that can be asked by an id of theirs
//! is asked what its callback would lead to, and its answer says the same.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use std::collections::BTreeSet;

use paybell_conformance::{ACCOUNT, Case, NOW, ORDER_ID, cases, has_all_cases, key_set};
use paybell_shared::callback::{Origin, Verified};
use paybell_shared::domain::{PaymentEvent, Reference};
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::ProviderApi;
use paybell_shared::sandbox::payload::exchanges;

/// The providers that can be asked by an id which a merchant knows when it registers an order, and what that is.
const BY_REGISTERED_ID: &[(&str, Id)] = &[
    ("bitpay", Id::Transaction),
    ("flutterwave", Id::Transaction),
    ("gocardless", Id::Transaction),
    ("mercadopago", Id::Transaction),
    ("midtrans", Id::Order),
    ("mollie", Id::Transaction),
    ("revolut", Id::Transaction),
    ("xendit", Id::Transaction),
];

/// What the merchant knows the payment by.
#[derive(Clone, Copy)]
enum Id {
    /// The provider's id, which it gave when the payment was made.
    Transaction,
    /// The merchant's own number of the order.
    Order,
}

fn hint(case: &Case, id: &str) -> Option<Verified> {
    Registry::default().hint_of(ACCOUNT, &Reference::new(case.name(), id), NOW)
}

#[test]
fn m11_a_registered_id_leads_to_the_question_that_the_provider_answers() {
    let mut asked = BTreeSet::new();
    for case in cases() {
        let Some((_, known_by)) = BY_REGISTERED_ID.iter().find(|(name, _)| *name == case.name()) else {
            continue;
        };
        asked.insert(case.name());
        let callback = case.raw(&case.request("paid"));
        let callback = case.provider.verify(&callback, &case.credentials(), NOW).unwrap();
        let answers = case.events("paid");
        let paid = answers.iter().find(|event| event.kind.name() == "payment.captured").unwrap();
        let id = match known_by {
            Id::Transaction => paid.transaction_id.as_deref().unwrap(),
            Id::Order => ORDER_ID,
        };
        let hint = hint(case, id).unwrap_or_else(|| panic!("{}: `{id}` cannot be asked about", case.name()));
        assert_eq!((hint.origin(), hint.account()), (Origin::Hint, ACCOUNT), "{}", case.name());
        assert!(case.provider.must_ask(&hint), "{}: it changes nothing by itself", case.name());

        let keys = key_set("own", &case.keys);
        let questions = case.provider.inquiries(&hint, &keys).unwrap();
        assert_eq!(questions, case.provider.inquiries(&callback, &keys).unwrap(), "{}", case.name());
        let exchanges = exchanges(case.provider, &case.keys, "paid", &case.facts("paid", NOW)).unwrap();
        let told = ProviderApi::with(exchanges).events(case.provider, &hint, &keys, NOW);
        let told = told.unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        // What the callback proves by itself is in `answers`, too.
        assert!(told.contains(paid) && told.iter().all(|event| answers.contains(event)), "{}", case.name());
        assert_eq!(subjects(&told), BTreeSet::from([ORDER_ID.to_owned()]), "{}", case.name());
        // Somebody else's credentials reach nothing.
        let strangers = key_set("other", &case.other_keys);
        let asked_by_stranger = case.provider.inquiries(&hint, &strangers);
        assert_ne!(asked_by_stranger.ok(), Some(questions), "{}", case.name());
    }
    let expected: BTreeSet<&str> = BY_REGISTERED_ID.iter().map(|(name, _)| *name).collect();
    assert!(asked == expected || !has_all_cases(), "{asked:?}");
}

fn subjects(events: &[PaymentEvent]) -> BTreeSet<String> {
    events.iter().filter_map(|event| event.subject_id.clone()).collect()
}

#[test]
fn m11_no_other_provider_is_asked_by_an_id() {
    for case in cases().iter().filter(|case| BY_REGISTERED_ID.iter().all(|(name, _)| *name != case.name())) {
        for id in ["1", "tr_1", "PM1", ORDER_ID, "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(hint(case, id), None, "{}: add it to the list of those that are", case.name());
        }
    }
}

#[test]
fn m11_an_invoice_of_xendit_is_asked_about_as_an_invoice() {
    let xendit = Registry::default().find("xendit").unwrap();
    let hint = xendit.hint_of(ACCOUNT, "5f4708b7bd394b0400b96276", NOW).unwrap();
    let keys = paybell_shared::callback::KeySet::new("own", xendit.sandbox.generate().key_set);
    let questions = xendit.inquiries(&hint, &keys).unwrap();
    let urls: Vec<&str> = questions.iter().map(|question| question.url.as_str()).collect();
    assert_eq!(urls, ["https://api.xendit.co/v2/invoices/5f4708b7bd394b0400b96276"]);
}
