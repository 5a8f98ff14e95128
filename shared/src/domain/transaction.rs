//! One order's events sorted into transactions, and what each transaction comes to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Currency, DisputeState, DisputeStatus, EventKind, PaymentEvent, Reason, Reference, RefundState,
    RefundStatus, TransactionState, TransactionStatus,
};
use crate::callback::UnixSeconds;

/// The transactions that the events tell of, by provider and id.
///
/// A transaction is known by its payment events. A refund or dispute belongs to the transaction that it
/// names, else to the only one that its references lead to, else (naming none) to that of another event of
/// the same refund or dispute, or the provider's only one; until there is such a one it stands alone as
/// [`TransactionStatus::Unseen`].
pub fn transactions<'a>(events: impl IntoIterator<Item = &'a PaymentEvent>) -> Vec<TransactionState> {
    let (named, others): (Vec<_>, Vec<_>) = events
        .into_iter()
        .filter(|event| part_of(event.kind).is_some())
        .partition(|event| payment_status(event.kind).is_some() && event.transaction_id.is_some());
    let mut seen = Groups::new();
    for event in named {
        seen.entry(own_key(event)).or_default().push(event);
    }
    let mut groups = seen.clone();
    let (named, unnamed): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|event| event.transaction_id.is_some());
    for event in named {
        let key = transaction_of(event, &seen).unwrap_or_else(|| own_key(event));
        groups.entry(key).or_default().push(event);
    }
    let settled = groups.clone();
    for event in unnamed {
        let key = sibling_of(event, &settled).or_else(|| transaction_of(event, &seen));
        groups.entry(key.unwrap_or_else(|| own_key(event))).or_default().push(event);
    }
    groups.into_iter().map(|((provider, id), events)| transaction(provider, id, &events)).collect()
}

/// When it happened by the provider's clock, else when we heard of it.
pub fn time(event: &PaymentEvent) -> UnixSeconds {
    event.occurred_at.unwrap_or(event.received_at)
}

type Groups<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a PaymentEvent>>;

fn own_key(event: &PaymentEvent) -> (&str, &str) {
    (&event.provider, event.transaction_id.as_deref().unwrap_or_default())
}

fn transaction_of<'a>(event: &'a PaymentEvent, seen: &Groups<'a>) -> Option<(&'a str, &'a str)> {
    if seen.contains_key(&own_key(event)) {
        return Some(own_key(event));
    }
    let mut wanted: BTreeSet<Reference> = event.references.iter().cloned().collect();
    wanted.extend(event.transaction_id.iter().map(|id| Reference::new(&event.provider, id)));
    let of_provider: Vec<_> =
        seen.iter().filter(|((provider, _), _)| *provider == event.provider.as_str()).collect();
    let mut linked = of_provider.iter().filter(|((provider, id), events)| {
        wanted.contains(&Reference::new(provider, id))
            || events.iter().any(|known| known.references.iter().any(|have| wanted.contains(have)))
    });
    if let (Some((key, _)), None) = (linked.next(), linked.next()) {
        return Some(**key);
    }
    if event.transaction_id.is_some() {
        return None;
    }
    match &of_provider[..] {
        [(key, _)] => Some(**key),
        // A payment event without an id says nothing that tells it apart: it goes where it changes least.
        several if payment_status(event.kind).is_some() => {
            several.iter().max_by_key(|(key, events)| (status_of(events), key)).map(|(key, _)| **key)
        }
        _ => None,
    }
}

/// The only transaction for which other events name the same refund or dispute.
fn sibling_of<'a>(event: &PaymentEvent, groups: &Groups<'a>) -> Option<(&'a str, &'a str)> {
    let part = (&event.refund_id, &event.dispute_id);
    let is_sibling = |known: &&PaymentEvent| (&known.refund_id, &known.dispute_id) == part;
    let mut siblings = groups.iter().filter(|((provider, _), events)| {
        *provider == event.provider.as_str() && events.iter().any(is_sibling)
    });
    let has_id = event.refund_id.is_some() || event.dispute_id.is_some();
    match (siblings.next(), siblings.next()) {
        (Some((key, _)), None) if has_id => Some(*key),
        _ => None,
    }
}

enum Part {
    Payment,
    Refund(RefundStatus),
    Dispute(DisputeStatus),
}

