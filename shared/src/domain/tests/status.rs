//! What an order comes to, a row a case.

use super::*;

/// `events => status captured refunded disputed [due…] [reasons…]`, the order registered for 100 CNY until 1000.
fn check(table: &str) {
    for (given, expected) in rows(table) {
        assert_eq!(summary(&registered(given).state()), words(expected), "{given}");
        let backwards: Vec<_> = given.split_whitespace().rev().collect();
        assert_eq!(summary(&registered(&backwards.join(" ")).state()), words(expected), "backwards: {given}");
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn summary(state: &OrderState) -> String {
    let mut words = vec![state.status.name().to_owned()];
    words.extend(
        [state.captured_minor, state.refunded_minor, state.disputed_minor].map(|minor| minor.to_string()),
    );
    words.extend(state.refund_due.iter().map(|due| format!("{}:{}", due.transaction_id, due.amount_minor)));
    words.extend(state.reasons.iter().map(|reason| reason.name().to_owned()));
    words.join(" ")
}

#[test]
fn payments() {
    check(
        "
                                                    => created    0 0 0
        pending/t1                                  => pending    0 0 0
        authorized/t1=100                           => authorized 0 0 0
        captured/t1=100                             => paid       100 0 0
        captured/t1=100 pending/t1                  => paid       100 0 0   # a late pending changes nothing
        failed/t1 captured/t1=100                   => paid       100 0 0   # the second attempt went through
        failed/t1 authorized/t1=100                 => authorized 0 0 0
        failed/t1 pending/t2                        => pending    0 0 0     # another try
        authorized/t1=100 cancelled/t1              => cancelled  0 0 0     # the reservation is released
        authorized/t1=100@1 cancelled/t1@9 captured/t1=100@5  => paid 100 0 0
        cancelled/t1 failed/t2                      => cancelled  0 0 0
        expired/t1 failed/t2                        => expired    0 0 0
        failed/t1                                   => failed     0 0 0
        captured/t1=100@1 captured/t1=100@2         => paid       100 0 0   # told twice, taken once
        captured/-=100@1 captured/t1=100@2          => paid       100 0 0   # the same without the id
        captured/t1=100@1 failed/t2 captured/-=100@2          => paid 100 0 0   # the same, after two attempts
        captured/t1=60 captured/t2=40               => paid       100 0 0   # captured in two parts
        captured/t1=60 captured/t1=~100             => paid       100 0 0   # a total that grows
        ",
    );
}

#[test]
fn m1_m2_m3_m8_money_that_is_not_what_is_expected() {
    check(
        "
        captured/t1=1                               => held 1 0 0   amount_mismatch
        captured/t1=101                             => held 101 0 0 amount_mismatch
        captured/t1=100USD                          => held 0 0 0   currency_mismatch
        captured/t1=100JPY                          => held 0 0 0   currency_mismatch
        captured/t1                                 => held 0 0 0   amount_missing
        captured/t1=60                              => held 60 0 0  amount_mismatch      # the rest may follow
        captured/t1=60 captured/t2=50               => held 110 0 0 amount_mismatch
        captured/t1=100 authorized/t1=90AUD         => paid 100 0 0                       # what was taken decides
        captured/t1=100 pending/t1=90AUD            => paid 100 0 0
        captured/t1=100 captured/t2=100USD          => held 100 0 0 currency_mismatch
        pending/t1=1 authorized/t1=1                => authorized 0 0 0                  # nothing taken yet
        captured/t1=100@1 captured/t2=100@2         => overpaid 200 0 0 t2:100 surplus_transaction
        captured/t2=100@1 captured/t1=100@2         => overpaid 200 0 0 t1:100 surplus_transaction
        captured/t2=100@1 captured/t1=100@1         => overpaid 200 0 0 t2:100 surplus_transaction  # then by id
        captured/t1=1@1 captured/t2=100@2           => overpaid 101 0 0 t1:1   surplus_transaction
        captured/t1=100@1 captured/t2=100@2 captured/t3=100@3 => overpaid 300 0 0 t2:100 t3:100 surplus_transaction
        captured/t1=100@1 captured/t2=100@2 refund.succeeded/t2/r1=30  => overpaid 200 30 0 t2:70 surplus_transaction
        captured/t1=100@1 captured/t2=100@2 refund.succeeded/t2/r1=100 => paid 200 100 0
        captured/t1=100@1 captured/t2=100@2 refund.succeeded/t1/r1=100 => paid 200 100 0  # the other one given back
        captured/t1=100@1 captured/t2=100@2 refund.succeeded/t1/r1=100 refund.succeeded/t2/r2=100 => refunded 200 200 0
        captured/t1=100@1000                        => paid 100 0 0                       # the last moment
        captured/t1=100@1001                        => late_paid 100 0 0 paid_after_expiry
        cancelled/t1@5 captured/t1=100@6            => late_paid 100 0 0 paid_after_closing
        expired/t1@5 captured/t1=100@6              => late_paid 100 0 0 paid_after_closing
        cancelled/t1@5 captured/t2=100@6            => paid 100 0 0                       # a given-up attempt, then another
        cancelled/-@5 captured/t2=100@6             => late_paid 100 0 0 paid_after_closing
        captured/t1=1@1001                          => held 1 0 0 amount_mismatch
        captured/t1=100@1001 refund.succeeded/t1/r1=30  => late_paid 100 30 0 paid_after_expiry
        captured/t1=100@1001 refund.succeeded/t1/r1=100 => refunded 100 100 0 paid_after_expiry
        ",
    );
}

#[test]
fn m9_refunds() {
    check(
        "
        captured/t1=100 refund.pending/t1/r1=30                              => paid 100 0 0
        captured/t1=100 refund.pending/t1/r1=30 refund.succeeded/t1/r1=30    => partially_refunded 100 30 0
        captured/t1=100 refund.succeeded/t1/r1=30 refund.succeeded/t1/r2=70  => refunded 100 100 0
        captured/t1=100 refund.succeeded/t1/r1=30@1 refund.succeeded/t1/r1=30@2 => partially_refunded 100 30 0
        captured/t1=100 refund.succeeded/t1/r1=30 refund.failed/t1/r1        => paid 100 0 0
        captured/t1=100 refund.failed/t1/r1=30@1 refund.succeeded/t1/r1=30@2 => partially_refunded 100 30 0
        captured/t1=100 refund.succeeded/t1/a=~30 refund.succeeded/t1/b=~80  => partially_refunded 100 80 0
        captured/t1=100 refund.succeeded/t1/a=~80 refund.succeeded/t1/b=30   => partially_refunded 100 80 0
        captured/t1=100 refund.succeeded/t1/a=~20 refund.succeeded/t1/b=30 refund.succeeded/t1/c=30 => partially_refunded 100 60 0
        captured/t1=100 refund.succeeded/-/r1=30                             => partially_refunded 100 30 0
        captured/t1=100 refund.succeeded/t1=30@1 refund.succeeded/t1=30@2    => partially_refunded 100 60 0
        captured/t1=100 refund.succeeded/t1/r1=100 captured/t1=100@9         => refunded 100 100 0  # closed after it
        captured/t1=100@1 expired/t1@9 refund.succeeded/t1/r1=~100           => refunded 100 100 0  # closed because of it
        refund.succeeded/t1/r1=30                                            => pending 0 0 0       # seen before the capture
        captured/t1=100 refund.succeeded/t1/r1=101                           => held 100 101 0 refund_exceeds_captured
        captured/t1=100 refund.succeeded/t1/r1=60 refund.succeeded/t1/r2=60  => held 100 120 0 refund_exceeds_captured
        captured/t1=100 refund.succeeded/t1/r1=1USD                          => held 100 0 0 currency_mismatch
        captured/t1=100 refund.succeeded/t1/r1                               => held 100 0 0 refund_amount_missing
        captured/t1=100@1 captured/t2=100@2 refund.pending/t2/r1 refund.succeeded/-/r1=100 => paid 200 100 0
        captured/t1=60@1 captured/t2=40@2 refund.succeeded/-/r1=40           => paid 100 0 0  # of neither, as far as one can tell
        captured/t1=100 refund.succeeded/t9/r1=30                            => paid 100 0 0  # t9 is not seen yet
        ",
    );
}

#[test]
fn m10_disputes() {
    check(
        "
        captured/t1=100 dispute.opened/t1/d1=40                              => disputed 100 0 40
        captured/t1=100 dispute.opened/t1/d1                                 => disputed 100 0 100
        captured/t1=100 dispute.opened/t1/d1=40 dispute.won/t1/d1            => paid 100 0 0
        captured/t1=100 dispute.opened/t1/d1=40 dispute.lost/t1/d1=40        => charged_back 100 0 40
        captured/t1=100 dispute.won/t1/d1=40 dispute.lost/t1/d1              => charged_back 100 0 40
        captured/t1=100 dispute.lost/t1/d1=40@1 dispute.won/t1/d1@2          => paid 100 0 0
        captured/t1=100 dispute.won/t1/d1=40 dispute.opened/t1/d2=10         => disputed 100 0 10
        captured/t1=100 dispute.opened/t1/d1=40 refund.succeeded/t1/r1=60    => disputed 100 60 40
        captured/t1=100 refund.succeeded/t1/r1=100 dispute.lost/t1/d1=40     => held 100 100 40 refund_exceeds_captured
        captured/t1=100 refund.succeeded/t1/r1=30 dispute.lost/t1/d1         => charged_back 100 30 70
        dispute.opened/t1/d1=40                                              => disputed 0 0 40
        captured/t1=100@1 captured/t2=100@2 dispute.lost/t2/d1=100           => paid 200 0 100   # the surplus went back
        captured/t1=1 dispute.opened/t1/d1                                   => held 1 0 1 amount_mismatch
        ",
    );
}

#[test]
fn without_a_registration_nothing_is_checked_and_all_is_counted() {
    let state = order("captured/t1=1 refund.succeeded/t1/r1=1 captured/t2=5").state();
    assert_eq!(summary(&state), "unclaimed 6 1 0");
    assert_eq!(state.currency.unwrap().code(), "CNY");
}

#[test]
fn a_shared_reference_holds() {
    let mut order = registered("captured/t1=100");
    assert!(order.mark_shared(Reference::new("bank", "t1")));
    assert!(!order.mark_shared(Reference::new("bank", "t1")));
    assert_eq!(summary(&order.state()), "held 100 0 0 shared_reference");
}

#[test]
fn a_refund_or_dispute_finds_its_transaction_by_reference() {
    let mut order = registered("captured/t1=100@1 captured/t2=100@2");
    let mut capture = event("captured/t2=100@2");
    capture.references = vec![Reference::new("bank", "charge-2")];
    let mut refund = event("refund.succeeded/-/r1=100");
    refund.references = capture.references.clone();
    let mut dispute = event("dispute.opened/charge-2/d1=100");
    dispute.references = capture.references.clone();
    capture.received_at = UnixSeconds(1); // the earlier reading wins
    order.absorb([capture, refund]).unwrap();
    assert_eq!(summary(&order.state()), "paid 200 100 0");
    order.absorb([dispute]).unwrap();
    let ids: Vec<_> =
        order.state().transactions.into_iter().map(|t| (t.transaction_id, t.disputed_minor)).collect();
    assert_eq!(ids, [("t1".to_owned(), 0), ("t2".to_owned(), 100)]);
}

#[test]
fn m2_exponents_that_differ_compare_by_value() {
    let amount = |minor: i128, exponent| {
        Money::from_minor(minor, Currency::with_exponent("CLP", exponent).unwrap()).unwrap()
    };
    for (told, status) in [(10_000, Status::Paid), (10_001, Status::Held), (100, Status::Held)] {
        let mut order = order("");
        order.register(Expectation { amount: Some(amount(100, 0)), ..expectation() }).unwrap();
        let capture = PaymentEvent { amount: Some(amount(told, 2)), ..event("captured/t1") };
        order.absorb([capture]).unwrap();
        assert_eq!(order.state().status, status, "{told}");
    }
}

#[test]
fn mandates_and_the_like_stand_as_the_latest_fact_says() {
    // events => status, how many times it came to that
    let table = "
        mandate.signed@1                                      => active 1
        mandate.signed@1 mandate.revoked@2                    => inactive 1
        mandate.signed@1 mandate.revoked@2 mandate.signed@3   => active 2
        mandate.signed@2 mandate.revoked@2                    => inactive 1  # at one time the end wins
        mandate.signed@1 mandate.signed@2                     => active 1
        transfer.succeeded@1 transfer.failed@2            => inactive 1
        merchant.rejected@1 merchant.approved@2               => active 1
        token.updated@1 token.revoked@2                       => inactive 1
    ";
    for (given, expected) in rows(table) {
        for backwards in [false, true] {
            let mut told: Vec<_> = given.split_whitespace().map(event).collect();
            if backwards {
                told.reverse();
            }
            let kind = told[0].kind.subject_kind();
            let mut order = Order::new(Subject { kind, ..subject("m1") });
            order.absorb(told).unwrap();
            let state = order.state();
            let got = format!("{} {}", state.status.name(), state.standing.unwrap().times);
            assert_eq!(got, expected, "{given}");
        }
    }
}

#[test]
fn transfers_are_held_to_what_is_registered() {
    // events of a transfer registered for 100 CNY => status [reasons…]
    let table = "
                                                => created
        transfer.succeeded=100                  => active
        transfer.succeeded                      => active
        transfer.succeeded=1                    => held amount_mismatch
        transfer.succeeded=100USD               => held currency_mismatch
        transfer.failed=1                       => inactive             # nothing has moved
    ";
    for (given, expected) in rows(table) {
        let transfer = Subject { kind: SubjectKind::Transfer, ..subject("o1") };
        let mut order = Order::new(transfer.clone());
        order.register(expectation()).unwrap();
        order.absorb(events(given)).unwrap();
        let state = order.state();
        let reasons = state.reasons.iter().map(|reason| reason.name());
        let got: Vec<_> = std::iter::once(state.status.name()).chain(reasons).collect();
        assert_eq!(got.join(" "), expected, "{given}");
        let mut unregistered = Order::new(transfer);
        assert_eq!(unregistered.state().status, Status::Unclaimed);
        unregistered.absorb(events(given)).unwrap();
        assert!(unregistered.state().reasons.is_empty(), "nothing is expected: {given}");
        order.mark_shared(Reference::new("bank", "t1"));
        assert_eq!(order.state().status, Status::Held, "two claim it: {given}");
    }
}

#[test]
fn what_is_reserved_counts_until_it_is_released() {
    for (given, authorized_minor) in [
        ("authorized/t1=100", 100),
        ("authorized/t1=100@1 captured/t1=60@2", 100),
        ("authorized/t1=100@1 cancelled/t1@2", 0),
        ("authorized/t1=100@1 expired/t1@2", 0),
        ("pending/t1=100", 0),
        ("authorized/t1=100 authorized/t2=50", 150),
    ] {
        assert_eq!(registered(given).state().authorized_minor, authorized_minor, "{given}");
    }
}

#[test]
fn an_order_over_any_amount_is_paid_by_nothing_too() {
    let mut free = order("captured/t1=0");
    free.register(Expectation { amount: None, ..expectation() }).unwrap();
    assert_eq!(summary(&free.state()), "paid 0 0 0");
}

#[test]
fn without_a_registration_the_currency_is_that_of_the_money_that_moved() {
    let state = order("authorized/t1=5USD@1 captured/t2=7@9").state();
    assert_eq!(summary(&state), "unclaimed 7 0 0");
    assert_eq!(state.currency.unwrap().code(), "CNY");
}

#[test]
fn registering_again_changes_nothing_and_other_facts_conflict() {
    let mut order = order("");
    assert_eq!(order.register(expectation()), Ok(true));
    assert_eq!(order.register(expectation()), Ok(false));
    let more = Expectation { references: vec![Reference::new("bank", "t1")], ..expectation() };
    assert_eq!(order.register(more), Ok(true));
    assert_eq!(order.register(expectation()), Ok(false), "references are added, never taken away");
    let others = [
        ("amount", Expectation { amount: Some(money("1")), ..expectation() }),
        ("amount", Expectation { amount: None, ..expectation() }),
        ("user", Expectation { user: "bob".to_owned(), ..expectation() }),
        ("expires_at", Expectation { expires_at: None, ..expectation() }),
    ];
    for (field, other) in others {
        assert_eq!(order.register(other), Err(OrderError::Conflict { field }));
    }
}

#[test]
fn an_order_holds_a_bounded_number_of_events() {
    let many = |count: usize| (0..count).map(|at| event(&format!("cancelled/t{at}"))).collect::<Vec<_>>();
    let mut order = order("");
    assert_eq!(order.absorb(many(EVENTS_MAX)), Ok(true));
    assert_eq!(order.absorb(many(EVENTS_MAX)), Ok(false));
    let full = order.clone();
    assert_eq!(order.absorb(many(EVENTS_MAX + 1)), Err(OrderError::TooManyEvents));
    assert_eq!(order, full);
}

#[test]
fn attempts_do_not_crowd_out_the_payment() {
    let attempts: Vec<_> = (0..EVENTS_MAX).map(|at| event(&format!("failed/t1@{at}"))).collect();
    let paid = event("captured/t1=100");
    let mut first = order("");
    first.absorb(attempts.clone()).unwrap();
    first.absorb([paid.clone()]).unwrap();
    assert_eq!(first.events.len(), ATTEMPTS_MAX + 1);
    let mut last = order("");
    last.absorb([paid]).unwrap();
    for attempt in attempts.into_iter().rev() {
        last.absorb([attempt]).unwrap();
    }
    assert_eq!(first, last);
}

#[test]
fn storage_keeps_order_and_state() {
    let mut order = registered("captured/t1=100 refund.succeeded/t1/r1=~30@9 dispute.opened/t1/d1");
    order.mark_shared(Reference::new("bank", "t1"));
    let text = serde_json::to_string(&order).unwrap();
    assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    let state = order.state();
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<OrderState>(&text).unwrap(), state);
    assert!(text.contains(r#""captured_minor":"100""#), "amounts are texts: {text}");
    for status in Status::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.name());
    }
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
    }
}
