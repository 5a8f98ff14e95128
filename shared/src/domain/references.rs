//! Which orders an event belongs to, and how that stays the same in any order of arrival.
//!
//! - An event that names its subject goes there, and ties every reference that it names to that subject.
//! - An event that does not is *parked* under every reference that it names, for good, and goes to every
//!   subject of its kind that one of them is tied to; its other references are tied to those subjects too.
//! - A reference tied to several subjects of one kind marks them all, which holds them.
//!
//! Ties, parked events, marks and the events of an order are sets that only grow, so this is a least fixed
//! point and the same in any order. [`Plan`] follows it: ask the store what [`Plan::next`] says, tell the
//! plan what it answered, and save what [`Plan::finish`] returns.
//!
//! # What concurrency and crashes cannot break
//! Tying and parking return what is known of the reference *after* them, in one atomic step: of a tie and a
//! parked event, or of two ties, whichever comes second sees the other and does what follows. The subject
//! that an event names is saved after everything that follows from it, so a stored order that contains an
//! event needs nothing more done for it; an event without a subject is followed from its references anew.

use std::collections::{BTreeMap, BTreeSet};

use super::order::{ATTEMPTS_MAX, is_attempt};
use super::{Expectation, Order, OrderError, PaymentEvent, Reference, Subject, SubjectKind};

/// Most questions that one plan asks the store.
pub const ASKS_MAX: usize = 1024;

/// What is known of a reference. Both sets only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceRecord {
    /// Subjects that it is tied to; more than one of a kind is a contradiction that holds them all.
    pub subjects: BTreeSet<Subject>,
    /// Events that name it and no subject. It may hold several readings of one event; the smallest counts.
    pub parked: Vec<PaymentEvent>,
}

/// What a plan asks of the store next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read a subject's order, strongly consistent; answer with [`Plan::loaded`].
    Load(Subject),
    /// Read what is known of a reference, strongly consistent; answer with [`Plan::learned`].
    Read(Reference),
    /// Tie a reference to a subject; answer with [`Plan::learned`].
    Tie(Reference, Subject),
    /// Keep an event under a reference; answer with [`Plan::learned`].
    Park(Reference, Box<PaymentEvent>),
}

/// The way from new events or a registration to the orders that change.
///
/// ```
/// # use paybell_shared::domain::{Ask, Plan, ReferenceRecord, PaymentEvent, EventKind};
/// # use paybell_shared::callback::UnixSeconds;
/// # let mut event = PaymentEvent::new(EventKind::PaymentCaptured, "stripe", "evt_1", UnixSeconds(0));
/// # event.subject_id = Some("order-1".to_owned());
/// for mut plan in Plan::group("account", vec![event]) {
///     while let Some(ask) = plan.next()? {
///         match ask {
///             Ask::Load(subject) => plan.loaded(subject, None),
///             Ask::Read(reference) | Ask::Tie(reference, _) | Ask::Park(reference, _) => {
///                 plan.learned(reference, ReferenceRecord::default())
/// #               ; break
///             }
///         }
///     }
///     let _folded = plan.finish()?; // save `changed` in its order; after a lost race start anew
/// }
/// # Ok::<(), paybell_shared::domain::OrderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    account: String,
    home: Option<Subject>,
    expected: Option<Expectation>,
    direct: Vec<PaymentEvent>,
    loose: Vec<PaymentEvent>,
    orders: BTreeMap<Subject, Order>,
    records: BTreeMap<Reference, ReferenceRecord>,
    answers: usize,
}

/// What a plan comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The orders to save, in this order, each with the version that was loaded.
    pub changed: Vec<Order>,
    /// The subject that the events or the registration name, changed or not.
    pub home: Option<Order>,
}

