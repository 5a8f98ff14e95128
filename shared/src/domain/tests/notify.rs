//! Who is told what, and when.

use super::*;

/// `what came before | what comes => what is told`; `register` is the registration.
fn check(table: &str) {
    for (given, expected) in rows(table) {
        let (before, then) = given.split_once('|').unwrap();
        let old = after(&Order::new(subject("o1")), before);
        let told = notifications(Some(&old), &after(&old, then));
        let told: Vec<_> = told.iter().map(summary).collect();
        assert_eq!(told.join(" "), expected.split_whitespace().collect::<Vec<_>>().join(" "), "{given}");
    }
}

fn after(order: &Order, happens: &str) -> Order {
    let mut order = order.clone();
    for text in happens.split_whitespace() {
        match text {
            "register" => order.register(expectation()).map(drop).unwrap(),
            text => order.absorb([event(text)]).map(drop).unwrap(),
        }
    }
    order
}

fn summary(told: &Notification) -> String {
    let amount = told.amount.as_ref().map(|amount| format!("={}", amount.amount_minor()));
    let reason = told.reason.map(|reason| format!(":{}", reason.name()));
    format!("{}{}{}", told.kind, amount.unwrap_or_default(), reason.unwrap_or_default())
}

#[test]
fn what_is_told() {
    check(
        "
        register | pending/t1                                => payment.pending
        register | pending/t1=100                            => payment.pending        # no money has moved
        register | captured/t1=100                           => payment.captured=100
        register captured/t1=100 | pending/t1                =>                        # late
        register captured/t1=100 | captured/t1=100@2         =>                        # told twice
        register captured/t1=100 | register captured/t1=100  =>                        # delivered twice
        register pending/t1 | failed/t1 pending/t2           => payment.failed payment.pending
        | captured/t1=100                                    =>                        # nobody to tell
        captured/t1=100 refund.succeeded/t1/r1=30 | register => payment.captured=100 refund.succeeded=30
        register | captured/t1=1                             => order.held:amount_mismatch
        captured/t1=1 | register                             => order.held:amount_mismatch
        register captured/t1=60 | captured/t2=40             => payment.captured=60 payment.captured=40  # resolved
        register captured/t1=1 | captured/t2=100             => payment.captured=1 payment.captured=100 order.overpaid=1:surplus_transaction
        register captured/t1=100@1 | captured/t2=100@2       => payment.captured=100 order.overpaid=100:surplus_transaction
        register | captured/t1=100@1001                      => payment.captured=100 order.late_paid:paid_after_expiry
        register cancelled/t1@1 | captured/t1=100@2          => payment.captured=100 order.late_paid:paid_after_closing
        register | captured/t1=1@1001                        => order.held:amount_mismatch
        register captured/t1=100 | refund.pending/t1/r1=30   => refund.pending=30
        register captured/t1=100 | refund.succeeded/t1/r1=130 => refund.succeeded=130 order.held:refund_exceeds_captured
        register captured/t1=100 refund.succeeded/t1/r1=30 | refund.failed/t1/r1=30 => refund.failed=30
        register refund.succeeded/t1/r1=30 | captured/t1=100 => payment.captured=100
        register captured/t1=100 | dispute.opened/t1/d1      => dispute.opened=100
        register dispute.opened/t1/d1 | dispute.lost/t1/d1=9 => dispute.lost=9
        ",
    );
}

#[test]
fn each_new_total_of_a_growing_capture_is_told() {
    let mut old = order("captured/t1=60");
    old.register(Expectation { amount: None, ..expectation() }).unwrap();
    let new = after(&old, "captured/t1=~100");
    let told: Vec<_> = notifications(Some(&old), &new).iter().map(summary).collect();
    assert_eq!(told, ["payment.captured=100"]);
}

