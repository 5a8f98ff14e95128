//! What will happen in the world: orders, what providers tell of them, and what must come of it, reckoned without the fold.

use fastrand::Rng;
use paybell_shared::providers::{Provider, Registry};
use serde_json::{Value, json};

use crate::sim::{BEGUN_AT_MS, STORM_MS};

/// Accounts; both have orders and users of the same names.
pub const ACCOUNTS: [&str; 2] = ["acme", "bolt"];
/// Users of each account.
pub const USERS: [&str; 2] = ["ann", "ben"];
/// Providers whose signatures are cheap.
pub const PROVIDERS: [&str; 4] = ["stripe", "razorpay", "standard_webhooks", "github_style"];

const CURRENCY: &str = "INR";

/// One fact that a provider tells.
#[derive(Clone, Debug)]
pub struct Fact {
    pub kind: &'static str,
    pub transaction: &'static str,
    /// The refund's or dispute's name in its order.
    pub part: String,
    pub amount_minor: i128,
    /// Whether the callback names the order; else only the payment.
    pub names_order: bool,
}

/// A callback that the provider is about to send.
#[derive(Clone, Debug)]
pub struct Callback {
    pub order: usize,
    pub event_id: String,
    pub content: String,
    pub at_ms: u64,
    /// How often it is sent although it was acknowledged.
    pub copies: u64,
}

/// An order and what must come of it.
pub struct PlannedOrder {
    pub account: &'static str,
    pub id: String,
    pub user: &'static str,
    pub provider: &'static Provider,
    pub amount_minor: i128,
    pub registered_at_ms: u64,
    pub is_sudden: bool,
    pub facts: Vec<Fact>,
    pub status: &'static str,
}

impl PlannedOrder {
    pub fn registration(&self) -> Value {
        json!({
            "order_id": self.id, "amount_minor": i64::try_from(self.amount_minor).unwrap_or_default(),
            "currency": CURRENCY, "user": self.user,
        })
    }

    fn sum(&self, kinds: &[&str]) -> i128 {
        self.facts.iter().filter(|fact| kinds.contains(&fact.kind)).map(|fact| fact.amount_minor).sum()
    }

    /// Captured, refunded and disputed, as sums of what is told.
    pub fn money(&self) -> [i128; 3] {
        let is_won = |part: &str| self.facts.iter().any(|it| it.kind == "dispute.won" && it.part == part);
        let opened = self.facts.iter().filter(|fact| fact.kind == "dispute.opened" && !is_won(&fact.part));
        let disputed = opened.map(|fact| fact.amount_minor).sum();
        [self.sum(&["payment.captured"]), self.sum(&["refund.succeeded"]), disputed]
    }

    /// Kind, payment and part of everything that stands in the end, and that its user must have been told of.
    pub fn outcomes(&self) -> Vec<(&'static str, String, String)> {
        let outranked = |fact: &Fact, by: &[&str]| {
            let is_same = |other: &&Fact| (other.transaction, &other.part) == (fact.transaction, &fact.part);
            self.facts.iter().filter(is_same).any(|other| by.contains(&other.kind))
        };
        let stands = |fact: &&Fact| match fact.kind {
            "payment.pending" => {
                !outranked(fact, &["payment.authorized", "payment.captured", "payment.failed"])
            }
            "payment.authorized" => !outranked(fact, &["payment.captured"]),
            "payment.captured" => self.status != "held",
            "refund.pending" => !outranked(fact, &["refund.succeeded"]),
            "dispute.opened" => !outranked(fact, &["dispute.won", "dispute.lost"]),
            _ => true,
        };
        let told = self.facts.iter().filter(stands).map(|fact| {
            let part = if fact.part.is_empty() { String::new() } else { self.part_id(fact) };
            (fact.kind, self.transaction_id(fact), part)
        });
        told.collect()
    }

    fn transaction_id(&self, fact: &Fact) -> String {
        format!("{}_{}", fact.transaction, self.id)
    }

    fn part_id(&self, fact: &Fact) -> String {
        format!("{}_{}", fact.part, self.id)
    }

