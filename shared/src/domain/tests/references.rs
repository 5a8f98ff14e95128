//! The law: in any order of arrival, duplicated, batched, interleaved and interrupted anywhere, the same orders come out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::store::{Store, Worker};
use super::*;

const ACCOUNT: &str = "acme";
const REFERENCES: usize = 6;

#[derive(Clone, Debug)]
enum Work {
    Event(PaymentEvent),
    Register(Subject, Expectation),
}

fn references(mask: u8) -> Vec<Reference> {
    (0..REFERENCES).filter(|bit| mask >> bit & 1 == 1).map(|bit| Reference(format!("bank:r{bit}"))).collect()
}

fn few_references() -> impl Strategy<Value = u8> {
    prop::collection::vec(0..REFERENCES, 0..=2)
        .prop_map(|bits| bits.iter().fold(0, |mask, bit| mask | 1 << bit))
}

fn described(at: usize, kind: EventKind, subject: Option<usize>, mask: u8) -> PaymentEvent {
    let mut event = PaymentEvent::new(kind, "bank", format!("e{at}"), UnixSeconds(500));
    event.subject_id = subject.map(|id| format!("o{id}"));
    event.transaction_id = Some(format!("t{}", at % 3));
    event.refund_id = Some(format!("f{}", at % 2));
    event.amount = Some(money(["100", "30"][usize::from(kind == EventKind::RefundSucceeded)]));
    event.references = references(mask);
    if event.subject_id.is_none() && event.references.is_empty() {
        event.references = references(1 << (at % REFERENCES));
    }
    event
}

/// Some events, some delivered twice, some subjects registered: all in one shuffled order.
fn deliveries() -> impl Strategy<Value = Vec<Work>> {
    let kinds = prop::sample::select(vec![
        EventKind::PaymentCaptured,
        EventKind::RefundSucceeded,
        EventKind::DisputeOpened,
        EventKind::MandateSigned,
    ]);
    let event = (kinds, prop::option::weighted(0.4, 0..3_usize), few_references(), prop::bool::ANY);
    let events = prop::collection::vec(event, 1..9);
    let registrations = prop::collection::vec(prop::option::of(few_references()), 3);
    (events, registrations)
        .prop_map(|(events, registrations)| {
            let mut work = Vec::new();
            for (at, (kind, subject, mask, twice)) in events.into_iter().enumerate() {
                let event = described(at, kind, subject, mask);
                if twice {
                    let again = PaymentEvent { received_at: UnixSeconds(600), ..event.clone() };
                    work.push(Work::Event(again));
                }
                work.push(Work::Event(event));
            }
            for (id, mask) in registrations.into_iter().enumerate() {
                let Some(mask) = mask else { continue };
                let expected = Expectation { references: references(mask), ..expectation() };
                work.push(Work::Register(subject(&format!("o{id}")), expected));
            }
            work
        })
        .prop_shuffle()
}

fn plans(work: &[Work], batch: usize) -> Vec<Plan> {
    let plans = work.chunks(batch.max(1)).flat_map(|batch| {
        let events = batch.iter().filter_map(|work| match work {
            Work::Event(event) => Some(event.clone()),
            Work::Register(..) => None,
        });
        let registrations = batch.iter().filter_map(|work| match work {
            Work::Register(subject, expected) => Some(Plan::registration(subject.clone(), expected.clone())),
            Work::Event(_) => None,
        });
        Plan::group(ACCOUNT, events).into_iter().chain(registrations).collect::<Vec<_>>()
    });
    plans.collect()
}

/// The law, said once more without any plan: the least sets of ties and events that satisfy the rules.
fn least_fixed_point(work: &[Work]) -> BTreeMap<Subject, Order> {
    let mut orders: BTreeMap<Subject, Order> = BTreeMap::new();
    let mut ties: BTreeSet<(Reference, Subject)> = BTreeSet::new();
    let new = |subject: &Subject| Order::new(subject.clone());
    for work in work {
        let (subject, references) = match work {
            Work::Event(event) => {
                let Some(subject) = super::super::references::subject_of(ACCOUNT, event) else { continue };
                orders.entry(subject.clone()).or_insert_with_key(new).absorb([event.clone()]).unwrap();
                (subject, &event.references)
            }
            Work::Register(subject, expected) => {
                orders.entry(subject.clone()).or_insert_with_key(new).register(expected.clone()).unwrap();
                (subject.clone(), &expected.references)
            }
        };
        ties.extend(references.iter().map(|reference| (reference.clone(), subject.clone())));
    }
    loop {
        let before = ties.len();
        for work in work {
            let Work::Event(event) = work else { continue };
            if event.subject_id.is_some() {
                continue;
            }
            let kind = event.kind.subject_kind();
            let tied = |(reference, subject): &&(Reference, Subject)| {
                subject.kind == kind && event.references.contains(reference)
            };
            let subjects: BTreeSet<Subject> =
                ties.iter().filter(tied).map(|(_, subject)| subject.clone()).collect();
            for subject in subjects {
                orders.entry(subject.clone()).or_insert_with_key(new).absorb([event.clone()]).unwrap();
                ties.extend(event.references.iter().map(|reference| (reference.clone(), subject.clone())));
            }
        }
        if ties.len() == before {
            break;
        }
    }
    for (reference, subject) in &ties {
        let others = ties.iter().filter(|(other, at)| other == reference && at.kind == subject.kind);
        if others.count() > 1 {
            orders.entry(subject.clone()).or_insert_with_key(new).mark_shared(reference.clone());
        }
    }
    orders
}

fn without_versions(orders: &BTreeMap<Subject, Order>) -> BTreeMap<Subject, Order> {
    orders.iter().map(|(subject, order)| (subject.clone(), Order { version: 0, ..order.clone() })).collect()
}

