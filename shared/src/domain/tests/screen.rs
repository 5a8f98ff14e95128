//! Every status × every event kind, on one screen.

use super::*;

/// How an order comes to each status.
const ORDERS: &[(Status, &str)] = &[
    (Status::Created, ""),
    (Status::Pending, "pending/t1@1"),
    (Status::Authorized, "authorized/t1=100@1"),
    (Status::Paid, "captured/t1=100@1"),
    (Status::PartiallyRefunded, "captured/t1=100@1 refund.succeeded/t1/r1=30@2"),
    (Status::Refunded, "captured/t1=100@1 refund.succeeded/t1/r1=100@2"),
    (Status::Disputed, "captured/t1=100@1 dispute.opened/t1/d1=40@2"),
    (Status::ChargedBack, "captured/t1=100@1 dispute.lost/t1/d1=40@2"),
    (Status::Failed, "failed/t1@1"),
    (Status::Cancelled, "cancelled/t1@1"),
    (Status::Expired, "expired/t1@1"),
    (Status::LatePaid, "captured/t1=100@1001"),
    (Status::Overpaid, "captured/t1=100@1 captured/t2=100@2"),
    (Status::Held, "captured/t1=1@1"),
    (Status::Unclaimed, "captured/t1=100@1"),
];

/// What then happens; the refund and dispute are those of the rows.
const HAPPENS: &[(&str, &str)] = &[
    ("pending", "pending/t1@900"),
    ("authorized", "authorized/t1=100@900"),
    ("captured", "captured/t1=100@900"),
    ("another", "captured/t9=100@900"),
    ("failed", "failed/t1@900"),
    ("cancelled", "cancelled/t1@900"),
    ("expired", "expired/t1@900"),
    ("r.pending", "refund.pending/t1/r1=30@900"),
    ("r.success", "refund.succeeded/t1/r2=30@900"),
    ("r.failed", "refund.failed/t1/r1=30@900"),
    ("d.opened", "dispute.opened/t1/d1=40@900"),
    ("d.won", "dispute.won/t1/d1=40@900"),
    ("d.lost", "dispute.lost/t1/d1=40@900"),
];

const OTHERS: &[(&str, &str, &str)] = &[
    ("mandate", "mandate.signed", "mandate.revoked"),
    ("transfer", "transfer.succeeded", "transfer.failed"),
    ("merchant", "merchant.approved", "merchant.rejected"),
    ("token", "token.updated", "token.revoked"),
];

#[test]
fn every_status_and_every_event() {
    let mut screen = String::from(LEGEND);
    let columns = HAPPENS.iter().map(|(name, _)| format!("{name:<12}")).collect::<String>();
    push(&mut screen, format!("{:<13}{columns}", ""));
    for (status, so_far) in ORDERS {
        let old = if *status == Status::Unclaimed { order(so_far) } else { registered(so_far) };
        assert_eq!(old.state().status, *status, "{so_far}");
        let cells =
            HAPPENS.iter().map(|(_, then)| format!("{:<12}", cell(&old, event(then)))).collect::<String>();
        push(&mut screen, format!("{:<13}{cells}", short(*status)));
    }
    push(&mut screen, String::new());
    for (name, begins, ends) in OTHERS {
        push(&mut screen, format!("{name:<13}{begins:<22}{ends:<22}"));
        for so_far in ["", begins, ends] {
            let mut old = Order::new(Subject { kind: event(begins).kind.subject_kind(), ..subject("o1") });
            old.register(Expectation { amount: None, ..expectation() }).unwrap();
            old.absorb(events(so_far)).unwrap();
            let next = |name| format!("{:<22}", cell(&old, event(&format!("{name}@900"))));
            push(&mut screen, format!("{:<13}{}{}", short(old.state().status), next(begins), next(ends)));
        }
    }
    insta::assert_snapshot!(screen);
}

#[test]
fn the_screen_shows_every_status_and_every_kind() {
    let shown: Vec<_> =
        ORDERS.iter().map(|(status, _)| *status).chain([Status::Active, Status::Inactive]).collect();
    assert!(Status::ALL.iter().all(|status| shown.contains(status)));
    let others = OTHERS.iter().flat_map(|(_, begins, ends)| [*begins, *ends]);
    let kinds: Vec<_> =
        HAPPENS.iter().map(|(_, then)| *then).chain(others).map(|text| event(text).kind).collect();
    assert!(EventKind::ALL.iter().all(|kind| kinds.contains(kind)));
}

const LEGEND: &str = "\
rows: the order's status; columns: what happens then; cells: the status after it
+ the user is told of the event   ! and of the order (held, overpaid, late)   . nothing changes
an event of the column comes after all others in time; `another` is a second transaction

";

fn push(screen: &mut String, line: String) {
    screen.push_str(line.trim_end());
    screen.push('\n');
}

fn cell(old: &Order, event: PaymentEvent) -> String {
    let mut new = old.clone();
    let kind = event.kind;
    new.absorb([event]).unwrap();
    let told = notifications(Some(old), &new);
    let status = new.state().status;
    let marks = told.iter().map(|told| match told.kind.as_str() {
        name if name == kind.name() => '+',
        name if name.starts_with("order.") => '!',
        name => panic!("{kind} tells {name}"),
    });
    let marks: String = marks.collect();
    if marks.is_empty() && status == old.state().status {
        ".".to_owned()
    } else {
        format!("{}{marks}", short(status))
    }
}

fn short(status: Status) -> &'static str {
    match status {
        Status::PartiallyRefunded => "part.ref.",
        Status::ChargedBack => "ch.back",
        status => status.name(),
    }
}