    /// Half of all orders are told of at once, and registered then.
    fn told_at_ms(&self, rng: &mut Rng) -> u64 {
        if self.is_sudden { self.registered_at_ms + rng.u64(0..150) } else { rng.u64(0..STORM_MS * 3 / 4) }
    }

    /// The callback that tells one of its facts.
    pub fn callback(&self, order: usize, number: usize, rng: &mut Rng) -> Callback {
        let fact = &self.facts[number];
        let event_id = format!("evt_{}_{number}", self.id);
        let created = BEGUN_AT_MS / 1_000 + i64::try_from(number).unwrap_or_default();
        let content = match self.provider.name {
            "stripe" => stripe(self, fact, &event_id, created),
            "razorpay" => razorpay(self, fact, created),
            _ => own_vocabulary(self, fact, &event_id),
        };
        Callback {
            order,
            event_id,
            content: content.to_string(),
            at_ms: self.told_at_ms(rng),
            copies: *rng.choice(&[0, 0, 0, 1, 2]).expect("there are choices"),
        }
    }
}

/// Everything that will happen.
pub struct Plan {
    pub orders: Vec<PlannedOrder>,
    pub callbacks: Vec<Callback>,
}

impl Plan {
    pub fn draw(rng: &mut Rng, registry: &Registry) -> Self {
        let mut orders = Vec::new();
        for number in 0..rng.usize(1..=3) {
            // Half of the time the other account has an order of the same name.
            let accounts = if rng.bool() { &ACCOUNTS[..] } else { &ACCOUNTS[..1] };
            orders.extend(accounts.iter().map(|account| planned_order(rng, registry, account, number)));
        }
        let callbacks = orders.iter().enumerate().flat_map(|(order, planned)| {
            (0..planned.facts.len()).map(|number| planned.callback(order, number, rng)).collect::<Vec<_>>()
        });
        let callbacks = callbacks.collect();
        Self { orders, callbacks }
    }
}

fn planned_order(rng: &mut Rng, registry: &Registry, account: &'static str, number: usize) -> PlannedOrder {
    let amount_minor = i128::from(rng.u64(1_000..100_000));
    let (mut facts, status) = story(rng, amount_minor);
    let provider = *rng.choice(&PROVIDERS).expect("there are providers");
    if provider == "razorpay" {
        // It tells nothing of a payment that has only begun.
        facts.retain(|fact| fact.kind != "payment.pending");
    }
    PlannedOrder {
        account,
        id: format!("order{number}"),
        user: rng.choice(USERS).expect("there are users"),
        provider: registry.find(provider).expect("it is built in"),
        amount_minor,
        registered_at_ms: rng.u64(0..STORM_MS * 3 / 4),
        is_sudden: rng.bool(),
        facts,
        status,
    }
}

/// What happens to one order, and how it ends.
fn story(rng: &mut Rng, amount: i128) -> (Vec<Fact>, &'static str) {
    let fact = |kind, transaction, part: &str, amount_minor| Fact {
        kind,
        transaction,
        part: part.to_owned(),
        amount_minor,
        names_order: true,
    };
    let pending = fact("payment.pending", "t1", "", amount);
    let captured = fact("payment.captured", "t1", "", amount);
    let refund = |part, amount_minor| fact("refund.succeeded", "t1", part, amount_minor);
    let dispute = |kind| fact(kind, "t1", "d1", amount);
    let half = amount / 2;
    let (mut facts, status) = match rng.u32(0..11) {
        0 => (vec![captured], "paid"),
        1 => (vec![pending, fact("payment.authorized", "t1", "", amount), captured], "paid"),
        2 => (vec![fact("payment.failed", "t0", "", amount), captured], "paid"),
        3 => (vec![captured, refund("r1", half / 2), refund("r2", half / 3)], "partially_refunded"),
        4 => {
            let begun = fact("refund.pending", "t1", "r1", amount);
            (vec![captured.clone(), begun, refund("r1", amount)], "refunded")
        }
        5 => (vec![captured, dispute("dispute.opened"), dispute("dispute.won")], "paid"),
        6 => (vec![captured, dispute("dispute.opened"), dispute("dispute.lost")], "charged_back"),
        7 => (vec![pending, captured, dispute("dispute.opened")], "disputed"),
        8 => (vec![captured, fact("payment.captured", "t2", "", amount)], "overpaid"),
        9 => (vec![fact("payment.captured", "t1", "", amount - 1)], "held"),
        _ => {
            let part = |transaction, minor| fact("payment.captured", transaction, "", minor);
            (vec![part("t1", half), part("t2", amount - half), refund("r1", half)], "partially_refunded")
        }
    };
    let later = |fact: &&mut Fact| !fact.part.is_empty();
    facts.iter_mut().filter(later).for_each(|fact| fact.names_order = rng.bool());
    (facts, status)
}