fn part_of(kind: EventKind) -> Option<Part> {
    match kind {
        EventKind::RefundPending => Some(Part::Refund(RefundStatus::Pending)),
        EventKind::RefundSucceeded => Some(Part::Refund(RefundStatus::Succeeded)),
        EventKind::RefundFailed => Some(Part::Refund(RefundStatus::Failed)),
        EventKind::DisputeOpened => Some(Part::Dispute(DisputeStatus::Opened)),
        EventKind::DisputeWon => Some(Part::Dispute(DisputeStatus::Won)),
        EventKind::DisputeLost => Some(Part::Dispute(DisputeStatus::Lost)),
        kind => payment_status(kind).map(|_| Part::Payment),
    }
}

fn payment_status(kind: EventKind) -> Option<TransactionStatus> {
    match kind {
        EventKind::PaymentPending => Some(TransactionStatus::Pending),
        EventKind::PaymentFailed => Some(TransactionStatus::Failed),
        EventKind::PaymentAuthorized => Some(TransactionStatus::Authorized),
        EventKind::PaymentExpired => Some(TransactionStatus::Expired),
        EventKind::PaymentCancelled => Some(TransactionStatus::Cancelled),
        EventKind::PaymentCaptured => Some(TransactionStatus::Captured),
        _ => None,
    }
}

fn status_of(events: &[&PaymentEvent]) -> TransactionStatus {
    events.iter().filter_map(|event| payment_status(event.kind)).max().unwrap_or(TransactionStatus::Unseen)
}

fn transaction(provider: &str, id: &str, events: &[&PaymentEvent]) -> TransactionState {
    let of_kind = |kind: EventKind| events.iter().copied().filter(move |event| event.kind == kind);
    let currency = currency_of(events);
    let most = |kind| of_kind(kind).filter_map(|event| minor_of(event, currency.as_ref())).max();
    let captured = most(EventKind::PaymentCaptured);
    let refunds = refunds(events, currency.as_ref());
    let kept_minor = captured.unwrap_or_default().saturating_sub(refunded_minor(&refunds)).max(0);
    let disputes = disputes(events, currency.as_ref(), kept_minor);
    let status = status_of(events);
    let mut state = TransactionState {
        provider: provider.to_owned(),
        transaction_id: id.to_owned(),
        status,
        authorized_minor: most(EventKind::PaymentAuthorized).unwrap_or_default(),
        captured_minor: captured.unwrap_or_default(),
        refunded_minor: refunded_minor(&refunds),
        disputed_minor: sum(disputes
            .iter()
            .filter(|dispute| dispute.status != DisputeStatus::Won)
            .map(|dispute| dispute.amount_minor)),
        captured_at: of_kind(EventKind::PaymentCaptured).map(time).min(),
        closed_at: of_kind(EventKind::PaymentCancelled)
            .chain(of_kind(EventKind::PaymentExpired))
            .map(time)
            .min(),
        refunds,
        disputes,
        reasons: BTreeSet::new(),
        currency,
    };
    state.reasons = contradictions(&state, events, captured.is_none());
    state
}

fn contradictions(state: &TransactionState, events: &[&PaymentEvent], unknown: bool) -> BTreeSet<Reason> {
    let moved = |kind| matches!(kind, EventKind::PaymentCaptured | EventKind::RefundSucceeded);
    let foreign = events.iter().any(|event| {
        moved(event.kind) && event.amount.is_some() && minor_of(event, state.currency.as_ref()).is_none()
    });
    let captured = state.status == TransactionStatus::Captured;
    let lost = state.disputes.iter().filter(|dispute| dispute.status == DisputeStatus::Lost);
    let given_back_minor = sum(lost.map(|dispute| dispute.amount_minor).chain([state.refunded_minor]));
    let refund_unknown = refund_groups(events).into_values().any(|events| {
        refund_status(&events) == RefundStatus::Succeeded && events.iter().all(|event| event.amount.is_none())
    });
    let found = [
        (Reason::CurrencyMismatch, foreign),
        (Reason::AmountMissing, captured && unknown && !foreign),
        (Reason::RefundExceedsCaptured, captured && given_back_minor > state.captured_minor),
        (Reason::RefundAmountMissing, refund_unknown),
    ];
    found.into_iter().filter(|(_, holds)| *holds).map(|(reason, _)| reason).collect()
}