#[test]
fn a_notification_names_what_it_is_about() {
    let named = |told: &[Notification], kind: &str| {
        let told = told.iter().find(|told| told.kind == kind).unwrap_or_else(|| panic!("{kind}"));
        (told.transaction_id.clone(), told.part_id.clone(), told.amount_is_cumulative)
    };
    let id = |text: &str| Some(text.to_owned());
    let given = "captured/t1=100@1 captured/t2=100@2 refund.succeeded/t1/r1=~30 dispute.opened/t1/d1=40";
    let told = notifications(None, &registered(given));
    assert_eq!(named(&told, "payment.captured"), (id("t1"), None, false));
    assert_eq!(named(&told, "refund.succeeded"), (id("t1"), id("r1"), true));
    assert_eq!(named(&told, "dispute.opened"), (id("t1"), id("d1"), false));
    assert_eq!(named(&told, "order.overpaid"), (id("t2"), None, false));
    let told = notifications(None, &registered("captured/-=100"));
    assert_eq!(named(&told, "payment.captured"), (None, None, false), "the provider gives it no id");
    let mut transfer = Order::new(Subject { kind: SubjectKind::Transfer, ..subject("o1") });
    transfer.register(expectation()).unwrap();
    transfer.absorb(events("transfer.succeeded=100")).unwrap();
    let told = notifications(None, &transfer);
    assert_eq!(told.iter().map(summary).collect::<Vec<_>>(), ["transfer.succeeded=100"]);
}

#[test]
fn an_agreement_signed_again_is_told_again() {
    let mut mandate = Order::new(Subject { kind: SubjectKind::Mandate, ..subject("o1") });
    mandate.register(Expectation { amount: None, ..expectation() }).unwrap();
    let mut ids = Vec::new();
    for text in ["mandate.signed@1", "mandate.revoked@2", "mandate.signed@3", "mandate.signed@4"] {
        let old = mandate.clone();
        mandate.absorb([event(text)]).unwrap();
        ids.extend(notifications(Some(&old), &mandate).into_iter().map(|told| told.id));
    }
    assert_eq!(ids.len(), 3);
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn ids_differ_between_accounts_and_orders() {
    let old = registered("");
    let told = |subject: Subject| {
        let mut new = Order { subject, ..old.clone() };
        new.absorb(events("captured/t1=100")).unwrap();
        notifications(None, &new).remove(0).id
    };
    let here = told(subject("o1"));
    assert_eq!(here, told(subject("o1")));
    assert_ne!(here, told(subject("o2")));
    assert_ne!(here, told(Subject { account: "other".to_owned(), ..subject("o1") }));
    assert_ne!(here, told(Subject { kind: SubjectKind::Mandate, ..subject("o1") }));
}

#[test]
fn storage_keeps_a_notification() {
    for told in notifications(None, &registered("captured/t1=1@1001 refund.succeeded/t1/r1=~1")) {
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Notification>(&text).unwrap(), told);
    }
}

fn every_text() -> String {
    let mut told = notifications(None, &registered("captured/t1=100")).remove(0);
    let mut texts = String::new();
    let kinds = EventKind::ALL.iter().map(|kind| (kind.name(), kind.subject_kind(), None));
    let orders = Reason::ALL.iter().map(|reason| match reason {
        reason if reason.holds() => (notification::ORDER_HELD, SubjectKind::Order, Some(*reason)),
        Reason::SurplusTransaction => (notification::ORDER_OVERPAID, SubjectKind::Order, Some(*reason)),
        _ => (notification::ORDER_LATE_PAID, SubjectKind::Order, Some(*reason)),
    });
    for (kind, subject_kind, reason) in kinds.chain(orders) {
        told.kind = kind.to_owned();
        told.subject.kind = subject_kind;
        told.reason = reason;
        told.amount = kind.contains("ed").then(|| money("1990"));
        for locale in Locale::ALL {
            texts.push_str(&format!("{kind:<20} {locale:<6} {}\n", told.text(*locale)));
        }
    }
    told.kind = "refund.succeeded".to_owned();
    told.reason = None;
    told.amount = Some(money("500JPY"));
    told.amount_is_cumulative = true;
    texts.push_str(&format!("{}\n{}\n", told.text(Locale::En), told.text(Locale::ZhCn)));
    texts
}

#[test]
fn no_kind_lacks_a_text() {
    let texts = every_text();
    let sentences: std::collections::BTreeSet<&str> = texts.lines().collect();
    assert_eq!(sentences.len(), 2 * (EventKind::ALL.len() + Reason::ALL.len()) + 2, "each its own");
    insta::assert_snapshot!(texts);
}