fn metadata(order: &PlannedOrder, fact: &Fact) -> Value {
    if fact.names_order { json!({"order_id": order.id}) } else { json!({}) }
}

fn stripe(order: &PlannedOrder, fact: &Fact, event_id: &str, created: i64) -> Value {
    let amount = i64::try_from(fact.amount_minor).unwrap_or_default();
    let transaction = order.transaction_id(fact);
    let (kind, status) = match fact.kind {
        "payment.pending" => ("payment_intent.processing", "processing"),
        "payment.authorized" => ("payment_intent.amount_capturable_updated", "requires_capture"),
        "payment.captured" => ("payment_intent.succeeded", "succeeded"),
        "payment.failed" => ("payment_intent.payment_failed", "requires_payment_method"),
        "refund.pending" => ("refund.created", "pending"),
        "refund.succeeded" => ("refund.updated", "succeeded"),
        "dispute.opened" => ("charge.dispute.created", "needs_response"),
        "dispute.won" => ("charge.dispute.closed", "won"),
        _ => ("charge.dispute.closed", "lost"),
    };
    let object = if fact.part.is_empty() {
        json!({
            "id": transaction, "amount": amount, "amount_received": amount, "amount_capturable": amount,
            "latest_charge": format!("ch_{transaction}"),
        })
    } else {
        json!({
            "id": order.part_id(fact), "amount": amount, "payment_intent": transaction,
            "charge": format!("ch_{transaction}"),
        })
    };
    let mut object = object;
    object["currency"] = CURRENCY.to_ascii_lowercase().into();
    object["status"] = status.into();
    object["metadata"] = metadata(order, fact);
    json!({"id": event_id, "object": "event", "created": created, "type": kind, "data": {"object": object}})
}

fn razorpay(order: &PlannedOrder, fact: &Fact, created: i64) -> Value {
    let amount = i64::try_from(fact.amount_minor).unwrap_or_default();
    let transaction = order.transaction_id(fact);
    let payment = json!({"entity": {
        "id": transaction, "amount": amount, "currency": CURRENCY, "status": "any",
        "order_id": format!("order_{transaction}"), "notes": metadata(order, fact), "created_at": created,
    }});
    let part = || {
        json!({"entity": {
            "id": order.part_id(fact), "amount": amount, "currency": CURRENCY, "payment_id": transaction,
            "status": "any", "created_at": created,
        }})
    };
    let (event, mut payload) = match fact.kind {
        "refund.pending" => ("refund.created", json!({"refund": part()})),
        "refund.succeeded" => ("refund.processed", json!({"refund": part()})),
        "dispute.opened" => ("payment.dispute.created", json!({"dispute": part()})),
        "dispute.won" => ("payment.dispute.won", json!({"dispute": part()})),
        "dispute.lost" => ("payment.dispute.lost", json!({"dispute": part()})),
        kind => (kind, json!({})),
    };
    if fact.names_order || fact.part.is_empty() {
        payload["payment"] = payment;
    }
    json!({"entity": "event", "event": event, "payload": payload, "created_at": created})
}

fn own_vocabulary(order: &PlannedOrder, fact: &Fact, event_id: &str) -> Value {
    let amount = i64::try_from(fact.amount_minor).unwrap_or_default();
    let mut data = metadata(order, fact);
    data["transaction_id"] = order.transaction_id(fact).into();
    data["amount_minor"] = amount.into();
    data["currency"] = CURRENCY.into();
    if !fact.part.is_empty() {
        let name = if fact.kind.starts_with("refund") { "refund_id" } else { "dispute_id" };
        data[name] = order.part_id(fact).into();
    }
    json!({"id": event_id, "type": fact.kind, "data": data})
}