/// The currency of what was taken; before that, of what was reserved or told first.
fn currency_of(events: &[&PaymentEvent]) -> Option<Currency> {
    let weight = |kind| match kind {
        EventKind::PaymentCaptured => 0,
        EventKind::PaymentAuthorized => 1,
        kind if payment_status(kind).is_some() => 2,
        _ => 3,
    };
    let told =
        events.iter().filter_map(|event| Some((weight(event.kind), event.amount.as_ref()?.currency())));
    told.min().map(|(_, currency)| currency.clone())
}

fn minor_of(event: &PaymentEvent, currency: Option<&Currency>) -> Option<i128> {
    event.amount.as_ref()?.minor_in(currency?)
}

fn refund_groups<'a>(events: &[&'a PaymentEvent]) -> BTreeMap<&'a str, Vec<&'a PaymentEvent>> {
    let mut groups: BTreeMap<&str, Vec<&PaymentEvent>> = BTreeMap::new();
    for event in events.iter().filter(|event| matches!(part_of(event.kind), Some(Part::Refund(_)))) {
        groups.entry(event.refund_id.as_ref().unwrap_or(&event.key)).or_default().push(event);
    }
    groups
}

fn refund_status(events: &[&PaymentEvent]) -> RefundStatus {
    let told = events.iter().filter_map(|event| match part_of(event.kind) {
        Some(Part::Refund(status)) => Some((event.occurred_at, status)),
        _ => None,
    });
    last_told(told, RefundStatus::Pending)
}

fn refunds(events: &[&PaymentEvent], currency: Option<&Currency>) -> Vec<RefundState> {
    let refund = |(id, events): (&str, Vec<&PaymentEvent>)| RefundState {
        refund_id: id.to_owned(),
        status: refund_status(&events),
        amount_minor: events.iter().filter_map(|event| minor_of(event, currency)).max().unwrap_or_default(),
        amount_is_cumulative: events.iter().any(|event| event.amount_is_cumulative),
    };
    refund_groups(events).into_iter().map(refund).collect()
}

/// Shares add up; totals so far do not, the largest one counts. Told both ways, the larger of the two.
fn refunded_minor(refunds: &[RefundState]) -> i128 {
    let succeeded = || refunds.iter().filter(|refund| refund.status == RefundStatus::Succeeded);
    let shares = succeeded().filter(|refund| !refund.amount_is_cumulative);
    let totals = succeeded().filter(|refund| refund.amount_is_cumulative);
    let total = totals.map(|refund| refund.amount_minor).max().unwrap_or_default();
    sum(shares.map(|refund| refund.amount_minor)).max(total)
}

fn disputes(events: &[&PaymentEvent], currency: Option<&Currency>, kept_minor: i128) -> Vec<DisputeState> {
    let mut groups: BTreeMap<&str, Vec<(&PaymentEvent, DisputeStatus)>> = BTreeMap::new();
    for event in events {
        if let Some(Part::Dispute(status)) = part_of(event.kind) {
            let id = event.dispute_id.as_ref().or(event.transaction_id.as_ref());
            groups.entry(id.map_or("", String::as_str)).or_default().push((event, status));
        }
    }
    let dispute = |(id, events): (&str, Vec<(&PaymentEvent, DisputeStatus)>)| DisputeState {
        dispute_id: id.to_owned(),
        status: last_told(
            events.iter().map(|(event, status)| (event.occurred_at, *status)),
            DisputeStatus::Opened,
        ),
        amount_minor: events
            .iter()
            .filter_map(|(event, _)| minor_of(event, currency))
            .max()
            .unwrap_or(kept_minor),
    };
    groups.into_iter().map(dispute).collect()
}

/// Any outcome stands above the `beginning`. Of contradicting outcomes the last one by the provider's clock
/// stands; when the provider does not date them all, or dates them alike, the one that ranks higher.
fn last_told<S: Copy + Ord>(told: impl Iterator<Item = (Option<UnixSeconds>, S)>, beginning: S) -> S {
    let outcomes: Vec<_> = told.filter(|(_, status)| *status != beginning).collect();
    let dated = outcomes.iter().all(|(occurred_at, _)| occurred_at.is_some());
    let last = outcomes.iter().max_by_key(|(occurred_at, status)| (occurred_at.filter(|_| dated), *status));
    last.map_or(beginning, |(_, status)| *status)
}

/// Amounts of 36 digits in hundreds of events could overflow; at that end of the scale they are all wrong anyway.
pub fn sum(amounts_minor: impl Iterator<Item = i128>) -> i128 {
    amounts_minor.fold(0, i128::saturating_add)
}