impl Plan {
    /// The plans for a batch of one account's events: one for each subject named, one for each event that names none.
    /// The plans do not depend on each other; one may fail and the others stand.
    pub fn group(account: &str, events: impl IntoIterator<Item = PaymentEvent>) -> Vec<Self> {
        let mut homes: BTreeMap<Subject, Vec<PaymentEvent>> = BTreeMap::new();
        let mut plans = Vec::new();
        for event in events {
            match subject_of(account, &event) {
                Some(subject) => homes.entry(subject).or_default().push(event),
                None => plans.push(Self { loose: vec![event], ..Self::empty(account) }),
            }
        }
        let direct = homes.into_iter().map(|(subject, direct)| Self {
            home: Some(subject),
            direct,
            ..Self::empty(account)
        });
        direct.chain(plans).collect()
    }

    /// The plan for a registration.
    pub fn registration(subject: Subject, expected: Expectation) -> Self {
        Self { home: Some(subject.clone()), expected: Some(expected), ..Self::empty(&subject.account) }
    }

    fn empty(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            home: None,
            expected: None,
            direct: Vec::new(),
            loose: Vec::new(),
            orders: BTreeMap::new(),
            records: BTreeMap::new(),
            answers: 0,
        }
    }

    /// The account whose events these are.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The subject that the events or the registration name.
    pub fn home(&self) -> Option<&Subject> {
        self.home.as_ref()
    }

    /// The events that the plan is for.
    pub fn events(&self) -> impl Iterator<Item = &PaymentEvent> {
        self.direct.iter().chain(&self.loose)
    }

    /// What to ask of the store next; `None` when the plan can be finished.
    ///
    /// # Errors
    /// [`OrderError::Unaddressed`], [`OrderError::Conflict`] (before anything is tied) and
    /// [`OrderError::TooManyReferences`].
    pub fn next(&self) -> Result<Option<Ask>, OrderError> {
        if self.answers > ASKS_MAX {
            return Err(OrderError::TooManyReferences);
        }
        if let Some(home) = &self.home {
            let Some(order) = self.orders.get(home) else { return Ok(Some(Ask::Load(home.clone()))) };
            if let Some(expected) = &self.expected {
                order.check_registration(expected)?;
            }
            if let Some(reference) = self.untied_reference(home, order) {
                return Ok(Some(Ask::Tie(reference.clone(), home.clone())));
            }
        }
        for event in &self.loose {
            if let Some(ask) = self.ask_to_park(event)? {
                return Ok(Some(ask));
            }
        }
        Ok(self.records.values().find_map(|record| self.ask_to_follow(record)))
    }

    /// Takes the answer to [`Ask::Load`]; `None` when nothing is stored.
    pub fn loaded(&mut self, subject: Subject, order: Option<Order>) {
        self.answers += 1;
        let order = order.unwrap_or_else(|| Order::new(subject.clone()));
        self.orders.insert(subject, order);
    }

    /// Takes the answer to the other questions: what is known of the reference now.
    pub fn learned(&mut self, reference: Reference, record: ReferenceRecord) {
        self.answers += 1;
        self.records.insert(reference, record);
    }

    /// The orders that change, once there is nothing more to ask. They are to be saved in this order: the
    /// subject that the events name comes last, because its containing them says that all else is done.
    ///
    /// # Errors
    /// [`OrderError::TooManyEvents`] and [`OrderError::Conflict`].
    pub fn finish(self) -> Result<Folded, OrderError> {
        let mut folded = Folded::default();
        for (subject, stored) in &self.orders {
            if Some(subject) != self.home.as_ref() {
                let (order, changed) = self.fold(subject, stored)?;
                folded.changed.extend(changed.then_some(order));
            }
        }
        if let Some((home, stored)) = self.home.as_ref().and_then(|home| self.orders.get_key_value(home)) {
            let (order, changed) = self.fold(home, stored)?;
            folded.changed.extend(changed.then(|| order.clone()));
            folded.home = Some(order);
        }
        Ok(folded)
    }

    fn fold(&self, subject: &Subject, stored: &Order) -> Result<(Order, bool), OrderError> {
        let mut order = stored.clone();
        let mut changed = false;
        if self.home.as_ref() == Some(subject) {
            changed |= order.absorb(self.direct.iter().cloned())?;
            if let Some(expected) = &self.expected {
                changed |= order.register(expected.clone())?;
            }
        }
        for (reference, record) in self.records.iter().filter(|(_, record)| record.subjects.contains(subject))
        {
            changed |= order.absorb(joining(record, subject.kind).cloned())?;
            if is_shared(record, subject.kind) {
                changed |= order.mark_shared(reference.clone());
            }
        }
        Ok((order, changed))
    }

    /// A reference of the home's news that is not tied yet. Those of the registration and of the events that
    /// name the home are, and followed to the end, because they are saved last. Those of events that joined
    /// may not be: another plan may have saved the home on its way and not be done.
    fn untied_reference(&self, home: &Subject, stored: &Order) -> Option<&Reference> {
        let naming = stored.events.values().filter(|event| event.subject_id.is_some());
        let learned = stored.expected.iter().flat_map(|expected| &expected.references);
        let known: BTreeSet<&Reference> = naming.flat_map(|event| &event.references).chain(learned).collect();
        let registered = self.expected.iter().flat_map(|expected| &expected.references);
        let named = self.direct.iter().flat_map(|event| &event.references).chain(registered);
        named.filter(|reference| !known.contains(reference)).find(|reference| !self.is_tied(reference, home))
    }

    fn ask_to_park(&self, event: &PaymentEvent) -> Result<Option<Ask>, OrderError> {
        if event.references.is_empty() {
            return Err(OrderError::Unaddressed { event_id: Order::event_id(event) });
        }
        for reference in &event.references {
            match self.records.get(reference) {
                None => return Ok(Some(Ask::Read(reference.clone()))),
                Some(record) if is_parked(record, event) || is_crowded_out(record, event) => {}
                Some(record) if record.parked.len() >= super::EVENTS_MAX => {
                    return Err(OrderError::TooManyEvents);
                }
                Some(_) => return Ok(Some(Ask::Park(reference.clone(), Box::new(event.clone())))),
            }
        }
        Ok(None)
    }

    /// What a record leads to: the orders of its subjects, and the other references of its parked events.
    fn ask_to_follow(&self, record: &ReferenceRecord) -> Option<Ask> {
        for subject in &record.subjects {
            for event in joining(record, subject.kind) {
                for reference in &event.references {
                    if !self.records.contains_key(reference) {
                        return Some(Ask::Read(reference.clone()));
                    }
                    if !self.is_tied(reference, subject) {
                        return Some(Ask::Tie(reference.clone(), subject.clone()));
                    }
                }
            }
            let concerned = is_shared(record, subject.kind) || joining(record, subject.kind).next().is_some();
            if concerned && !self.orders.contains_key(subject) {
                return Some(Ask::Load(subject.clone()));
            }
        }
        None
    }

    fn is_tied(&self, reference: &Reference, subject: &Subject) -> bool {
        self.records.get(reference).is_some_and(|record| record.subjects.contains(subject))
    }
}

/// The subject that an event names.
pub fn subject_of(account: &str, event: &PaymentEvent) -> Option<Subject> {
    let id = event.subject_id.clone()?;
    Some(Subject { account: account.to_owned(), kind: event.kind.subject_kind(), id })
}

fn joining(record: &ReferenceRecord, kind: SubjectKind) -> impl Iterator<Item = &PaymentEvent> {
    record.parked.iter().filter(move |event| event.kind.subject_kind() == kind)
}

fn is_shared(record: &ReferenceRecord, kind: SubjectKind) -> bool {
    record.subjects.iter().filter(|subject| subject.kind == kind).count() > 1
}

/// Whether the record has so many attempts that one more must not take the place of the payment.
fn is_crowded_out(record: &ReferenceRecord, event: &PaymentEvent) -> bool {
    let attempts = || record.parked.iter().filter(|parked| is_attempt(parked));
    is_attempt(event) && attempts().count() >= ATTEMPTS_MAX
}

/// Whether the record has the event, or a smaller reading of it that would win anyway.
fn is_parked(record: &ReferenceRecord, event: &PaymentEvent) -> bool {
    let id = Order::event_id(event);
    record.parked.iter().any(|parked| parked <= event && Order::event_id(parked) == id)
}