/// Runs up to three workers at once; each byte of the schedule moves one of them, or kills it.
fn interleave(plans: Vec<Plan>, schedule: &[u8]) -> Store {
    let mut store = Store::default();
    let mut waiting = plans.into_iter().map(Worker::new);
    let mut running: Vec<Worker> = waiting.by_ref().take(3).collect();
    let mut schedule = schedule.iter();
    while !running.is_empty() {
        let byte = usize::from(schedule.next().copied().unwrap_or(0xff));
        let at = byte % running.len();
        if byte >> 4 == 0 {
            running[at].restart();
        } else if running[at].step(&mut store) {
            running.swap_remove(at);
            running.extend(waiting.next());
        }
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_orders_come_out(
        work in deliveries(),
        batch in 1..5_usize,
        schedule in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let expected = least_fixed_point(&work);
        let store = interleave(plans(&work, batch), &schedule);
        prop_assert_eq!(&without_versions(&store.orders), &expected);
        for (subject, order) in &expected {
            prop_assert_eq!(store.orders[subject].state(), order.state());
        }
    }

    #[test]
    fn what_is_delivered_again_is_only_read(work in deliveries(), batch in 1..5_usize) {
        let mut store = Store::default();
        for plan in plans(&work, batch) {
            Worker::new(plan).run(&mut store);
        }
        let writes = store.writes;
        for plan in plans(&work, 1) {
            Worker::new(plan).run(&mut store);
        }
        prop_assert_eq!(store.writes, writes);
    }
}

#[test]
fn a_duplicate_of_an_event_that_names_its_order_costs_one_read() {
    let mut store = Store::default();
    let captured = described(0, EventKind::PaymentCaptured, Some(1), 0b11);
    let plan = || Plan::group(ACCOUNT, [captured.clone()]).remove(0);
    Worker::new(plan()).run(&mut store);
    assert_eq!(store.writes, 3, "two ties and the order");
    let mut again = plan();
    let home = again.home().unwrap().clone();
    assert_eq!(again.next(), Ok(Some(Ask::Load(home.clone()))));
    again.loaded(home.clone(), store.orders.get(&home).cloned());
    assert_eq!(again.next(), Ok(None));
    let folded = again.finish().unwrap();
    assert_eq!(folded.changed, []);
    assert_eq!(folded.home.as_ref(), store.orders.get(&home));
}

#[test]
fn parked_attempts_do_not_crowd_out_the_payment() {
    let mut store = Store::default();
    let mut perform = |plans: Vec<Plan>| plans.into_iter().for_each(|plan| Worker::new(plan).run(&mut store));
    let loose = |at, kind| described(at, kind, None, 1);
    let attempts = (0..2 * EVENTS_MAX).map(|at| loose(at, EventKind::PaymentFailed));
    perform(Plan::group(ACCOUNT, attempts));
    perform(Plan::group(ACCOUNT, [loose(9_999, EventKind::PaymentCaptured)]));
    let expected = Expectation { references: references(1), ..expectation() };
    perform(vec![Plan::registration(subject("o0"), expected)]);
    let order = &store.orders[&subject("o0")];
    assert_eq!(order.events.len(), ATTEMPTS_MAX + 1);
    assert_eq!(order.state().captured_minor, 100);
}

#[test]
fn an_event_that_names_nothing_is_refused() {
    let mut event = described(0, EventKind::RefundSucceeded, None, 1);
    event.references.clear();
    let plan = Plan::group(ACCOUNT, [event]).remove(0);
    assert_eq!(plan.next(), Err(OrderError::Unaddressed { event_id: "bank:e0".to_owned() }));
}

#[test]
fn a_conflicting_registration_ties_nothing() {
    let home = subject("o1");
    let other = Expectation { user: "bob".to_owned(), references: references(1), ..expectation() };
    let mut plan = Plan::registration(home.clone(), other);
    plan.loaded(home, Some(registered("")));
    assert_eq!(plan.next(), Err(OrderError::Conflict { field: "user" }));
}

#[test]
fn references_without_end_are_refused() {
    let mut plan = Plan::group(ACCOUNT, [described(0, EventKind::RefundSucceeded, None, 1)]).remove(0);
    for _ in 0..=super::super::references::ASKS_MAX {
        plan.learned(Reference("bank:r0".to_owned()), ReferenceRecord::default());
    }
    assert_eq!(plan.next(), Err(OrderError::TooManyReferences));
}

#[test]
fn a_reference_holds_so_many_parked_events() {
    let loose = |at: usize| described(at, EventKind::DisputeOpened, None, 1);
    for (parked, is_full) in [(EVENTS_MAX - 1, false), (EVENTS_MAX, true)] {
        let mut plan = plans(&[Work::Event(loose(parked))], 1).remove(0);
        assert_eq!((plan.account(), plan.home()), (ACCOUNT, None));
        let record =
            ReferenceRecord { parked: (0..parked).map(loose).collect(), ..ReferenceRecord::default() };
        plan.learned(references(1).remove(0), record);
        match plan.next() {
            Err(OrderError::TooManyEvents) => assert!(is_full, "{parked}"),
            Ok(Some(Ask::Park(..))) => assert!(!is_full, "{parked}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_order_tells_every_reference_that_it_knows() {
    let mut order = Order::new(subject("o1"));
    order.absorb([described(0, EventKind::PaymentCaptured, Some(1), 0b1)]).unwrap();
    order.register(Expectation { references: references(0b10), ..expectation() }).unwrap();
    assert_eq!(order.references().into_iter().cloned().collect::<Vec<_>>(), references(0b11));
}
