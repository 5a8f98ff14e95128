//! What must hold when everything is done, reckoned from the plan.

use std::collections::{BTreeMap, BTreeSet};

use paybell_shared::domain::{Order, OrderState, notifications};
use paybell_shared::ports::InboxEntry;

use crate::device::Device;
use crate::plan::PlannedOrder;
use crate::sim::lock;
use crate::world::World;

/// Everything that does not hold; nothing when all does.
pub fn failures(world: &World, devices: &[std::sync::Arc<Device>]) -> Vec<String> {
    let mut failures = lock(&world.complaints).clone();
    let stored = world.orders.inner.all();
    for planned in &world.plan.orders {
        let is_it =
            |order: &&Order| order.subject.account == planned.account && order.subject.id == planned.id;
        match stored.iter().find(is_it) {
            Some(order) => check_order(planned, order, &mut failures),
            None => failures.push(format!("{}/{} is not stored", planned.account, planned.id)),
        }
    }
    if stored.len() != world.plan.orders.len() {
        failures.push(format!("{} orders are stored, not {}", stored.len(), world.plan.orders.len()));
    }
    check_inbox(world, &mut failures);
    devices.iter().for_each(|device| check_device(world, device, &mut failures));
    failures
}

fn check_order(planned: &PlannedOrder, order: &Order, failures: &mut Vec<String>) {
    let name = format!("{}/{}", planned.account, planned.id);
    if order.events.len() != planned.facts.len() {
        let kinds: Vec<&str> = order.events.values().map(|event| event.kind.name()).collect();
        failures.push(format!("{name} has {kinds:?}, not the {} events that were told", planned.facts.len()));
    }
    let state = order.state();
    let money = [state.captured_minor, state.refunded_minor, state.disputed_minor];
    if money != planned.money() {
        failures.push(format!("{name}: captured, refunded, disputed {money:?}, not {:?}", planned.money()));
    }
    let status = status(&state);
    if status != planned.status {
        failures.push(format!("{name} is {status}, not {}", planned.status));
    }
}

/// The status as it is told.
pub fn status(state: &OrderState) -> String {
    serde_json::to_value(state.status)
        .ok()
        .and_then(|name| Some(name.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// One notification per change, of every change that ever was, and of every outcome.
fn check_inbox(world: &World, failures: &mut Vec<String>) {
    let changes: BTreeSet<(String, String)> = world
        .orders
        .stream
        .records()
        .iter()
        .flat_map(|record| notifications(record.old.as_ref(), &record.new))
        .map(|told| (told.subject.account, told.id))
        .collect();
    let entries = world.inbox.inner.entries();
    let inbox: Vec<(String, String)> = entries.iter().map(address).collect();
    let distinct: BTreeSet<(String, String)> = inbox.iter().cloned().collect();
    if distinct.len() != inbox.len() || distinct != changes {
        failures.push(format!("the inboxes hold {} notifications of {} changes", inbox.len(), changes.len()));
    }
    for planned in &world.plan.orders {
        let own = |entry: &&InboxEntry| {
            let subject = &entry.notification.subject;
            subject.account == planned.account && subject.id == planned.id
        };
        let told: Vec<&InboxEntry> = entries.iter().filter(own).collect();
        if let Some(entry) = told.iter().find(|entry| entry.notification.user != planned.user) {
            failures.push(format!("{} was told of {}", entry.notification.user, planned.id));
        }
        for (kind, transaction, part) in planned.outcomes() {
            let is_it = |entry: &&&InboxEntry| {
                let known = &entry.notification;
                known.kind == kind
                    && known.transaction_id.as_deref() == Some(&transaction)
                    && known.part_id.as_deref().unwrap_or_default() == part
            };
            let times = told.iter().filter(is_it).count();
            if times != 1 {
                failures
                    .push(format!("{kind} {transaction} {part} of {} was told {times} times", planned.id));
            }
        }
    }
}

fn address(entry: &InboxEntry) -> (String, String) {
    (entry.notification.subject.account.clone(), entry.notification.id.clone())
}

/// A device has been told what is in its user's inbox, and nothing else.
fn check_device(world: &World, device: &Device, failures: &mut Vec<String>) {
    let inbox: BTreeMap<String, (String, String)> = inbox_of(world, device);
    let told = lock(&device.told);
    if *told != inbox {
        let missed: Vec<_> = inbox.iter().filter(|(id, _)| !told.contains_key(*id)).collect();
        let foreign: Vec<_> = told.iter().filter(|(id, _)| !inbox.contains_key(*id)).collect();
        failures.push(format!("{} missed {missed:?} and was told {foreign:?}", device.name));
    }
}

/// What a device's user should have been told.
pub fn inbox_of(world: &World, device: &Device) -> BTreeMap<String, (String, String)> {
    let entries = world.inbox.inner.entries().into_iter().map(|entry| entry.notification);
    let own = entries
        .filter(|it| it.subject.account == device.account && it.user == device.user)
        .map(|it| (it.id, (it.subject.id, it.kind)));
    own.collect()
}
