//! What orders come to, by the real fold and the real notifications.
//!
//! An order of the model is a number. All orders that a few events can make are made once, by `Order::absorb` and
//! `Order::register`, and what each of them means is written down beside it, so that the checker looks it up.

use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{
    Currency, EventKind, Expectation, Money, Order, PaymentEvent, Subject, SubjectKind, notifications,
};

/// Most times that one event can be in an order when nothing keeps it from being there twice.
const COPIES_MAX: usize = 2;
/// What the merchant expects of every order.
const EXPECTED_MINOR: i128 = 1_000;

/// What a provider tells of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A transaction has begun.
    Pending(&'static str),
    /// A transaction took so much.
    Captured(&'static str, i128),
    /// So much of a transaction was given back. The event has no refund id, so its key alone tells it from others.
    Refunded(&'static str, i128),
}

impl Happening {
    fn event(self, key: String) -> PaymentEvent {
        let (kind, transaction, amount_minor) = match self {
            Self::Pending(transaction) => (EventKind::PaymentPending, transaction, None),
            Self::Captured(transaction, minor) => (EventKind::PaymentCaptured, transaction, Some(minor)),
            Self::Refunded(transaction, minor) => (EventKind::RefundSucceeded, transaction, Some(minor)),
        };
        let mut event = PaymentEvent::new(kind, "provider", key, UnixSeconds(1));
        event.subject_id = Some("order".to_owned());
        event.transaction_id = Some(transaction.to_owned());
        event.amount = amount_minor.map(money);
        event
    }
}

fn money(amount_minor: i128) -> Money {
    let currency = Currency::new("EUR").expect("EUR is a currency");
    Money::from_minor(amount_minor, currency).expect("the amounts of the model are small")
}

/// What one stored order holds, as a number of its [`Ledger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content(u16);

/// A set of things to tell, a bit for each.
pub type Facts = u64;

/// What one content means.
struct Meaning {
    is_registered: bool,
    copies: Vec<u8>,
    captured_minor: i128,
    refunded_minor: i128,
    absorbed: Vec<Content>,
    registered: Content,
}

/// All that one order can come to.
pub struct Ledger {
    happenings: &'static [Happening],
    meanings: Vec<Meaning>,
    changes: Vec<Facts>,
}

impl Ledger {
    /// All that an order can come to of which `happenings` are told. `names` holds the ids of everything that anybody
    /// can be told, and gets what is new.
    pub fn new(
        number: usize,
        happenings: &'static [Happening],
        keys_are_stable: bool,
        names: &mut Vec<String>,
    ) -> Self {
        let contents = 2 * (COPIES_MAX + 1).pow(u32::try_from(happenings.len()).unwrap_or(u32::MAX));
        let orders: Vec<Order> = (0..contents).map(|content| order(number, happenings, content)).collect();
        let content_of = |wanted: &Order| {
            let found = orders.iter().position(|order| order == wanted);
            Content(found.and_then(|at| u16::try_from(at).ok()).expect("the order is one of those made"))
        };
        let meaning = |(content, order): (usize, &Order)| {
            let copies = copies(happenings, content);
            let absorbed = happenings.iter().zip(&copies).enumerate().map(|(event, (happening, copies))| {
                let copy = if keys_are_stable { 0 } else { usize::from(*copies).min(COPIES_MAX - 1) };
                let mut order = order.clone();
                order.absorb([happening.event(key(event, copy))]).expect("a few events are within the limit");
                content_of(&order)
            });
            let mut registered = order.clone();
            registered.register(expectation()).expect("it is always registered with the same facts");
            let state = order.state();
            Meaning {
                is_registered: order.expected.is_some(),
                captured_minor: state.captured_minor,
                refunded_minor: state.refunded_minor,
                absorbed: absorbed.collect(),
                registered: content_of(&registered),
                copies,
            }
        };
        let meanings = orders.iter().enumerate().map(|it| meaning((it.0, it.1))).collect();
        let mut changes = Vec::with_capacity(contents * contents);
        for old in &orders {
            changes.extend(orders.iter().map(|new| facts(Some(old), new, names)));
        }
        Self { happenings, meanings, changes }
    }

    /// An order of which nothing is known, or only what the merchant expects.
    pub fn initial(&self, is_registered: bool) -> Content {
        if is_registered { self.registered(Content(0)) } else { Content(0) }
    }

    /// The order with one event more, or the same when it has that event.
    pub fn absorbed(&self, content: Content, event: usize) -> Content {
        self.meaning(content).absorbed[event]
    }

    /// The order with what the merchant expects.
    pub fn registered(&self, content: Content) -> Content {
        self.meaning(content).registered
    }

    /// Whether the merchant has registered it.
    pub fn is_registered(&self, content: Content) -> bool {
        self.meaning(content).is_registered
    }

    /// Whether it holds an event.
    pub fn holds(&self, content: Content, event: usize) -> bool {
        self.meaning(content).copies[event] > 0
    }

    /// What users are told when the order changes so.
    pub fn changes(&self, old: Content, new: Content) -> Facts {
        self.changes[usize::from(old.0) * self.meanings.len() + usize::from(new.0)]
    }

    /// Whether no event is there twice, and the amounts are the sums of the distinct events that are there.
    pub fn counts_once(&self, content: Content) -> bool {
        let meaning = self.meaning(content);
        let present = || {
            self.happenings.iter().zip(&meaning.copies).filter(|(_, copies)| **copies > 0).map(|(it, _)| *it)
        };
        let is_captured = |wanted: &str| {
            present().any(|it| matches!(it, Happening::Captured(transaction, _) if transaction == wanted))
        };
        let captured: i128 =
            present().map(|it| if let Happening::Captured(_, minor) = it { minor } else { 0 }).sum();
        let refunded: i128 = present()
            .map(|it| match it {
                Happening::Refunded(transaction, minor) if is_captured(transaction) => minor,
                _ => 0,
            })
            .sum();
        meaning.copies.iter().all(|copies| *copies <= 1)
            && (meaning.captured_minor, meaning.refunded_minor) == (captured, refunded)
    }

    fn meaning(&self, content: Content) -> &Meaning {
        &self.meanings[usize::from(content.0)]
    }
}

fn key(event: usize, copy: usize) -> String {
    format!("{event}-{copy}")
}

/// Digits of the number: registered or not, then how often each event is there.
fn copies(happenings: &[Happening], content: usize) -> Vec<u8> {
    let mut rest = content / 2;
    let digit = |_: &Happening| {
        let digit = rest % (COPIES_MAX + 1);
        rest /= COPIES_MAX + 1;
        u8::try_from(digit).unwrap_or(u8::MAX)
    };
    happenings.iter().map(digit).collect()
}

fn order(number: usize, happenings: &[Happening], content: usize) -> Order {
    let subject =
        Subject { account: "account".to_owned(), kind: SubjectKind::Order, id: format!("order-{number}") };
    let mut order = Order::new(subject);
    for (event, (happening, copies)) in happenings.iter().zip(copies(happenings, content)).enumerate() {
        let events = (0..usize::from(copies)).map(|copy| happening.event(key(event, copy)));
        order.absorb(events).expect("a few events are within the limit");
    }
    if content % 2 == 1 {
        order.register(expectation()).expect("it is registered once");
    }
    order
}

fn expectation() -> Expectation {
    Expectation {
        amount: Some(money(EXPECTED_MINOR)),
        user: "user".to_owned(),
        expires_at: None,
        references: Vec::new(),
    }
}

fn facts(old: Option<&Order>, new: &Order, names: &mut Vec<String>) -> Facts {
    let mut facts = 0;
    for notification in notifications(old, new) {
        let known = names.iter().position(|name| *name == notification.id);
        let fact = known.unwrap_or_else(|| {
            names.push(notification.id);
            names.len() - 1
        });
        assert!(fact < 64, "the model has a bit for each of 64 things to tell");
        facts |= 1 << fact;
    }
    facts
}
