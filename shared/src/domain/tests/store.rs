//! The store in memory, and workers that drive plans against it step by step, so that tests can interleave
//! and kill them anywhere.

use std::collections::{BTreeMap, VecDeque};

use super::*;

#[derive(Clone, Debug, Default)]
pub struct Store {
    pub orders: BTreeMap<Subject, Order>,
    pub references: BTreeMap<Reference, ReferenceRecord>,
    pub writes: usize,
}

impl Store {
    fn answer(&mut self, plan: &mut Plan, ask: Ask) {
        match ask {
            Ask::Load(subject) => {
                let order = self.orders.get(&subject).cloned();
                plan.loaded(subject, order);
            }
            Ask::Read(reference) => {
                let record = self.references.get(&reference).cloned().unwrap_or_default();
                plan.learned(reference, record);
            }
            Ask::Tie(reference, subject) => {
                self.writes += 1;
                let record = self.references.entry(reference.clone()).or_default();
                record.subjects.insert(subject);
                plan.learned(reference, record.clone());
            }
            Ask::Park(reference, event) => {
                self.writes += 1;
                let record = self.references.entry(reference.clone()).or_default();
                record.parked.push(*event);
                plan.learned(reference, record.clone());
            }
        }
    }

    fn save(&mut self, mut order: Order) -> bool {
        let stored = self.orders.get(&order.subject).map_or(0, |stored| stored.version);
        if stored != order.version {
            return false;
        }
        self.writes += 1;
        order.version += 1;
        self.orders.insert(order.subject.clone(), order);
        true
    }
}

/// One plan on its way.
#[derive(Clone, Debug)]
pub struct Worker {
    start: Plan,
    now: Progress,
}

#[derive(Clone, Debug)]
enum Progress {
    Asking(Box<Plan>),
    Saving(VecDeque<Order>),
}

impl Worker {
    pub fn new(plan: Plan) -> Self {
        Self { now: Progress::Asking(Box::new(plan.clone())), start: plan }
    }

    /// One question or one write; whether it is done.
    pub fn step(&mut self, store: &mut Store) -> bool {
        match &mut self.now {
            Progress::Asking(plan) => match plan.next().unwrap() {
                Some(ask) => store.answer(plan, ask),
                None => self.now = Progress::Saving(plan.clone().finish().unwrap().changed.into()),
            },
            Progress::Saving(orders) => match orders.pop_front() {
                None => return true,
                Some(order) => {
                    if !store.save(order) {
                        self.restart();
                    }
                }
            },
        }
        false
    }

    /// Killed and delivered again, or a lost race.
    pub fn restart(&mut self) {
        *self = Self::new(self.start.clone());
    }

    pub fn run(mut self, store: &mut Store) {
        while !self.step(store) {}
    }
}
