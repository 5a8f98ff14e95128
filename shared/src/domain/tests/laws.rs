//! Algebraic laws of the set and of what is derived from it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Events that meet often enough to contradict each other.
fn any_event() -> impl Strategy<Value = PaymentEvent> {
    let payment = ("pending|authorized|captured|captured|captured|failed|cancelled|expired", "t1|t2|t3|-");
    let part = |names: &'static str| prop::sample::select(names.split('|').collect::<Vec<_>>());
    let payments =
        (part(payment.0), part(payment.1), part("|=100|=100|=1|=60|=40|=100USD"), part("|@1|@5|@1001"))
            .prop_map(|(kind, id, amount, time)| format!("{kind}/{id}{amount}{time}"));
    let refunds = (
        part("pending|succeeded|succeeded|failed"),
        part("t1|t2|-"),
        part("/r1|/r2|"),
        part("|=30|=100|=~30|=~80"),
        part("|@1|@9"),
    )
        .prop_map(|(kind, id, refund, amount, time)| format!("refund.{kind}/{id}{refund}{amount}{time}"));
    let disputes = (part("opened|won|lost"), part("t1|t2"), part("/d1|/d2"), part("|=40"), part("|@1|@9"))
        .prop_map(|(kind, id, dispute, amount, time)| format!("dispute.{kind}/{id}{dispute}{amount}{time}"));
    let text = prop_oneof![6 => payments, 3 => refunds, 1 => disputes];
    (text, 500..503_i64).prop_map(|(text, at)| PaymentEvent { received_at: UnixSeconds(at), ..event(&text) })
}

fn some_events() -> impl Strategy<Value = Vec<PaymentEvent>> {
    prop::collection::vec(any_event(), 0..8)
}

fn union(sets: &[&[PaymentEvent]]) -> Order {
    let mut order = registered("");
    for set in sets {
        order.absorb(set.iter().cloned()).unwrap();
    }
    order
}

/// What a notification is about, apart from where the order stood when it was told.
fn fact(told: &Notification) -> impl PartialEq + std::fmt::Debug + use<> {
    let captured = told.amount.clone().filter(|_| told.kind == "payment.captured");
    // A refund that names no transaction may be found to belong to one later on.
    let transaction = told.transaction_id.clone().filter(|_| told.part_id.is_none());
    // That it came late is told once, whichever of its reasons was known then.
    let reason = told.reason.filter(|_| told.kind != notification::ORDER_LATE_PAID);
    (told.kind.clone(), transaction, told.part_id.clone(), reason, captured)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn absorbing_is_a_union(a in some_events(), b in some_events(), c in some_events()) {
        prop_assert_eq!(union(&[&a, &b]), union(&[&b, &a]));
        let mut bc = order("");
        bc.absorb(b.iter().chain(&c).cloned()).unwrap();
        let bc: Vec<_> = bc.events.into_values().collect();
        prop_assert_eq!(union(&[&a, &b, &c]), union(&[&a, &bc]));
        let mut again = union(&[&a]);
        prop_assert_eq!(again.absorb(a.iter().cloned()), Ok(false));
        prop_assert_eq!(again, union(&[&a]));
    }

    #[test]
    fn sums_and_statuses_agree(events in some_events(), is_registered in any::<bool>()) {
        let mut order = order("");
        order.absorb(events).unwrap();
        if is_registered {
            order.register(expectation()).unwrap();
        }
        let state = order.state();
        let sums = [state.authorized_minor, state.captured_minor, state.refunded_minor, state.disputed_minor];
        prop_assert!(sums.iter().all(|minor| *minor >= 0));
        prop_assert!(state.refund_due.iter().all(|due| due.amount_minor > 0));
        prop_assert_eq!(state.status == Status::Unclaimed, !is_registered);
        prop_assert_eq!(state.status == Status::Held, is_registered && state.reasons.iter().any(|reason| reason.holds()));
        if !state.reasons.contains(&Reason::RefundExceedsCaptured) {
            prop_assert!(state.refunded_minor <= state.captured_minor);
        }
        if state.status == Status::Paid {
            // A surplus is gone before an order is paid: what is left is what was asked for.
            let lost: i128 = lost_minor(&state);
            prop_assert_eq!(state.captured_minor - state.refunded_minor.max(0) - lost, EXPECTED_MINOR);
            prop_assert!(state.refund_due.is_empty());
        }
        if state.status == Status::Overpaid {
            prop_assert!(!state.refund_due.is_empty());
        }
        if state.captured_minor == 0 {
            let money = [Status::Paid, Status::PartiallyRefunded, Status::Refunded, Status::LatePaid, Status::Overpaid];
            prop_assert!(!money.contains(&state.status));
        }
    }

    #[test]
    fn what_was_told_is_what_is_true(
        events in prop::collection::vec(any_event(), 0..12),
        registered_after in 0..12_usize,
    ) {
        let mut order = order("");
        let mut told: BTreeMap<String, Notification> = BTreeMap::new();
        for at in 0..=events.len().max(registered_after) {
            let old = order.clone();
            if let Some(event) = events.get(at) {
                order.absorb([event.clone()]).unwrap();
            }
            if at == registered_after {
                order.register(expectation()).unwrap();
            }
            let news = notifications(Some(&old), &order);
            prop_assert!(order.expected.is_some() || news.is_empty());
            prop_assert_eq!(&news, &notifications(Some(&old), &order), "told again, the same");
            let ids: BTreeSet<_> = news.iter().map(|told| &told.id).collect();
            prop_assert_eq!(ids.len(), news.len());
            for news in news {
                let first = told.entry(news.id.clone()).or_insert_with(|| news.clone());
                prop_assert_eq!(fact(first), fact(&news));
            }
            prop_assert_eq!(&notifications(Some(&order), &order), &[]);
        }
        prop_assert_eq!(facts_since(&order, UnixSeconds(i64::MIN)), notifications(None, &order));
        prop_assert_eq!(facts_since(&order, UnixSeconds(i64::MAX)), Vec::new());
        let doubted = order.state().reasons.iter().any(|reason| reason.doubts_payment());
        for fact in notifications(None, &order) {
            prop_assert!(told.contains_key(&fact.id), "{fact:?}");
            prop_assert!(!(doubted && fact.kind == "payment.captured"));
        }
    }
}

fn lost_minor(state: &OrderState) -> i128 {
    let disputes = state.transactions.iter().flat_map(|transaction| &transaction.disputes);
    disputes.filter(|dispute| dispute.status == DisputeStatus::Lost).map(|dispute| dispute.amount_minor).sum()
}
